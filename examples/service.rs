//! An echo server as a service: sockets that systemd hands in, an answer for balancers, farewells on SIGTERM.
//! Its unit files are in `examples/service`.
//! `cargo run --release --example service -- --notice 5 --listen 127.0.0.1:8080`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stentor::http::{Request, Response, StatusCode};
use stentor::{BoxError, Drain, Limits, Listener, Server, Shutdown, WebSocket};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let notice = Duration::from_secs(argument("--notice").unwrap_or_default().parse().unwrap_or(0));
    let mut listeners = listen()?.into_iter();
    let Some(first) = listeners.next() else { return Err("there is nothing to listen on".into()) };
    if let Ok(address) = first.local_addr() {
        println!("listening on http://{address}");
    }
    let server = listeners.fold(Server::from_listener(first), Server::listen_on);
    // Fewer than LimitNOFILE= of the unit.
    let limits = Limits { max_connections: 65_000, ..Limits::default() };
    let server = server.limits(limits).workers(std::thread::available_parallelism()?.get());

    let leaving = Arc::new(AtomicBool::new(false));
    let (shutdown, left) = (server.shutdown(), Arc::clone(&leaving));
    let server = server.http(move |request: Request<_>| {
        let status = match request.uri().path() {
            "/ready" if leaving.load(Ordering::Relaxed) => StatusCode::SERVICE_UNAVAILABLE,
            "/ready" => StatusCode::OK,
            _ => StatusCode::NOT_FOUND,
        };
        let mut response = Response::new("".into());
        *response.status_mut() = status;
        std::future::ready(response)
    });
    tokio::try_join!(async { Ok(server.serve(echo).await?) }, leave(shutdown, left, notice))?;
    Ok(())
}

async fn echo(mut socket: WebSocket) -> stentor::Result<()> {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
}

/// Once it is told to: the balancer learns it first, and has some time to send clients elsewhere.
async fn leave(shutdown: Shutdown, leaving: Arc<AtomicBool>, notice: Duration) -> Result<(), BoxError> {
    terminated().await?;
    leaving.store(true, Ordering::Relaxed);
    tokio::time::sleep(notice).await;
    let left = shutdown.drain(Drain::restart(Duration::from_secs(5))).await?;
    println!("{} of {} left cleanly", left.cleanly, left.connections);
    Ok(())
}

/// What systemd hands in, or an address on which each worker has a socket of its own.
#[cfg(unix)]
fn listen() -> Result<Vec<Listener>, BoxError> {
    let handed_in = Listener::from_env()?;
    if !handed_in.is_empty() {
        return Ok(handed_in);
    }
    let address = argument("--listen").unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    Ok(vec![Listener::bind_reuse_port(address.parse()?)?])
}

#[cfg(not(unix))]
fn listen() -> Result<Vec<Listener>, BoxError> {
    let address = argument("--listen").unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    Ok(vec![std::net::TcpListener::bind(address)?.try_into()?])
}

#[cfg(unix)]
async fn terminated() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn terminated() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// The argument after this one.
fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
