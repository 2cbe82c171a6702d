//! Makes the demo room, through the same public interface as any client.

use anyhow::Context as _;
use reqwest::Method;
use serde_json::json;

use super::{DEMO_ROOM, Running};
use crate::tools::rest::Rest;

/// The room exists and the demo users are in it.
pub(super) async fn furnish(running: &Running<'_>) -> anyhow::Result<()> {
    let url = running.http();
    let mut users = running
        .tokens
        .iter()
        .map(|(_, token)| Rest::with(&url, token.clone()));
    let owner = users.next().context("there are demo users")?;
    let room = owner.request(Method::GET, &format!("/rooms/{DEMO_ROOM}"));
    if owner.answer(room).await.is_err() {
        let room = json!({"id": DEMO_ROOM, "name": "Lobby", "kind": "group", "public": true});
        owner
            .answer(owner.request(Method::POST, "/rooms").json(&room))
            .await?;
    }
    for user in users {
        user.answer(user.request(Method::POST, &format!("/rooms/{DEMO_ROOM}/join")))
            .await?;
    }
    Ok(())
}
