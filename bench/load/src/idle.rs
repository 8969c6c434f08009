//! What a server's resident memory grows by: with idle connections after the handshake, after a small
//! message on each, after a large one.

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
    // What is to be compressed should be worth it.
    let large = if arguments.deflate.is_some() { Shape { kind: Kind::Text, ..LARGE } } else { LARGE };
    for shape in [SMALL, large] {
        let arguments = with(WARM_UP, shape);
        Engine::open(&arguments)?.verify(&arguments)?;
    }
    let before = settled_memory(arguments.pid)?;
    let grown = || -> Result<i64> { Ok(settled_memory(arguments.pid)?.cast_signed() - before.cast_signed()) };

    let small = with(arguments.connections, SMALL);
    let mut engine = Engine::open(&small)?;
    let connected = grown()?;
    one_each(&mut engine)?;
    let after_small = grown()?;
    let large = with(arguments.connections, large);
    engine.change_to(&large);
    one_each(&mut engine)?;
    let after_large = grown()?;
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
