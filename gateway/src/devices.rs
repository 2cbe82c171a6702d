//! Devices that push messages go to: named by their users, gone with the sign-in they were named in.

use roomlog_core::{
    code::{Code, Refusal},
    ids::UserId,
    push::{DEVICES_MAX, DeviceToken},
};
use roomlog_platform::dynamo::DeviceRow;

use crate::{accounts::store_refusal, auth::Identity, clock, gateway::Gateway};

/// Which of a user's devices go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Going<'a> {
    /// Those named in this sign-in.
    With(&'a str),
    /// All.
    All,
}

impl Gateway {
    /// Keeps a device. Where the user has as many as they may, the one that was named longest ago goes.
    pub(crate) async fn keep_device(&self, who: &Identity, token: &str) -> Result<(), Refusal> {
        let token = checked(token)?;
        let store = &self.source.store;
        let known = store.devices(&who.user).await;
        let mut others = known.map_err(|error| store_refusal(&error))?;
        others.retain(|device| device.token != token.reveal());
        others.sort_by_key(|device| device.at_ms);
        let surplus = (others.len() + 1).saturating_sub(DEVICES_MAX);
        for oldest in others.iter().take(surplus) {
            let forgotten = store.forget_device(&who.user, &oldest.token).await;
            forgotten.map_err(|error| store_refusal(&error))?;
        }
        let device = DeviceRow {
            token: token.reveal().to_owned(),
            session: who.session.as_ref().map(|session| session.id.to_string()),
            at_ms: clock::unix_ms_signed(),
        };
        let kept = store.keep_device(&who.user, &device).await;
        kept.map_err(|error| store_refusal(&error))
    }

    /// Forgets a device of the user's; nobody else's is ever looked at.
    pub(crate) async fn forget_device(&self, user: &UserId, token: &str) -> Result<(), Refusal> {
        let token = checked(token)?;
        let gone = self.source.store.forget_device(user, token.reveal()).await;
        match gone.map_err(|error| store_refusal(&error))? {
            true => Ok(()),
            false => Err(Refusal::new(Code::NotFound, "you have no such device")),
        }
    }

    /// Forgets devices of somebody who signed out.
    pub(crate) async fn forget_devices(
        &self,
        user: &UserId,
        going: Going<'_>,
    ) -> Result<(), Refusal> {
        let store = &self.source.store;
        let known = store.devices(user).await;
        let known = known.map_err(|error| store_refusal(&error))?;
        let goes = |device: &&DeviceRow| match going {
            Going::With(session) => device.session.as_deref() == Some(session),
            Going::All => true,
        };
        for device in known.iter().filter(goes) {
            let forgotten = store.forget_device(user, &device.token).await;
            forgotten.map_err(|error| store_refusal(&error))?;
        }
        Ok(())
    }
}

fn checked(token: &str) -> Result<DeviceToken, Refusal> {
    let message = "a device's token has 1 to 512 letters, digits and -_.:";
    DeviceToken::parse(token).ok_or_else(|| Refusal::new(Code::BadRequest, message))
}
