//! Steady-state echo allocates nothing per message on the server: text and binary, one message at a
//! time and pipelined, with and without `split`.
//!
//! The server, its runtime and the handler share one thread, whose allocations are counted; the
//! client is a plain socket on another, with frames encoded beforehand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use stentor::proto::Role;
use stentor::{HandlerOutput, Observed, Observer, Server, Traffic, WebSocket};
use stentor_testkit::frame::{Frame, binary, text};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

/// Enough messages for buffers and queues to have reached their size.
const WARM_UP: usize = 256;
const COUNTED: usize = 2048;

/// A client that the system holds up leaves the server with more at once than before, and it takes a
/// block more. That is no steady state, so it is measured again, at most so often.
const ATTEMPTS: usize = 3;

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

async fn echo_fed(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.feed(message).await?;
    }
    Ok(())
}

async fn echo_split(socket: WebSocket) -> stentor::Result<()> {
    let (sender, mut receiver) = socket.split();
    while let Some(message) = receiver.recv().await? {
        sender.send(message).await?;
    }
    Ok(())
}

#[test]
fn echoing_one_message_at_a_time_allocates_nothing() {
    for message in messages() {
        assert_eq!(steady_allocations(echo, &message, 1), 0, "{}", name(&message));
    }
}

#[test]
fn echoing_pipelined_messages_allocates_nothing() {
    for message in messages() {
        assert_eq!(steady_allocations(echo, &message, 16), 0, "{}", name(&message));
        assert_eq!(steady_allocations(echo_fed, &message, 16), 0, "{}, fed", name(&message));
    }
}

#[test]
fn echoing_through_split_halves_allocates_nothing() {
    for message in messages() {
        assert_eq!(steady_allocations(echo_split, &message, 1), 0, "{}", name(&message));
        assert_eq!(steady_allocations(echo_split, &message, 16), 0, "{}, pipelined", name(&message));
    }
}

/// To be watched costs time, but no memory for each message.
#[test]
fn echoing_while_observed_allocates_nothing() {
    for message in messages() {
        for in_flight in [1, 16] {
            let sent = Arc::new(AtomicU64::new(0));
            let observed = |server: Server| server.observe(Sum(Arc::clone(&sent)));
            let allocated = steady(|| allocations_of(observed, echo, &message, in_flight));
            assert_eq!(allocated, 0, "{}, {in_flight} at a time", name(&message));
            assert!(sent.load(Ordering::Relaxed) >= (COUNTED * message.payload.len()) as u64);
        }
    }
}

/// Adds up what is sent.
struct Sum(Arc<AtomicU64>);

impl Observer for Sum {
    fn traffic(&self, _: &Observed<'_>, traffic: &Traffic) {
        self.0.fetch_add(traffic.sent.payload, Ordering::Relaxed);
    }
}

/// What a passing test counts is really counted: a handler that allocates is caught.
#[test]
fn a_handler_that_allocates_is_seen() {
    async fn echo_copies(mut socket: WebSocket) -> stentor::Result<()> {
        while let Some(message) = socket.recv().await? {
            socket.send(message.as_bytes().to_vec()).await?;
        }
        Ok(())
    }
    assert!(allocations(echo_copies, &binary([7; 16]), 1) >= COUNTED as u64);
}

/// Text and binary, with each form of the header that such sizes have, up to 4 KiB.
fn messages() -> impl Iterator<Item = Frame> {
    let sizes = [16, 125, 126, 1024, 4096];
    sizes.into_iter().flat_map(|size| [text("x".repeat(size)), binary(vec![0xa5; size])])
}

fn name(message: &Frame) -> String {
    format!("opcode {}, {} bytes", message.opcode, message.payload.len())
}

/// The least that [`allocations`] counts in a few attempts.
fn steady_allocations<H, F>(handler: H, message: &Frame, in_flight: usize) -> u64
where
    H: Fn(WebSocket) -> F + Copy + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    steady(|| allocations(handler, message, in_flight))
}

fn steady(allocations: impl Fn() -> u64) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..ATTEMPTS {
        least = least.min(allocations());
        if least == 0 {
            break;
        }
    }
    least
}

/// Allocations that the server's thread makes for [`COUNTED`] messages, of which `in_flight` are
/// sent before the first is read back.
fn allocations<H, F>(handler: H, message: &Frame, in_flight: usize) -> u64
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    allocations_of(|server| server, handler, message, in_flight)
}

/// The same of a server with other settings.
fn allocations_of<H, F>(
    set: impl FnOnce(Server) -> Server,
    handler: H,
    message: &Frame,
    in_flight: usize,
) -> u64
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let address = start(&runtime, set, handler);
    let (warmed_up, finished) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (go, told_to_go) = mpsc::channel();
    let client = thread::spawn({
        let (warmed_up, finished) = (warmed_up.clone(), finished.clone());
        let mut client = Client::new(address, message, in_flight);
        move || {
            let mut stream = client.connect();
            client.exchange(&mut stream, WARM_UP);
            warmed_up.notify_one();
            told_to_go.recv().unwrap();
            client.exchange(&mut stream, COUNTED);
            finished.notify_one();
        }
    });
    runtime.block_on(warmed_up.notified());
    go.send(()).unwrap();
    let counted = allocation_counter::measure(|| runtime.block_on(finished.notified()));
    client.join().unwrap();
    counted.count_total
}

fn start<H, F>(runtime: &Runtime, set: impl FnOnce(Server) -> Server, handler: H) -> SocketAddr
where
    H: Fn(WebSocket) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    let server = runtime.block_on(Server::bind("127.0.0.1:0")).unwrap();
    let address = server.local_addr().unwrap();
    runtime.spawn(set(server).serve(handler));
    address
}

/// A client that sends the same burst again and again.
struct Client {
    address: SocketAddr,
    in_flight: usize,
    burst: Vec<u8>,
    echo: Vec<u8>,
    received: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr, message: &Frame, in_flight: usize) -> Self {
        let burst = message.encode(Role::Client).repeat(in_flight);
        let echo = message.encode(Role::Server).repeat(in_flight);
        let received = vec![0; echo.len()];
        Self { address, in_flight, burst, echo, received }
    }

    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .write_all(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            )
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        stream
    }

    fn exchange(&mut self, stream: &mut TcpStream, messages: usize) {
        for _ in 0..messages / self.in_flight {
            stream.write_all(&self.burst).unwrap();
            stream.read_exact(&mut self.received).unwrap();
            assert!(self.received == self.echo);
        }
    }
}
