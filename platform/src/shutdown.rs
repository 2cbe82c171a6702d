//! Stopping in order: one signal that every task hears, and a bound on how long they may take.

use std::{future::Future, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Told to every task of a service; a clone is the same signal.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

// === impl Shutdown ===

impl Shutdown {
    /// A signal that SIGTERM or SIGINT gives.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub fn on_signal() -> std::io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let begin = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("stopping");
            begin.begin();
        });
        Ok(shutdown)
    }

    /// A signal of one part: given with its parent's or on its own.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
            tasks: TaskTracker::new(),
        }
    }

    /// Gives the signal.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Whether the signal was given.
    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves when the signal is given.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }

    /// Runs a task that [`Self::finished`] waits for.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.tasks.spawn(task)
    }

    /// Waits until every spawned task has ended, at most this long. `false` when some had not.
    pub async fn finished(&self, at_most: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(at_most, self.tasks.wait())
            .await
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_tasks_up_to_its_bound() {
        let shutdown = Shutdown::default();
        let signal = shutdown.clone();
        shutdown.spawn(async move { signal.begun().await });
        assert!(!shutdown.finished(Duration::from_secs(1)).await);
        shutdown.begin();
        assert!(shutdown.finished(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn a_child_hears_its_parent_and_not_the_other_way() {
        let parent = Shutdown::default();
        let (child, sibling) = (parent.child(), parent.child());
        child.begin();
        assert!(child.has_begun() && !parent.has_begun() && !sibling.has_begun());
        parent.begin();
        assert!(sibling.has_begun());
    }
}
