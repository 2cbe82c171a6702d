//! What the end-to-end suites are written in: real servers, a running Roomlog, its users, and traffic between them.

pub(crate) mod collector;
pub(crate) mod device;
mod disk;
mod documented;
pub(crate) mod dynamo;
pub(crate) mod files;
pub(crate) mod kafka;
pub(crate) mod model;
mod port;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod pulse;
pub(crate) mod records;
pub(crate) mod redis;
pub(crate) mod rest;
pub(crate) mod scratch;
#[cfg(feature = "kafka-tls")]
pub(crate) mod secure;
mod settings;
pub(crate) mod socket;
pub(crate) mod stomp;
pub(crate) mod system;
#[cfg(feature = "msk-iam")]
pub(crate) mod token_door;
pub(crate) mod tools;
pub(crate) mod traffic;
pub(crate) mod user;
pub(crate) mod wait;

pub(crate) use {
    stomp::{Frame, StompClient},
    system::{Role, Shape, Stack, System},
    user::{Room, User},
};
