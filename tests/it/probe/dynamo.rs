//! What we use of DynamoDB.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    KeysAndAttributes, Projection, ProjectionType, Put, PutRequest, ReturnValue, ScalarAttributeType,
    TableStatus, TimeToLiveSpecification, TimeToLiveStatus, TransactWriteItem, Update, WriteRequest,
};

use super::{Failure, Outcome, Report, ensure, fresh, same};

/// Items of one BatchWriteItem, the most there may be.
const BATCH: usize = 25;

type Item = HashMap<String, AttributeValue>;

/// Makes all checks against the endpoint, `http://host:port`.
pub async fn run(endpoint: &str) -> Report {
    let store = Store { client: client(endpoint), table: fresh("table") };
    let mut report = Report::default();
    report.check("tables are made with their index", store.creates()).await;
    report.check("a table is made once", store.exists()).await;
    report.check("batches of 25 are written", store.batch()).await;
    report.check("a batch of 26 is refused", store.batch_too_large()).await;
    report.check("ranges are read in order and in pages", store.ranges()).await;
    report.check("positions move only forward", store.forward()).await;
    report.check("an item is made once", store.once()).await;
    report.check("several items change together or not at all", store.together()).await;
    report.check("several items are read consistently", store.batch_read()).await;
    report.check("the index shows what it includes", store.index()).await;
    report.check("bytes, numbers, lists and maps come back", store.types()).await;
    report.check("expiry is described", store.expiry()).await;
    report.check("an unknown table is an error", store.unknown()).await;
    report
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("probe", "probe", None, None, "probe"))
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn put(item: Item) -> Result<WriteRequest, Failure> {
    let put = PutRequest::builder().set_item(Some(item)).build()?;
    Ok(WriteRequest::builder().put_request(put).build())
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, Failure> {
    Ok(KeySchemaElement::builder().attribute_name(name).key_type(kind).build()?)
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, Failure> {
    Ok(AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()?)
}

/// The seqs of items, in their order.
fn seqs(items: &[Item]) -> Vec<i64> {
    let seq = |item: &Item| item.get("seq")?.as_n().ok()?.parse().ok();
    items.iter().filter_map(seq).collect()
}

/// One table: partition key `room`, sort key `seq`, an index by `partition`.
struct Store {
    client: Client,
    table: String,
}

impl Store {
    async fn create(&self) -> Result<(), Failure> {
        let projection = Projection::builder()
            .projection_type(ProjectionType::Include)
            .non_key_attributes("name");
        let index = GlobalSecondaryIndex::builder()
            .index_name("by-partition")
            .key_schema(key("partition", KeyType::Hash)?)
            .key_schema(key("room", KeyType::Range)?)
            .projection(projection.build())
            .build()?;
        self.client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("room", ScalarAttributeType::S)?)
            .attribute_definitions(attribute("seq", ScalarAttributeType::N)?)
            .attribute_definitions(attribute("partition", ScalarAttributeType::N)?)
            .key_schema(key("room", KeyType::Hash)?)
            .key_schema(key("seq", KeyType::Range)?)
            .global_secondary_indexes(index)
            .send()
            .await?;
        Ok(())
    }

    async fn creates(&self) -> Outcome {
        self.create().await?;
        loop {
            let described = self.client.describe_table().table_name(&self.table).send().await?;
            let table = described.table.ok_or("no description")?;
            if table.table_status == Some(TableStatus::Active) {
                let indexes = table.global_secondary_indexes();
                same("indexes", indexes.len(), 1)?;
                return same("index", indexes[0].index_name(), Some("by-partition"));
            }
        }
    }

    async fn exists(&self) -> Outcome {
        match self.create().await {
            Err(error) => {
                let error = error.downcast::<aws_sdk_dynamodb::error::SdkError<
                    aws_sdk_dynamodb::operation::create_table::CreateTableError,
                >>()?;
                let is_in_use = error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception());
                ensure(is_in_use, format!("{error:?}"))
            }
            Ok(()) => Err("it was made twice".into()),
        }
    }

    async fn write_batch(&self, items: Vec<Item>) -> Result<(), Failure> {
        let requests = items.into_iter().map(put).collect::<Result<Vec<_>, _>>()?;
        let written = self.client.batch_write_item().request_items(&self.table, requests).send().await?;
        let left = written.unprocessed_items.ok_or("no map of unprocessed items")?;
        ensure(left.values().all(Vec::is_empty), "items were left out")
    }

    async fn batch(&self) -> Outcome {
        for start in (1..=100).step_by(BATCH) {
            let rows = (start..start + BATCH as i64).map(|seq| {
                let value = AttributeValue::B(Blob::new(vec![0, 255, seq as u8]));
                item([("room", text("batch")), ("seq", number(seq)), ("value", value)])
            });
            self.write_batch(rows.collect()).await?;
        }
        // Writing the same again is no error.
        let again = item([("room", text("batch")), ("seq", number(1)), ("value", text("again"))]);
        self.write_batch(vec![again]).await?;
        let read = self.query("batch", 1, 100, true).await?;
        same("rows", seqs(&read), (1..=100).collect())
    }

    async fn batch_too_large(&self) -> Outcome {
        let rows = (0..=BATCH as i64).map(|seq| item([("room", text("large")), ("seq", number(seq))]));
        ensure(self.write_batch(rows.collect()).await.is_err(), "it was taken")
    }

    async fn query(&self, room: &str, from: i64, to: i64, ascending: bool) -> Result<Vec<Item>, Failure> {
        let found = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#room = :room AND #seq BETWEEN :from AND :to")
            .expression_attribute_names("#room", "room")
            .expression_attribute_names("#seq", "seq")
            .expression_attribute_values(":room", text(room))
            .expression_attribute_values(":from", number(from))
            .expression_attribute_values(":to", number(to))
            .scan_index_forward(ascending)
            .consistent_read(true)
            .send()
            .await?;
        Ok(found.items.unwrap_or_default())
    }

    async fn ranges(&self) -> Outcome {
        let rows = (1..=20).map(|seq| item([("room", text("range")), ("seq", number(seq))]));
        self.write_batch(rows.collect()).await?;
        same("between", seqs(&self.query("range", 5, 7, true).await?), vec![5, 6, 7])?;
        same("backwards", seqs(&self.query("range", 18, 99, false).await?), vec![20, 19, 18])?;
        same("numbers in order", seqs(&self.query("range", 9, 10, true).await?), vec![9, 10])?;
        same("nothing", seqs(&self.query("range", 50, 60, true).await?), vec![])?;
        let (mut start, mut found) = (None, Vec::new());
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("room = :room")
                .expression_attribute_values(":room", text("range"))
                .limit(7)
                .set_exclusive_start_key(start)
                .send()
                .await?;
            found.extend(seqs(page.items()));
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        same("pages", found, (1..=20).collect())
    }

    /// Sets `offset` where it is less, as rows that say "stored up to here" do.
    async fn advance(&self, room: &str, offset: i64) -> Result<bool, Failure> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item([("room", text(room)), ("seq", number(0))])))
            .update_expression("SET #offset = :offset")
            .condition_expression("attribute_not_exists(#offset) OR #offset < :offset")
            .expression_attribute_names("#offset", "offset")
            .expression_attribute_values(":offset", number(offset))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match sent {
            Ok(updated) => {
                let new = updated.attributes.and_then(|mut attributes| attributes.remove("offset"));
                same("new value", new, Some(number(offset)))?;
                Ok(true)
            }
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    async fn forward(&self) -> Outcome {
        for (offset, moves) in [(5, true), (5, false), (4, false), (10, true), (9, false)] {
            same(&format!("to {offset}"), self.advance("forward", offset).await?, moves)?;
        }
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item([("room", text("forward")), ("seq", number(0))])))
            .consistent_read(true)
            .send()
            .await?;
        same("offset", read.item().and_then(|item| item.get("offset")), Some(&number(10)))
    }

    async fn once(&self) -> Outcome {
        for expected in [true, false] {
            let sent = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item([("room", text("once")), ("seq", number(0))])))
                .condition_expression("attribute_not_exists(room)")
                .send()
                .await;
            let done = match sent {
                Ok(_) => true,
                Err(error) => match error.as_service_error() {
                    Some(service) if service.is_conditional_check_failed_exception() => false,
                    _ => return Err(error.into()),
                },
            };
            same("made", done, expected)?;
        }
        Ok(())
    }

    async fn transact(&self, value: i64) -> Result<bool, Failure> {
        let moved = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item([("room", text("together")), ("seq", number(0))])))
            .update_expression("SET head = :value")
            .condition_expression("attribute_not_exists(head) OR head < :value")
            .expression_attribute_values(":value", number(value))
            .build()?;
        let member = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item([("room", text("together")), ("seq", number(1)), ("value", number(value))])))
            .build()?;
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(moved).build())
            .transact_items(TransactWriteItem::builder().put(member).build())
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(true);
        };
        let cancelled = error.as_service_error().is_some_and(|error| error.is_transaction_canceled_exception());
        ensure(cancelled, format!("{error:?}"))?;
        let text = format!("{error:?}");
        ensure(text.contains("ConditionalCheckFailed"), text)?;
        Ok(false)
    }

    async fn together(&self) -> Outcome {
        same("first", self.transact(5).await?, true)?;
        same("older", self.transact(4).await?, false)?;
        let rows = self.query("together", 0, 1, true).await?;
        same("head", rows[0].get("head"), Some(&number(5)))?;
        same("member", rows[1].get("value"), Some(&number(5)))
    }

    async fn batch_read(&self) -> Outcome {
        let rows = (1..=5).map(|seq| item([("room", text("read")), ("seq", number(seq))]));
        self.write_batch(rows.collect()).await?;
        let keys = [1, 3, 77].map(|seq| item([("room", text("read")), ("seq", number(seq))]));
        let request = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).consistent_read(true).build()?;
        let read = self.client.batch_get_item().request_items(&self.table, request).send().await?;
        ensure(read.unprocessed_keys.is_some_and(|keys| keys.is_empty()), "keys were left out")?;
        let found = read.responses.and_then(|mut tables| tables.remove(&self.table));
        let mut found = seqs(&found.unwrap_or_default());
        found.sort_unstable();
        same("found", found, vec![1, 3])
    }

    async fn index(&self) -> Outcome {
        for (room, partition) in [("index-b", 7), ("index-a", 7), ("index-c", 8)] {
            let row = item([
                ("room", text(room)),
                ("seq", number(0)),
                ("partition", number(partition)),
                ("name", text("shown")),
                ("other", text("hidden")),
            ]);
            self.client.put_item().table_name(&self.table).set_item(Some(row)).send().await?;
        }
        loop {
            let found = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("by-partition")
                .key_condition_expression("#partition = :partition")
                .expression_attribute_names("#partition", "partition")
                .expression_attribute_values(":partition", number(7))
                .send()
                .await?;
            let items = found.items.unwrap_or_default();
            if items.len() < 2 {
                // An index may lag behind by moments.
                continue;
            }
            let rooms: Vec<_> = items.iter().filter_map(|item| item.get("room")).cloned().collect();
            same("rooms", rooms, vec![text("index-a"), text("index-b")])?;
            same("included", items[0].get("name"), Some(&text("shown")))?;
            return same("left out", items[0].get("other"), None);
        }
    }

    async fn types(&self) -> Outcome {
        let map = AttributeValue::M(item([("a", number(1)), ("b", AttributeValue::Null(true))]));
        let row = item([
            ("room", text("types")),
            ("seq", number(9_007_199_254_740_993)),
            ("bytes", AttributeValue::B(Blob::new((0..=255).collect::<Vec<u8>>()))),
            ("negative", number(-5)),
            ("flag", AttributeValue::Bool(false)),
            ("list", AttributeValue::L(vec![text("ä\u{1F600}"), map])),
            ("names", AttributeValue::Ss(vec!["a".into(), "b".into()])),
            ("empty", text("")),
        ]);
        self.client.put_item().table_name(&self.table).set_item(Some(row.clone())).send().await?;
        let read = self.query("types", 0, i64::MAX, true).await?;
        same("item", read, vec![row])
    }

    async fn expiry(&self) -> Outcome {
        let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name("expires").build()?;
        let request = self.client.update_time_to_live().table_name(&self.table);
        request.time_to_live_specification(specification).send().await?;
        let described = self.client.describe_time_to_live().table_name(&self.table).send().await?;
        let described = described.time_to_live_description.ok_or("no description")?;
        same("attribute", described.attribute_name(), Some("expires"))?;
        let status = described.time_to_live_status;
        ensure(
            matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)),
            format!("{status:?}"),
        )
    }

    async fn unknown(&self) -> Outcome {
        let key = item([("room", text("a")), ("seq", number(0))]);
        let sent = self.client.get_item().table_name(fresh("missing")).set_key(Some(key)).send().await;
        let is_missing = match &sent {
            Err(error) => error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()),
            Ok(_) => false,
        };
        ensure(is_missing, format!("{sent:?}"))
    }
}
