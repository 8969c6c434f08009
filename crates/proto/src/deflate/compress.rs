//! Whether one message is compressed.

/// Whether a message is compressed, where permessage-deflate was agreed on; where it was not,
/// nothing is ever compressed.
///
/// A message that holds a secret beside something that an attacker can choose should not be
/// compressed: the length would tell about the secret (RFC 7692 §8).
///
/// ```
/// use std::{sync::Arc, time::Instant};
/// use stentor_proto::{Compress, Config, Connection, DeflateParams, Message};
///
/// let mut server = Connection::server(Arc::new(Config::default()), Instant::now())
///     .with_deflate(DeflateParams::default());
/// let page = "<p>nothing secret</p>".repeat(100);
/// server.send(Message::from(page.as_str()))?;
/// assert!(server.queued() < 100);
/// server.send_with(Message::from(page.as_str()), Compress::Never)?;
/// assert!(server.queued() > page.len());
/// # Ok::<(), stentor_proto::Misuse>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compress {
    /// When the payload is at least [`Deflate::threshold`](crate::Deflate::threshold) bytes long
    /// and becomes smaller.
    #[default]
    ByThreshold,
    /// Whatever its length, even when that makes it longer.
    Always,
    /// Not at all.
    Never,
}
