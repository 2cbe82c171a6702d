//! What we use of DynamoDB.

mod reads;
mod tables;
mod writes;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement,
    KeyType, Projection, ProjectionType, PutRequest, ScalarAttributeType, WriteRequest,
};

use super::{Failure, Report, ensure, fresh};

/// Items of one BatchWriteItem, the most there may be.
const BATCH: usize = 25;

type Item = HashMap<String, AttributeValue>;

/// Makes all checks against the endpoint, `http://host:port`.
pub async fn run(endpoint: &str) -> Report {
    let store = Store {
        client: client(endpoint),
        table: fresh("table"),
    };
    let mut report = Report::default();
    report
        .check("tables are made with their index", store.creates())
        .await;
    report.check("a table is made once", store.exists()).await;
    report
        .check("batches of 25 are written", store.batch())
        .await;
    report
        .check("a batch of 26 is refused", store.batch_too_large())
        .await;
    report
        .check("ranges are read in order and in pages", store.ranges())
        .await;
    report
        .check("positions move only forward", store.forward())
        .await;
    report.check("an item is made once", store.once()).await;
    report
        .check("a number is in a set once", store.sets())
        .await;
    report
        .check(
            "several items change together or not at all",
            store.together(),
        )
        .await;
    report
        .check("several items are read consistently", store.batch_read())
        .await;
    report
        .check("the index shows what it includes", store.index())
        .await;
    report
        .check("bytes, numbers, lists and maps come back", store.types())
        .await;
    report.check("expiry is described", store.expiry()).await;
    report
        .check("an unknown table is an error", store.unknown())
        .await;
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
    attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn put(item: Item) -> Result<WriteRequest, Failure> {
    let put = PutRequest::builder().set_item(Some(item)).build()?;
    Ok(WriteRequest::builder().put_request(put).build())
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, Failure> {
    Ok(KeySchemaElement::builder()
        .attribute_name(name)
        .key_type(kind)
        .build()?)
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, Failure> {
    Ok(AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build()?)
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

    async fn write_batch(&self, items: Vec<Item>) -> Result<(), Failure> {
        let requests = items.into_iter().map(put).collect::<Result<Vec<_>, _>>()?;
        let written = self
            .client
            .batch_write_item()
            .request_items(&self.table, requests)
            .send()
            .await?;
        let left = written
            .unprocessed_items
            .ok_or("no map of unprocessed items")?;
        ensure(left.values().all(Vec::is_empty), "items were left out")
    }

    async fn query(
        &self,
        room: &str,
        from: i64,
        to: i64,
        ascending: bool,
    ) -> Result<Vec<Item>, Failure> {
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
}
