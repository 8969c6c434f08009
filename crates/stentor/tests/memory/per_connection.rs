//! What a server holds for each connection that is open and at rest.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use stentor::{Rejection, Server};
use stentor_testkit::peer::request;

use crate::measured_in_real_time;
use crate::support::{self, echo, serve};

const CONNECTIONS: usize = 500;

/// A client without any memory of its own: it asks, and its answer is read later.
fn asking(addr: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(addr).unwrap();
    client.write_all(request("/", "").as_bytes()).unwrap();
    client
}

/// The bytes that each idle connection of this server holds.
fn held_by_each(server: impl AsyncFn() -> Server) -> usize {
    let mut held = [0; 2];
    for (connections, held) in [CONNECTIONS, 2 * CONNECTIONS].into_iter().zip(&mut held) {
        let (heap, _clients) = measured_in_real_time(async {
            let addr = serve(server().await, echo);
            let mut clients = Vec::with_capacity(2 * CONNECTIONS);
            while clients.len() < connections {
                clients.push(asking(addr));
                let client = clients.last_mut().expect("just pushed");
                client.set_nonblocking(true).unwrap();
                let mut answer = [0; 512];
                while client.read(&mut answer).is_err() {
                    tokio::task::yield_now().await;
                }
            }
            // The last one's task comes to rest, too.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            clients
        });
        *held = heap.live;
    }
    (held[1] - held[0]) / CONNECTIONS
}

#[test]
fn an_idle_connection_holds_little_and_what_was_asked_for() {
    // The buffers that the thread keeps are made once.
    held_by_each(support::server);
    let plain = held_by_each(support::server);
    println!("a server holds {plain} bytes for an idle connection");
    // With all features, of which `tracing` takes the most.
    assert!(plain <= 1400, "{plain}");
    let uri = held_by_each(async || support::server().await.keep_uri()) - plain;
    let unit = held_by_each(async || support::server().await.authorize(async |_| Ok::<_, Rejection>(())));
    let context = async || support::server().await.authorize(async |_| Ok::<_, Rejection>([0_u64; 4]));
    let context = held_by_each(context) - plain;
    println!("a URI adds {uri}, a context of 32 bytes {context}");
    assert!(uri <= 144 && context <= 356, "{uri} {context}");
    assert_eq!(unit, plain, "a context that says nothing");
}
