//! Server CPU per echoed message, with a number of messages always in flight.

use std::time::{Duration, Instant};

use crate::Result;
use crate::arguments::Arguments;
use crate::engine::Engine;
use crate::process::{cpu, own_cpu};

/// How much of the time goes to warming up, before anything is counted.
const WARM_UP: f64 = 0.15;

pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let mut engine = Engine::open(arguments)?;
    engine.verify(arguments)?;

    phase(&mut engine, arguments, arguments.duration.mul_f64(WARM_UP), arguments.messages / 10)?;
    let (server, own, bytes, start) = (cpu(arguments.pid)?, own_cpu()?, engine.bytes, Instant::now());
    let messages = phase(&mut engine, arguments, arguments.duration, arguments.messages)?;
    let (wall, own) = (start.elapsed(), own_cpu()? - own);
    let server = cpu(arguments.pid)? - server;
    Ok(format!(
        r#"{{"messages":{messages},"bytes":{},"all_messages":{},"server_cpu_ns":{server},"load_cpu_ns":{own},"wall_ns":{}}}"#,
        engine.bytes - bytes,
        engine.messages,
        wall.as_nanos()
    ))
}

/// Echoes until one of the bounds is reached; returns how many messages came back.
fn phase(engine: &mut Engine, arguments: &Arguments, duration: Duration, messages: u64) -> Result<u64> {
    let deadline = Instant::now() + duration;
    engine.run(0..arguments.connections, arguments.in_flight, |received| {
        received < messages && Instant::now() < deadline
    })
}
