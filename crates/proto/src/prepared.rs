//! A message encoded once to be sent to many.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::copying::append;
use crate::deflate::{Compress, Shape, give_encoder, give_scratch, take_encoder, take_scratch};
use crate::header::{FrameHeader, MAX_HEADER_LEN, RSV1};
use crate::message::Message;

/// A message whose frame is already encoded, for sending the same to many peers.
///
/// A server sends the shared bytes as they are. A client must mask each frame with a key of its
/// own (RFC 6455 §5.3), so there only the message is shared.
///
/// With permessage-deflate it is compressed when a connection first wants it so, and once for each
/// size of window, of which there are seven; every other connection shares the bytes. That is done
/// at once and whole: a large message is better sent to one connection before it goes to many.
///
/// Cloning it costs a reference count.
///
/// ```
/// use stentor_proto::{Message, Prepared};
///
/// let news = Prepared::new(Message::from("news"));
/// assert_eq!(news.message().as_text(), Some("news"));
/// ```
#[derive(Clone, Debug)]
pub struct Prepared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    frame: Bytes,
    message: Message,
    compress: Compress,
    /// For each window from 2^9 to 2^15; `None` inside when it does not become smaller.
    deflated: [OnceLock<Option<Deflated>>; 7],
}

/// A compressed message's frame, which refers to no message before it.
#[derive(Debug)]
pub(crate) struct Deflated {
    frame: Bytes,
    header_len: usize,
}

impl Prepared {
    /// Encodes `message`; copies its payload once.
    #[must_use]
    pub fn new(message: Message) -> Self {
        Self::with(message, Compress::ByThreshold)
    }

    /// Encodes `message`, to be compressed or not where permessage-deflate was agreed on.
    ///
    /// ```
    /// use stentor_proto::{Compress, Message, Prepared};
    ///
    /// // A token beside what others have written: its length must not tell about it.
    /// let welcome = Prepared::with(Message::from(r#"{"token":"s3cret"}"#), Compress::Never);
    /// assert_eq!(welcome.message().len(), 18);
    /// ```
    #[must_use]
    pub fn with(message: Message, compress: Compress) -> Self {
        let (frame, _) = encode(0, &message, message.payload());
        Self(Arc::new(Inner { frame, message, compress, deflated: Default::default() }))
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// Whether it is to be compressed.
    pub(crate) fn compress(&self) -> Compress {
        self.0.compress
    }

    /// The whole frame as a server sends it uncompressed.
    pub(crate) fn frame(&self) -> &Bytes {
        &self.0.frame
    }

    /// Whether [`deflated`](Self::deflated) is known already.
    pub(crate) fn is_deflated(&self, shape: Shape) -> bool {
        self.0.deflated.get(shape.window_class()).is_some_and(|slot| slot.get().is_some())
    }

    /// The message compressed in the window of `shape`; whoever asks first decides about the rest of
    /// it. `None` when it does not become smaller.
    pub(crate) fn deflated(&self, shape: Shape) -> Option<&Deflated> {
        let slot = self.0.deflated.get(shape.window_class())?;
        slot.get_or_init(|| self.deflate(shape)).as_ref()
    }

    fn deflate(&self, shape: Shape) -> Option<Deflated> {
        let message = self.message();
        let mut encoder = take_encoder(shape);
        let mut scratch = take_scratch(0);
        let len = encoder.finish(message.payload(), &mut scratch);
        give_encoder(encoder);
        let smaller = len < message.len() || self.0.compress == Compress::Always;
        let payload = scratch.get(..len).filter(|_| smaller);
        let deflated = payload.map(|payload| {
            let (frame, header_len) = encode(RSV1, message, payload);
            Deflated { frame, header_len }
        });
        give_scratch(scratch);
        deflated
    }
}

impl Deflated {
    /// The whole frame as a server sends it.
    pub(crate) fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    /// What a client masks.
    pub(crate) fn payload(&self) -> Bytes {
        self.frame.slice(self.header_len..)
    }
}

/// A message's only frame, and how long its header is.
fn encode(rsv: u8, message: &Message, payload: &[u8]) -> (Bytes, usize) {
    let payload_len = payload.len() as u64;
    let header = FrameHeader { fin: true, rsv, opcode: message.opcode(), mask: None, payload_len };
    let mut frame = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
    header.encode(&mut frame);
    let header_len = frame.len();
    append(&mut frame, payload);
    (frame.into(), header_len)
}

impl From<Message> for Prepared {
    fn from(message: Message) -> Self {
        Self::new(message)
    }
}
