//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use lexopt::prelude::{Long, Value, ValueExt};

use crate::Result;
use crate::wire::{Kind, Shape};

/// What to do, to whom, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) command: String,
    pub(crate) server: SocketAddr,
    pub(crate) pid: u32,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) shape: Shape,
    pub(crate) raw: bool,
    /// The parameters of permessage-deflate as offered; empty for none.
    pub(crate) deflate: Option<String>,
    pub(crate) duration: Duration,
    pub(crate) messages: u64,
    /// Messages a second, over all connections.
    pub(crate) rate: f64,
    pub(crate) count: usize,
    /// Connections that never read, beside the others; that there are none is a comparison.
    pub(crate) slow_readers: Option<usize>,
}

impl Arguments {
    pub(crate) fn parse() -> Result<Self> {
        let mut all = Self {
            command: String::new(),
            server: SocketAddr::from(([127, 0, 0, 1], 0)),
            pid: 0,
            connections: 1,
            in_flight: 1,
            shape: Shape { kind: Kind::Binary, payload: 16 },
            raw: false,
            deflate: None,
            duration: Duration::from_secs(1),
            messages: u64::MAX,
            rate: 10_000.0,
            count: 1000,
            slow_readers: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(command) if all.command.is_empty() => all.command = command.string()?,
                Long("server") => all.server = parser.value()?.parse()?,
                Long("pid") => all.pid = parser.value()?.parse()?,
                Long("connections") => all.connections = parser.value()?.parse()?,
                Long("in-flight") => all.in_flight = parser.value()?.parse()?,
                Long("payload") => all.shape.payload = parser.value()?.parse()?,
                Long("kind") => all.shape.kind = parser.value()?.string()?.parse()?,
                Long("raw") => all.raw = true,
                Long("deflate") => all.deflate = Some(parser.value()?.string()?),
                Long("seconds") => all.duration = Duration::from_secs_f64(parser.value()?.parse()?),
                Long("messages") => all.messages = parser.value()?.parse()?,
                Long("rate") => all.rate = parser.value()?.parse()?,
                Long("count") => all.count = parser.value()?.parse()?,
                Long("slow-readers") => all.slow_readers = Some(parser.value()?.parse()?),
                Long("help") => all.command = String::from("help"),
                _ => return Err(argument.unexpected().into()),
            }
        }
        if !all.server.ip().is_loopback() {
            return Err("only a server on this machine is loaded".into());
        }
        Ok(all)
    }
}
