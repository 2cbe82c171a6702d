//! One whole Roomlog: its servers and its services as processes, each of which can be stopped, frozen and killed.

mod dev;
#[cfg(feature = "kafka-tls")]
mod given;
mod real;
mod stored;

use std::{
    env,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::OnceCell;

use self::real::Servers;
use super::{
    process::{Process, Program},
    rest::Rest,
    scratch, settings,
    user::User,
};

/// What a system runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    /// `roomlog dev`: everything in one process, on the stand-ins.
    Embedded,
    /// Kafka with so many brokers, DynamoDB Local and Redis, and a process for each service.
    Real { brokers: usize },
}

/// How large a system is. The embedded stack has one of each, whatever is said here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) stack: Stack,
    pub(crate) gateways: usize,
    pub(crate) fanouts: usize,
    pub(crate) persisters: usize,
    /// Over how many replica groups the fanouts are spread: one or two.
    pub(crate) groups: usize,
    /// Whether a link that can fail lies between any two processes of a real stack.
    pub(crate) linked: bool,
}

/// The services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Gateway,
    Fanout,
    Persister,
}

/// A running system.
pub(crate) struct System {
    services: Vec<Service>,
    servers: Option<Servers>,
    /// The variables every program of this system gets.
    variables: Vec<(String, String)>,
    /// Where the stores answer, whichever they are.
    pub(crate) kafka: String,
    pub(crate) dynamodb: String,
    pub(crate) redis: String,
}

struct Service {
    role: Role,
    process: Process,
    ready: Value,
}

/// Names the stack of the behaviour suite: `embedded` or `real`.
const STACK_VARIABLE: &str = "ROOMLOG_TEST_STACK";
/// A debug build on two busy cores, with servers just born.
const READY_LIMIT: Duration = Duration::from_secs(180);
/// Longer than any service takes to finish what it began.
const STOP_LIMIT: Duration = Duration::from_secs(120);
/// Put before table names, so that nothing works by the default alone.
const TABLE_PREFIX: &str = "it-";

/// The settings of the strict system: what one user may send at once, and how far behind one may be resumed.
const STRICT: [(&str, &str); 3] = [
    ("ROOMLOG_SENDS_BURST", "20"),
    ("ROOMLOG_SENDS_PER_SECOND", "1"),
    ("ROOMLOG_RESUME_EVENTS", "10"),
];

// === impl Stack ===

impl Stack {
    /// The stack the behaviour suite is to run on.
    pub(crate) fn chosen() -> Self {
        match std::env::var(STACK_VARIABLE).as_deref() {
            Ok("embedded") | Err(_) => Self::Embedded,
            Ok("real") => Self::Real { brokers: 1 },
            Ok(other) => panic!("{STACK_VARIABLE}={other}: expected `embedded` or `real`"),
        }
    }
}

// === impl Shape ===

impl Shape {
    /// One of each service.
    pub(crate) const fn single(stack: Stack) -> Self {
        Self::of_each(stack, 1)
    }

    /// So many of each service.
    pub(crate) const fn of_each(stack: Stack, count: usize) -> Self {
        Self {
            stack,
            gateways: count,
            fanouts: count,
            persisters: count,
            groups: 2,
            linked: false,
        }
    }
}

// === impl System ===

impl System {
    /// The system of the behaviour suite, started once for all of its tests.
    ///
    /// A start that fails is not tried again by each of them.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<System> = OnceCell::const_new();
        static TRIED: AtomicBool = AtomicBool::new(false);
        let start = async || {
            let tried = TRIED.swap(true, Ordering::Relaxed);
            assert!(!tried, "the shared system did not start for another test");
            Self::start(Shape::single(Stack::chosen())).await
        };
        SHARED.get_or_init(start).await
    }

    /// Another one, whose bounds can be reached with a few messages.
    pub(crate) async fn strict() -> &'static Self {
        static SHARED: OnceCell<System> = OnceCell::const_new();
        static TRIED: AtomicBool = AtomicBool::new(false);
        let start = async || {
            let tried = TRIED.swap(true, Ordering::Relaxed);
            assert!(!tried, "the strict system did not start for another test");
            Self::start_with(Shape::single(Stack::chosen()), &STRICT).await
        };
        SHARED.get_or_init(start).await
    }

    /// A system of the test's own.
    pub(crate) async fn start(shape: Shape) -> Self {
        Self::start_with(shape, &[]).await
    }

    /// The same, with settings other than the harness's.
    pub(crate) async fn start_with(shape: Shape, settings: &[(&str, &str)]) -> Self {
        let mut variables = settings::common(TABLE_PREFIX);
        variables.retain(|(name, _)| settings.iter().all(|(other, _)| name != other));
        variables.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        );
        match shape.stack {
            Stack::Embedded => Self::embedded(&[], variables).await,
            Stack::Real { brokers } => Self::real(shape, brokers, variables).await,
        }
    }

    /// The `roomlog` program with this system's settings, as an operator's tool.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Program {
        program(
            arguments.first().copied().unwrap_or("roomlog"),
            arguments,
            self.variables.clone(),
        )
    }

    /// The same for a tool that reads the log, which an embedded system's settings name no more than its store.
    pub(crate) fn at_its_log(&self, arguments: &[&str]) -> Program {
        let mut tool = self.tool(arguments);
        for (key, value) in [
            ("ROOMLOG_KAFKA_BROKERS", &self.kafka),
            ("ROOMLOG_DYNAMODB_ENDPOINT", &self.dynamodb),
        ] {
            tool.variables.retain(|(name, _)| name != key);
            tool.variables.push((key.into(), value.clone()));
        }
        tool
    }

    /// A gateway's address, from 0.
    pub(crate) fn http(&self, gateway: usize) -> String {
        with_scheme("http", self.address(Role::Gateway, gateway, "http"))
    }

    /// Every gateway's address.
    pub(crate) fn gateways(&self) -> Vec<String> {
        let count = self
            .services
            .iter()
            .filter(|service| service.role == Role::Gateway)
            .count();
        (0..count).map(|gateway| self.http(gateway)).collect()
    }

    /// Every gateway's address as clients reach it over their links.
    pub(crate) fn linked_gateways(&self) -> Vec<String> {
        let links = self
            .servers
            .as_ref()
            .and_then(|servers| servers.links.as_ref());
        let gateways = &links.expect("a linked system").gateways;
        gateways
            .iter()
            .map(|link| with_scheme("http", &link.address()))
            .collect()
    }

    /// Where a service shows its health and metrics.
    pub(crate) fn admin(&self, role: Role, index: usize) -> Rest {
        Rest::new(
            &with_scheme("http", self.address(role, index, "admin")),
            None,
        )
    }

    /// Where that is.
    pub(crate) fn admin_address(&self, role: Role, index: usize) -> String {
        self.address(role, index, "admin").to_owned()
    }

    fn address(&self, role: Role, index: usize, name: &str) -> &str {
        let ready = &self.services[self.position(role, index)].ready;
        ready[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {ready}"))
    }

    /// A new user at the first gateway.
    pub(crate) fn user(&self, name: &str) -> User {
        User::new(name, &self.http(0))
    }

    /// The servers of a real stack.
    pub(crate) fn servers(&mut self) -> &mut Servers {
        self.servers.as_mut().expect("a real stack")
    }

    /// What each service has logged.
    pub(crate) fn logs(&self) -> Vec<String> {
        let processes = self.services.iter().map(|service| &service.process);
        processes.map(Process::errors).collect()
    }

    /// None of its services has panicked in any of its tasks, which alone would end no process.
    pub(crate) fn has_not_panicked(&self) {
        for log in self.logs() {
            let panicked = log.lines().find(|line| line.contains("panicked at"));
            assert_eq!(panicked, None);
        }
    }

    /// A service's process, from 0.
    pub(crate) fn process(&mut self, role: Role, index: usize) -> &mut Process {
        let position = self.position(role, index);
        &mut self.services[position].process
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, role: Role, index: usize) {
        self.process(role, index).kill();
    }

    /// Starts a stopped or killed service again, on the same addresses, and waits until it is ready.
    pub(crate) async fn restart(&mut self, role: Role, index: usize) {
        let position = self.position(role, index);
        let service = &mut self.services[position];
        service.process.start_again();
        service.ready = ready(&mut service.process).await;
        // Stand-ins, which a service of a real stack says nothing about, are elsewhere after each start.
        if service.ready.get("dynamodb").is_some() {
            self.find_stand_ins();
        }
    }

    /// SIGTERM, and waits for a good end.
    pub(crate) async fn stop_gracefully(&mut self, role: Role, index: usize) {
        let process = self.process(role, index);
        process.terminate();
        let status = process.exited(STOP_LIMIT).await;
        assert!(status.success(), "{role:?} {index} ended with {status:?}");
    }

    fn position(&self, role: Role, index: usize) -> usize {
        let mut positions =
            (0..self.services.len()).filter(|position| self.services[*position].role == role);
        positions
            .nth(index)
            .unwrap_or_else(|| panic!("no {role:?} {index}"))
    }
}

// === impl Role ===

impl Role {
    fn command(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Fanout => "fanout",
            Self::Persister => "persister",
        }
    }
}

fn program(name: &str, arguments: &[&str], variables: Vec<(String, String)>) -> Program {
    Program {
        name: name.into(),
        path: binary(),
        arguments: arguments
            .iter()
            .map(|argument| String::from(*argument))
            .collect(),
        variables,
        folder: scratch::folder(name),
    }
}

/// The program under test: the one that is built with the tests, unless the variable names another.
fn binary() -> PathBuf {
    let built = || env!("CARGO_BIN_EXE_roomlog").into();
    env::var_os("ROOMLOG_TEST_BINARY").map_or_else(built, PathBuf::from)
}

/// The addresses of its READY line.
async fn ready(process: &mut Process) -> Value {
    let line = process.says("READY ", READY_LIMIT).await;
    let json = line.strip_prefix("READY ").expect("READY begins its line");
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in {line:?}"))
}

fn with_scheme(scheme: &str, address: &str) -> String {
    if address.contains("://") {
        address.into()
    } else {
        format!("{scheme}://{address}")
    }
}
