//! What holds for any bytes and any frame.

use proptest::prelude::*;

use super::*;

/// Pieces a client's bytes are made of, broken often and whole often enough to get far.
fn token() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "SEND\n", "SUBSCRIBE\r\n", "CONNECT\n", "MESSAGE\n", "BEGIN\n", "a:b\n", "id:0\r\n",
            "content-length:3\n", "content-length:2\n", "h:\\n\\c\\\\\n", "h:\\t\n", "é:ü\n",
            "\n", "\r\n", "\r", "abc", "abc\0", "\0", "\n\0", ":", "\\",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(token(), 0..24).prop_map(|tokens| tokens.concat())
}

/// Any header text that can be told: all but NUL.
fn header_text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        3 => prop::sample::select(vec![':', '\\', '\n', '\r', ' ', 'a', 'n', 'c', 'r', 'é']),
        1 => any::<char>().prop_filter("NUL can't be told", |letter| *letter != '\0'),
    ];
    prop::collection::vec(letter, length).prop_map(String::from_iter)
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let headers = prop::collection::vec((header_text(1..8), header_text(0..12)), 0..6);
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let command = prop::sample::select(Command::ALL);
    (command, headers, body).prop_map(|(command, headers, body)| {
        let mut frame = Frame::new(command);
        for (name, value) in headers.iter().filter(|(name, _)| name != "content-length") {
            frame.headers.push(name, value);
        }
        if command.has_body() {
            frame.body = body.into();
        }
        frame
    })
}

/// Cuts bytes at these places, modulo their length.
fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|at| at % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    let pairs = places.windows(2);
    pairs.map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

const TIGHT: Bounds = Bounds {
    headers_max: 4,
    header_line_bytes_max: 12,
    headers_bytes_max: 24,
    body_bytes_max: 8,
    frame_bytes_max: 40,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    // req: 21
    #[test]
    fn decoding_undoes_encoding(frame in any_frame()) {
        prop_assume!(frame.command.is_escaped());
        let bytes = encode(&frame, Version::V1_2);
        prop_assert_eq!(decode_all(&bytes), (vec![frame], None));
    }

    // req: 21
    #[test]
    fn in_older_versions_no_header_is_added_or_lost(frame in any_frame()) {
        prop_assume!(frame.command.is_escaped());
        for version in [Version::V1_0, Version::V1_1] {
            let read = frame_in(version, encode(&frame, version)).unwrap();
            prop_assert!(read.headers.len() <= frame.headers.len());
            prop_assert_eq!(&read.body, &frame.body);
        }
    }

    // req: 108
    #[test]
    fn any_cut_gives_the_same_frames_and_the_same_fault(
        bytes in stream(),
        places in prop::collection::vec(any::<usize>(), 0..8),
        version in prop::sample::select(&Version::ALL),
        bounds in prop::sample::select(vec![TIGHT, Bounds::signed_in(&Limits::default())]),
    ) {
        let whole = decode_pieces(bounds, version, &[&bytes]);
        prop_assert_eq!(&decode_pieces(bounds, version, &cut(&bytes, &places)), &whole);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&decode_pieces(bounds, version, &single), &whole);
    }

    // req: 12, 39
    #[test]
    fn arbitrary_bytes_never_panic_nor_buffer_past_the_limit(bytes in stream()) {
        let mut decoder = Decoder::new(TIGHT);
        let max = TIGHT.headers_bytes_max + TIGHT.body_bytes_max;
        for piece in bytes.chunks(3) {
            let mut input = piece;
            while !input.is_empty() && decoder.decode(&mut input).is_ok() {
                prop_assert!(decoder.buffered_bytes() <= max);
            }
        }
    }
}
