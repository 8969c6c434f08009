//! Echo server on Stentor, as `bench-stentor`, that answers a plain HTTP request with how often it has
//! asked the allocator for memory so far. A program of its own, because counting costs time.

use std::alloc::System;
use std::error::Error;
use std::future::ready;
use std::io;

use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use stentor::http::Response;
use stentor::{Config, Server, WebSocket};
use stentor_bench_harness::{Options, run};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Box<dyn Error>> {
    Options::parse()?;
    run(async |listener| {
        let count = |_| {
            let stats = ALLOCATOR.stats();
            ready(Response::new(Bytes::from((stats.allocations + stats.reallocations).to_string())))
        };
        let server = Server::from_listener(listener).config(Config::default()).http(count);
        server.serve(echo).await.map_err(io::Error::other)
    })?;
    Ok(())
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}
