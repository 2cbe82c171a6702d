//! `roomlog dev`: what it says when it is ready, what it keeps, and what a slow store slows down.
//!
//! It is the embedded stack itself, so these tests have nothing to show on real servers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::harness::{
    Frame, Role, Stack, StompClient, System, User,
    process::Program,
    rest::Rest,
    scratch,
    stomp::Arrival,
    traffic::{Seen, message_ids},
    wait::{SOON, until, within},
};

/// The room every development system has.
const LOBBY: &str = "lobby";
/// Enough for a kill to fall between appending, numbering, storing and acknowledging.
const POSTS_PER_ROUND: usize = 200;
/// After so many receipts of a round it is killed.
const RECEIPTS_PER_ROUND: usize = 60;
const ROUNDS: usize = 3;

/// How much longer the slow store takes for every request.
const SLOW: &str = "2s";
const SLOW_MS: u64 = 2_000;
const SLOW_POSTS: usize = 3;

fn is_embedded() -> bool {
    Stack::chosen() == Stack::Embedded
}

/// Somebody with one of the tokens that a development system printed.
fn printed(system: &System, id: &str, token: &str) -> User {
    let http = system.http(0);
    User {
        id: id.into(),
        rest: Rest::new(&http, Some(token)),
        token: token.into(),
        http,
    }
}

fn token(system: &System, id: &str) -> String {
    let token = system.ready_line()["tokens"][id].as_str();
    token.expect("a token for each demo user").to_owned()
}

// === READY and banner ===

#[tokio::test]
async fn the_ready_line_has_addresses_and_tokens_that_sign_in() {
    if !is_embedded() {
        return;
    }
    let system = System::dev(&[]).await;
    let tokens = system.ready_line()["tokens"].as_object().expect("tokens");
    assert_eq!(tokens.keys().collect::<Vec<_>>(), ["alice", "bob"]);
    let alice = printed(&system, "alice", &token(&system, "alice"));
    let bob = printed(&system, "bob", &token(&system, "bob"));
    let (mut listening, head) = bob.watches(LOBBY).await;
    let mut speaking = alice.connects().await;
    let connected = speaking.connected.clone().expect("just now");
    assert_eq!(connected.header("user-name"), "alice");
    speaking.request(Frame::send(LOBBY, "hello, bob")).await;
    let heard = listening.message(LOBBY).await;
    assert_eq!(
        (heard.number("seq"), heard.json()["text"].as_str()),
        (head + 1, Some("hello, bob"))
    );

    let health = system.admin(Role::Gateway, 0).get("/health/ready").await;
    assert_eq!(health.status, 200, "{health:?}");
    let registry = system.ready_line()["registry"]
        .as_str()
        .expect("an address");
    let subjects = Rest::new(registry, None).get("/subjects").await.ok();
    assert!(
        subjects.as_array().is_some_and(|names| !names.is_empty()),
        "{subjects}"
    );
    // Kafka, DynamoDB and Redis are where it says: a tool reads the log there, and a client the tables.
    let replayed = system
        .at_its_log(&["replay", "--room", LOBBY])
        .run(SOON)
        .await;
    assert!(replayed.contains("hello, bob"), "{replayed}");
    until("the message to be stored", SOON, async || {
        let stored = system.stored_events().await;
        let lobby = stored.get(LOBBY)?;
        lobby
            .iter()
            .any(|event| event.seq == head + 1)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_banner_has_addresses_tokens_and_lines_that_work_when_copied() {
    if !is_embedded() {
        return;
    }
    let mut system = System::dev(&[]).await;
    let copied = "send --url";
    system.process(Role::Gateway, 0).says(copied, SOON).await;
    let banner = system.process(Role::Gateway, 0).output();
    let http = system.http(0);
    let address = |name: &str| {
        let address = system.ready_line()[name].as_str().expect("an address");
        address.to_owned()
    };
    for line in [
        format!("Open {http}/ and chat."),
        format!("STOMP     {}/ws", http.replacen("http", "ws", 1)),
        format!("REST      {http}/api/v1, described at {http}/api/docs"),
        format!("Kafka     {}", address("kafka")),
        format!("DynamoDB  {}", address("dynamodb")),
        format!("Redis     {}", address("redis")),
        format!("Schemas   {}", address("registry")),
        format!("export ALICE={}", token(&system, "alice")),
        format!("export BOB={}", token(&system, "bob")),
        "in this process's memory".into(),
    ] {
        assert!(banner.contains(&line), "{line:?} in {banner}");
    }
    let lines: Vec<&str> = banner.lines().map(str::trim).collect();
    let line = |tool: &str| {
        let found = lines.iter().find(|line| line.contains(tool));
        found.unwrap_or_else(|| panic!("no {tool:?} in {banner}"))
    };
    let exports: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| line.starts_with("export "))
        .collect();
    let shell = |line: &str| {
        let script = format!("{}\n{line}", exports.join("\n"));
        let program = system.tool(&["copied"]);
        Program {
            path: "sh".into(),
            arguments: vec!["-c".into(), script],
            ..program
        }
    };
    let sent = shell(line(copied)).run(SOON).await;
    let sent: Value = serde_json::from_str(&sent).expect("what send prints");
    assert!(sent["seq"].is_u64(), "{sent}");
    let tailed = shell(&format!("{} --count 1", line("tail --url")))
        .run(SOON)
        .await;
    assert!(tailed.contains("hello"), "{tailed}");
}

// === --data ===

/// What one connection to the lobby has been told.
#[derive(Default)]
struct Told {
    receipts: BTreeSet<String>,
    events: Vec<Seen>,
}

impl Told {
    fn take(&mut self, frame: &Frame) {
        match frame.command.as_str() {
            "RECEIPT" => {
                self.receipts.insert(frame.header("receipt-id").to_owned());
            }
            "MESSAGE" => self.events.push(Seen {
                seq: frame.number("seq"),
                count: frame.number("count"),
                id: frame.json()["id"].as_str().expect("an id").to_owned(),
                kind: frame.header("type").to_owned(),
            }),
            _ => panic!("{frame:?}"),
        }
    }

    /// Reads on until this is so, or to the end of the connection.
    async fn read(&mut self, client: &mut StompClient, enough: impl Fn(&Self) -> bool) {
        within("receipts and events of the lobby", SOON, async {
            while !enough(self) {
                match client.arrival().await {
                    Arrival::Frame(frame) => self.take(&frame),
                    Arrival::Beat => {}
                    Arrival::Closed(_) => return,
                }
            }
        })
        .await;
    }
}

/// Connects, reads the lobby from its first event on, and sends these posts, each with its id.
async fn reads_all_and_sends(user: &User, posts: &VecDeque<String>) -> StompClient {
    let mut client = user.connects().await;
    let all = Frame::subscribe(LOBBY, &format!("/topic/rooms/{LOBBY}"));
    let posts = posts
        .iter()
        .map(|id| Frame::send(LOBBY, id).with("id", id).with("receipt", id));
    let frames = std::iter::once(all.with("since", 0)).chain(posts);
    let sent = client.try_send_all(frames).await;
    sent.expect("an open connection");
    client
}

/// Rounds of the stand-ins for Kafka and DynamoDB as well: each kill takes them along.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_receipted_survives_sigkill_of_dev() {
    if !is_embedded() {
        return;
    }
    let data = scratch::folder("data");
    let mut system = System::dev(&["--data", &data.display().to_string()]).await;
    let token = token(&system, "alice");
    // What was shown of each seq, whenever that was.
    let mut shown: BTreeMap<u64, Seen> = BTreeMap::new();
    let mut receipted = BTreeSet::new();
    let mut open = VecDeque::new();
    for round in 0..ROUNDS {
        open.extend((0..POSTS_PER_ROUND).map(|number| format!("m-{round}-{number}")));
        let mut client = reads_all_and_sends(&printed(&system, "alice", &token), &open).await;
        let mut told = Told::default();
        told.read(&mut client, |told| {
            told.receipts.len() >= RECEIPTS_PER_ROUND
        })
        .await;
        system.kill(Role::Gateway, 0);
        told.read(&mut client, |_| false).await;
        assert!(told.receipts.len() >= RECEIPTS_PER_ROUND);
        agrees(&mut shown, &told.events);
        open.retain(|id| !told.receipts.contains(id));
        receipted.append(&mut told.receipts);
        system.restart(Role::Gateway, 0).await;
    }

    // As any client does, it sends again what has no receipt, with the same ids.
    let mut client = reads_all_and_sends(&printed(&system, "alice", &token), &open).await;
    let mut told = Told::default();
    let messages = ROUNDS * POSTS_PER_ROUND;
    told.read(&mut client, |told| {
        told.receipts.len() == open.len() && message_ids(&told.events).len() == messages
    })
    .await;
    agrees(&mut shown, &told.events);
    let ids: BTreeSet<&str> = message_ids(&told.events).into_iter().collect();
    assert_eq!(ids.len(), messages, "each message is there once");
    assert!(receipted.iter().all(|id| ids.contains(id.as_str())));
    let seqs: Vec<u64> = told.events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    until("the tables to hold the very same", SOON, async || {
        (system.stored_events().await.get(LOBBY) == Some(&told.events)).then_some(())
    })
    .await;
}

/// Whatever was shown under a seq before is shown under it again.
fn agrees(shown: &mut BTreeMap<u64, Seen>, events: &[Seen]) {
    for event in events {
        let before = shown.entry(event.seq).or_insert_with(|| event.clone());
        assert_eq!(before, event);
    }
}

// === --slow-store ===

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_delays_storing_only() {
    if !is_embedded() {
        return;
    }
    let system = System::dev(&["--slow-store", SLOW]).await;
    let alice = printed(&system, "alice", &token(&system, "alice"));
    // Whoever comes in waits for the store, and comes in.
    let (mut client, _) = alice.watches(LOBBY).await;
    let mut delivered_after_ms = Vec::new();
    for number in 0..SLOW_POSTS {
        let id = format!("slow-{number}");
        client
            .request(Frame::send(LOBBY, "hello").with("id", &id))
            .await;
        client.message(LOBBY).await;
        let trace = until("the message to be stored", SOON, async || {
            let trace = alice.rest.get(&format!("trace/{id}")).await.ok();
            trace["persisted_ms"].is_u64().then_some(trace)
        })
        .await;
        let at = |station: &str| trace[station].as_u64().unwrap_or_else(|| panic!("{trace}"));
        // Not since it was acknowledged: a busy gateway may notice that late.
        assert!(at("persisted_ms") >= at("accepted_ms") + SLOW_MS, "{trace}");
        delivered_after_ms.push(at("delivered_ms") - at("accepted_ms"));
    }
    // Had delivery waited for the store, none would have come sooner than the store answers. A busy machine may delay
    // some of them as long, yet not for that reason.
    let fastest = delivered_after_ms.iter().min().expect("some");
    assert!(*fastest < SLOW_MS, "{delivered_after_ms:?}");
}
