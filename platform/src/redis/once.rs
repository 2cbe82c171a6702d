//! Names that may be used once in a while, such as those of one-time tickets.

use std::time::Duration;

use super::{Cache, CacheError};

impl Cache {
    /// Takes a name for this long; `false` if it was taken already. `kind` keeps different uses apart.
    ///
    /// # Errors
    /// When the cache did not answer: whether the name is taken is unknown.
    pub async fn claim_once(
        &self,
        kind: &str,
        name: &str,
        ttl: Duration,
    ) -> Result<bool, CacheError> {
        let mut connection = self.connection.clone();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let taken: Option<String> = redis::cmd("SET")
            .arg(format!("once:{kind}:{{{name}}}"))
            .arg("1")
            .arg("NX")
            .arg("PX")
            .arg(ttl_ms)
            .query_async(&mut connection)
            .await?;
        Ok(taken.is_some())
    }
}
