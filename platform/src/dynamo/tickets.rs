//! One-time tickets of gateways that share no secret: what a ticket says, in a row of `sessions` that a hash of the
//! ticket names. Whoever takes it first has it.

use aws_sdk_dynamodb::types::ReturnValue;

use super::{
    Store, StoreError,
    item::{Change, Fields, Item, name, number, text},
    rows::named,
    tables,
};

/// What is put before the hash to make a row's key; no session id looks like it.
const TICKET_KEY: &str = "ticket:";

impl Store {
    /// Keeps what a ticket says. The row may be dropped from this time on, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn keep_ticket(
        &self,
        hash: &str,
        says: &str,
        expires_at_s: u64,
    ) -> Result<(), StoreError> {
        let change = Change::default()
            .set(name::VALUE, text(says))
            .set(name::EXPIRES_AT, number(expires_at_s));
        self.update(tables::SESSIONS, ticket_key(hash), change)
            .await
            .map(drop)
    }

    /// Takes a ticket: what it says, for the first who asks. If that one's answer gets lost nobody has it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn take_ticket(&self, hash: &str) -> Result<Option<String>, StoreError> {
        // On the condition that it is there, which is what makes two who come at once take turns in DynamoDB Local too.
        let taken = self
            .client
            .delete_item()
            .table_name(self.tables.name(tables::SESSIONS))
            .set_key(Some(ticket_key(hash)))
            .condition_expression("attribute_exists(#session)")
            .expression_attribute_names("#session", name::SESSION)
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        let row = match taken {
            Ok(taken) => taken.attributes.unwrap_or_default(),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => {
                    return Ok(None);
                }
                _ => return Err(StoreError::of(error)),
            },
        };
        Fields::of(tables::SESSIONS, row).text(name::VALUE)
    }
}

fn ticket_key(hash: &str) -> Item {
    Item::from_iter([named(name::SESSION, text(&format!("{TICKET_KEY}{hash}")))])
}
