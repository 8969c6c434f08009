//! What an echo costs at least, without any library.
//!
//! `epoll` and `tokio` echo TCP: what the system, and tokio over it, cost. `ideal-epoll` and
//! `ideal-tokio` are echo servers for WebSocket written by hand in place: what a perfect library
//! would cost. `ideal-owned` hands every message out to be kept, as libraries do.

mod epoll;
mod frames;
mod owned;
mod tokio_loop;

use std::error::Error;

use stentor_bench_harness::Options;

/// The bytes that one read takes at most. Up to here larger ones make TCP cheaper, from here on no more.
const BUFFER: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    match Options::parse()?.variant.as_deref() {
        Some("epoll") => epoll::run(epoll::Answer::Bytes)?,
        Some("ideal-epoll") => epoll::run(epoll::Answer::Messages)?,
        Some("tokio") => tokio_loop::run_tcp()?,
        Some("ideal-tokio") => tokio_loop::run_ideal()?,
        Some("ideal-owned") => owned::run()?,
        _ => return Err("epoll, ideal-epoll, tokio, ideal-tokio or ideal-owned".into()),
    }
    Ok(())
}
