//! How often something may be done that others feel: the doors strangers come in by, and what reaches other people's
//! rooms and inboxes.

use roomlog_core::{account::Login, ids::UserId, limits::Limits};

use crate::{
    address::Origin,
    rate::{Bucket, Buckets, Empty, Left, Limit, per_minute, per_second},
};

/// How fast strangers may become guests of this gateway, from all addresses together: more guests than any room needs,
/// fewer than would fill the store.
const GUESTS_PER_SECOND: u32 = 200;
/// Guests at once.
const GUESTS_BURST: u32 = 1_000;
/// Of the log-ins from one address, those that may be to one account: one in so many.
const ACCOUNT_SHARE: u32 = 6;
/// Log-ins to one account from all addresses together, as a multiple of those from one. A stranger can make its owner
/// wait while they go on, from many addresses, and no longer; who is signed in is not concerned.
const ACCOUNT_ADDRESSES: u32 = 10;

/// Changes of name or picture of one user: each is an event in every room they are in.
const PROFILES_PER_MINUTE: u32 = 10;
/// Friend requests of one user: each is an event in somebody's inbox.
const FRIENDS_PER_MINUTE: u32 = 30;
/// Uploads of one user: each is a row and an object, kept for good.
const FILES_PER_MINUTE: u32 = 60;
/// Pictures asked for from one address, without a token: each is a read of the store. A page shows some hundreds, and
/// remembers them for minutes.
const PICTURES_PER_MINUTE: u32 = 3_000;

/// How often somebody may knock, by address and by account.
#[derive(Debug)]
pub(crate) struct Doors {
    sign_ins: Buckets,
    account_from: Buckets,
    account: Buckets,
    guests: Bucket,
    guests_from: Buckets,
    connects: Buckets,
    profiles: Buckets,
    friends: Buckets,
    files: Buckets,
    pictures: Buckets,
}

// === impl Doors ===

impl Doors {
    pub(crate) fn new(limits: &Limits) -> Self {
        let per_account = limits.sign_ins_per_minute.div_ceil(ACCOUNT_SHARE);
        let in_all = per_account.saturating_mul(ACCOUNT_ADDRESSES);
        let guests = per_second(GUESTS_PER_SECOND, GUESTS_BURST);
        Self {
            sign_ins: Buckets::new(Limit::SignIns, per_minute(limits.sign_ins_per_minute)),
            account_from: Buckets::new(Limit::Account, per_minute(per_account)),
            account: Buckets::new(Limit::Account, per_minute(in_all)),
            guests: Bucket::new(Limit::Guests, guests),
            guests_from: Buckets::new(Limit::Guests, per_minute(limits.guests_per_minute)),
            connects: Buckets::new(Limit::Connects, per_minute(limits.connects_per_minute)),
            profiles: Buckets::new(Limit::Profiles, per_minute(PROFILES_PER_MINUTE)),
            friends: Buckets::new(Limit::Friends, per_minute(FRIENDS_PER_MINUTE)),
            files: Buckets::new(Limit::Files, per_minute(FILES_PER_MINUTE)),
            pictures: Buckets::new(Limit::Pictures, per_minute(PICTURES_PER_MINUTE)),
        }
    }

    /// Counts a log-in or a sign-up.
    pub(crate) fn sign_in(&self, from: Origin) -> Result<Option<Left>, Empty> {
        self.sign_ins.take(from)
    }

    /// Counts a log-in to an account, whether there is one or not.
    pub(crate) fn account(&self, login: &Login, from: Origin) -> Result<(), Empty> {
        self.account_from.take((login.as_str(), from))?;
        self.account.take(login.as_str())?;
        Ok(())
    }

    /// Counts a guest.
    pub(crate) fn guest(&self, from: Origin) -> Result<Option<Left>, Empty> {
        let left = self.guests_from.take(from)?;
        self.guests.take(1)?;
        Ok(left)
    }

    /// Counts a change of name or picture.
    pub(crate) fn profile(&self, user: &UserId) -> Result<Option<Left>, Empty> {
        self.profiles.take(user)
    }

    /// Counts a friend request.
    pub(crate) fn friend(&self, user: &UserId) -> Result<Option<Left>, Empty> {
        self.friends.take(user)
    }

    /// Counts an upload.
    pub(crate) fn file(&self, user: &UserId) -> Result<Option<Left>, Empty> {
        self.files.take(user)
    }

    /// Counts a look at a picture by nobody in particular.
    pub(crate) fn picture(&self, from: Origin) -> Result<Option<Left>, Empty> {
        self.pictures.take(from)
    }

    /// Counts a connection, or a renewal of somebody who was signed in.
    pub(crate) fn connect(&self, from: Origin) -> Result<Option<Left>, Empty> {
        self.connects.take(from)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(number: u8) -> Origin {
        IpAddr::from(Ipv4Addr::new(192, 0, 2, number)).into()
    }

    #[test]
    fn pictures_are_limited_by_address() {
        let doors = Doors::new(&Limits::default());
        let looks = (0..2 * PICTURES_PER_MINUTE).map(|_| doors.picture(address(1)));
        assert!(looks.filter(Result::is_err).count() > 0);
        assert!(doors.picture(address(2)).is_ok());
    }

    #[test]
    fn an_account_is_limited_from_all_addresses_together() {
        let doors = Doors::new(&Limits::default());
        let login = Login::parse("ada.l").unwrap();
        let tries = (0..=u8::MAX).map(|number| doors.account(&login, address(number)));
        let passed = tries.filter(Result::is_ok).count();
        assert!((2..=usize::from(u8::MAX)).contains(&passed), "{passed}");
    }
}
