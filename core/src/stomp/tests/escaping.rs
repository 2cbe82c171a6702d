//! Escapes, by version.

use super::*;

fn header_of(value: &str) -> Option<String> {
    frame(format!("SEND\nh:{value}\n\n\0"))
        .header("h")
        .map(str::to_owned)
}

// req: 15, 19
#[test]
fn escapes_are_resolved_in_one_pass() {
    assert_eq!(header_of(r"a\r\n\c\\b").as_deref(), Some("a\r\n:\\b"));
    assert_eq!(header_of(r"\\n").as_deref(), Some(r"\n"));
    assert_eq!(header_of(r"\\\n").as_deref(), Some("\\\n"));
    let named = frame("SEND\na\\cb\\n:x\n\n\0");
    assert_eq!(named.header("a:b\n"), Some("x"));
}

// req: 16
#[test]
fn any_other_escape_is_a_fault() {
    for value in [r"\t", r"\0", r"\C", r"\R", r"x\", r"\\\"] {
        let bytes = format!("SEND\nh:{value}\n\n\0");
        assert_eq!(fault(bytes), Fault::UndefinedEscape, "{value}");
    }
    let (_, error) = decode_all(b"SEND\nab:c\\t\n\n\0");
    assert_eq!(error.unwrap().offset, 9);
}

// req: 20
#[test]
fn each_version_has_its_own_escapes() {
    let escaped = |version| frame_in(version, "SEND\nh:a\\n\\c\\\\\n\n\0");
    for version in [Version::V1_1, Version::V1_2] {
        assert_eq!(escaped(version).unwrap().header("h"), Some("a\n:\\"));
    }
    let literal = escaped(Version::V1_0).unwrap();
    assert_eq!(literal.header("h"), Some(r"a\n\c\\"));
    let carriage_return = frame_in(Version::V1_1, "SEND\nh:a\\r\n\n\0").unwrap_err();
    assert_eq!(carriage_return.fault, Fault::UndefinedEscape);
}

// req: 18
#[test]
fn the_first_frames_have_no_escapes() {
    for command in ["CONNECT", "STOMP", "CONNECTED"] {
        let first = frame(format!("{command}\npasscode:a\\t:b\\\n\n\0"));
        assert_eq!(first.header("passcode"), Some("a\\t:b\\"));
    }
    let connected = Frame::new(Command::Connected).with("session", "a\\:b");
    assert_eq!(
        encode(&connected, Version::V1_2),
        "CONNECTED\nsession:a\\:b\n\n\0"
    );
}

// req: 17
#[test]
fn what_goes_out_is_escaped_as_its_version_has_it() {
    let receipt = Frame::new(Command::Receipt).with("receipt-id", "a:b\\c\nd\re");
    for (version, line) in [
        (Version::V1_2, "a\\cb\\\\c\\nd\\re"),
        (Version::V1_1, "a\\cb\\\\c\\nd e"),
        (Version::V1_0, "a:b\\c d e"),
    ] {
        let expected = format!("RECEIPT\nreceipt-id:{line}\n\n\0");
        assert_eq!(encode(&receipt, version), expected, "{version:?}");
    }
}

// req: 67
#[test]
fn no_name_forges_a_header_where_nothing_can_be_escaped() {
    let message = Frame::new(Command::Message)
        .with("sender:root", "x")
        .with("a\nsender", "root\nsender:root");
    let bytes = encode(&message, Version::V1_0);
    let read = frame_in(Version::V1_0, bytes).unwrap();
    assert_eq!(read.header("sender"), None);
    assert_eq!(read.headers.len(), 2);
}

#[test]
fn a_nul_in_a_header_never_ends_a_frame() {
    let error = Frame::new(Command::Error).with("message", "a\0b");
    for version in Version::ALL {
        let read = frame_in(version, encode(&error, version)).unwrap();
        assert_eq!(read.header("message"), Some("a\u{fffd}b"));
    }
}
