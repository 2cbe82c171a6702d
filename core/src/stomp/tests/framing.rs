//! Lines, commands and headers.

use super::*;

// req: 1, 3
#[test]
fn a_frame_is_command_headers_body_and_nul() {
    let send = frame("SEND\ndestination:/a\nx:y\n\nhello\0\n\n");
    assert_eq!(send.command, Command::Send);
    let headers: Vec<_> = send.headers.iter().collect();
    assert_eq!(headers, [("destination", "/a"), ("x", "y")]);
    assert_eq!(&send.body[..], b"hello");
    assert_eq!(frame("DISCONNECT\n\n\0"), Frame::new(Command::Disconnect));
}

// req: 2
#[test]
fn line_ends_may_be_mixed() {
    let mixed = frame("SEND\r\na:1\nb:2\r\n\nx\0");
    assert_eq!(mixed, frame("SEND\na:1\nb:2\n\nx\0"));
    assert_eq!(frame("SEND\na:1\n\r\nx\0"), frame("SEND\na:1\n\nx\0"));
}

// req: 4, 61
#[test]
fn line_ends_around_frames_are_no_frames() {
    let (frames, fault) = decode_all(b"\n\r\n\nBEGIN\n\n\0\r\n\n\r\nABORT\n\n\0\n");
    assert_eq!(fault, None);
    let commands: Vec<_> = frames.iter().map(|frame| frame.command).collect();
    assert_eq!(commands, [Command::Begin, Command::Abort]);
    assert_eq!(decode_all(b"\n\n\r\n\n"), (vec![], None));
}

// req: 61
#[test]
fn line_ends_end_no_frame() {
    assert_eq!(decode_all(b"SEND\n\nbody\n\n\r\n\n"), (vec![], None));
    assert_eq!(&frame("SEND\n\nbody\n\0").body[..], b"body\n");
}

// req: 5
#[test]
fn a_lone_carriage_return_is_a_fault_at_its_byte() {
    for (bytes, offset) in [
        ("SE\rND\n\n\0", 2),
        ("SEND\na\rb:1\n\n\0", 6),
        ("SEND\na:1\r\r\n\n\0", 8),
        ("\r\rSEND\n\n\0", 0),
        ("\n\rSEND\n\n\0", 1),
        ("SEND\n\r\0", 5),
    ] {
        let expected = StompError {
            fault: Fault::LoneCarriageReturn,
            offset,
        };
        assert_eq!(decode_all(bytes.as_bytes()).1, Some(expected), "{bytes:?}");
    }
}

// req: 6
#[test]
fn case_matters() {
    assert_eq!(fault("send\n\n\0"), Fault::UnknownCommand);
    let send = frame("SEND\nDestination:/a\n\n\0");
    assert_eq!(send.header("destination"), None);
    assert_eq!(send.header("Destination"), Some("/a"));
}

// req: 100
#[test]
fn an_unknown_command_is_a_fault() {
    assert_eq!(fault("PUBLISH\n\n\0"), Fault::UnknownCommand);
    assert_eq!(fault("SEND \n\n\0"), Fault::UnknownCommand);
    // Known before its line ends, since no command is that long.
    assert_eq!(fault("GET /ws HTTP/1.1"), Fault::UnknownCommand);
}

// req: 7, 8, 9, 10, 11
#[test]
fn header_lines_are_split_at_the_first_colon_and_never_trimmed() {
    assert_eq!(fault("SEND\n:value\n\n\0"), Fault::EmptyName);
    assert_eq!(fault("SEND\nno colon\n\n\0"), Fault::NoColon);
    let send = frame("SEND\nempty:\n pad\t: x \ncolons:a:b:c\n\n\0");
    assert_eq!(send.header("empty"), Some(""));
    assert_eq!(send.header("absent"), None);
    assert_eq!(send.header(" pad\t"), Some(" x "));
    assert_eq!(send.header("colons"), Some("a:b:c"));
}

// req: 12
#[test]
fn headers_are_utf8() {
    assert_eq!(
        frame("SEND\nnäme:wert€\n\n\0").header("näme"),
        Some("wert€")
    );
    let (_, error) = decode_all(b"SEND\na:\xc3\x28\n\n\0");
    let expected = StompError {
        fault: Fault::InvalidUtf8,
        offset: 7,
    };
    assert_eq!(error, Some(expected));
}

// req: 13
#[test]
fn a_nul_before_the_body_is_a_fault() {
    for bytes in ["SE\0ND\n\n", "SEND\0", "SEND\na\0:b\n", "SEND\na:\0"] {
        assert_eq!(fault(bytes), Fault::NulInHeaders, "{bytes:?}");
    }
}

// req: 14
#[test]
fn stray_nuls_between_frames_are_ignored() {
    let (frames, fault) = decode_all(b"\0\0BEGIN\n\n\0\0\n\0ABORT\n\n\0\0");
    assert_eq!((frames.len(), fault), (2, None));
}

// req: 34
#[test]
fn of_repeated_headers_the_first_wins() {
    let send =
        frame("SEND\ndestination:/a\nreceipt:1\nid:x\ndestination:/b\nreceipt:2\nid:y\n\n\0");
    let headers: Vec<_> = send.headers.iter().collect();
    assert_eq!(
        headers,
        [("destination", "/a"), ("receipt", "1"), ("id", "x")]
    );
}

#[test]
fn a_fault_is_repeated_for_ever_and_counted_from_the_first_byte() {
    let mut decoder = Decoder::new(Bounds::signed_in(&Limits::default()));
    let mut input: &[u8] = b"BEGIN\n\n\0\nsend\n";
    assert!(decoder.decode(&mut input).unwrap().is_some());
    let error = decoder.decode(&mut input).unwrap_err();
    assert_eq!(error.to_string(), "no such command at byte 9");
    let mut more: &[u8] = b"BEGIN\n\n\0";
    assert_eq!(decoder.decode(&mut more), Err(error));
    assert_eq!(decoder.buffered_bytes(), 0);
}

// req: 46
#[test]
fn versions_are_matched_exactly_and_the_best_is_taken() {
    for (list, best) in [
        ("1.2,1.1,1.0", Some(Version::V1_2)),
        ("1.0,1.1,1.2", Some(Version::V1_2)),
        ("1.1,1.1,2.0", Some(Version::V1_1)),
        ("1.0", Some(Version::V1_0)),
        ("1.20,1.0", Some(Version::V1_0)),
        (" 1.2,1.1", Some(Version::V1_1)),
        ("1.3,,9", None),
        ("", None),
    ] {
        assert_eq!(Version::best_of(list), best, "{list:?}");
    }
}

// req: 105
#[test]
fn of_the_offered_subprotocols_the_best_is_taken() {
    for (offered, best) in [
        ("v10.stomp, v11.stomp, v12.stomp", Some(Version::V1_2)),
        ("v11.stomp,v10.stomp", Some(Version::V1_1)),
        ("chat,\tv10.stomp", Some(Version::V1_0)),
        ("v12.stomp2, V12.STOMP, mqtt", None),
        ("", None),
    ] {
        assert_eq!(Version::of_subprotocols(offered), best, "{offered:?}");
    }
}
