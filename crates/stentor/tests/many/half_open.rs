//! Thousands who begin an opening handshake and never finish it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use stentor::{HandshakeLimits, Limits, Server, WebSocket};

use crate::{Clients, as_clients, how_many, wait_to_go_on};

/// In the other process: each sends a part of a request, and is seen to be closed in the end.
#[test]
#[ignore = "started by the test below"]
fn clients_that_dawdle() {
    let (addr, many) = as_clients();
    let began = Instant::now();
    let mut dawdlers = Vec::with_capacity(many);
    for index in 0..many {
        if index % 500 == 499 {
            catch_up(addr);
        }
        let mut tcp = TcpStream::connect(addr).unwrap();
        // Who is in the way has been dropped already, perhaps.
        let _ = tcp.write_all(b"GET / HTTP/1.1\r\nHost: ");
        dawdlers.push(tcp);
    }
    println!("opened {:.1} s", began.elapsed().as_secs_f64());
    wait_to_go_on();
    let (mut busy, mut late) = (0, 0);
    for mut tcp in dawdlers {
        let mut answer = Vec::new();
        // A reset behind the answer is an end, too.
        let _ = tcp.read_to_end(&mut answer);
        busy += usize::from(answer.starts_with(b"HTTP/1.1 503 "));
        late += usize::from(answer.starts_with(b"HTTP/1.1 408 "));
    }
    println!("closed {busy} {late}");
}

/// Waits until the server has come to this connection, and so past those before it. Otherwise the
/// operating system's queue would be full, and most of the time be spent in waiting for it.
fn catch_up(addr: SocketAddr) {
    let mut tcp = TcpStream::connect(addr).unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 426 "));
}

#[test]
fn a_new_client_is_served_at_once_in_bounded_memory_and_all_are_reaped() {
    let many = how_many(10_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let max_handshakes = Limits::default().max_handshakes;
    let deadline = HandshakeLimits::default().timeout;
    let heap = allocation_counter::measure(|| {
        runtime.block_on(async {
            let server = Server::bind("127.0.0.1:0").await.unwrap();
            let addr = server.local_addr().unwrap();
            let (connections, shutdown) = (server.connections(), server.shutdown());
            let serving = tokio::spawn(server.serve(async |mut socket: WebSocket| {
                while let Some(message) = socket.recv().await? {
                    socket.send(message).await?;
                }
                Ok::<_, stentor::Error>(())
            }));

            let mut clients = Clients::start("half_open::clients_that_dawdle", addr, many);
            let (mut clients, took) = tokio::task::spawn_blocking(move || {
                let took = clients.expect("opened");
                (clients, took)
            })
            .await
            .unwrap();
            println!("{many} half-open handshakes within {took}");

            // Now, and until the last of them is too late.
            let began = Instant::now();
            let mut slowest = Duration::ZERO;
            while began.elapsed() < deadline {
                let asked = Instant::now();
                let mut client = stentor::connect(format!("ws://{addr}/")).await.unwrap();
                client.send("hi").await.unwrap();
                assert_eq!(client.recv().await.unwrap(), Some("hi".into()));
                slowest = slowest.max(asked.elapsed());
                client.close(1000.into(), "").await.unwrap();
                drop(client);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            println!("a new client is served within {:.3} s", slowest.as_secs_f64());
            assert!(slowest < Duration::from_secs(1));

            clients.go_on();
            let closed = tokio::task::spawn_blocking(move || clients.expect("closed")).await.unwrap();
            let (busy, late) = closed.split_once(' ').unwrap();
            let [busy, late]: [usize; 2] = [busy, late].map(|count| count.parse().unwrap());
            println!("{busy} gave way, {late} were too late");
            assert_eq!(busy + late, many, "everybody is told why he has to go");
            // More only where opening them all took so long that the first were reaped meanwhile.
            assert!(late + 50 >= many.min(max_handshakes));

            assert!(connections.is_empty());
            shutdown.abort();
            serving.await.unwrap().unwrap();
        });
    });
    let held = many.min(max_handshakes) as u64;
    println!(
        "at most {} KiB on the heap: {} bytes for each of {held} at once",
        heap.bytes_max >> 10,
        heap.bytes_max / held
    );
    assert!(heap.bytes_max < held * 6144, "{}", heap.bytes_max);
}
