//! Resident bytes per idle connection: after the handshake, after a small message, after a large one.

use crate::Result;
use crate::arguments::Arguments;
use crate::engine::Engine;
use crate::process::settled_memory;
use crate::wire::{Kind, Shape};

const SMALL: Shape = Shape { kind: Kind::Text, payload: 125 };
const LARGE: Shape = Shape { kind: Kind::Binary, payload: 16 * 1024 };

/// What a server loads once, code and runtime, is loaded by so many connections before the
/// measurement; few, so that what they leave behind in the heap is small against the rest.
const WARM_UP: usize = 4;

/// How many connections are busy at a time.
const AT_ONCE: usize = 16;

pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let with = |connections, shape| Arguments { connections, shape, in_flight: 1, ..arguments.clone() };
    for shape in [SMALL, LARGE] {
        let arguments = with(WARM_UP, shape);
        Engine::open(&arguments)?.verify(&arguments)?;
    }
    let before = settled_memory(arguments.pid)?;
    let per_connection = || -> Result<i64> {
        let grown = settled_memory(arguments.pid)?.cast_signed() - before.cast_signed();
        Ok(grown / i64::try_from(arguments.connections)?)
    };

    let small = with(arguments.connections, SMALL);
    let mut engine = Engine::open(&small)?;
    let connected = per_connection()?;
    one_each(&mut engine)?;
    let after_small = per_connection()?;
    let large = with(arguments.connections, LARGE);
    engine.change_to(&large);
    one_each(&mut engine)?;
    let after_large = per_connection()?;
    Ok(format!(
        r#"{{"connections":{},"connected":{connected},"after_small":{after_small},"after_large":{after_large}}}"#,
        arguments.connections
    ))
}

/// One message on each connection, a few connections at a time.
fn one_each(engine: &mut Engine) -> Result {
    let connections = engine.connections.len();
    for first in (0..connections).step_by(AT_ONCE) {
        engine.run(first..connections.min(first + AT_ONCE), 1, |_| false)?;
    }
    Ok(())
}
