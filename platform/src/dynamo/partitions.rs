//! What is stored of each partition, and what was fixed when tables and topics were made.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Moved, Store, StoreError,
    item::{Change, Fields, Item, name, number, text},
    rows::{PartitionRow, TopicRow, named},
    tables,
};
use crate::kafka::EVENTS_TOPIC;

/// The key of the row that holds the epoch.
const EPOCH_KEY: &str = "@epoch";

/// The key of the row that names the topic room events are in, once the first one was succeeded.
const EVENTS_KEY: &str = "@events";

/// Hexadecimal digits of an epoch: enough that two sets of tables never share one.
const EPOCH_DIGITS: usize = 12;

impl Store {
    /// The life of this set of tables, as a short text. Seqs are valid within it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the tables were never made; see [`StoreError`] for the others.
    pub async fn epoch(&self) -> Result<String, StoreError> {
        let Some(item) = self.meta_item(EPOCH_KEY).await? else {
            return Err(StoreError::Refused(
                "the tables have no epoch; make them with `roomlog tables create`".into(),
            ));
        };
        let mut row = Fields::of(tables::PARTITIONS, item);
        row.parsed(name::EPOCH, |epoch| Some(epoch.to_owned()))
    }

    pub(super) async fn create_epoch(&self) -> Result<(), StoreError> {
        let mut epoch = uuid::Uuid::new_v4().simple().to_string();
        epoch.truncate(EPOCH_DIGITS);
        let row = [(name::EPOCH, text(&epoch))];
        self.put_absent(EPOCH_KEY, row).await.map(drop)
    }

    /// The topic that room events are in: the first one, until another was opened. `None` if it was never recorded.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events_topic(&self) -> Result<Option<TopicRow>, StoreError> {
        let name = match self.meta_item(EVENTS_KEY).await? {
            Some(item) => {
                let mut row = Fields::of(tables::PARTITIONS, item);
                row.parsed(name::TOPIC, |topic| Some(topic.to_owned()))?
            }
            None => EVENTS_TOPIC.to_owned(),
        };
        self.topic(&name).await
    }

    /// From now on room events are in this topic, unless a later one was opened already.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open_events_topic(&self, topic: &TopicRow) -> Result<Moved, StoreError> {
        let change = Change::default()
            .set(name::TOPIC, text(&topic.topic))
            .set(name::GENERATION, number(topic.generation))
            .if_forward(name::GENERATION);
        self.update(tables::PARTITIONS, meta_key(EVENTS_KEY), change)
            .await
    }

    /// What was recorded when a topic was made; `None` if it never was.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn topic(&self, topic: &str) -> Result<Option<TopicRow>, StoreError> {
        let item = self.meta_item(&topic_key(topic)).await?;
        item.map(|item| TopicRow::from_item(topic, item))
            .transpose()
    }

    /// Records what is fixed about a topic, unless something is recorded already. Answers what is recorded now,
    /// which the caller compares with what it wanted.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn create_topic(&self, wanted: &TopicRow) -> Result<TopicRow, StoreError> {
        let row = [
            (name::PARTITION_COUNT, number(wanted.partition_count)),
            (name::WINDOW_OFFSETS, number(wanted.window_offsets)),
            (name::GENERATION, number(wanted.generation)),
        ];
        match self.put_absent(&topic_key(&wanted.topic), row).await? {
            Moved::Forward => Ok(wanted.clone()),
            Moved::Already => self.topic(&wanted.topic).await?.ok_or_else(|| {
                StoreError::Unavailable("a topic's row was taken away meanwhile".into())
            }),
        }
    }

    /// How far a partition is stored, read consistently; `None` before its first record.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn partition(
        &self,
        topic: &str,
        partition: u32,
    ) -> Result<Option<PartitionRow>, StoreError> {
        let item = self.meta_item(&partition_key(topic, partition)).await?;
        item.map(PartitionRow::from_item).transpose()
    }

    /// Moves a partition's row forward. All records before its position must be stored, and the rows of their
    /// rooms and members moved.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn move_partition(
        &self,
        topic: &str,
        partition: u32,
        to: PartitionRow,
    ) -> Result<Moved, StoreError> {
        let change = Change::default()
            .set(name::GENERATION, number(to.position.generation))
            .set(name::OFFSET, number(to.position.offset))
            .set(name::ACCEPTED, number(to.accepted))
            .if_position_forward();
        let key = partition_key(topic, partition);
        self.update(tables::PARTITIONS, meta_key(&key), change)
            .await
    }

    async fn meta_item(&self, key: &str) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::PARTITIONS))
            .set_key(Some(meta_key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(answer.item)
    }

    async fn put_absent<const N: usize>(
        &self,
        key: &str,
        row: [(&str, AttributeValue); N],
    ) -> Result<Moved, StoreError> {
        let change = Change::default().set_all(row).if_absent(name::PARTITION);
        self.update(tables::PARTITIONS, meta_key(key), change).await
    }
}

fn meta_key(key: &str) -> Item {
    Item::from_iter([named(name::PARTITION, text(key))])
}

fn topic_key(topic: &str) -> String {
    format!("{topic}/@topic")
}

fn partition_key(topic: &str, partition: u32) -> String {
    format!("{topic}/{partition}")
}
