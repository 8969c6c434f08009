//! The other libraries, each in the forms its own documentation shows, and batched by hand.

mod fastwebsockets;
mod sockudo_ws;
mod tokio_tungstenite;
mod tokio_websockets;
mod web_socket;
mod yawc;

use stentor_paths::row::Way;

/// Every peer's rows.
#[must_use]
pub fn ways() -> Vec<Way> {
    [
        tokio_tungstenite::ways(),
        tokio_websockets::ways(),
        fastwebsockets::ways(),
        sockudo_ws::ways(),
        web_socket::ways(),
        yawc::ways(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
