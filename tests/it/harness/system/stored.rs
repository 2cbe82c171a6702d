//! What a system's DynamoDB holds.

use super::{
    super::{
        dynamo,
        traffic::{Seen, Sight},
        user::User,
    },
    System, TABLE_PREFIX,
};

// === impl System ===

impl System {
    /// A table's full name.
    pub(crate) fn table(&self, name: &str) -> String {
        format!("{TABLE_PREFIX}{name}")
    }

    /// Every row of a table, straight from DynamoDB.
    pub(crate) async fn rows(&self, table: &str) -> Vec<dynamo::Row> {
        dynamo::scan(&dynamo::client(&self.dynamodb), &self.table(table)).await
    }

    /// A user's row, if they have one by now.
    pub(crate) async fn row_of(&self, user: &User) -> Option<dynamo::Row> {
        let mut rows = self.rows("users").await.into_iter();
        rows.find(|row| row.get("user").and_then(|id| id.as_s().ok()) == Some(&user.id))
    }

    /// Every event DynamoDB holds, by room and in order.
    pub(crate) async fn stored_events(&self) -> Sight {
        let mut rooms = Sight::new();
        for row in self.rows("events").await {
            let key = text(&row, "room_shard");
            let (room, _shard) = key
                .rsplit_once('/')
                .unwrap_or_else(|| panic!("{key} is no room and shard"));
            rooms.entry(room.to_owned()).or_default().push(Seen {
                seq: number(&row, "seq"),
                count: number(&row, "count"),
                id: text(&row, "id").to_owned(),
                kind: text(&row, "type").to_owned(),
            });
        }
        for events in rooms.values_mut() {
            events.sort_unstable_by_key(|event| event.seq);
        }
        rooms
    }
}

fn text<'a>(row: &'a dynamo::Row, attribute: &str) -> &'a str {
    let value = row.get(attribute).and_then(|value| value.as_s().ok());
    value.unwrap_or_else(|| panic!("no text {attribute} in {row:?}"))
}

fn number(row: &dynamo::Row, attribute: &str) -> u64 {
    let value = row
        .get(attribute)
        .and_then(|value| value.as_n().ok())
        .and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no number {attribute} in {row:?}"))
}
