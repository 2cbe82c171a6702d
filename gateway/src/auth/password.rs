//! Passwords: Argon2id, off the async threads and a bounded number at once.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use icu_normalizer::ComposingNormalizerBorrowed;
use roomlog_core::{
    account::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN},
    code::{Code, Refusal},
};
use roomlog_platform::config::Secret;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Memory, passes and lanes of a hash: the OWASP Password Storage Cheat Sheet's minimum for Argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Requests that may wait for their turn to hash. Each hash takes tens of milliseconds of a core, so more would wait
/// longer than anyone does; beyond it the answer is `overloaded`.
const WAITING_MAX: usize = 64;
/// How long one waits for its turn before the answer is `overloaded`.
const TURN_WAIT: Duration = Duration::from_secs(3);
/// When one who was sent away may try again.
const COME_BACK_MS: u64 = 2_000;

/// A password as somebody typed it, normalised, so that the same characters are the same bytes on every keyboard.
pub(crate) struct Password(String);

/// What a password is to a stored hash.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// Another one's, or nobody's.
    Wrong,
    /// The right one.
    Right,
    /// The right one, hashed with less work than is asked for today: this hash is to replace it.
    RightButWeak(String),
}

/// Hashes and checks.
pub(crate) struct Passwords {
    turns: Semaphore,
    waiting: AtomicUsize,
    /// A hash of no password, checked where a login does not exist: that takes as long.
    stranger: Arc<str>,
}

// === impl Password ===

impl Password {
    /// A password that is good enough for a new account.
    pub(crate) fn chosen(typed: &Secret) -> Result<Self, Refusal> {
        let password = Self::typed(typed)?;
        if password.0.chars().count() < PASSWORD_CHARS_MIN {
            let message = format!("a password has at least {PASSWORD_CHARS_MIN} characters");
            return Err(Refusal::new(Code::BadRequest, message));
        }
        Ok(password)
    }

    /// A password that is to be checked.
    pub(crate) fn typed(typed: &Secret) -> Result<Self, Refusal> {
        let too_long = || {
            let message = format!("a password has at most {PASSWORD_BYTES_MAX} bytes");
            Refusal::new(Code::BadRequest, message)
        };
        if typed.reveal().len() > PASSWORD_BYTES_MAX {
            return Err(too_long());
        }
        let normalised = ComposingNormalizerBorrowed::new_nfkc().normalize(typed.reveal());
        if normalised.len() > PASSWORD_BYTES_MAX {
            return Err(too_long());
        }
        Ok(Self(normalised.into_owned()))
    }
}

// === impl Passwords ===

impl Passwords {
    /// As many at once as there are cores.
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            turns: Semaphore::new(cores),
            waiting: AtomicUsize::new(0),
            stranger: hashed(&uuid::Uuid::new_v4().to_string()).into(),
        }
    }

    /// The hash of a new password, as a PHC string.
    pub(crate) async fn hash(&self, password: Password) -> Result<String, Refusal> {
        let _turn = self.turn().await?;
        off_the_async_threads(move || hashed(&password.0)).await
    }

    /// Checks a password against a stored hash; `None` takes as long and is always wrong.
    pub(crate) async fn check(
        &self,
        password: Password,
        stored: Option<String>,
    ) -> Result<Checked, Refusal> {
        let _turn = self.turn().await?;
        let is_known = stored.is_some();
        let hash = stored.map_or_else(|| Arc::clone(&self.stranger), Arc::from);
        let checked = off_the_async_threads(move || checked(&password.0, &hash)).await?;
        // Only now, when the work was done either way.
        Ok(match is_known {
            true => checked,
            false => Checked::Wrong,
        })
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let full = || {
            let message = "too many sign-ins at once";
            Refusal::retry_after(Code::Overloaded, message, COME_BACK_MS)
        };
        let _place = Place::take(&self.waiting).ok_or_else(full)?;
        match tokio::time::timeout(TURN_WAIT, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(full()),
        }
    }
}

/// A place among those who wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "a password could not be hashed");
        Refusal::new(Code::Internal, "a fault of the server")
    })
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("parameters within bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hashed(password: &str) -> String {
    argon2()
        .hash_password(password.as_bytes())
        .expect("a password within bounds and a salt from the system")
        .to_string()
}

fn checked(password: &str, stored: &str) -> Checked {
    let Ok(hash) = PasswordHash::new(stored) else {
        tracing::error!("a stored password hash can't be read");
        return Checked::Wrong;
    };
    // The work is the stored hash's own; only what is made anew has today's.
    if argon2()
        .verify_password(password.as_bytes(), &hash)
        .is_err()
    {
        Checked::Wrong
    } else if is_weak(&hash) {
        Checked::RightButWeak(hashed(password))
    } else {
        Checked::Right
    }
}

fn is_weak(hash: &PasswordHash) -> bool {
    Params::try_from(hash).map_or(true, |params| {
        params.m_cost() < MEMORY_KIB || params.t_cost() < PASSES
    }) || hash.algorithm != Algorithm::Argon2id.ident()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn typed(text: &str) -> Password {
        Password::typed(&Secret::new(text)).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_right_or_wrong() {
        let passwords = Passwords::new();
        let hash = passwords.hash(typed("correct horse")).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let check = async |text, stored| passwords.check(typed(text), stored).await.unwrap();
        assert_eq!(
            check("correct horse", Some(hash.clone())).await,
            Checked::Right
        );
        assert_eq!(check("battery staple", Some(hash)).await, Checked::Wrong);
        assert_eq!(check("correct horse", None).await, Checked::Wrong);
        assert_eq!(check("x", Some("no hash".into())).await, Checked::Wrong);
    }

    #[tokio::test]
    async fn who_is_unknown_costs_the_work_of_an_account_and_never_gets_in() {
        let strange = Passwords {
            stranger: hashed("correct horse").into(),
            ..Passwords::new()
        };
        let unknown = strange.check(typed("correct horse"), None).await;
        assert_eq!(unknown.unwrap(), Checked::Wrong);
        // Argon2's work follows from these alone.
        let work = |phc: &str| {
            let hash = PasswordHash::new(phc).unwrap();
            let params = Params::try_from(&hash).unwrap();
            let cost = (params.m_cost(), params.t_cost(), params.p_cost());
            (hash.algorithm, hash.version, cost, params.output_len())
        };
        let passwords = Passwords::new();
        let account = passwords.hash(typed("correct horse")).await.unwrap();
        assert_eq!(work(&passwords.stranger), work(&account));
    }

    #[tokio::test]
    async fn a_hash_of_less_work_is_replaced() {
        let params = Params::new(8 << 10, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password(b"correct horse")
            .unwrap()
            .to_string();
        let passwords = Passwords::new();
        let checked = passwords
            .check(typed("correct horse"), Some(weak))
            .await
            .unwrap();
        let Checked::RightButWeak(better) = checked else {
            panic!("{checked:?}");
        };
        let again = passwords.check(typed("correct horse"), Some(better)).await;
        assert_eq!(again.unwrap(), Checked::Right);
    }

    #[test]
    fn a_password_is_the_same_however_it_is_typed() {
        assert_eq!(typed("Zoe\u{308}").0, typed("Zoë").0);
        assert_eq!(typed("ﬁne①").0, typed("fine1").0);
        assert!(Password::chosen(&Secret::new("1234567")).is_err());
        assert!(Password::chosen(&Secret::new("12345678")).is_ok());
        assert!(Password::chosen(&Secret::new("ä".repeat(8))).is_ok());
        assert!(Password::typed(&Secret::new("x".repeat(1_024))).is_ok());
        assert!(Password::typed(&Secret::new("x".repeat(1_025))).is_err());
        // Normalising can lengthen a text eighteenfold.
        assert!(Password::typed(&Secret::new("\u{fdfa}".repeat(300))).is_err());
    }

    #[tokio::test]
    async fn when_all_places_are_taken_the_answer_is_overloaded() {
        let passwords = Passwords::new();
        let places: Vec<_> = (0..WAITING_MAX)
            .map(|_| Place::take(&passwords.waiting).unwrap())
            .collect();
        let refusal = passwords.hash(typed("correct horse")).await.unwrap_err();
        assert_eq!(refusal.code, Code::Overloaded);
        assert!(refusal.retry_after_ms.is_some());
        drop(places);
        assert!(passwords.hash(typed("correct horse")).await.is_ok());
    }
}
