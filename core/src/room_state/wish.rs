//! From how somebody is wished to stand in a room to the changes that lead there.

use super::{MemberState, Membership};
use crate::event::{MemberChange, Role};

/// How a user is to stand; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// A member's role.
    pub role: Option<Role>,
    /// Whether a member may only read.
    pub muted: Option<bool>,
    /// Whether they may come in at all.
    pub banned: Option<bool>,
}

/// Why a wish can't be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// Who is banned has neither role nor voice.
    Contradiction,
    /// Only members have roles and can be muted.
    NotAMember,
    /// Who is banned is not invited.
    Banned,
}

impl Wish {
    /// The changes, in order; none where the user stands so already. A wish for nothing asks a newcomer in.
    ///
    /// # Errors
    /// When no sequence of changes leads there.
    pub fn changes(self, row: Option<&Membership>) -> Result<Vec<MemberChange>, Unmet> {
        let state = row.map(|row| row.state);
        let has_voice = self.role.is_some() || self.muted.is_some();
        match self.banned {
            Some(true) if has_voice => return Err(Unmet::Contradiction),
            Some(true) if state == Some(MemberState::Banned) => return Ok(Vec::new()),
            Some(true) => return Ok(vec![MemberChange::Banned]),
            Some(false) if state == Some(MemberState::Banned) && has_voice => {
                return Err(Unmet::NotAMember);
            }
            Some(false) if state == Some(MemberState::Banned) => {
                return Ok(vec![MemberChange::Unbanned]);
            }
            Some(false) if !has_voice => return Ok(Vec::new()),
            Some(false) | None => {}
        }
        match (row, state) {
            (Some(row), Some(MemberState::Joined)) => Ok(self.changes_of_member(row)),
            (_, Some(MemberState::Banned)) if !has_voice => Err(Unmet::Banned),
            _ if has_voice => Err(Unmet::NotAMember),
            (_, Some(MemberState::Invited)) => Ok(Vec::new()),
            _ => Ok(vec![MemberChange::Invited]),
        }
    }

    fn changes_of_member(self, row: &Membership) -> Vec<MemberChange> {
        let muted = self.muted.filter(|muted| *muted != row.muted);
        let role = self.role.filter(|role| *role != row.role);
        let voice = muted.map(|muted| match muted {
            true => MemberChange::Muted,
            false => MemberChange::Unmuted,
        });
        voice
            .into_iter()
            .chain(role.map(MemberChange::Role))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Seq;

    fn row(state: MemberState) -> Membership {
        Membership {
            state,
            role: Role::Member,
            muted: false,
            changed_seq: Seq(2),
        }
    }

    #[test]
    fn a_wish_for_nothing_asks_a_newcomer_in_once() {
        let wish = Wish::default();
        let of = |state| wish.changes(Some(&row(state)));
        assert_eq!(wish.changes(None), Ok(vec![MemberChange::Invited]));
        assert_eq!(of(MemberState::Gone), Ok(vec![MemberChange::Invited]));
        assert_eq!(of(MemberState::Invited), Ok(Vec::new()));
        assert_eq!(of(MemberState::Joined), Ok(Vec::new()));
        assert_eq!(of(MemberState::Banned), Err(Unmet::Banned));
    }

    #[test]
    fn a_wish_that_is_true_changes_nothing() {
        let joined = row(MemberState::Joined);
        let wish = Wish {
            role: Some(Role::Member),
            muted: Some(false),
            banned: Some(false),
        };
        assert_eq!(wish.changes(Some(&joined)), Ok(Vec::new()));
        let louder = Wish {
            role: Some(Role::Moderator),
            muted: Some(true),
            banned: None,
        };
        assert_eq!(
            louder.changes(Some(&joined)),
            Ok(vec![
                MemberChange::Muted,
                MemberChange::Role(Role::Moderator)
            ])
        );
    }

    #[test]
    fn only_members_have_roles_and_the_banned_have_nothing() {
        let wish = Wish {
            role: Some(Role::Owner),
            ..Wish::default()
        };
        for state in [MemberState::Invited, MemberState::Gone, MemberState::Banned] {
            assert_eq!(wish.changes(Some(&row(state))), Err(Unmet::NotAMember));
        }
        let banned = Wish {
            banned: Some(true),
            ..Wish::default()
        };
        assert_eq!(banned.changes(None), Ok(vec![MemberChange::Banned]));
        let both = Wish {
            banned: Some(true),
            ..wish
        };
        assert_eq!(both.changes(None), Err(Unmet::Contradiction));
        let pardoned = Wish {
            banned: Some(false),
            ..Wish::default()
        };
        let row = row(MemberState::Banned);
        assert_eq!(
            pardoned.changes(Some(&row)),
            Ok(vec![MemberChange::Unbanned])
        );
        assert_eq!(pardoned.changes(None), Ok(Vec::new()), "not an invitation");
    }
}
