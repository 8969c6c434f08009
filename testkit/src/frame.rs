//! Frames made and taken apart by hand (RFC 6455 §5.2), right ones and wrong ones.

use stentor_proto::Role;

/// One frame as a test wants it on the wire.
///
/// ```
/// use stentor_proto::Role;
/// use stentor_testkit::frame::{close, text};
///
/// assert_eq!(text("Hello").encode(Role::Server), b"\x81\x05Hello");
/// assert_eq!(text("Hel").more().encode(Role::Server), b"\x01\x03Hel");
/// assert_eq!(close(1000, "").encode(Role::Server), b"\x88\x02\x03\xe8");
/// let key = [0x37, 0xfa, 0x21, 0x3d];
/// let masked = text("Hello").masked_with(key).encode(Role::Client);
/// assert_eq!(masked, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// RSV1, RSV2 and RSV3, RSV1 highest.
    pub rsv: u8,
    /// The four opcode bits.
    pub opcode: u8,
    /// Masked or not.
    pub masking: Masking,
    /// How the length is written.
    pub length: LengthForm,
    /// The length in the header, when it is not that of `payload`.
    pub declared: Option<u64>,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

/// Whether a frame is masked, and with which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// A client's frame is masked, a server's is not (RFC 6455 §5.1).
    ByRole,
    /// Not masked, whoever sends it.
    Never,
    /// Masked with this key, whoever sends it.
    Key([u8; 4]),
}

/// The three ways to write a payload length (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthForm {
    /// The shortest that holds the length, as the RFC demands.
    Minimal,
    /// 126 and two bytes.
    Two,
    /// 127 and eight bytes.
    Eight,
}

/// The key of frames that are masked for no other reason than their sender's role.
pub const USUAL_KEY: [u8; 4] = [0xa1, 0x5e, 0x07, 0xf0];

/// A frame with any opcode, FIN set.
#[must_use]
pub fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame {
        fin: true,
        rsv: 0,
        opcode,
        masking: Masking::ByRole,
        length: LengthForm::Minimal,
        declared: None,
        payload: payload.as_ref().to_vec(),
    }
}

/// A whole text message.
#[must_use]
pub fn text(text: impl AsRef<[u8]>) -> Frame {
    frame(0x1, text)
}

/// A whole binary message.
#[must_use]
pub fn binary(payload: impl AsRef<[u8]>) -> Frame {
    frame(0x2, payload)
}

/// The last fragment of a message.
#[must_use]
pub fn continuation(payload: impl AsRef<[u8]>) -> Frame {
    frame(0x0, payload)
}

/// A Close frame with a code and a reason.
#[must_use]
pub fn close(code: u16, reason: &str) -> Frame {
    frame(0x8, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A Close frame without a body.
#[must_use]
pub fn close_without_code() -> Frame {
    frame(0x8, [])
}

/// A Ping.
#[must_use]
pub fn ping(payload: impl AsRef<[u8]>) -> Frame {
    frame(0x9, payload)
}

/// A Pong.
#[must_use]
pub fn pong(payload: impl AsRef<[u8]>) -> Frame {
    frame(0xa, payload)
}

impl Frame {
    /// This frame without its FIN bit: more fragments follow.
    #[must_use]
    pub fn more(mut self) -> Self {
        self.fin = false;
        self
    }

    /// This frame with these reserved bits, RSV1 highest.
    #[must_use]
    pub fn rsv(mut self, bits: u8) -> Self {
        self.rsv = bits;
        self
    }

    /// This frame unmasked, whoever sends it.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.masking = Masking::Never;
        self
    }

    /// This frame masked with `key`, whoever sends it.
    #[must_use]
    pub fn masked_with(mut self, key: [u8; 4]) -> Self {
        self.masking = Masking::Key(key);
        self
    }

    /// This frame with its length written in this form.
    #[must_use]
    pub fn length(mut self, form: LengthForm) -> Self {
        self.length = form;
        self
    }

    /// This frame with a header that announces `length` bytes, however many there are.
    #[must_use]
    pub fn declaring(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// The code and reason in the payload of a Close frame; the code 1005 when there is none.
    #[must_use]
    pub fn close_code_and_reason(&self) -> (u16, String) {
        assert_eq!(self.opcode, 0x8, "not a Close frame: {self:?}");
        match self.payload.as_slice() {
            [] => (1005, String::new()),
            [high, low, reason @ ..] => {
                let reason = std::str::from_utf8(reason).expect("a Close reason is UTF-8");
                (u16::from_be_bytes([*high, *low]), reason.to_owned())
            }
            [_] => panic!("half a close code"),
        }
    }

    /// The key that masks this frame when `sender` sends it.
    #[must_use]
    pub fn key(&self, sender: Role) -> Option<[u8; 4]> {
        match (self.masking, sender) {
            (Masking::Key(key), _) => Some(key),
            (Masking::ByRole, Role::Client) => Some(USUAL_KEY),
            (Masking::ByRole, Role::Server) | (Masking::Never, _) => None,
        }
    }

    /// The bytes on the wire when `sender` sends this frame.
    #[must_use]
    pub fn encode(&self, sender: Role) -> Vec<u8> {
        assert!(self.rsv < 8 && self.opcode < 16);
        let key = self.key(sender);
        let mask_bit = if key.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        let length = self.declared.unwrap_or(self.payload.len() as u64);
        match (self.length, length) {
            (LengthForm::Minimal, 0..=125) => bytes.push(mask_bit | u8::try_from(length).unwrap()),
            (LengthForm::Minimal, 126..=0xffff) | (LengthForm::Two, _) => {
                bytes.push(mask_bit | 0x7e);
                bytes.extend(u16::try_from(length).expect("two bytes of length").to_be_bytes());
            }
            (LengthForm::Minimal | LengthForm::Eight, _) => {
                bytes.push(mask_bit | 0x7f);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes.extend(key.into_iter().flatten());
        let start = bytes.len();
        bytes.extend_from_slice(&self.payload);
        if let Some(key) = key {
            mask(key, &mut bytes[start..], 0);
        }
        bytes
    }

    /// Takes the first frame off `bytes`, sent by `sender`; `None` when it is not whole.
    ///
    /// Panics when the frame breaks a rule that no valid sender breaks (RFC 6455 §5.1, §5.2, §5.5):
    /// a reserved bit or opcode, a mask that should or should not be there, a length in more bytes
    /// than it needs, a control frame that is fragmented or longer than 125 bytes.
    pub fn decode(bytes: &mut Vec<u8>, sender: Role) -> Option<Self> {
        Self::decode_with(bytes, sender, false)
    }

    /// The same where permessage-deflate was agreed on, if `deflate`: RSV1 is then right on the
    /// first frame of a message (RFC 7692 §6).
    pub fn decode_with(bytes: &mut Vec<u8>, sender: Role, deflate: bool) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (fin, rsv, opcode) = (first & 0x80 != 0, first >> 4 & 0x7, first & 0xf);
        let compressed = deflate && rsv == 0b100 && matches!(opcode, 1 | 2);
        assert!(rsv == 0 || compressed, "reserved bits in {first:#x}");
        assert!(matches!(opcode, 0..=2 | 8..=10), "reserved opcode {opcode:#x}");
        assert_eq!(second & 0x80 != 0, sender == Role::Client, "a client masks and a server does not");
        let (length, mut at) = match second & 0x7f {
            126 => {
                let length = u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()));
                assert!(length > 125, "length {length} in two bytes");
                (length, 4)
            }
            127 => {
                let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap());
                assert!(length > 0xffff && length < 1 << 63, "length {length} in eight bytes");
                (length, 10)
            }
            short => (u64::from(short), 2),
        };
        assert!(opcode < 8 || (fin && length <= 125), "control frame: fin {fin}, length {length}");
        let key: Option<[u8; 4]> = match sender {
            Role::Client => Some(bytes.get(at..at + 4)?.try_into().unwrap()),
            Role::Server => None,
        };
        at += key.map_or(0, |key| key.len());
        let end = at + usize::try_from(length).unwrap();
        let mut payload = bytes.get(at..end)?.to_vec();
        if let Some(key) = key {
            mask(key, &mut payload, 0);
        }
        bytes.drain(..end);
        let mut decoded = frame(opcode, payload);
        decoded.fin = fin;
        decoded.rsv = rsv;
        Some(decoded)
    }
}

/// RFC 6455 §5.3 as it stands there, `offset` bytes into a frame's payload.
pub fn mask(key: [u8; 4], payload: &mut [u8], offset: usize) {
    for (i, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[(offset + i) % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_section_5_7_come_out_byte_for_byte() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let hello = b"\x7f\x9f\x4d\x51\x58";
        assert_eq!(text("Hello").encode(Role::Server), b"\x81\x05Hello");
        assert_eq!(text("Hel").more().encode(Role::Server), b"\x01\x03Hel");
        assert_eq!(continuation("lo").encode(Role::Server), b"\x80\x02lo");
        assert_eq!(ping("Hello").encode(Role::Server), b"\x89\x05Hello");
        assert_eq!(
            pong("Hello").masked_with(key).encode(Role::Client),
            [b"\x8a\x85".as_slice(), &key, hello].concat()
        );
        assert_eq!(binary([7; 256]).encode(Role::Server)[..4], [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(binary(vec![7; 65536]).encode(Role::Server)[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_encoded_is_decoded_again() {
        for sender in [Role::Client, Role::Server] {
            for length in [0, 1, 125, 126, 127, 65535, 65536] {
                let sent = binary(vec![0x5a; length]).more();
                let mut bytes = sent.encode(sender);
                let last = bytes.pop().unwrap();
                assert_eq!(Frame::decode(&mut bytes, sender), None);
                bytes.push(last);
                assert_eq!(Frame::decode(&mut bytes, sender), Some(sent));
                assert!(bytes.is_empty());
            }
        }
    }

    #[test]
    #[should_panic = "a client masks"]
    fn an_unmasked_client_frame_is_noticed() {
        let _ = Frame::decode(&mut text("x").encode(Role::Server), Role::Client);
    }
}
