//! Runs one hot path so many times, for a profiler or for callgrind.

use stentor_paths::path::all;
use stentor_paths::row::Kind;
use stentor_paths::runtime;

const USAGE: &str = "\
stentor-paths --list         our hot paths: messages in a call, and the name, a line each
stentor-paths NAME CALLS     calls one of them so many times";

/// Calls before the ones that count, in which buffers grow to their size.
const WARM_UP: u32 = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    use lexopt::prelude::{Long, Value, ValueExt};

    let runtime = runtime();
    let _guard = runtime.enter();
    let mut paths = all().into_iter().filter(|path| path.kind == Kind::Ours);
    let mut arguments = lexopt::Parser::from_env();
    match arguments.next()? {
        Some(Long("list")) => paths.for_each(|path| println!("{} {}", path.messages, path.id())),
        Some(Value(name)) => {
            let name = name.string()?;
            let calls: u32 = arguments.value()?.parse()?;
            let path = paths.find(|path| path.id() == name).ok_or("no path of that name: see --list")?;
            let mut work = (path.make)();
            (0..WARM_UP + calls).for_each(|_| work());
        }
        _ => println!("{USAGE}"),
    }
    Ok(())
}
