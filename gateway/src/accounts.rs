//! Accounts: signing up, logging in, staying signed in, signing out.

use std::{sync::Arc, time::Duration};

use roomlog_core::{
    account::{Login, display_name},
    code::{Code, Refusal},
    ids::UserId,
    renewal::{Standing, Verdict, judge},
};
use roomlog_platform::{
    backoff::Backoff,
    config::{Config, Secret},
    dynamo::{Consistency, SessionRow, SignUp, StoreError, UserRow},
};

use crate::{
    address::Origin,
    auth::{
        Checked, Ending, Password, Passwords, SessionRef,
        refresh::{self, RefreshKey},
        token::{Holder, mint},
    },
    bulletin::Note,
    clock,
    devices::Going,
    gateway::Gateway,
    users::{Profile, User},
};

/// Tries of a sign-up that meets another one for the same name; between them the other one ends.
const SIGN_UP_TRIES: u32 = 4;
const SIGN_UP_WAIT: Duration = Duration::from_millis(20);
/// Rounds of a renewal in which somebody else is faster each time. The second finds what the faster one made.
const RENEWAL_ROUNDS: usize = 3;

/// The global role everybody has, and the one that may do everything.
const USER_ROLE: &str = "user";
const ADMIN_ROLE: &str = "admin";

/// What signing in takes.
pub(crate) struct Accounts {
    passwords: Passwords,
    /// `None` where this system makes no tokens.
    key: Option<RefreshKey>,
}

/// What somebody has who signed in.
pub(crate) struct Entrance {
    pub(crate) user: Arc<User>,
    pub(crate) access_token: String,
    pub(crate) refresh_token: Secret,
    pub(crate) expires_in_s: u64,
}

// === impl Accounts ===

impl Accounts {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            passwords: Passwords::new(),
            key: RefreshKey::new(&config.jwt),
        }
    }
}

// === impl Gateway ===

impl Gateway {
    /// The key of refresh tokens, if this system makes any.
    fn refresh_key(&self) -> Result<&RefreshKey, Refusal> {
        self.accounts.key.as_ref().ok_or_else(accounts_off)
    }

    /// Whether this system makes tokens itself.
    pub(crate) fn makes_tokens(&self) -> bool {
        self.accounts.key.is_some()
    }

    /// Refuses where another system says who is who.
    pub(crate) fn has_accounts(&self) -> Result<(), Refusal> {
        self.refresh_key()?;
        match self.config.accounts.enabled {
            true => Ok(()),
            false => Err(accounts_off()),
        }
    }

    /// Makes an account and signs its owner in.
    pub(crate) async fn sign_up(
        &self,
        login: &str,
        password: &Secret,
        name: Option<&str>,
    ) -> Result<Entrance, Refusal> {
        let bad = |message: String| Refusal::new(Code::BadRequest, message);
        let parsed = Login::parse(login).map_err(|error| bad(error.to_string()))?;
        let name = display_name(name.unwrap_or(login))
            .ok_or_else(|| bad("a name has 1 to 64 bytes and can be seen".into()))?;
        let password = Password::chosen(password)?;
        let hash = self.accounts.passwords.hash(password).await?;
        let id = UserId::parse(&format!("u-{}", random_id())).expect("within the alphabet");
        let row = UserRow::new(id, name, clock::unix_ms_signed());
        match self.keep_account(&row, &parsed, &hash).await {
            Ok(SignUp::Made) => self.enter(row).await,
            Ok(SignUp::Taken) => Err(Refusal::new(Code::Conflict, "somebody has this login name")),
            Err(error) => Err(store_refusal(&error)),
        }
    }

    async fn keep_account(
        &self,
        row: &UserRow,
        login: &Login,
        hash: &str,
    ) -> Result<SignUp, StoreError> {
        let mut backoff = Backoff::between(SIGN_UP_WAIT, SIGN_UP_WAIT * 8);
        loop {
            match self.source.store.sign_up(row, login, hash).await {
                Err(error) if error.is_transient() && backoff.attempts() < SIGN_UP_TRIES => {
                    backoff.wait().await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Signs somebody in by login name and password. Whoever is unknown, or has a name no account can have, is
    /// answered the same, after the same work.
    pub(crate) async fn log_in(
        &self,
        login: &str,
        password: &Secret,
        from: Origin,
    ) -> Result<Entrance, Refusal> {
        let password = Password::typed(password)?;
        let login = Login::parse(login).ok();
        if let Some(login) = &login {
            self.doors.account(login, from)?;
        }
        let store = &self.source.store;
        let failed = |error: StoreError| store_refusal(&error);
        let row = match &login {
            Some(login) => store.login(login).await.map_err(failed)?,
            None => None,
        };
        let stored = row.as_ref().map(|row| row.password.clone());
        let checked = self.accounts.passwords.check(password, stored).await?;
        let (Some(login), Some(row), Checked::Right | Checked::RightButWeak(_)) =
            (login, row, &checked)
        else {
            tracing::info!(target: "audit", "a log-in was refused");
            return Err(Refusal::new(
                Code::Unauthenticated,
                "login name or password is wrong",
            ));
        };
        if let Checked::RightButWeak(hash) = &checked
            && let Err(error) = store.replace_password(&login, &row.password, hash).await
        {
            tracing::info!(%error, "a password hash was not replaced; the next log-in will");
        }
        let user = store.user(&row.user, Consistency::Strong).await;
        let user = user.map_err(failed)?.ok_or_else(|| {
            tracing::error!(user = %row.user, "an account has no user");
            Refusal::new(Code::Internal, "a fault of the server")
        })?;
        self.enter(user).await
    }

    /// Begins a sign-in of this user.
    pub(crate) async fn enter(&self, row: UserRow) -> Result<Entrance, Refusal> {
        let now_ms = clock::unix_ms();
        let key = self.refresh_key()?;
        let id = random_id();
        let refresh_token = key.token(&id, 0);
        let session = SessionRow {
            user: row.id.clone(),
            version: row.sessions_version,
            standing: Standing {
                generation: 0,
                given_at_ms: now_ms,
                ends_at_ms: now_ms + self.config.accounts.session_ttl.as_millis(),
            },
            hash: refresh::hash(&refresh_token),
            expires_at_s: self.idle_end_s(now_ms),
            id,
        };
        let kept = self.source.store.begin_session(&session).await;
        kept.map_err(|error| store_refusal(&error))?;
        tracing::info!(target: "audit", user = %row.id, guest = row.guest, "signed in");
        self.entrance(&session, row, refresh_token)
    }

    /// Exchanges a refresh token for its successor and a fresh access token.
    pub(crate) async fn renew(&self, token: &Secret) -> Result<Entrance, Refusal> {
        let key = self.refresh_key()?;
        let shown = key.read(token).ok_or_else(not_renewable)?;
        let store = &self.source.store;
        for _ in 0..RENEWAL_ROUNDS {
            let session = store.session(&shown.session).await;
            let session = session
                .map_err(|error| store_refusal(&error))?
                .ok_or_else(not_renewable)?;
            let now_ms = clock::unix_ms();
            let (session, successor) = match judge(session.standing, shown.generation, now_ms) {
                Verdict::Exchange if session.hash == refresh::hash(token) => {
                    let next = self.exchanged(session, key, now_ms);
                    let moved = store.renew_session(&next.0).await;
                    if !moved.map_err(|error| store_refusal(&error))? {
                        continue;
                    }
                    next
                }
                Verdict::Repeat => {
                    let token = key.token(&session.id, session.standing.generation);
                    (session, token)
                }
                Verdict::Stolen => {
                    tracing::warn!(target: "audit", user = %session.user, "a refresh token came a second time; its sign-in is over");
                    self.end_session(&session.user, &session.id).await?;
                    return Err(not_renewable());
                }
                Verdict::Exchange | Verdict::Over => return Err(not_renewable()),
            };
            let row = store.user(&session.user, Consistency::Strong).await;
            let row = row
                .map_err(|error| store_refusal(&error))?
                .filter(|row| row.sessions_version <= session.version)
                .ok_or_else(not_renewable)?;
            return self.entrance(&session, row, successor);
        }
        Err(Refusal::retry_after(
            Code::Overloaded,
            "the token is being exchanged, try again",
            1_000,
        ))
    }

    /// The session after one more exchange, and its newest token.
    fn exchanged(
        &self,
        mut session: SessionRow,
        key: &RefreshKey,
        now_ms: u64,
    ) -> (SessionRow, Secret) {
        let generation = session.standing.generation + 1;
        let token = key.token(&session.id, generation);
        session.standing.generation = generation;
        session.standing.given_at_ms = now_ms;
        session.hash = refresh::hash(&token);
        session.expires_at_s = self
            .idle_end_s(now_ms)
            .min(session.standing.ends_at_ms / 1_000);
        (session, token)
    }

    fn entrance(
        &self,
        session: &SessionRow,
        row: UserRow,
        refresh_token: Secret,
    ) -> Result<Entrance, Refusal> {
        let is_admin = self
            .config
            .accounts
            .admins
            .iter()
            .any(|id| id == row.id.as_str());
        let ttl = self.config.jwt.access_ttl;
        let reference = SessionRef {
            id: session.id.as_str().into(),
            version: session.version,
        };
        let holder = Holder {
            user: &row.id,
            role: if is_admin { ADMIN_ROLE } else { USER_ROLE },
            name: Some(&row.name),
            session: Some(reference.to_string()),
        };
        let access_token = mint(&self.config.jwt, holder, ttl).map_err(|error| {
            tracing::error!(%error, "no token can be made");
            Refusal::new(Code::Internal, "no token can be made")
        })?;
        let profile = Profile::of(&row);
        let user = self.users.add(row.id, profile.clone());
        user.set_profile(profile);
        Ok(Entrance {
            user,
            access_token,
            refresh_token,
            expires_in_s: ttl.as_millis() / 1_000,
        })
    }

    /// Ends one sign-in: its refresh token, its access tokens and its connections, on every gateway.
    pub(crate) async fn end_session(&self, user: &UserId, id: &str) -> Result<(), Refusal> {
        let ended = self.source.store.end_session(id).await;
        ended.map_err(|error| store_refusal(&error))?;
        tracing::info!(target: "audit", %user, "signed out");
        self.announce(Note::Ended(Ending::One(user.clone(), id.into())))
            .await?;
        self.forget_devices(user, Going::With(id)).await
    }

    /// Ends the sign-in a refresh token belongs to.
    pub(crate) async fn end_session_of(&self, token: &Secret) -> Result<(), Refusal> {
        let shown = self.refresh_key()?.read(token).ok_or_else(not_renewable)?;
        let session = self.source.store.session(&shown.session).await;
        match session.map_err(|error| store_refusal(&error))? {
            Some(session) => self.end_session(&session.user, &session.id).await,
            // It is over already.
            None => Ok(()),
        }
    }

    /// Ends all sign-ins of a user.
    pub(crate) async fn end_all_sessions(&self, user: &UserId) -> Result<(), Refusal> {
        let ended = self.source.store.end_sessions(user).await;
        let version = ended.map_err(|error| store_refusal(&error))?;
        tracing::info!(target: "audit", %user, "signed out everywhere");
        self.announce(Note::Ended(Ending::Before(user.clone(), version)))
            .await?;
        self.forget_devices(user, Going::All).await
    }

    fn idle_end_s(&self, now_ms: u64) -> u64 {
        (now_ms + self.config.accounts.session_idle_ttl.as_millis()) / 1_000
    }
}

/// 122 random bits from the system.
fn random_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Another system says who is who.
pub(crate) fn accounts_off() -> Refusal {
    let message = "nobody signs in here: use a token of the identity provider";
    Refusal::new(Code::AccountsOff, message)
}

fn not_renewable() -> Refusal {
    Refusal::new(
        Code::Unauthenticated,
        "this refresh token is not good any more",
    )
}

/// The store did not do its part.
pub(crate) fn store_refusal(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "the store did not answer a request");
    Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
}
