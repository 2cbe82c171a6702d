//! Header escaping, as each version of the protocol has it.

use super::Version;

/// Where a header text stands; only names have to be kept free of colons where nothing can be escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the colon.
    Name,
    /// After it.
    Value,
}

/// Appends the text with its escapes resolved, in one pass. `escapes` is `None` where there are none. On an escape
/// the version does not have, answers where it is.
pub(super) fn unescape(
    text: &str,
    escapes: Option<Version>,
    out: &mut String,
) -> Result<(), usize> {
    let Some(version) = escapes.filter(|version| *version > Version::V1_0) else {
        out.push_str(text);
        return Ok(());
    };
    let mut done = 0;
    while let Some(found) = text[done..].find('\\') {
        let at = done + found;
        out.push_str(&text[done..at]);
        out.push(match text.as_bytes().get(at + 1) {
            Some(b'n') => '\n',
            Some(b'c') => ':',
            Some(b'\\') => '\\',
            Some(b'r') if version >= Version::V1_2 => '\r',
            _ => return Err(at),
        });
        done = at + 2;
    }
    out.push_str(&text[done..]);
    Ok(())
}

/// Appends the text escaped. What the version can't express is replaced, so that no text ever forges a header: line
/// ends by a blank, a colon in a name by `_`, NUL by U+FFFD.
pub(super) fn escape(text: &str, escapes: Option<Version>, place: Place, out: &mut Vec<u8>) {
    let version = escapes.unwrap_or(Version::V1_0);
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let replacement: &[u8] = match (byte, version) {
            (0, _) => "\u{fffd}".as_bytes(),
            (b'\r', Version::V1_2) => b"\\r",
            (b'\n', Version::V1_1 | Version::V1_2) => b"\\n",
            (b':', Version::V1_1 | Version::V1_2) => b"\\c",
            (b'\\', Version::V1_1 | Version::V1_2) => b"\\\\",
            (b'\r' | b'\n', _) => b" ",
            (b':', Version::V1_0) if place == Place::Name => b"_",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[done..at]);
        out.extend_from_slice(replacement);
        done = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[done..]);
}

/// Whether a text reads the same in every version.
pub(super) fn is_plain(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| matches!(byte, 0 | b'\r' | b'\n' | b':' | b'\\'))
}
