//! A server whose hooks refuse in every way, for clients that are no WebSocket clients, and for browsers.

use std::time::Duration;

use stentor::http::header::{RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use stentor::http::{HeaderValue, Request, Response, StatusCode};
use stentor::proto::bytes::Bytes;
use stentor::{Acceptance, Config, HandshakeLimits, Rejection, Server, UpgradeRequest, WebSocket};

use crate::Result;
use crate::page::page;

/// How long a hook may take here, and a client that was let in for the closing.
const PATIENCE: Duration = Duration::from_millis(200);

/// Serves until the process is ended.
pub(crate) async fn run() -> Result {
    let handshake = HandshakeLimits { authorize_timeout: PATIENCE, ..HandshakeLimits::default() };
    let config = Config { handshake, close_timeout: PATIENCE, ..Config::default() };
    let server = Server::bind("127.0.0.1:0")
        .await?
        .config(config)
        .authorize(authorize)
        .subprotocols(["v1"])
        .require_subprotocol()
        .http(tell)
        .edit_response(|_, response: &mut Acceptance| {
            for cookie in ["a=1; HttpOnly", "b=2"] {
                response.headers.append(SET_COOKIE, HeaderValue::from_static(cookie));
            }
        });
    println!("listening on http://{}", server.local_addr()?);
    // Whoever is let in is told so, and closed.
    Ok(server.serve(async |mut socket: WebSocket| socket.send("let in").await).await?)
}

async fn authorize(request: UpgradeRequest) -> std::result::Result<(), Rejection> {
    match request.uri().path() {
        "/refused" => Err(refusal()),
        "/slow" => std::future::pending().await,
        "/panic" => panic!("a hook that panics"),
        _ => Ok(()),
    }
}

fn refusal() -> Rejection {
    Rejection::new(StatusCode::UNAUTHORIZED, "log in first")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        .header(RETRY_AFTER, HeaderValue::from_static("7"))
}

/// Scripts learn nothing of why a WebSocket was refused. Here they can ask in plain HTTP.
async fn tell(request: Request<Bytes>) -> Response<Bytes> {
    match request.uri().path() {
        "/refused" => refusal().into(),
        "/panic" => panic!("a hook that panics"),
        _ => page(request).await,
    }
}
