//! The 2 to 14 bytes before a frame's payload (RFC 6455 §5.2).
//!
//! ```text
//!  0               1               2               3
//!  F RRR OPCODE  M LENGTH          16-bit length when LENGTH = 126
//!                                  64-bit length when LENGTH = 127 …
//!                                  … then the masking key when M = 1
//! ```

use bytes::BufMut;

use crate::error::ProtocolError;
use crate::mask::MaskingKey;
use crate::opcode::Opcode;
use crate::role::Role;

/// The most bytes a header takes: two, a 64-bit length and a masking key.
pub const MAX_HEADER_LEN: usize = 14;

/// The reserved bit that says "compressed" where permessage-deflate was agreed on (RFC 7692 §6).
pub(crate) const RSV1: u8 = 0b100;

/// The most payload bytes of a Close, Ping or Pong frame (RFC 6455 §5.5).
pub const MAX_CONTROL_LEN: usize = 125;

/// Everything a frame says before its payload (RFC 6455 §5.2).
///
/// ```
/// use stentor_proto::{FrameHeader, Opcode, Role};
///
/// let header = FrameHeader { fin: true, rsv: 0, opcode: Opcode::Text, mask: None, payload_len: 300 };
/// let mut bytes = Vec::new();
/// header.encode(&mut bytes);
/// assert_eq!(bytes, [0x81, 126, 0x01, 0x2c]);
/// assert_eq!(FrameHeader::decode(&bytes, Role::Server, 0), Ok(Some((header, 4))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// The three reserved bits, RSV1 highest (`0b100`).
    pub rsv: u8,
    /// What the frame is for.
    pub opcode: Opcode,
    /// The key the payload is masked with; clients mask, servers do not.
    pub mask: Option<MaskingKey>,
    /// How many bytes of payload follow.
    pub payload_len: u64,
}

impl FrameHeader {
    /// Reads the header at the front of `bytes` and says how many bytes it takes, or `None` when
    /// `bytes` end before it does.
    ///
    /// `sender` is the side that sent the bytes, which decides whether there must be a mask;
    /// `allowed_rsv` are the reserved bits that a negotiated extension has given a meaning.
    ///
    /// # Errors
    ///
    /// The rule that the header breaks, as soon as the bytes at hand show it.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub fn decode(
        bytes: &[u8],
        sender: Role,
        allowed_rsv: u8,
    ) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let rsv = first >> 4 & 0b111;
        if rsv & !allowed_rsv != 0 {
            // §5.2: "MUST be 0 unless an extension is negotiated that defines meanings".
            return Err(ProtocolError::ReservedBits(rsv));
        }
        let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
            // §5.2: "If an unknown opcode is received, the receiving endpoint MUST fail".
            return Err(ProtocolError::ReservedOpcode(first & 0x0f));
        };
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            // §5.5: "All control frames … MUST NOT be fragmented."
            return Err(ProtocolError::FragmentedControlFrame);
        }

        let Some((payload_len, mask, behind_first)) = decode_behind_first(rest, sender, opcode.is_control())?
        else {
            return Ok(None);
        };
        Ok(Some((Self { fin, rsv, opcode, mask, payload_len }, 1 + behind_first)))
    }

    /// Reads the header of a whole message that is no control frame and sent as it is, as nearly all are, and
    /// nothing else: whether it is text, the length of its payload, its masking key, and how many bytes the
    /// header takes.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub(crate) fn decode_whole(bytes: &[u8], sender: Role) -> Option<(bool, u64, Option<MaskingKey>, usize)> {
        const TEXT: u8 = 0x80 | Opcode::Text.bits();
        const BINARY: u8 = 0x80 | Opcode::Binary.bits();
        let (&first, rest) = bytes.split_first()?;
        let text = match first {
            TEXT => true,
            BINARY => false,
            _ => return None,
        };
        let (payload_len, mask, behind_first) = decode_behind_first(rest, sender, false).ok()??;
        Some((text, payload_len, mask, 1 + behind_first))
    }

    /// Appends the header's bytes to `out`, which has room for [`MAX_HEADER_LEN`].
    ///
    /// # Panics
    ///
    /// If `out` cannot take the bytes; a `Vec` always can.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub fn encode(&self, out: &mut impl BufMut) {
        let first = u8::from(self.fin) << 7 | (self.rsv & 0b111) << 4 | self.opcode.bits();
        let masked = u8::from(self.mask.is_some()) << 7;
        if let Ok(short @ 0..=125) = u8::try_from(self.payload_len) {
            out.put_slice(&[first, masked | short]);
        } else if let Ok(medium) = u16::try_from(self.payload_len) {
            let [high, low] = medium.to_be_bytes();
            out.put_slice(&[first, masked | 0x7e, high, low]);
        } else {
            out.put_slice(&[first, masked | 0x7f]);
            out.put_slice(&self.payload_len.to_be_bytes());
        }
        if let Some(MaskingKey(key)) = self.mask {
            out.put_slice(&key);
        }
    }
}

/// What a header says behind its first byte: the length of the payload, the masking key, and how many of
/// these bytes it takes. `None` when they end before it does.
#[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
#[inline(always)]
fn decode_behind_first(
    bytes: &[u8],
    sender: Role,
    is_control: bool,
) -> Result<Option<(u64, Option<MaskingKey>, usize)>, ProtocolError> {
    let Some((&second, rest)) = bytes.split_first() else { return Ok(None) };
    let masked = second & 0x80 != 0;
    match sender {
        // §5.1: "The server MUST close the connection upon receiving a frame that is not masked."
        Role::Client if !masked => return Err(ProtocolError::UnmaskedFrame),
        // §5.1: "A client MUST close a connection if it detects a masked frame."
        Role::Server if masked => return Err(ProtocolError::MaskedFrame),
        _ => {}
    }
    let short = second & 0x7f;
    if is_control && usize::from(short) > MAX_CONTROL_LEN {
        // §5.5: "All control frames MUST have a payload length of 125 bytes or less".
        return Err(ProtocolError::ControlFrameTooLong);
    }
    let (payload_len, length_len, rest) = match short {
        126 => {
            let Some((long, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*long)), 2, rest)
        }
        127 => {
            // §5.2: "the most significant bit MUST be 0".
            if rest.first().is_some_and(|byte| byte & 0x80 != 0) {
                return Err(ProtocolError::LengthTopBit);
            }
            let Some((long, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*long), 8, rest)
        }
        short => (u64::from(short), 0, rest),
    };
    // §5.2: "the minimal number of bytes MUST be used to encode the length".
    if (length_len == 2 && payload_len < 126) || (length_len == 8 && payload_len <= 0xffff) {
        return Err(ProtocolError::LengthNotMinimal);
    }

    let (mask, mask_len) = if masked {
        let Some(key) = rest.first_chunk() else { return Ok(None) };
        (Some(MaskingKey(*key)), 4)
    } else {
        (None, 0)
    };
    Ok(Some((payload_len, mask, 1 + length_len + mask_len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Option<MaskingKey> = Some(MaskingKey([1, 2, 3, 4]));

    #[test]
    fn every_boundary_length_round_trips_from_both_sides_and_needs_every_byte() {
        let lengths = [0, 1, 125, 126, 127, 128, 0xfffe, 0xffff, 0x1_0000, 0x1_0001, u64::MAX >> 1];
        for payload_len in lengths {
            for (sender, mask) in [(Role::Client, KEY), (Role::Server, None)] {
                let header = FrameHeader { fin: true, rsv: 0, opcode: Opcode::Binary, mask, payload_len };
                let mut bytes = Vec::new();
                header.encode(&mut bytes);
                let len = bytes.len();
                assert!(len <= MAX_HEADER_LEN);
                assert_eq!(FrameHeader::decode(&bytes, sender, 0), Ok(Some((header, len))));
                for short in 0..len {
                    assert_eq!(FrameHeader::decode(&bytes[..short], sender, 0), Ok(None));
                }
            }
        }
    }

    #[test]
    fn every_broken_rule_shows_at_its_byte() {
        use ProtocolError::*;
        let cases: &[(&[u8], Role, ProtocolError)] = &[
            (&[0xc1], Role::Server, ReservedBits(0b100)),
            (&[0x91], Role::Server, ReservedBits(0b001)),
            (&[0x83], Role::Server, ReservedOpcode(3)),
            (&[0x8f], Role::Server, ReservedOpcode(15)),
            (&[0x09], Role::Server, FragmentedControlFrame),
            (&[0x81, 0x00], Role::Client, UnmaskedFrame),
            (&[0x81, 0x80], Role::Server, MaskedFrame),
            (&[0x89, 126], Role::Server, ControlFrameTooLong),
            (&[0x88, 0xff], Role::Client, ControlFrameTooLong),
            (&[0x82, 126, 0, 125], Role::Server, LengthNotMinimal),
            (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Role::Server, LengthNotMinimal),
            (&[0x82, 127, 0x80], Role::Server, LengthTopBit),
        ];
        for &(bytes, sender, error) in cases {
            assert_eq!(FrameHeader::decode(bytes, sender, 0), Err(error), "{bytes:x?}");
            let before = &bytes[..bytes.len() - 1];
            assert_eq!(FrameHeader::decode(before, sender, 0), Ok(None), "{before:x?}");
        }
    }

    #[test]
    fn a_reserved_bit_passes_once_an_extension_owns_it() {
        let (header, _) = FrameHeader::decode(&[0xc1, 0x00], Role::Server, 0b100).unwrap().unwrap();
        assert_eq!(header.rsv, 0b100);
        assert!(FrameHeader::decode(&[0xe1, 0x00], Role::Server, 0b100).is_err());
    }
}
