//! The `heart-beat` header and what follows from two of them.

use super::*;

fn beat(send_ms: u32, receive_ms: u32) -> HeartBeat {
    HeartBeat {
        send_ms,
        receive_ms,
    }
}

// req: 55, 56
#[test]
fn a_heart_beat_is_two_numbers() {
    assert_eq!(HeartBeat::parse("0,0"), Ok(beat(0, 0)));
    assert_eq!(
        HeartBeat::parse("10000,4294967295"),
        Ok(beat(10_000, u32::MAX))
    );
    for bad in [
        "",
        "1",
        ",",
        "1,",
        ",1",
        "a,b",
        "-1,0",
        "+1,0",
        "1,2,3",
        " 1,2",
        "1, 2",
        "4294967296,0",
        "1.5,0",
    ] {
        assert_eq!(HeartBeat::parse(bad), Err(HeartBeatError), "{bad:?}");
    }
}

// req: 57
#[test]
fn each_direction_takes_the_slower_of_both() {
    let server = beat(10_000, 20_000);
    for (client, send, expect) in [
        (beat(0, 0), None, None),
        (beat(5_000, 0), None, Some(20_000)),
        (beat(30_000, 0), None, Some(30_000)),
        (beat(0, 5_000), Some(10_000), None),
        (beat(0, 15_000), Some(15_000), None),
    ] {
        let cadence = server.agree(client);
        assert_eq!(cadence.send_every_ms, send, "{client:?}");
        assert_eq!(cadence.expect_every_ms, expect, "{client:?}");
    }
    assert_eq!(beat(0, 0).agree(beat(1, 1)), Cadence::default());
}

// req: 63
#[test]
fn the_server_never_beats_below_its_floor() {
    assert_eq!(beat(1, 999).at_least_floor(), beat(1_000, 1_000));
    assert_eq!(beat(0, 25_000).at_least_floor(), beat(0, 25_000));
    let cadence = beat(10_000, 10_000).agree(beat(1, 1));
    assert_eq!(cadence.send_every_ms, Some(10_000));
}
