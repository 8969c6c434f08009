//! Behind a proxy: a server that believes it, and clients that see what it leaves of their connections. The paths and
//! checks are told in `conformance/README.md`.

pub(crate) mod client;
pub(crate) mod held;
pub(crate) mod server;
pub(crate) mod silence;

/// What the server sets, and refuses with: two, because each has a line of its own (RFC 6265 §3).
const COOKIES: [&str; 2] = ["a=1; HttpOnly", "b=2"];
/// The message in the body of a refusal.
const REFUSAL: &str = "not for you";
