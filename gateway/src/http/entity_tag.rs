//! Entity tags: whether a client has a page in its state of now already.

use axum::http::{HeaderMap, header};
use roomlog_core::ids::Seq;
use sha2::{Digest as _, Sha256};

/// Bytes of the hash in an entity tag: far more than two states of one page need to differ.
const TAG_BYTES: usize = 16;

/// Names the state of a page. Weak, because pages with one tag may name different heads where that says nothing.
pub(super) fn tag(items: &[String], head: Seq, edges: (bool, bool)) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{head} {edges:?}\n"));
    for item in items {
        hash.update(item);
        hash.update("\n");
    }
    let digits: String = hash.finalize()[..TAG_BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("W/\"{digits}\"")
}

/// Whether the client has the page in this state already (RFC 9110, section 13.1.2).
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim() == "*" || opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tag_follows_what_is_shown() {
        let items = ["a".to_owned(), "b".to_owned()];
        let same = tag(&items, Seq(3), (true, false));
        assert_eq!(same, tag(&items, Seq(3), (true, false)));
        for other in [
            tag(&items[..1], Seq(3), (true, false)),
            tag(&items, Seq(4), (true, false)),
            tag(&items, Seq(3), (false, false)),
        ] {
            assert_ne!(same, other);
        }
    }

    #[test]
    fn a_known_page_is_told_by_any_of_the_tags_and_by_a_star() {
        let tag = tag(&[], Seq(1), (false, false));
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, value.parse().unwrap());
            headers
        };
        let strong = tag.trim_start_matches("W/");
        for known in ["*", &tag, strong, &format!("\"x\", {tag}")] {
            assert!(is_known(&with(known), &tag), "{known}");
        }
        assert!(!is_known(&with("\"x\""), &tag));
        assert!(!is_known(&HeaderMap::new(), &tag));
    }
}
