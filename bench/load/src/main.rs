//! The load generator: one thread on raw epoll that puts a server on this machine to work and
//! measures what that costs the server.
//!
//! [`wire`] makes what is sent and counts what comes back, [`connect`] opens connections, [`engine`]
//! keeps messages in flight; [`echo`], [`latency`], [`handshakes`] and [`idle`] are the four
//! measurements; [`slow`] opens connections that disturb; [`process`] reads what the operating system knows of the server. Every command
//! ends with one line of JSON.

mod arguments;
mod connect;
mod deflate;
mod echo;
mod engine;
mod handshakes;
mod idle;
mod latency;
mod poll;
mod process;
mod slow;
mod wire;

use std::error::Error;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
load echo --server ADDRESS --pid PID [OPTIONS] --seconds S   server CPU per echoed message
load latency … --rate MESSAGES-PER-SECOND --seconds S        round-trip times at a fixed rate
load handshakes … --count N                                  opening handshakes
load idle … --connections N                                  resident bytes per idle connection

  --raw               the server echoes TCP: no handshake, everything comes back as it was sent
  --connections C     how many (1)
  --in-flight M       messages in flight on each connection (1)
  --payload BYTES     of each message (16)
  --kind KIND         binary, text (ASCII) or wide (text of two to four bytes a character)
  --deflate OFFER     offers the extension with these parameters and sends compressed frames
  --slow-readers N    latency beside so many that never read, of a server that sends them its news
  --messages N        ends earlier, after so many messages
";

fn main() -> Result {
    let arguments = arguments::Arguments::parse()?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let report = match arguments.command.as_str() {
        "echo" => echo::run(&arguments)?,
        "latency" => latency::run(&arguments)?,
        "handshakes" => handshakes::run(&arguments)?,
        "idle" => idle::run(&arguments)?,
        _ => {
            print!("{USAGE}");
            return Ok(());
        }
    };
    println!("{report}");
    Ok(())
}
