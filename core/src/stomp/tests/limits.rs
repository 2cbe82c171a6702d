//! Bounds: the limit itself is accepted, one more is refused, at the very byte and before it is kept.

use super::*;

const SMALL: Bounds = Bounds {
    headers_max: 3,
    header_line_bytes_max: 8,
    headers_bytes_max: 16,
    body_bytes_max: 10,
    frame_bytes_max: 28,
};

fn small(bytes: &str) -> Result<usize, StompError> {
    match decode_pieces(SMALL, Version::V1_2, &[bytes.as_bytes()]) {
        (frames, None) => Ok(frames.len()),
        (_, Some(error)) => Err(error),
    }
}

fn passes(bound: Bound, offset: usize) -> Result<usize, StompError> {
    Err(StompError {
        fault: Fault::TooLarge(bound),
        offset: offset as u64,
    })
}

// req: 36, 37, 38
#[test]
fn the_number_of_headers_is_bounded() {
    assert_eq!(small("SEND\na:1\nb:1\nc:1\n\n\0"), Ok(1));
    // The fourth is refused at its first byte, be it a repeated one or not.
    assert_eq!(small("SEND\na:1\nb:1\nc:1\nd"), passes(Bound::Headers, 17));
    assert_eq!(small("SEND\na:1\na:1\na:1\na"), passes(Bound::Headers, 17));
}

// req: 36, 37, 38
#[test]
fn a_header_line_is_bounded() {
    assert_eq!(small("SEND\na:345678\n\n\0"), Ok(1));
    assert_eq!(small("SEND\na:345678\r\n\r\n\0"), Ok(1));
    assert_eq!(small("SEND\na:3456789"), passes(Bound::HeaderLine, 13));
}

// req: 36, 37, 38
#[test]
fn all_header_lines_together_are_bounded() {
    assert_eq!(small("SEND\na:345678\nb:345678\n\n\0"), Ok(1));
    assert_eq!(
        small("SEND\na:345678\nb:345678\nc"),
        passes(Bound::HeaderBytes, 23)
    );
}

// req: 36, 37, 38
#[test]
fn a_body_is_bounded_with_and_without_its_length() {
    assert_eq!(small("SEND\n\n1234567890\0"), Ok(1));
    assert_eq!(small("SEND\n\n12345678901"), passes(Bound::Body, 16));
    assert_eq!(
        small("SEND\ncontent-length:10\n\n"),
        passes(Bound::HeaderLine, 13)
    );
    let wide = Bounds {
        header_line_bytes_max: 30,
        headers_bytes_max: 30,
        frame_bytes_max: 100,
        ..SMALL
    };
    let measured = |bytes: &[u8]| decode_pieces(wide, Version::V1_2, &[bytes]);
    assert_eq!(
        measured(b"SEND\ncontent-length:10\n\n1234567890\0").0.len(),
        1
    );
    let (_, error) = measured(b"SEND\ncontent-length:11\n");
    assert_eq!(error.unwrap().fault, Fault::TooLarge(Bound::Body));
}

// req: 39
#[test]
fn before_sign_in_a_frame_is_bounded_as_a_whole() {
    assert_eq!(small("SEND\na:345678\nb:345678\n\n12345678\0"), Ok(1));
    assert_eq!(
        small("SEND\na:345678\nb:345678\n\n123456789"),
        passes(Bound::Frame, 32)
    );
    let limits = Limits::default();
    let max = limits.unauthenticated_frame_bytes_max;
    assert_eq!(Bounds::before_connect(&limits).frame_bytes_max, max);
    let (_, error) = decode_pieces(
        Bounds::before_connect(&limits),
        Version::V1_2,
        &[format!("SEND\ncontent-length:{max}\n\n").as_bytes()],
    );
    assert_eq!(error.unwrap().fault, Fault::TooLarge(Bound::Frame));
}

// req: 36, 39
#[test]
fn endless_input_is_never_kept_past_the_limit() {
    let bounds = Bounds::before_connect(&Limits::default());
    for (start, filler) in [
        ("", "A"),
        ("CONNECT\na:", "x"),
        ("CONNECT\n", "a:b\n"),
        ("SEND\n\n", "x"),
        ("SEND\ncontent-length:16000\n\n", "x"),
    ] {
        let mut decoder = Decoder::new(bounds);
        let mut input = start.as_bytes();
        assert_eq!(decoder.decode(&mut input), Ok(None));
        let piece = filler.repeat(1_000);
        let failed = (0..1_000).any(|_| {
            let mut input = piece.as_bytes();
            let result = decoder.decode(&mut input);
            assert!(decoder.buffered_bytes() <= bounds.frame_bytes_max);
            result.is_err()
        });
        assert!(failed, "{start:?} {filler:?}");
    }
}
