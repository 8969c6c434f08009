//! What panics in the code of an application ends one connection at most, over real sockets. Hooks that
//! decide about a request have their tests in `hooks`, handlers in `close`.

use stentor::http::StatusCode;
use stentor::{Acceptor, Closed, Config, Observed, Observer, ProtocolError, Refused, Rejection, Traffic};
use stentor_testkit::frame::{close, ping, pong, text};
use tokio::io::AsyncReadExt as _;

use std::time::Duration;

use crate::hosts::{Host, on_every_host};
use crate::support::{ask_refused, connect, echo, raw_client, serve, server, soon};

on_every_host![an_observer_and_an_error_hook_that_always_panic_disturb_nobody,];

/// Panics whatever it is told.
struct Clumsy;

impl Observer for Clumsy {
    fn refused(&self, _: &Refused<'_>) {
        panic!("refused");
    }

    fn opened(&self, _: &Observed<'_>) {
        panic!("opened");
    }

    fn ping(&self, _: &Observed<'_>, _: &[u8]) {
        panic!("ping");
    }

    fn pong(&self, _: &Observed<'_>, _: &[u8], _: Option<Duration>) {
        panic!("pong");
    }

    fn violation(&self, _: &Observed<'_>, _: ProtocolError) {
        panic!("violation");
    }

    fn traffic(&self, _: &Observed<'_>, _: &Traffic) {
        panic!("traffic");
    }

    fn closed(&self, _: &Observed<'_>, _: &Closed) {
        panic!("closed");
    }
}

async fn an_observer_and_an_error_hook_that_always_panic_disturb_nobody(host: Host) {
    let acceptor = Acceptor::new()
        .config(Config::default())
        .observe(Clumsy)
        .on_error(|_, error| panic!("told of {error}"))
        .authorize(async |request| match request.uri().path() {
            "/forbidden" => Err(Rejection::new(StatusCode::FORBIDDEN, "no")),
            "/panic" => panic!("as it was asked to"),
            _ => Ok(()),
        });
    let handler = async |socket| {
        echo(socket).await.expect("a connection that ends well");
    };
    let addr = host.serve(acceptor, handler).await;
    let mut bystander = connect(addr).await;
    for _ in 0..3 {
        // Each of these has something to tell to an observer, or to the error hook.
        let refused = |path| stentor_testkit::peer::request(path, "");
        assert_eq!(ask_refused(addr, &refused("/forbidden")).await, (403, "no".to_owned()));
        assert_eq!(ask_refused(addr, &refused("/panic")).await, (500, "internal error".to_owned()));
        let mut client = raw_client(addr).await;
        client.send(&ping("a")).await;
        soon(client.expect(pong("a"))).await;
        client.send(&pong("b")).await;
        client.send(&text("c")).await;
        soon(client.expect(text("c"))).await;
        client.send(&text("d").unmasked()).await;
        soon(client.expect_close(1002)).await;
        // Dropped without a Close frame, which is an error of the handler's.
        drop(raw_client(addr).await);
        let mut client = raw_client(addr).await;
        client.send(&close(1000, "bye")).await;
        soon(client.expect(close(1000, "bye"))).await;
        bystander.send("still here").await.unwrap();
        assert_eq!(soon(bystander.recv()).await.unwrap(), Some("still here".into()));
    }
}

/// The filter is asked where connections are accepted, and what it panics with is told to the hook.
#[tokio::test]
async fn a_filter_and_an_error_hook_that_panic_do_not_end_the_accepting() {
    let barred = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let bars = std::sync::Arc::clone(&barred);
    let server = server()
        .await
        .accept_filter(move |_| {
            assert!(!bars.load(std::sync::atomic::Ordering::Relaxed), "a filter that panics");
            true
        })
        .on_error(|_, error| panic!("told of {error}"));
    let addr = serve(server, echo);
    for _ in 0..3 {
        let mut tcp = tokio::net::TcpStream::connect(addr).await.unwrap();
        assert_eq!(soon(tcp.read_to_end(&mut Vec::new())).await.unwrap(), 0, "it was let in");
    }
    barred.store(false, std::sync::atomic::Ordering::Relaxed);
    let mut client = connect(addr).await;
    client.send("hi").await.unwrap();
    assert_eq!(soon(client.recv()).await.unwrap(), Some("hi".into()));
}
