//! Bodies and their lengths.

use super::*;

// req: 22
#[test]
fn only_three_commands_have_a_body() {
    for command in Command::ALL {
        let name = command.as_str();
        let with_body = decode_all(format!("{name}\n\nx\0").as_bytes());
        let announced = decode_all(format!("{name}\ncontent-length:1\n\nx\0").as_bytes());
        if ["SEND", "MESSAGE", "ERROR"].contains(&name) {
            assert_eq!(&with_body.0[0].body[..], b"x");
            assert_eq!(with_body, announced);
        } else {
            assert_eq!(with_body.1.unwrap().fault, Fault::BodyNotAllowed, "{name}");
            assert_eq!(announced.1.unwrap().fault, Fault::BodyNotAllowed, "{name}");
        }
    }
}

// req: 23, 26
#[test]
fn content_length_counts_octets_and_lets_nul_through() {
    let nul = frame("SEND\ncontent-length:3\n\na\0b\0");
    assert_eq!(&nul.body[..], b"a\0b");
    let umlaut = frame("SEND\ncontent-length:5\n\n€ä\0");
    assert_eq!(umlaut.body, "€ä");
    assert_eq!(
        fault("SEND\ncontent-length:2\n\n€ä\0"),
        Fault::NoNulAfterBody
    );
}

// req: 24
#[test]
fn the_octet_after_a_measured_body_is_nul() {
    let (_, error) = decode_all(b"SEND\ncontent-length:2\n\nabc\0");
    let expected = StompError {
        fault: Fault::NoNulAfterBody,
        offset: 25,
    };
    assert_eq!(error, Some(expected));
}

// req: 25, 29
#[test]
fn without_it_a_body_ends_at_the_first_nul() {
    let (frames, _) = decode_all(b"SEND\n\nab\0SEND\n\n\0SEND\ncontent-length:0\n\n\0");
    assert_eq!(&frames[0].body[..], b"ab");
    assert_eq!(frames[1], frames[2]);
}

// req: 28
#[test]
fn a_content_length_is_digits_within_the_limit() {
    for bad in ["-1", "+5", " 5", "5 ", "0x5", "", "five", "1.0", "１"] {
        let bytes = format!("SEND\ncontent-length:{bad}\n\n");
        assert_eq!(fault(bytes), Fault::ContentLength, "{bad:?}");
    }
    for large in [
        "65537",
        "4294967296",
        "18446744073709551616",
        "9".repeat(99).as_str(),
    ] {
        let bytes = format!("SEND\ncontent-length:{large}\n\n");
        assert_eq!(fault(bytes), Fault::TooLarge(Bound::Body), "{large}");
    }
    for differing in ["1\ncontent-length:2", "2\ncontent-length:1"] {
        let bytes = format!("SEND\ncontent-length:{differing}\n\n");
        assert_eq!(fault(bytes), Fault::ContentLengthConflict);
    }
    let repeated = frame("SEND\ncontent-length:1\ncontent-length:01\n\nx\0");
    assert_eq!(&repeated.body[..], b"x");
}

// req: 28
#[test]
fn an_announced_body_takes_no_memory_before_it_comes() {
    let mut decoder = Decoder::new(Bounds::signed_in(&Limits::default()));
    let mut input: &[u8] = b"SEND\ncontent-length:65536\n\n";
    assert_eq!(decoder.decode(&mut input), Ok(None));
    assert_eq!(decoder.buffered_bytes(), 0);
}

// req: 30
#[test]
fn any_frame_may_say_that_it_has_no_body() {
    let subscribe = frame("SUBSCRIBE\nid:0\ncontent-length:0\n\n\0");
    assert_eq!(subscribe, frame("SUBSCRIBE\nid:0\n\n\0"));
}

// req: 33
#[test]
fn a_body_cut_short_is_no_frame() {
    let (frames, fault) = decode_all(b"SEND\ncontent-length:10\n\nshort");
    assert_eq!((frames, fault), (vec![], None));
}

// req: 27
#[test]
fn a_body_goes_out_with_its_length() {
    let error = Frame::new(Command::Error).with_body("a\0€");
    assert_eq!(
        encode(&error, Version::V1_2),
        "ERROR\ncontent-length:5\n\na\0€\0"
    );
}

#[test]
fn a_body_pins_no_buffer_of_the_connection() {
    let bytes = b"SEND\n\nhello\0".repeat(100);
    let (frames, _) = decode_all(&bytes);
    let input = bytes.as_ptr_range();
    assert!(
        frames
            .iter()
            .all(|frame| !input.contains(&frame.body.as_ptr()))
    );
    // A body that came in pieces gave back what its buffer had too much.
    let pieces: Vec<&[u8]> = bytes[..12].chunks(1).collect();
    let bounds = Bounds::signed_in(&Limits::default());
    let (frames, _) = decode_pieces(bounds, Version::V1_2, &pieces);
    let body = Vec::from(frames.into_iter().next().unwrap().body);
    assert_eq!(body.capacity(), body.len());
}
