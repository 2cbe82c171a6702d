//! The server over real sockets: limits, and bytes as they may come.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.addr()).await.unwrap()
}

/// Sends bytes and reads until as many as expected have come back, or the connection is closed.
async fn exchange(socket: &mut TcpStream, bytes: &[u8], expected: &str) {
    socket.write_all(bytes).await.unwrap();
    let mut reply = vec![0; expected.len()];
    tokio::time::timeout(DEADLINE, socket.read_exact(&mut reply))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&reply), expected);
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_disconnected() {
    let config = Config {
        subscriber_bytes_max: 100_000,
        ..Config::default()
    };
    let server = Server::start(config).await.unwrap();
    let mut slow = connect(&server).await;
    exchange(
        &mut slow,
        b"SUBSCRIBE c\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    )
    .await;
    let mut publisher = connect(&server).await;
    let payload = "x".repeat(10_000);
    let publish = format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$10000\r\n{payload}\r\n");
    let dropped = async {
        loop {
            publisher.write_all(publish.as_bytes()).await.unwrap();
            let mut reply = [0; 4];
            publisher.read_exact(&mut reply).await.unwrap();
            if &reply == b":0\r\n" {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, dropped).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, slow.read_to_end(&mut rest))
        .await
        .unwrap();
    // What was written before comes still, then the end.
    drop(ended);
    exchange(&mut publisher, b"PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_replies_is_not_read_from() {
    let server = Server::start(Config::default()).await.unwrap();
    let mut deaf = connect(&server).await;
    let value = "x".repeat(100_000);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n{value}\r\n");
    exchange(&mut deaf, set.as_bytes(), "+OK\r\n").await;
    let mut written = 0;
    let get = "GET k\r\n".repeat(1000);
    // Its requests pile up in the sockets, whose buffers are finite.
    while tokio::time::timeout(Duration::from_millis(500), deaf.write_all(get.as_bytes()))
        .await
        .is_ok()
    {
        written += get.len();
        assert!(written < 64 * 1024 * 1024, "requests are taken without end");
    }
    exchange(&mut connect(&server).await, b"PING\r\n", "+PONG\r\n").await;
}

#[tokio::test]
async fn a_request_beyond_the_limit_ends_the_connection() {
    let config = Config {
        query_bytes_max: 1000,
        ..Config::default()
    };
    let server = Server::start(config).await.unwrap();
    let mut socket = connect(&server).await;
    exchange(
        &mut socket,
        b"*2\r\n$3\r\nGET\r\n$5000\r\n",
        "-ERR Protocol error: request too large\r\n",
    )
    .await;
    assert_eq!(socket.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_transaction_beyond_the_limit_is_discarded() {
    let config = Config {
        query_bytes_max: 1000,
        ..Config::default()
    };
    let server = Server::start(config).await.unwrap();
    let mut socket = connect(&server).await;
    exchange(&mut socket, b"MULTI\r\n", "+OK\r\n").await;
    let queued = 6;
    for _ in 0..queued {
        exchange(&mut socket, b"SET a b\r\n", "+QUEUED\r\n").await;
    }
    let mut replies = String::new();
    while !replies.contains("transaction too large") {
        socket.write_all(b"SET a b\r\n").await.unwrap();
        let mut reply = [0; 256];
        let length = tokio::time::timeout(DEADLINE, socket.read(&mut reply))
            .await
            .unwrap()
            .unwrap();
        replies.push_str(&String::from_utf8_lossy(&reply[..length]));
    }
    let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    exchange(&mut socket, b"EXEC\r\n", aborted).await;
}

/// Words that make up requests nearly like real ones.
fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names = prop::sample::select(vec![
        "GET",
        "SET",
        "MSET",
        "EXPIRE",
        "PEXPIREAT",
        "HSET",
        "HINCRBY",
        "HSCAN",
        "SADD",
        "ZADD",
        "ZRANGE",
        "ZREVRANGEBYSCORE",
        "ZREMRANGEBYRANK",
        "ZSCAN",
        "XADD",
        "XRANGE",
        "XREVRANGE",
        "XTRIM",
        "XDEL",
        "SCAN",
        "RENAME",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH",
        "SUBSCRIBE",
        "PUNSUBSCRIBE",
        "PUBLISH",
        "HELLO",
        "CLIENT",
        "RESET",
        "SELECT",
        "INFO",
        "INCRBY",
        "GETDEL",
        "KEYS",
        "PING",
        "FLUSHALL",
    ]);
    let word = prop_oneof![
        prop::sample::select(vec![
            "a",
            "b",
            "0",
            "-1",
            "1",
            "9223372036854775807",
            "-9223372036854775808",
            "inf",
            "-inf",
            "nan",
            "(1",
            "-",
            "+",
            "*",
            "5-*",
            "18446744073709551615-18446744073709551615",
            "(18446744073709551615-18446744073709551615",
            "(0-0",
            "NX",
            "XX",
            "GT",
            "CH",
            "INCR",
            "LIMIT",
            "WITHSCORES",
            "BYSCORE",
            "REV",
            "MAXLEN",
            "~",
            "COUNT",
            "MATCH",
            "EX",
            "PXAT",
            "KEEPTTL",
            "",
            "3",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    (names, prop::collection::vec(word, 0..7)).prop_map(|(name, rest)| {
        let name = vec![name.as_bytes().to_vec()];
        name.into_iter().chain(rest).collect()
    })
}

fn encode(requests: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        bytes.extend(format!("*{}\r\n", request.len()).bytes());
        for word in request {
            bytes.extend(format!("${}\r\n", word.len()).bytes());
            bytes.extend(word);
            bytes.extend(b"\r\n");
        }
    }
    bytes
}

#[test]
fn no_requests_take_the_server_down() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(Server::start(Config::default())).unwrap();
    let requests = prop::collection::vec(words(), 1..12);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1500));
    let outcome = runner.run(&requests, |requests| {
        runtime.block_on(async {
            let mut socket = connect(&server).await;
            socket.write_all(&encode(&requests)).await.unwrap();
            // The reply to this last one shows that the connection has lived through all others.
            socket
                .write_all(&encode(&[
                    vec![b"RESET".to_vec()],
                    vec![b"ECHO".to_vec(), b"the-end".to_vec()],
                ]))
                .await
                .unwrap();
            let mut replies = Vec::new();
            while !replies.ends_with(b"$7\r\nthe-end\r\n") {
                let read = tokio::time::timeout(DEADLINE, socket.read_buf(&mut replies)).await;
                assert_ne!(read.unwrap().unwrap(), 0, "closed after {requests:?}");
            }
        });
        Ok(())
    });
    outcome.unwrap();
}
