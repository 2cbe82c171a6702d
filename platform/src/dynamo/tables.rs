//! The tables: names, keys, indexes, and how they come to be.

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, IndexStatus, KeySchemaElement,
        KeyType, Projection, ProjectionType, ScalarAttributeType, TableDescription, TableStatus,
        TimeToLiveSpecification, TimeToLiveStatus,
    },
};

use super::{StoreError, item::name};
use crate::backoff::Backoff;

pub(super) const EVENTS: &str = "events";
pub(super) const ROOMS: &str = "rooms";
pub(super) const MEMBERS: &str = "members";
pub(super) const ROOMS_OF: &str = "rooms_of";
pub(super) const PARTITIONS: &str = "partitions";
pub(super) const USERS: &str = "users";
pub(super) const SESSIONS: &str = "sessions";
pub(super) const MENTIONS: &str = "mentions";
pub(super) const PATCHES: &str = "patches";
pub(super) const REACTIONS: &str = "reactions";
pub(super) const FRIENDS: &str = "friends";
pub(super) const DEVICES: &str = "devices";
pub(super) const ATTACHMENTS: &str = "attachments";

/// Index of `rooms`: the rooms of a partition with their heads.
pub(super) const BY_PARTITION: &str = "by_partition";
/// Index of `rooms`: those anyone may find. Only rows with the attribute `listed` are in it.
pub(super) const LISTED: &str = "public";
/// Index of `users`: by login name. Guests have none.
pub(super) const BY_LOGIN: &str = "by_login";
/// Index of `users`: by the first letter of the display name and then all of it, both folded.
pub(super) const BY_NAME: &str = "by_name";

/// A table takes seconds to come up in the cloud and milliseconds elsewhere; beyond this something is wrong.
const CREATION_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_FLOOR: Duration = Duration::from_millis(20);
const POLL_CEILING: Duration = Duration::from_secs(2);

/// The tables' names, with what is put before them.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    prefix: std::sync::Arc<str>,
}

/// A key attribute and its type.
type Key = (&'static str, ScalarAttributeType);

/// A table as it is made.
struct Table {
    name: &'static str,
    hash: Key,
    range: Option<Key>,
    indexes: Vec<Index>,
    expiry: Option<&'static str>,
}

struct Index {
    name: &'static str,
    hash: Key,
    range: Option<Key>,
    /// What it holds beside the keys. The less, the fewer writes to the table reach it.
    includes: &'static [&'static str],
}

/// Every table of the system.
fn all() -> Vec<Table> {
    use ScalarAttributeType::{N, S};
    let table = |name, hash, range| Table {
        name,
        hash: (hash, S),
        range,
        indexes: Vec::new(),
        expiry: None,
    };
    vec![
        table(EVENTS, name::ROOM_SHARD, Some((name::SEQ, N))),
        Table {
            indexes: vec![
                Index {
                    name: BY_PARTITION,
                    hash: (name::PARTITION, N),
                    range: Some((name::ROOM, S)),
                    // No heads: they would make every move of a room a write to the index.
                    includes: &[],
                },
                Index {
                    name: LISTED,
                    hash: (name::LISTED, S),
                    range: Some((name::ROOM, S)),
                    includes: &[name::NAME, name::KIND],
                },
            ],
            ..table(ROOMS, name::ROOM, None)
        },
        table(MEMBERS, name::ROOM, Some((name::USER, S))),
        table(ROOMS_OF, name::USER, Some((name::ROOM, S))),
        table(PARTITIONS, name::PARTITION, None),
        Table {
            indexes: vec![
                Index {
                    name: BY_LOGIN,
                    hash: (name::LOGIN, S),
                    range: None,
                    includes: &[],
                },
                Index {
                    name: BY_NAME,
                    hash: (name::INITIAL, S),
                    range: Some((name::FOLDED, S)),
                    includes: &[name::NAME, name::AVATAR],
                },
            ],
            ..table(USERS, name::USER, None)
        },
        table(PATCHES, name::ROOM, Some((name::TARGET, N))),
        // `<target>/<emoji>/<user>`, the target with leading zeros.
        table(REACTIONS, name::ROOM, Some((name::REACTION, S))),
        // `<room>/<seq>`, the seq with leading zeros.
        table(MENTIONS, name::USER, Some((name::MENTION, S))),
        Table {
            expiry: Some(name::EXPIRES_AT),
            ..table(SESSIONS, name::SESSION, None)
        },
        table(ATTACHMENTS, name::ATTACHMENT, None),
        table(FRIENDS, name::USER, Some((name::FRIEND, S))),
        table(DEVICES, name::USER, Some((name::TOKEN, S))),
    ]
}

/// Makes what is missing and waits until everything can be used.
pub(super) async fn create(client: &Client, tables: &Tables) -> Result<(), StoreError> {
    let all = all();
    for table in &all {
        create_one(client, tables, table).await?;
    }
    let ready = async {
        for table in &all {
            active(client, &tables.name(table.name)).await?;
            if let Some(attribute) = table.expiry {
                expire(client, &tables.name(table.name), attribute).await?;
            }
        }
        Ok(())
    };
    tokio::time::timeout(CREATION_TIMEOUT, ready)
        .await
        .unwrap_or_else(|_| Err(StoreError::Unavailable("tables are not active yet".into())))
}

async fn create_one(client: &Client, tables: &Tables, table: &Table) -> Result<(), StoreError> {
    let mut request = client
        .create_table()
        .table_name(tables.name(table.name))
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(table.attributes()?))
        .set_key_schema(Some(schema(&table.hash, table.range.as_ref())?));
    for index in &table.indexes {
        request = request.global_secondary_indexes(index.definition()?);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => match error.as_service_error() {
            Some(service) if service.is_resource_in_use_exception() => Ok(()),
            _ => Err(StoreError::of(error)),
        },
    }
}

/// Waits until a table and its indexes can be used. The caller bounds it.
async fn active(client: &Client, name: &str) -> Result<(), StoreError> {
    let mut backoff = Backoff::between(POLL_FLOOR, POLL_CEILING);
    loop {
        let described = client.describe_table().table_name(name).send().await;
        let table = described.map_err(StoreError::of)?.table;
        if table.is_some_and(|table| is_active(&table)) {
            return Ok(());
        }
        backoff.wait().await;
    }
}

fn is_active(table: &TableDescription) -> bool {
    table.table_status == Some(TableStatus::Active)
        && table
            .global_secondary_indexes()
            .iter()
            .all(|index| matches!(index.index_status, None | Some(IndexStatus::Active)))
}

/// Has rows dropped by the time an attribute names.
async fn expire(client: &Client, name: &str, attribute: &str) -> Result<(), StoreError> {
    let described = client.describe_time_to_live().table_name(name).send().await;
    let described = described
        .map_err(StoreError::of)?
        .time_to_live_description
        .and_then(|description| description.time_to_live_status);
    if matches!(
        described,
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
    ) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name(attribute)
        .build()
        .map_err(StoreError::built)?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(specification)
        .send()
        .await
        .map(drop)
        .map_err(StoreError::of)
}

fn schema(hash: &Key, range: Option<&Key>) -> Result<Vec<KeySchemaElement>, StoreError> {
    let keys = [(Some(hash), KeyType::Hash), (range, KeyType::Range)];
    keys.into_iter()
        .filter_map(|(key, key_type)| Some((key?, key_type)))
        .map(|((name, _), key_type)| {
            KeySchemaElement::builder()
                .attribute_name(*name)
                .key_type(key_type)
                .build()
                .map_err(StoreError::built)
        })
        .collect()
}

// === impl Tables ===

impl Tables {
    /// Tables whose names begin with this.
    pub(super) fn prefixed(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    /// A table's full name.
    pub(super) fn name(&self, table: &str) -> String {
        format!("{}{table}", self.prefix)
    }
}

// === impl Table, Index ===

impl Table {
    /// The definitions of all attributes that are a key of the table or of an index.
    fn attributes(&self) -> Result<Vec<AttributeDefinition>, StoreError> {
        let indexed = self
            .indexes
            .iter()
            .flat_map(|index| [Some(&index.hash), index.range.as_ref()]);
        let mut seen = BTreeSet::new();
        [Some(&self.hash), self.range.as_ref()]
            .into_iter()
            .chain(indexed)
            .flatten()
            .filter(|(name, _)| seen.insert(*name))
            .map(|(name, kind)| {
                AttributeDefinition::builder()
                    .attribute_name(*name)
                    .attribute_type(kind.clone())
                    .build()
                    .map_err(StoreError::built)
            })
            .collect()
    }
}

impl Index {
    fn definition(&self) -> Result<GlobalSecondaryIndex, StoreError> {
        let projection = Projection::builder();
        let projection = if self.includes.is_empty() {
            projection.projection_type(ProjectionType::KeysOnly)
        } else {
            projection
                .projection_type(ProjectionType::Include)
                .set_non_key_attributes(Some(
                    self.includes.iter().map(|&name| name.to_owned()).collect(),
                ))
        };
        GlobalSecondaryIndex::builder()
            .index_name(self.name)
            .set_key_schema(Some(schema(&self.hash, self.range.as_ref())?))
            .projection(projection.build())
            .build()
            .map_err(StoreError::built)
    }
}
