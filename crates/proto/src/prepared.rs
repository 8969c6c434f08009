//! A message encoded once to be sent to many.

use bytes::Bytes;

use crate::header::{FrameHeader, MAX_HEADER_LEN};
use crate::message::Message;

/// A message whose frame is already encoded, for sending the same to many peers.
///
/// A server sends the shared bytes as they are. A client must mask each frame with a key of its
/// own (RFC 6455 §5.3), so there only the message is shared.
///
/// ```
/// use stentor_proto::{Message, Prepared};
///
/// let news = Prepared::new(Message::from("news"));
/// assert_eq!(news.message().as_text(), Some("news"));
/// ```
#[derive(Clone, Debug)]
pub struct Prepared {
    frame: Bytes,
    message: Message,
}

impl Prepared {
    /// Encodes `message`; copies its payload once.
    #[must_use]
    pub fn new(message: Message) -> Self {
        let payload = message.payload();
        let header = FrameHeader {
            fin: true,
            rsv: 0,
            opcode: message.opcode(),
            mask: None,
            payload_len: payload.len() as u64,
        };
        let mut frame = Vec::with_capacity(MAX_HEADER_LEN + payload.len());
        header.encode(&mut frame);
        frame.extend_from_slice(payload);
        Self { frame: frame.into(), message }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The whole frame as a server sends it.
    pub(crate) fn frame(&self) -> &Bytes {
        &self.frame
    }
}

impl From<Message> for Prepared {
    fn from(message: Message) -> Self {
        Self::new(message)
    }
}
