//! Tables, their index and their expiry.

use aws_sdk_dynamodb::types::{TableStatus, TimeToLiveSpecification, TimeToLiveStatus};

use super::{Store, item, number, text};
use crate::probe::{Outcome, ensure, fresh, same};

impl Store {
    pub(super) async fn creates(&self) -> Outcome {
        self.create().await?;
        loop {
            let described = self
                .client
                .describe_table()
                .table_name(&self.table)
                .send()
                .await?;
            let table = described.table.ok_or("no description")?;
            if table.table_status == Some(TableStatus::Active) {
                let indexes = table.global_secondary_indexes();
                same("indexes", indexes.len(), 1)?;
                return same("index", indexes[0].index_name(), Some("by-partition"));
            }
        }
    }

    pub(super) async fn exists(&self) -> Outcome {
        match self.create().await {
            Err(error) => {
                let error = error.downcast::<aws_sdk_dynamodb::error::SdkError<
                    aws_sdk_dynamodb::operation::create_table::CreateTableError,
                >>()?;
                let is_in_use = error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_in_use_exception());
                ensure(is_in_use, format!("{error:?}"))
            }
            Ok(()) => Err("it was made twice".into()),
        }
    }

    pub(super) async fn index(&self) -> Outcome {
        for (room, partition) in [("index-b", 7), ("index-a", 7), ("index-c", 8)] {
            let row = item([
                ("room", text(room)),
                ("seq", number(0)),
                ("partition", number(partition)),
                ("name", text("shown")),
                ("other", text("hidden")),
            ]);
            self.client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(row))
                .send()
                .await?;
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
            let rooms: Vec<_> = items
                .iter()
                .filter_map(|item| item.get("room"))
                .cloned()
                .collect();
            same("rooms", rooms, vec![text("index-a"), text("index-b")])?;
            same("included", items[0].get("name"), Some(&text("shown")))?;
            return same("left out", items[0].get("other"), None);
        }
    }

    pub(super) async fn expiry(&self) -> Outcome {
        let specification = TimeToLiveSpecification::builder()
            .enabled(true)
            .attribute_name("expires")
            .build()?;
        let request = self.client.update_time_to_live().table_name(&self.table);
        request
            .time_to_live_specification(specification)
            .send()
            .await?;
        let described = self
            .client
            .describe_time_to_live()
            .table_name(&self.table)
            .send()
            .await?;
        let described = described.time_to_live_description.ok_or("no description")?;
        same("attribute", described.attribute_name(), Some("expires"))?;
        let status = described.time_to_live_status;
        ensure(
            matches!(
                status,
                Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
            ),
            format!("{status:?}"),
        )
    }

    pub(super) async fn unknown(&self) -> Outcome {
        let key = item([("room", text("a")), ("seq", number(0))]);
        let sent = self
            .client
            .get_item()
            .table_name(fresh("missing"))
            .set_key(Some(key))
            .send()
            .await;
        let is_missing = match &sent {
            Err(error) => error
                .as_service_error()
                .is_some_and(|error| error.is_resource_not_found_exception()),
            Ok(_) => false,
        };
        ensure(is_missing, format!("{sent:?}"))
    }
}
