//! What a client sends at once, and what an echo server must answer, byte for byte.

/// A client's opening handshake, with the key of RFC 6455's own example (§1.3).
pub const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// The accept key that answers it.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One burst of equal messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The name in the table.
    pub name: &'static str,
    /// Messages in one burst.
    pub messages: usize,
    /// Payload bytes of each.
    pub payload: usize,
    /// Text, else binary.
    pub text: bool,
}

/// Everything that the `in_memory` table measures.
pub const SCENARIOS: [Scenario; 4] = [
    Scenario { name: "64 x 16 B binary", messages: 64, payload: 16, text: false },
    Scenario { name: "64 x 125 B text", messages: 64, payload: 125, text: true },
    Scenario { name: "64 x 1 KiB binary", messages: 64, payload: 1024, text: false },
    Scenario { name: "4 x 16 KiB binary", messages: 4, payload: 16 * 1024, text: false },
];

impl Scenario {
    /// The masked frames of the burst, as a client writes them (RFC 6455 §5.2).
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        // Any odd multiplier spreads the keys; each frame has one of its own, as §5.3 demands.
        let mut key = 0x9e37_79b9_u32;
        for payload in self.payloads() {
            key = key.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
            self.header(&mut wire, 0x80);
            wire.extend_from_slice(&key.to_be_bytes());
            let masked = payload.iter().zip(key.to_be_bytes().into_iter().cycle());
            wire.extend(masked.map(|(byte, mask)| byte ^ mask));
        }
        wire
    }

    /// The unmasked frames that answer it.
    #[must_use]
    pub fn echo(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for payload in self.payloads() {
            self.header(&mut wire, 0);
            wire.extend_from_slice(&payload);
        }
        wire
    }

    /// The payloads of the messages.
    pub fn payloads(&self) -> impl Iterator<Item = Vec<u8>> + use<> {
        let line = "{\"from\":\"stentor\",\"text\":\"a line of chat as people write them\"} ";
        let &Self { messages, payload, text, .. } = self;
        (0..messages).map(move |message| {
            let bytes = line.bytes().cycle().skip(message).take(payload);
            if text { bytes.collect() } else { bytes.map(|byte| byte.wrapping_mul(167)).collect() }
        })
    }

    fn header(&self, wire: &mut Vec<u8>, mask_bit: u8) {
        wire.push(0x80 | if self.text { 0x1 } else { 0x2 });
        match u16::try_from(self.payload).expect("scenarios stay below 64 KiB") {
            len @ 0..=125 => wire.push(mask_bit | len.to_le_bytes()[0]),
            len => {
                wire.push(mask_bit | 0x7e);
                wire.extend_from_slice(&len.to_be_bytes());
            }
        }
    }
}
