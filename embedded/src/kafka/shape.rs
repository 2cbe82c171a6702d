//! Walks over a request before it is decoded, and refuses lengths that its bytes cannot hold.
//!
//! The decoder reserves memory for as many elements as an array claims to have.
//! A few bytes could thus ask for hundreds of gigabytes, which ends the process; so every length is checked first.

use kafka_protocol::messages::ApiKey;

/// The requests this broker answers: versions served, the first version of the compact encoding, and the layout.
///
/// A layout lists fields in order: a digit is that many bytes (`u` is 16), `s` a string, `b` bytes, `[…]` an array of structures,
/// `*` an array of the one thing that follows. `3:` before a field means from version 3 on, `-7:` up to 7, `8-10:` between.
/// In the compact encoding every structure ends with tagged fields, which the layouts leave out.
pub(super) const SERVED: &[Served] = &[
    served(ApiKey::Produce, 3, 9, 9, "s 2 4 [s [4 b]]"),
    served(
        ApiKey::Fetch,
        4,
        12,
        12,
        "4 4 4 4 1 7:4 7:4 [s [4 9:4 8 12:4 5:8 4]] 7:[s *4] 11:s",
    ),
    served(ApiKey::ListOffsets, 1, 7, 6, "4 2:1 [s [4 4:4 8]]"),
    served(ApiKey::Metadata, 0, 12, 9, "[10:u s] 4:1 8-10:1 8:1"),
    served(
        ApiKey::OffsetCommit,
        2,
        8,
        8,
        "s 4 s 7:s -4:8 [s [4 8 6:4 s]]",
    ),
    served(
        ApiKey::OffsetFetch,
        1,
        8,
        6,
        "-7:s -7:[s *4] 8:[s [s *4]] 7:1",
    ),
    served(ApiKey::FindCoordinator, 0, 4, 3, "-3:s 1:1 4:*s"),
    served(ApiKey::JoinGroup, 0, 9, 6, "s 4 1:4 s 5:s s [s b] 8:s"),
    served(ApiKey::Heartbeat, 0, 4, 4, "s 4 s 3:s"),
    served(ApiKey::LeaveGroup, 0, 5, 4, "s -2:s 3:[s s 5:s]"),
    served(ApiKey::SyncGroup, 0, 5, 4, "s 4 s 3:s 5:s 5:s [s b]"),
    served(ApiKey::DescribeGroups, 0, 5, 5, "*s 3:1"),
    served(ApiKey::ListGroups, 0, 4, 3, "4:*s"),
    served(ApiKey::ApiVersions, 0, 3, 3, "3:s 3:s"),
    served(ApiKey::CreateTopics, 2, 7, 5, "[s 4 2 [4 *4] [s s]] 4 1"),
    served(ApiKey::DeleteTopics, 1, 6, 4, "6:[s u] -5:*s 4"),
    served(ApiKey::DeleteRecords, 0, 2, 2, "[s [4 8]] 4"),
    served(ApiKey::InitProducerId, 0, 4, 2, "s 4 3:8 3:2"),
    served(ApiKey::DescribeConfigs, 1, 4, 4, "[1 s *s] 1 3:1"),
    served(ApiKey::AlterConfigs, 0, 2, 2, "[1 s [s s]] 1"),
    served(ApiKey::IncrementalAlterConfigs, 0, 1, 1, "[1 s [s 1 s]] 1"),
    served(ApiKey::CreatePartitions, 0, 3, 2, "[s 4 [*4]] 4 1"),
    served(ApiKey::DeleteGroups, 0, 2, 2, "*s"),
];

/// One kind of request and the versions of it that are served.
pub(super) struct Served {
    pub(super) api: ApiKey,
    pub(super) version_min: i16,
    pub(super) version_max: i16,
    /// From this version on lengths are variable-length and structures end with tagged fields.
    compact_from: i16,
    layout: &'static str,
}

/// A request whose lengths don't fit its bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request's lengths exceed the request")]
pub(super) struct Misshapen;

/// The bytes of a request that are still to be walked over.
struct Walk<'a> {
    bytes: &'a [u8],
    version: i16,
    is_compact: bool,
}

const fn served(
    api: ApiKey,
    version_min: i16,
    version_max: i16,
    compact_from: i16,
    layout: &'static str,
) -> Served {
    Served {
        api,
        version_min,
        version_max,
        compact_from,
        layout,
    }
}

// === impl Served ===

impl Served {
    /// The entry of a kind of request, if it is served at all.
    pub(super) fn find(api: ApiKey) -> Option<&'static Served> {
        SERVED.iter().find(|served| served.api == api)
    }

    pub(super) fn serves(&self, version: i16) -> bool {
        (self.version_min..=self.version_max).contains(&version)
    }

    /// Checks a request's body, all of it.
    pub(super) fn check(&self, version: i16, body: &[u8]) -> Result<(), Misshapen> {
        let is_compact = version >= self.compact_from;
        let mut walk = Walk {
            bytes: body,
            version,
            is_compact,
        };
        walk.structure(self.layout).ok_or(Misshapen)
    }
}

// === impl Walk ===

impl Walk<'_> {
    fn structure(&mut self, layout: &'static str) -> Option<()> {
        let mut rest = layout;
        while let Some((versions, field, following)) = next_field(rest) {
            if is_in(versions, self.version) {
                self.field(field)?;
            }
            rest = following;
        }
        if self.is_compact {
            self.tagged_fields()?;
        }
        Some(())
    }

    fn field(&mut self, field: &'static str) -> Option<()> {
        if let Some(element) = field.strip_prefix('*') {
            for _ in 0..self.array_length()? {
                self.field(element)?;
            }
            return Some(());
        }
        if let Some(inner) = field
            .strip_prefix('[')
            .and_then(|field| field.strip_suffix(']'))
        {
            for _ in 0..self.array_length()? {
                self.structure(inner)?;
            }
            return Some(());
        }
        let length = match field {
            "s" if self.is_compact => self.compact_length()?,
            "s" => usize::try_from(i16::from_be_bytes(self.take()?)).unwrap_or(0),
            "b" if self.is_compact => self.compact_length()?,
            "b" => usize::try_from(i32::from_be_bytes(self.take()?)).unwrap_or(0),
            "u" => 16,
            digit => digit.parse().ok()?,
        };
        self.skip(length)
    }

    /// Every element takes at least one byte, so a longer array than there are bytes left is a lie.
    fn array_length(&mut self) -> Option<usize> {
        let length = if self.is_compact {
            self.compact_length()?
        } else {
            usize::try_from(i32::from_be_bytes(self.take()?)).unwrap_or(0)
        };
        (length <= self.bytes.len()).then_some(length)
    }

    /// A length plus one; zero stands for null.
    fn compact_length(&mut self) -> Option<usize> {
        let length = self.varint()?;
        usize::try_from(length.saturating_sub(1)).ok()
    }

    fn tagged_fields(&mut self) -> Option<()> {
        for _ in 0..self.varint()? {
            let _tag = self.varint()?;
            let length = self.varint()?;
            self.skip(usize::try_from(length).ok()?)?;
        }
        Some(())
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.bytes = self.bytes.get(length..)?;
        Some(())
    }
}

/// Cuts the first field off a layout: its versions, itself, and what follows.
fn next_field(layout: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let layout = layout.trim_start();
    let mut depth = 0;
    let mut end = layout.len();
    for (index, byte) in layout.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            b' ' if depth == 0 => {
                end = index;
                break;
            }
            _ => {}
        }
    }
    let (field, following) = layout.split_at(end);
    if field.is_empty() {
        return None;
    }
    let gate = field
        .find(':')
        .filter(|colon| !field[..*colon].contains(['[', '*']));
    let (versions, field) = match gate {
        Some(colon) => (&field[..colon], &field[colon + 1..]),
        None => ("", field),
    };
    Some((versions, field, following))
}

/// Whether a version is among `3` (from 3 on), `-7` (up to 7) or `8-10`; an empty text means all.
fn is_in(versions: &str, version: i16) -> bool {
    let (from, to) = versions.split_once('-').unwrap_or((versions, ""));
    let from = from.parse().unwrap_or(i16::MIN);
    let to = to.parse().unwrap_or(i16::MAX);
    (from..=to).contains(&version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_array_longer_than_the_request_is_refused() {
        let metadata = Served::find(ApiKey::Metadata).unwrap();
        assert_eq!(metadata.check(1, &i32::MAX.to_be_bytes()), Err(Misshapen));
        assert_eq!(
            metadata.check(9, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            Err(Misshapen)
        );
        assert_eq!(metadata.check(1, &(-1_i32).to_be_bytes()), Ok(()));
    }

    #[test]
    fn versions_of_a_layout_are_read() {
        assert!(is_in("", 5) && is_in("3", 3) && !is_in("3", 2));
        assert!(is_in("-7", 7) && !is_in("-7", 8));
        assert!(is_in("8-10", 8) && is_in("8-10", 10) && !is_in("8-10", 11));
    }
}
