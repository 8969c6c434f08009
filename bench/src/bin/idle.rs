//! Resident bytes per idle connection: `README.md` says what they mean.

use std::error::Error;
use std::io;
use std::time::SystemTime;

use stentor_bench::idle::client::Client;
use stentor_bench::idle::memory::{ServerProcess, raise_open_files};
use stentor_bench::idle::servers::Server;
use stentor_bench::scenario::Scenario;

const USAGE: &str = "\
idle [--connections N] [--only NAME]   the table, or the rows whose name contains NAME
idle --serve NAME                      the server alone; ends when its input does";

const SMALL: Scenario = Scenario { name: "125 B text", messages: 1, payload: 125, text: true };
const LARGE: Scenario = Scenario { name: "16 KiB binary", messages: 1, payload: 16 * 1024, text: false };

/// What a server loads once, code and runtime, is loaded by so many connections before the
/// measurement; few, so that what they leave behind in the heap is small against the rest.
const WARM_UP: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    use lexopt::prelude::{Long, ValueExt};

    let mut connections = 10_000;
    let mut only = String::new();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("connections") => connections = arguments.value()?.parse()?,
            Long("only") => only = arguments.value()?.string()?,
            Long("serve") => {
                let name = arguments.value()?;
                let server = Server::ALL.into_iter().find(|server| name == server.name());
                raise_open_files()?;
                return Ok(server.ok_or("no server of that name")?.run()?);
            }
            _ => {
                println!("{USAGE}");
                return Ok(());
            }
        }
    }
    let open_files = raise_open_files()?;
    // Both processes need one per connection, and a few for themselves.
    if u64::try_from(connections)? + 64 > open_files {
        return Err(format!("{connections} connections need more open files than {open_files}").into());
    }
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    println!("resident bytes per connection, {connections} connections, unix time {since_epoch}\n");
    println!("| server | connected | after {} | after {} |\n|---|---:|---:|---:|", SMALL.name, LARGE.name);
    for server in Server::ALL.into_iter().filter(|server| server.name().contains(&only)) {
        let [connected, small, large] = measure(server, connections)?;
        println!("| {:<44} | {connected:>7} | {small:>7} | {large:>7} |", server.name());
    }
    Ok(())
}

fn measure(server: Server, connections: usize) -> io::Result<[i64; 3]> {
    let process = ServerProcess::start(server)?;
    for _ in 0..WARM_UP {
        let mut client = Client::connect(process.port)?;
        client.exchange(&SMALL)?;
        client.exchange(&LARGE)?;
    }
    let before = process.settled_memory()?;
    let per_connection = || -> io::Result<i64> {
        let grown = process.settled_memory()?.cast_signed() - before.cast_signed();
        Ok(grown / i64::try_from(connections).map_err(io::Error::other)?)
    };

    let mut clients =
        (0..connections).map(|_| Client::connect(process.port)).collect::<io::Result<Vec<_>>>()?;
    let connected = per_connection()?;
    clients.iter_mut().try_for_each(|client| client.exchange(&SMALL))?;
    let small = per_connection()?;
    clients.iter_mut().try_for_each(|client| client.exchange(&LARGE))?;
    Ok([connected, small, per_connection()?])
}
