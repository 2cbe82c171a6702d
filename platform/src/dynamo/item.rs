//! Rows as the store spells them: attributes by name, read and written with their types checked.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use bytes::Bytes;

use super::StoreError;

/// A row, or the names and values of a request.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The names of the attributes, each spelled once. A leading colon makes one a request's value.
pub(super) mod name {
    pub(in super::super) const ACCEPTED: &str = "accepted";
    pub(in super::super) const ACTIVE_AT: &str = "active_at";
    pub(in super::super) const ACCOUNT: &str = "account";
    pub(in super::super) const AFTER: &str = "after";
    pub(in super::super) const AT: &str = "at";
    pub(in super::super) const ATTACHMENT: &str = "attachment";
    pub(in super::super) const AVATAR: &str = "avatar";
    pub(in super::super) const BY_SEQ: &str = "by_seq";
    pub(in super::super) const CHANGED: &str = "changed_seq";
    pub(in super::super) const COUNT: &str = "count";
    pub(in super::super) const CREATED_AT: &str = "created_at";
    pub(in super::super) const CREATED_BY: &str = "created_by";
    pub(in super::super) const DELETED: &str = "deleted";
    pub(in super::super) const ENTRIES: &str = "entries";
    pub(in super::super) const ENDS_AT: &str = "ends_at";
    pub(in super::super) const DELETED_AT: &str = "deleted_at";
    pub(in super::super) const DELETED_BY: &str = "deleted_by";
    pub(in super::super) const DELETED_SEQ: &str = "deleted_seq";
    pub(in super::super) const EPOCH: &str = "epoch";
    pub(in super::super) const EXPIRES_AT: &str = "expires_at";
    pub(in super::super) const FOLDED: &str = "folded";
    pub(in super::super) const FRIEND: &str = "friend";
    pub(in super::super) const GENERATION: &str = "generation";
    pub(in super::super) const GIVEN_AT: &str = "given_at";
    pub(in super::super) const GUEST: &str = "guest";
    pub(in super::super) const HASH: &str = "hash";
    pub(in super::super) const HEAD: &str = "head";
    pub(in super::super) const ID: &str = "id";
    pub(in super::super) const INITIAL: &str = "initial";
    pub(in super::super) const KIND: &str = "kind";
    pub(in super::super) const LAST_ACTIVE: &str = "last_active";
    pub(in super::super) const LISTED: &str = "listed";
    pub(in super::super) const LOCALE: &str = "locale";
    pub(in super::super) const LOGIN: &str = "login";
    pub(in super::super) const MEMBERS: &str = "members";
    pub(in super::super) const MENTION: &str = "mention";
    pub(in super::super) const MESSAGES: &str = "messages";
    pub(in super::super) const MUTED: &str = "muted";
    pub(in super::super) const NAME: &str = "name";
    pub(in super::super) const NOTIFY: &str = "notify";
    pub(in super::super) const OFFSET: &str = "offset";
    pub(in super::super) const ON: &str = "on";
    pub(in super::super) const OWNERS: &str = "owners";
    pub(in super::super) const PARTITION: &str = "partition";
    pub(in super::super) const PARTITION_COUNT: &str = "partition_count";
    pub(in super::super) const PASSWORD: &str = "password";
    pub(in super::super) const PINNED: &str = "pinned";
    pub(in super::super) const PUBLIC: &str = "public";
    pub(in super::super) const REACTION: &str = "reaction";
    pub(in super::super) const READ_COUNT: &str = "read_count";
    pub(in super::super) const READ_ONLY: &str = "read_only";
    pub(in super::super) const READ_SEQ: &str = "read_seq";
    pub(in super::super) const ROLE: &str = "role";
    pub(in super::super) const ROOM: &str = "room";
    pub(in super::super) const ROOM_SHARD: &str = "room_shard";
    pub(in super::super) const SENDER: &str = "sender";
    pub(in super::super) const SEQ: &str = "seq";
    pub(in super::super) const TOKEN: &str = "token";
    pub(in super::super) const TOPIC: &str = "topic";
    pub(in super::super) const SESSION: &str = "session";
    pub(in super::super) const SESSIONS_VERSION: &str = "sessions_version";
    pub(in super::super) const SHARDS: &str = "shards";
    pub(in super::super) const SIZE: &str = "size";
    pub(in super::super) const SLOW_MODE_S: &str = "slow_mode_s";
    pub(in super::super) const STATE: &str = "state";
    pub(in super::super) const STORED: &str = "stored";
    pub(in super::super) const TARGET: &str = "target";
    pub(in super::super) const TRACEPARENT: &str = "traceparent";
    pub(in super::super) const TYPE: &str = "type";
    pub(in super::super) const USER: &str = "user";
    pub(in super::super) const VALUE: &str = "value";
    pub(in super::super) const VOID: &str = "void";
    pub(in super::super) const WINDOW_OFFSETS: &str = "window_offsets";
}

/// An attribute's value from a Rust one.
pub(super) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// See [`text`].
pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// See [`text`].
pub(super) fn flag(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

/// See [`text`].
pub(super) fn numbers<N: ToString>(values: impl IntoIterator<Item = N>) -> AttributeValue {
    AttributeValue::L(values.into_iter().map(number).collect())
}

/// See [`text`].
pub(super) fn bytes(value: &Bytes) -> AttributeValue {
    AttributeValue::B(Blob::new(value.as_ref()))
}

/// Takes the attributes of one row out of it.
#[derive(Debug)]
pub(super) struct Fields {
    table: &'static str,
    item: Item,
}

// === impl Fields ===

impl Fields {
    /// A row of a table, whose name is for messages.
    pub(super) fn of(table: &'static str, item: Item) -> Self {
        Self { table, item }
    }

    fn wrong(&self, attribute: &str, why: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt(format!(
            "table {}, attribute {attribute}: {why}",
            self.table
        ))
    }

    fn taken<T>(
        &mut self,
        attribute: &str,
        read: impl FnOnce(AttributeValue) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        match self.item.remove(attribute) {
            None | Some(AttributeValue::Null(_)) => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.wrong(attribute, "not of the type it must be")),
            },
        }
    }

    /// Turns an absent attribute into an error.
    pub(super) fn required<T>(&self, attribute: &str, value: Option<T>) -> Result<T, StoreError> {
        value.ok_or_else(|| self.wrong(attribute, "missing"))
    }

    /// A text that may be absent.
    pub(super) fn text(&mut self, attribute: &str) -> Result<Option<String>, StoreError> {
        self.taken(attribute, |value| match value {
            AttributeValue::S(text) => Some(text),
            _ => None,
        })
    }

    /// A text that must be there and be something more special.
    pub(super) fn parsed<T>(
        &mut self,
        attribute: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        let text = self.text(attribute)?;
        let text = self.required(attribute, text)?;
        parse(&text).ok_or_else(|| self.wrong(attribute, format_args!("unexpected text {text:?}")))
    }

    /// A whole number that may be absent.
    pub(super) fn number<N: std::str::FromStr>(
        &mut self,
        attribute: &str,
    ) -> Result<Option<N>, StoreError> {
        self.taken(attribute, |value| match value {
            AttributeValue::N(digits) => digits.parse().ok(),
            _ => None,
        })
    }

    /// Whole numbers in their order; none where the attribute is missing.
    pub(super) fn numbers<N: std::str::FromStr>(
        &mut self,
        attribute: &str,
    ) -> Result<Vec<N>, StoreError> {
        let numbers = self.taken(attribute, |value| match value {
            AttributeValue::L(values) => values
                .iter()
                .map(|value| value.as_n().ok()?.parse().ok())
                .collect(),
            _ => None,
        })?;
        Ok(numbers.unwrap_or_default())
    }

    /// Whole numbers of a set, in no order; none where the attribute is missing.
    pub(super) fn number_set<N: std::str::FromStr>(
        &mut self,
        attribute: &str,
    ) -> Result<Vec<N>, StoreError> {
        let numbers = self.taken(attribute, |value| match value {
            AttributeValue::Ns(values) => values.iter().map(|digits| digits.parse().ok()).collect(),
            _ => None,
        })?;
        Ok(numbers.unwrap_or_default())
    }

    /// A whole number that must be there.
    pub(super) fn the_number<N: std::str::FromStr>(
        &mut self,
        attribute: &str,
    ) -> Result<N, StoreError> {
        let number = self.number(attribute)?;
        self.required(attribute, number)
    }

    /// A flag; absent means no.
    pub(super) fn flag(&mut self, attribute: &str) -> Result<bool, StoreError> {
        let flag = self.taken(attribute, |value| match value {
            AttributeValue::Bool(flag) => Some(flag),
            _ => None,
        })?;
        Ok(flag.unwrap_or(false))
    }

    /// Bytes that must be there.
    pub(super) fn the_bytes(&mut self, attribute: &str) -> Result<Bytes, StoreError> {
        let bytes = self.taken(attribute, |value| match value {
            AttributeValue::B(blob) => Some(Bytes::from(blob.into_inner())),
            _ => None,
        })?;
        self.required(attribute, bytes)
    }
}

/// An update of one row. Attribute names are always given apart, as many of ours are reserved words.
#[derive(Debug, Default)]
pub(super) struct Change {
    names: HashMap<String, String>,
    values: Item,
    sets: Vec<String>,
    adds: Vec<String>,
    removes: Vec<String>,
    condition: Option<String>,
}

/// The parts of an update, as requests want them.
pub(super) struct ChangeParts {
    pub(super) expression: String,
    pub(super) condition: Option<String>,
    pub(super) names: HashMap<String, String>,
    /// `None` for an update that only removes: an empty set of values is refused.
    pub(super) values: Option<Item>,
}

// === impl Change ===

impl Change {
    /// What stands for the attribute in expressions.
    fn name(&mut self, attribute: &str) -> String {
        let placeholder = placeholder(attribute);
        self.names
            .insert(format!("#{placeholder}"), attribute.to_owned());
        placeholder
    }

    fn value(&mut self, attribute: &str, value: AttributeValue) -> String {
        let placeholder = self.name(attribute);
        self.values.insert(format!(":{placeholder}"), value);
        placeholder
    }

    /// Gives an attribute a value.
    pub(super) fn set(mut self, attribute: &str, value: AttributeValue) -> Self {
        let placeholder = self.value(attribute, value);
        self.sets.push(format!("#{placeholder} = :{placeholder}"));
        self
    }

    /// Puts a whole number into a set of them, where it is once however often that is done.
    pub(super) fn add_to_set(mut self, attribute: &str, element: impl ToString) -> Self {
        let set = AttributeValue::Ns(vec![element.to_string()]);
        let placeholder = self.value(attribute, set);
        self.adds.push(format!("#{placeholder} :{placeholder}"));
        self
    }

    /// Gives many attributes their values.
    pub(super) fn set_all<'a>(
        self,
        attributes: impl IntoIterator<Item = (&'a str, AttributeValue)>,
    ) -> Self {
        attributes
            .into_iter()
            .fold(self, |change, (name, value)| change.set(name, value))
    }

    /// Takes an attribute away.
    pub(super) fn remove(mut self, attribute: &str) -> Self {
        let placeholder = self.name(attribute);
        self.removes.push(format!("#{placeholder}"));
        self
    }

    /// Only if the row has no such attribute or a smaller one than is set.
    pub(super) fn if_forward(mut self, attribute: &str) -> Self {
        let placeholder = placeholder(attribute);
        self.condition = Some(format!(
            "attribute_not_exists(#{placeholder}) OR #{placeholder} < :{placeholder}"
        ));
        self
    }

    /// The same beside a condition that was given before.
    pub(super) fn and_forward(mut self, attribute: &str) -> Self {
        let before = self.condition.take();
        let mut both = self.if_forward(attribute);
        let parts = before.into_iter().chain(both.condition.take());
        let parts: Vec<String> = parts.map(|part| format!("({part})")).collect();
        both.condition = Some(parts.join(" AND "));
        both
    }

    /// Only if the row has no position or an earlier one than is set.
    pub(super) fn if_position_forward(mut self) -> Self {
        let (generation, offset) = (name::GENERATION, name::OFFSET);
        self.condition = Some(format!(
            "attribute_not_exists(#{generation}) OR #{generation} < :{generation} \
             OR (#{generation} = :{generation} AND #{offset} < :{offset})"
        ));
        self
    }

    /// Only if there is no row with this attribute yet.
    pub(super) fn if_absent(mut self, attribute: &str) -> Self {
        let placeholder = self.name(attribute);
        self.condition = Some(format!("attribute_not_exists(#{placeholder})"));
        self
    }

    /// Only if the row has this attribute.
    pub(super) fn if_exists(mut self, attribute: &str) -> Self {
        let placeholder = self.name(attribute);
        self.condition = Some(format!("attribute_exists(#{placeholder})"));
        self
    }

    /// Only if an attribute has this value. All such conditions of one update must hold.
    pub(super) fn if_equal(mut self, attribute: &str, value: AttributeValue) -> Self {
        self.name(attribute);
        self.values.insert(format!(":was_{attribute}"), value);
        let equal = format!("#{attribute} = :was_{attribute}");
        self.condition = Some(match self.condition {
            Some(others) => format!("({others}) AND {equal}"),
            None => equal,
        });
        self
    }

    /// The update, ready to be sent. Sets, adds to or removes at least one attribute.
    pub(super) fn parts(self) -> ChangeParts {
        let clauses = [
            ("SET", self.sets),
            ("ADD", self.adds),
            ("REMOVE", self.removes),
        ];
        let clauses = clauses.into_iter().filter(|(_, parts)| !parts.is_empty());
        let clauses: Vec<String> = clauses
            .map(|(clause, parts)| format!("{clause} {}", parts.join(", ")))
            .collect();
        let expression = clauses.join(" ");
        ChangeParts {
            expression,
            condition: self.condition,
            names: self.names,
            values: Some(self.values).filter(|values| !values.is_empty()),
        }
    }
}

/// An attribute's name as far as expressions take it: letters, digits and `_`. The attributes of one update must not
/// differ in other characters alone.
fn placeholder(attribute: &str) -> String {
    attribute
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect()
}
