//! How two people become friends: one asks, the other agrees. Each of the two has a row of their own.

/// How a user stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Friendship {
    /// They asked, and wait for the other.
    Requested,
    /// The other asked, and waits for them.
    Received,
    /// They are friends.
    Friends,
}

/// What a wish to be friends comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The other is asked.
    Request,
    /// The other had asked: both are friends now.
    Accept,
    /// It is so already, or was asked already.
    Nothing,
}

// === impl Friendship ===

impl Friendship {
    /// What comes of the wish of somebody who stands like this to the other.
    pub fn wish(standing: Option<Self>) -> Step {
        match standing {
            None => Step::Request,
            Some(Self::Received) => Step::Accept,
            Some(Self::Requested | Self::Friends) => Step::Nothing,
        }
    }

    /// How the other one stands to them.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Requested => Self::Received,
            Self::Received => Self::Requested,
            Self::Friends => Self::Friends,
        }
    }

    /// The spelling used in rows and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Received => "received",
            Self::Friends => "friends",
        }
    }

    /// The standing with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Requested, Self::Received, Self::Friends]
            .into_iter()
            .find(|standing| standing.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_somebody_who_asked_accepts() {
        assert_eq!(Friendship::wish(None), Step::Request);
        let other = Friendship::Requested.mirrored();
        assert_eq!(Friendship::wish(Some(other)), Step::Accept);
        for done in [Friendship::Requested, Friendship::Friends] {
            assert_eq!(Friendship::wish(Some(done)), Step::Nothing);
        }
    }

    #[test]
    fn both_sides_agree_on_how_they_stand_and_how_it_is_spelled() {
        for standing in [
            Friendship::Requested,
            Friendship::Received,
            Friendship::Friends,
        ] {
            assert_eq!(standing.mirrored().mirrored(), standing);
            assert_eq!(Friendship::parse(standing.as_str()), Some(standing));
        }
        assert_eq!(Friendship::parse("foe"), None);
    }
}
