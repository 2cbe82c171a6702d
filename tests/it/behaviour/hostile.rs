//! Bad connections in thousands: nothing panics, and neither memory nor an open file stays behind.

use futures_util::{StreamExt as _, stream};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::leaving::settled;
use crate::harness::{
    Frame, Role, Shape, Stack, System, User,
    socket::{FINAL, Socket, TEXT},
    user,
};

/// After so many everything is there that the first ones set up: threads, pools, tables.
const WARM_UP: usize = 200;
const CONNECTIONS: usize = 2_000;
/// Connections at a time.
const AT_ONCE: usize = 8;
/// What memory may grow by meanwhile: some 9 KiB for each connection, where keeping no more than what it sent or its
/// buffers would be several times that.
const GROWTH_BYTES_MAX: u64 = 16 << 20;
/// Files more, of pools that had a busier moment meanwhile; a single sort of eight that leaves one would be 225.
const POOLED_FILES_MAX: usize = 32;
/// What each of those that send a lot sends; two sorts of eight do.
const LARGE_BYTES: usize = 60_000;

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_bad_connections_leave_no_memory_and_no_file_behind() {
    let mut system = System::start(Shape::single(Stack::Embedded)).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut bystander, head) = alice.watches(&room).await;
    bad_connections(&alice, 0..WARM_UP).await;
    let (files, bytes) = (open_files(&mut system).await, memory(&mut system));
    bad_connections(&alice, WARM_UP..CONNECTIONS).await;
    let left = open_files(&mut system).await;
    assert!(
        left <= files + POOLED_FILES_MAX,
        "{files} files were open, and {left} are"
    );
    let grown = memory(&mut system).saturating_sub(bytes);
    assert!(grown <= GROWTH_BYTES_MAX, "{grown} bytes more than {bytes}");
    bystander.request(Frame::send(&room, "unharmed")).await;
    assert_eq!(bystander.message(&room).await.number("seq"), head + 1);
    system.has_not_panicked();
}

/// How many files are open while the bystander alone is connected.
async fn open_files(system: &mut System) -> usize {
    settled(system, 1).await
}

fn memory(system: &mut System) -> u64 {
    system.process(Role::Gateway, 0).resident_bytes()
}

async fn bad_connections(user: &User, numbers: std::ops::Range<usize>) {
    stream::iter(numbers)
        .for_each_concurrent(AT_ONCE, |number| bad_connection(user, number))
        .await;
}

/// One connection of the sort that is its number's turn.
async fn bad_connection(user: &User, number: usize) {
    let http = user.http.as_str();
    let large = "x".repeat(LARGE_BYTES);
    let endless = format!("SEND\ndestination:/app/rooms/any\n\n{large}");
    let destination = format!("/app/rooms/{number}-of-nobodys-rooms");
    let mut socket = match number % 8 {
        // Gone before saying anything.
        0 => {
            let address = http.strip_prefix("http://").expect("an address");
            drop(TcpStream::connect(address).await.expect("a listener"));
            return;
        }
        // No HTTP at all.
        1 => {
            let address = http.strip_prefix("http://").expect("an address");
            let mut stream = TcpStream::connect(address).await.expect("a listener");
            // It may be closed before everything is written.
            let _ = stream
                .write_all(&[number as u8, 0, 0xff, b'\n', b'\r'])
                .await;
            return;
        }
        // Wrong and expired tokens.
        2 => connecting(http, &format!("{number}.e30.e30")).await,
        3 => connecting(http, &user::token(&format!("late-{number}"), -10)).await,
        // What no STOMP frame begins with, and one that never ends.
        4 => {
            let mut socket = Socket::signed_in(http, &user.token, &[]).await;
            let bytes: Vec<u8> = (0..300).map(|byte| (byte * number) as u8).collect();
            socket.send(FINAL | TEXT, &bytes).await;
            socket
        }
        5 => {
            let mut socket = Socket::signed_in(http, &user.token, &[]).await;
            socket.send(FINAL | TEXT, endless.as_bytes()).await;
            return;
        }
        // A large one to a room that is not there, and a destination that is none.
        6 => {
            let mut socket = Socket::signed_in(http, &user.token, &[]).await;
            let frame = Frame::new("SEND").with("destination", destination);
            socket.send(FINAL | TEXT, &frame.body(large).encode()).await;
            socket
        }
        _ => {
            let mut socket = Socket::signed_in(http, &user.token, &[]).await;
            let frame = Frame::subscribe("1", &format!("/nowhere/{number}"));
            socket.send(FINAL | TEXT, &frame.encode()).await;
            socket
        }
    };
    // Each of these is told why and closed.
    socket.rest().await;
}

/// Upgraded, and asking to be let in with this token.
async fn connecting(http: &str, token: &str) -> Socket {
    let mut socket = Socket::upgrade(http, &[]).await;
    let connect = Frame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("Authorization", format!("Bearer {token}"));
    socket.send(FINAL | TEXT, &connect.encode()).await;
    socket
}
