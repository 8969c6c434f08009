//! What connections hold in memory: bounded under attack, little when idle. Bytes are counted by
//! the allocator, for the one thread that a test runs on.

#[path = "../support/mod.rs"]
mod support;

mod idle;
mod kept_message;
mod lengths;
mod over_tcp;
mod per_connection;
mod slow_peer;
mod slow_reader;

use tokio::runtime::{Builder, Runtime};

/// Bytes on the heap, beyond those before the test.
#[derive(Clone, Copy, Debug)]
struct Heap {
    /// At most, at any time.
    most: usize,
    /// In the end, with what the test keeps.
    live: usize,
}

/// Runs a test on paused time and counts.
fn measured<T>(test: impl Future<Output = T>) -> (Heap, T) {
    measured_in(&Builder::new_current_thread().enable_all().start_paused(true).build().unwrap(), test)
}

/// Runs a test whose sockets are the kernel's and counts.
fn measured_in_real_time<T>(test: impl Future<Output = T>) -> (Heap, T) {
    measured_in(&Builder::new_current_thread().enable_all().build().unwrap(), test)
}

fn measured_in<T>(runtime: &Runtime, test: impl Future<Output = T>) -> (Heap, T) {
    // The buffers that a thread keeps belong to it, not to a connection.
    runtime.block_on(warm_up());
    let mut output = None;
    let info = allocation_counter::measure(|| output = Some(runtime.block_on(test)));
    let heap = Heap {
        most: usize::try_from(info.bytes_max).unwrap(),
        live: usize::try_from(info.bytes_current.max(0)).unwrap(),
    };
    (heap, output.unwrap())
}

async fn warm_up() {
    use support::{echo, handle};
    let (client, server) = stentor_testkit::transport::pipe(support::PIPE);
    let echoing = handle(&stentor::Config::default(), server, echo);
    let mut socket = stentor::Client::new().connect_over("ws://server/", client).await.unwrap();
    socket.send("hello").await.unwrap();
    socket.recv().await.unwrap();
    socket.close(1000.into(), "").await.unwrap();
    drop(socket);
    echoing.await.unwrap().unwrap();
}
