//! Push messages: which devices they may go to, and of which messages in a room somebody wants any.

/// Bytes of a device's token; those of push services have about 160.
pub const TOKEN_BYTES_MAX: usize = 512;
/// Devices of one user. One more takes the place of the one that was named longest ago: programs that are installed
/// anew get new tokens, and the old ones are not told apart from phones in a drawer.
pub const DEVICES_MAX: usize = 32;

/// What a push service calls one installation of a program: letters, digits, `-`, `_`, `.` and `:`.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceToken(String);

/// Of which messages in a room a member wants to hear on devices that are not connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// Of every message.
    #[default]
    All,
    /// Of those that name them.
    Mentions,
    /// Of none.
    None,
}

// === impl DeviceToken ===

impl DeviceToken {
    /// The token, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let fits = (1..=TOKEN_BYTES_MAX).contains(&text.len());
        (fits && text.bytes().all(is_plain)).then(|| Self(text.to_owned()))
    }

    /// As the push service wrote it. Who has it can send to the device, so it is not for logs.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

// === impl Notify ===

impl Notify {
    /// Every setting, in the order of the documentation.
    pub const ALL: &'static [Self] = &[Self::All, Self::Mentions, Self::None];

    /// The spelling used in rows and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mentions => "mentions",
            Self::None => "none",
        }
    }

    /// The setting with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|setting| setting.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bounded_and_needs_no_escaping() {
        assert!(DeviceToken::parse("fX3:APA91b-_.x").is_some());
        assert!(DeviceToken::parse(&"x".repeat(TOKEN_BYTES_MAX)).is_some());
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        for bad in ["", "a b", "a/b", "ä", "a\n", &long] {
            assert!(DeviceToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn each_setting_has_one_spelling() {
        for setting in Notify::ALL {
            assert_eq!(Notify::parse(setting.as_str()), Some(*setting));
        }
        assert_eq!(Notify::parse("ALL"), None);
    }
}
