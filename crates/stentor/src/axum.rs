//! Stentor inside a router of axum 0.8, with the feature `axum`.
//!
//! The [`Upgrader`] has the settings, hooks and limits, and counts the connections. It is the router's
//! state, or a part of it, and [`Upgrade`] is the extractor of a handler. A request that is out of order,
//! from a foreign page, or refused by a hook, never gets as far as the handler.
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use axum::{Router, response::Response, routing::any};
//! use stentor::axum::Upgrade;
//! use stentor::http::StatusCode;
//! use stentor::{Acceptor, Client, Rejection, Upgrader, WebSocket};
//!
//! #[derive(Clone)]
//! struct User(String);
//!
//! async fn ws(upgrade: Upgrade) -> Response {
//!     upgrade.on_upgrade(async |mut socket: WebSocket| {
//!         let User(name) = socket.context().cloned().expect("nobody else is let in");
//!         socket.send(format!("hello {name}")).await
//!     })
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> stentor::Result<()> {
//! let acceptor = Acceptor::new().authorize(async |request| match request.cookie("session") {
//!     Some("1234") => Ok(User("ann".into())),
//!     _ => Err(Rejection::new(StatusCode::FORBIDDEN, "log in first")),
//! });
//! let app = Router::new().route("/ws", any(ws)).with_state(Upgrader::new(acceptor));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let uri = format!("ws://{}/ws", listener.local_addr()?);
//! // So that clients are counted by address.
//! let app = app.into_make_service_with_connect_info::<SocketAddr>();
//! tokio::spawn(async { axum::serve(listener, app).await });
//!
//! let cookie = "session=1234".parse().expect("a header value");
//! let client = Client::new().header(stentor::http::header::COOKIE, cookie);
//! let mut socket = client.connect(&*uri).await?;
//! assert_eq!(socket.recv().await?, Some("hello ann".into()));
//! assert_eq!(stentor::connect(&*uri).await.unwrap_err().status(), Some(StatusCode::FORBIDDEN));
//! # Ok(())
//! # }
//! ```
//!
//! A state of your own implements axum's [`FromRef`] for the upgrader. A route that needs no handler, or
//! an upgrader of its own, takes a service: `route_service("/ws", upgrader.service(echo))`.
//!
//! Hooks see what middleware has put among the request's extensions, by
//! [`UpgradeRequest::request`](crate::UpgradeRequest::request).
//!
//! axum forgets a connection once it is upgraded: after `axum::serve` has ended, take the connections down
//! by [`Upgrader::shutdown`].
//!
//! WebSocket over HTTP/2 (RFC 8441) is answered 505. Clients open a connection of HTTP/1.1 for it, unless
//! the server has told them that they need not, as `axum::serve` does with axum's feature `http2`.

use ::axum::body::Body;
use ::axum::extract::{FromRef, FromRequestParts};
use ::axum::response::Response;
use ::hyper::upgrade::OnUpgrade;
use http::Request;
use http::request::Parts;

use crate::http_upgrade::HttpUpgrade;
use crate::upgrader::Upgrader;

/// The extractor of a handler that upgrades, by the [`Upgrader`] in the router's state: see the
/// [module](self).
pub type Upgrade = HttpUpgrade<Body>;

/// The upgrader is the router's state, or a part of it: see [`FromRef`].
impl<S> FromRequestParts<S> for HttpUpgrade<Body>
where
    Upgrader: FromRef<S>,
    S: Sync,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        // For nobody else: there is one byte stream to be had.
        let upgraded = parts.extensions.remove::<OnUpgrade>();
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        *request.extensions_mut() = parts.extensions.clone();
        if let Some(upgraded) = upgraded {
            request.extensions_mut().insert(upgraded);
        }
        crate::hyper::upgrade(&Upgrader::from_ref(state), request).await
    }
}
