//! Several requests at once, within a bound.

use futures_util::{
    StreamExt as _, TryStreamExt as _, future::BoxFuture, stream::FuturesUnordered,
};

/// Requests under way and what those that ended answered, in the order they ended.
pub struct Running<'a, T, E> {
    requests: FuturesUnordered<BoxFuture<'a, Result<T, E>>>,
    answers: Vec<T>,
    at_once_max: usize,
}

// === impl Running ===

impl<'a, T, E> Running<'a, T, E> {
    /// Never more than this many requests at once.
    pub fn at_most(at_once_max: usize) -> Self {
        Self {
            requests: FuturesUnordered::new(),
            answers: Vec::new(),
            at_once_max: at_once_max.max(1),
        }
    }

    /// Begins a request, after waiting for another to end where there are enough.
    ///
    /// # Errors
    /// Of the request that ended. The others are given up with this.
    pub async fn begin(&mut self, request: BoxFuture<'a, Result<T, E>>) -> Result<(), E> {
        if self.requests.len() >= self.at_once_max
            && let Some(answer) = self.requests.next().await
        {
            self.answers.push(answer?);
        }
        self.requests.push(request);
        Ok(())
    }

    /// Waits for all of them.
    ///
    /// # Errors
    /// Of the first that failed.
    pub async fn finish(mut self) -> Result<Vec<T>, E> {
        while let Some(answer) = self.requests.try_next().await? {
            self.answers.push(answer);
        }
        Ok(self.answers)
    }
}
