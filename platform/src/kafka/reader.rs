//! Reading partitions from exact offsets, outside any group.
//!
//! One task drives the client and sorts records into a buffer per partition. A full buffer pauses its partition
//! alone, so a slow owner holds up nobody and memory stays bounded.

mod buffer;
mod drive;

use std::{ops::Deref, sync::Arc, time::Duration};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{Consumer, ConsumerContext, StreamConsumer},
    error::KafkaError,
};
use thiserror::Error;
use tokio::task::AbortHandle;

use self::{
    buffer::Buffer,
    drive::{Driver, Requests},
};
use super::{KafkaConfig, LogRecord, client::Lines, token};

/// How long a partition's leader may take to tell its bounds.
const BOUNDS_TIMEOUT: Duration = Duration::from_secs(3);
/// What the client fetches ahead of us, all partitions together, in kilobytes; beyond, it stops fetching a moment.
const PREFETCH_KBYTES_MAX: &str = "16384";
/// What one fetch brings at most, in bytes, so that a catch-up comes in portions.
const FETCH_BYTES_MAX: &str = "8388608";
/// What one fetch brings of one partition at most, in bytes; a larger record still comes.
const FETCH_PARTITION_BYTES_MAX: &str = "1048576";
/// How long a broker holds a fetch while there is nothing new. A partition opened meanwhile waits for it.
const FETCH_WAIT_MAX_MS: &str = "100";
/// How long the client waits after an error or a full queue before it fetches again: each is a gap in the live flow.
const FETCH_BACKOFF_MS: &str = "10";

/// A partition's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset still kept.
    pub low: i64,
    /// The offset the next record will get.
    pub high: i64,
}

/// Records in offset order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// May be empty when only [`Self::caught_up`] is news.
    pub records: Vec<LogRecord>,
    /// Where reading goes on after this batch. Compare it with a high watermark to know whether that was reached.
    pub next_offset: i64,
    /// Whether the log held nothing further when this batch was taken. Comes up to a tenth of a second late; who
    /// must know at once compares [`Self::next_offset`].
    pub caught_up: bool,
}

/// Why a partition can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The next offset is not in the log: trimmed by retention, or past the end of a log that lost its end.
    #[error(
        "offset {offset} of partition {partition} is outside the log, which holds {low} up to {high}"
    )]
    OutOfRange {
        /// The partition.
        partition: u32,
        /// The offset that was to be read.
        offset: i64,
        /// The first offset still kept.
        low: i64,
        /// The offset the next record will get.
        high: i64,
    },
    /// The log does not answer.
    #[error("the log does not answer: {0}")]
    Unavailable(String),
    /// The log does not let us read. An operator may be changing access lists: opening the partition again may help.
    #[error("the log refuses to be read: {0}")]
    Refused(String),
    /// A setting the client does not take.
    #[error("kafka setting refused: {0}")]
    Setting(String),
    /// Reading can't go on with this reader.
    #[error("reading failed for good: {0}")]
    Fatal(String),
}

/// A consumer of one topic without a group; all its partitions share one connection per broker.
#[derive(Clone)]
pub struct Reader {
    inner: Arc<Inner>,
}

/// One partition, from the offset it was opened at. Closes when dropped.
pub struct PartitionStream {
    partition: u32,
    buffer: Arc<Buffer>,
    inner: Arc<Inner>,
}

/// Lives as long as the reader or one of its streams.
struct Inner {
    topic: Arc<str>,
    client: Arc<Client>,
    requests: Arc<Requests>,
    task: AbortHandle,
}

/// The consumer. Closing it waits for its threads, so that is done on a thread of its own.
struct Client(Option<StreamConsumer<Logged>>);

/// Sends the client's log lines to ours.
struct Logged(Lines);

// === impl Reader ===

impl Reader {
    /// A reader of this topic, driven by a task of the current runtime. `name` is its `group.id`, which it never joins:
    /// some brokers' access lists ask for one.
    ///
    /// # Errors
    /// When a setting is wrong. An unreachable broker is no error: records come when it answers.
    pub fn new(config: &KafkaConfig, topic: &str, name: &str) -> Result<Self, ReadError> {
        let consumer: StreamConsumer<Logged> = settings(config, name)
            .create_with_context(Logged(Lines::default()))
            .map_err(|error| ReadError::Setting(error.to_string()))?;
        let client = Arc::new(Client(Some(consumer)));
        let requests = Arc::new(Requests::default());
        let topic: Arc<str> = topic.into();
        let driver = Driver::new(
            Arc::clone(&client),
            Arc::clone(&topic),
            Arc::clone(&requests),
        );
        let task = tokio::spawn(driver.run()).abort_handle();
        Ok(Self {
            inner: Arc::new(Inner {
                topic,
                client,
                requests,
                task,
            }),
        })
    }

    /// Starts reading. An offset outside the log is told by the stream's first batch. Opening a partition again ends
    /// its earlier stream with an error.
    pub fn open(&self, partition: u32, from_offset: i64) -> PartitionStream {
        let buffer = Arc::new(Buffer::new(partition, from_offset));
        self.inner.requests.open(Arc::clone(&buffer));
        PartitionStream {
            partition,
            buffer,
            inner: Arc::clone(&self.inner),
        }
    }

    /// The partition's bounds now, asked of its leader.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when it does not answer.
    pub async fn watermarks(&self, partition: u32) -> Result<Watermarks, ReadError> {
        watermarks(&self.inner.client, &self.inner.topic, partition).await
    }

    /// The first offset appended at or after this time; `None` when there is none yet.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the leader does not answer.
    pub async fn offset_at(&self, partition: u32, time_ms: i64) -> Result<Option<i64>, ReadError> {
        let wanted = place(&self.inner.topic, partition, time_ms)
            .map_err(|error| ReadError::Fatal(error.to_string()))?;
        let client = Arc::clone(&self.inner.client);
        let answer = blocking(move || client.offsets_for_times(wanted, BOUNDS_TIMEOUT)).await?;
        let found = answer
            .elements()
            .first()
            .map(|element| (element.error(), element.offset()));
        match found {
            Some((Err(error), _)) => Err(ReadError::Unavailable(error.to_string())),
            Some((Ok(()), Offset::Offset(offset))) => Ok(Some(offset)),
            _ => Ok(None),
        }
    }
}

async fn watermarks(
    client: &Arc<Client>,
    topic: &Arc<str>,
    partition: u32,
) -> Result<Watermarks, ReadError> {
    let (client, topic) = (Arc::clone(client), Arc::clone(topic));
    let number = i32::try_from(partition).unwrap_or(i32::MAX);
    let (low, high) =
        blocking(move || client.fetch_watermarks(&topic, number, BOUNDS_TIMEOUT)).await?;
    Ok(Watermarks { low, high })
}

async fn blocking<T: Send + 'static>(
    request: impl FnOnce() -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, ReadError> {
    let answer = tokio::task::spawn_blocking(request).await;
    answer
        .map_err(|error| ReadError::Unavailable(error.to_string()))?
        .map_err(|error| ReadError::Unavailable(error.to_string()))
}

/// A list of one partition at an offset, or at a time where offsets are asked for.
fn place(topic: &str, partition: u32, offset: i64) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    let number = i32::try_from(partition).unwrap_or(i32::MAX);
    list.add_partition_offset(topic, number, Offset::Offset(offset))?;
    Ok(list)
}

fn settings(config: &KafkaConfig, name: &str) -> rdkafka::ClientConfig {
    config.client(&[
        ("group.id", name),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        // An offset that is not there is an error of ours to tell, never a reason to start elsewhere.
        ("auto.offset.reset", "error"),
        ("enable.partition.eof", "true"),
        // Every record counts, so that all readers number alike and nobody's open transaction can hold up a partition.
        ("isolation.level", "read_uncommitted"),
        ("fetch.min.bytes", "1"),
        ("fetch.wait.max.ms", FETCH_WAIT_MAX_MS),
        ("fetch.error.backoff.ms", FETCH_BACKOFF_MS),
        ("fetch.queue.backoff.ms", FETCH_BACKOFF_MS),
        ("fetch.max.bytes", FETCH_BYTES_MAX),
        ("max.partition.fetch.bytes", FETCH_PARTITION_BYTES_MAX),
        ("queued.max.messages.kbytes", PREFETCH_KBYTES_MAX),
    ])
}

// === impl PartitionStream ===

impl PartitionStream {
    /// Waits for records, or for the news that there are none further; at most `max` records. Cancel-safe.
    ///
    /// # Errors
    /// Once everything before the error was taken, and then every time.
    pub async fn next_batch(&mut self, max: usize) -> Result<Batch, ReadError> {
        loop {
            if let Some(taken) = self.buffer.take(max) {
                if self.buffer.wants_resume() {
                    self.inner.requests.wake();
                }
                return taken;
            }
            self.buffer.readable().await;
        }
    }

    /// The partition.
    pub fn partition(&self) -> u32 {
        self.partition
    }
}

impl Drop for PartitionStream {
    fn drop(&mut self) {
        self.buffer.close();
        self.inner.requests.wake();
    }
}

// === impl Inner, Client, Logged ===

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Deref for Client {
    type Target = StreamConsumer<Logged>;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("only dropping takes the consumer")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let consumer = self.0.take();
        let closing = std::thread::Builder::new().name("kafka-close".into());
        if let Err(error) = closing.spawn(move || drop(consumer)) {
            tracing::debug!(%error, "a reader was closed on its caller's thread");
        }
    }
}

impl ClientContext for Logged {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, region: Option<&str>) -> token::Answer {
        token::generate(region)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    /// The poll returns the same error.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Logged {}

#[cfg(test)]
mod tests;
