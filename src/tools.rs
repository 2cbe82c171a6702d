//! The tools: results on stdout, everything else on stderr.

pub(crate) mod config;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod replay;
pub(crate) mod rest;
pub(crate) mod schema;
pub(crate) mod send;
mod stomp_client;
pub(crate) mod tables;
pub(crate) mod tail;
pub(crate) mod token;
pub(crate) mod topics;
pub(crate) mod trace;
