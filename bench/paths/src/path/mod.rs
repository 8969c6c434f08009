//! What is done for every message, in pieces that can be run again and again.

mod assemble;
mod bytes;
mod deflate;
mod encode;
mod handshake;

use crate::row::{Kind, Task, Way};
use crate::scenario::{SCENARIOS, Scenario};
use crate::{ours, yardstick};

/// A piece of work.
pub struct Path {
    /// What is done, such as `decode, 64 x 16 B binary`; ours and its yardstick share it.
    pub group: String,
    /// Who does it.
    pub name: &'static str,
    /// Whose code it is.
    pub kind: Kind,
    /// How many messages one call of the work is about.
    pub messages: usize,
    /// The work, ready to be called.
    pub make: Box<dyn Fn() -> Box<dyn FnMut()>>,
}

impl Path {
    /// Its name in lists: group and name.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}: {}", self.group, self.name)
    }
}

/// One message at a time, as a server of many quiet clients sees it.
const SINGLE: Scenario = Scenario { name: "1 x 125 B text", messages: 1, payload: 125, text: true };

/// All of them.
#[must_use]
pub fn all() -> Vec<Path> {
    let ways = || [yardstick::ways(), ours::ways()].into_iter().flatten();
    let scenarios = || SCENARIOS.into_iter().chain([SINGLE]);
    let rows = scenarios().flat_map(|scenario| ways().map(move |way| row(way, scenario)));
    let messages = scenarios().flat_map(|scenario| encode::paths(&scenario));
    rows.chain(messages)
        .chain(bytes::paths())
        .chain(assemble::paths())
        .chain(handshake::paths())
        .chain(deflate::paths())
        .collect()
}

/// A row whose connection takes one burst at each call.
fn row(way: Way, scenario: Scenario) -> Path {
    let task = match way.task {
        Task::Echo => "echo",
        Task::Decode => "decode",
    };
    Path {
        group: format!("{task}, {}", scenario.name),
        name: way.name,
        kind: way.kind,
        messages: scenario.messages,
        make: Box::new(move || {
            let mut connection = (way.open)(&scenario);
            Box::new(move || connection.burst())
        }),
    }
}

/// Two ways to do the same.
fn pair(
    group: &str,
    messages: usize,
    yardstick: impl Fn() -> Box<dyn FnMut()> + 'static,
    ours: impl Fn() -> Box<dyn FnMut()> + 'static,
) -> [Path; 2] {
    let path = |name, kind, make| Path { group: group.to_owned(), name, kind, messages, make };
    [
        path("yardstick", Kind::Yardstick, Box::new(yardstick)),
        path("stentor-proto", Kind::Ours, Box::new(ours)),
    ]
}
