//! Counting what passes over the wire: bytes, frames, messages (RFC 6455 §5.2).
//!
//! The bytes are counted where they are read and written, and the frames are found among them. So
//! what is counted is what was on the wire, whatever it was made from.

/// What has passed over a connection since its opening handshake, both ways.
///
/// It is counted where a server [counts it](crate::Server::count_traffic) or is
/// [observed](crate::Server::observe), and the same on a [`Client`](crate::Client).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// What the peer has sent.
    pub received: Flow,
    /// What was sent to the peer.
    pub sent: Flow,
    /// Messages that were dropped because the peer did not read: see
    /// [`Config::slow_reader`](crate::Config::slow_reader).
    pub dropped: u64,
}

/// What has passed in one direction. Frames and messages count once they have passed whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flow {
    /// Bytes of frames, headers included. The opening handshake is not, and over TLS they are
    /// counted as they are within it.
    pub bytes: u64,
    /// Frames of every kind.
    pub frames: u64,
    /// Text and binary messages, however many frames each came in.
    pub messages: u64,
    /// Those of the messages that were text.
    pub texts: u64,
    /// Bytes that the frames of messages carried, compressed where they were.
    pub payload: u64,
    /// Those of the payload that belong to text messages.
    pub text_payload: u64,
    /// Ping frames.
    pub pings: u64,
    /// Pong frames.
    pub pongs: u64,
}

impl Traffic {
    /// What has passed since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            received: self.received.since(&earlier.received),
            sent: self.sent.since(&earlier.sent),
            dropped: self.dropped - earlier.dropped,
        }
    }
}

impl Flow {
    fn since(&self, earlier: &Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            frames: self.frames - earlier.frames,
            messages: self.messages - earlier.messages,
            texts: self.texts - earlier.texts,
            payload: self.payload - earlier.payload,
            text_payload: self.text_payload - earlier.text_payload,
            pings: self.pings - earlier.pings,
            pongs: self.pongs - earlier.pongs,
        }
    }
}

/// The longest header: 2 bytes, 8 of length, 4 of masking key (RFC 6455 §5.2).
const MAX_HEADER: usize = 14;

/// Follows the frames of one direction, in pieces of any size. It checks nothing.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) flow: Flow,
    header: [u8; MAX_HEADER],
    /// How much of a header has passed that is not whole.
    begun: usize,
    /// How much of a frame's payload has not passed.
    rest: u64,
    /// The message that has begun, or the last, is text.
    is_text: bool,
}

impl Meter {
    /// These bytes pass.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        self.flow.bytes += bytes.len() as u64;
        while let [first, behind @ ..] = bytes {
            if self.rest > 0 {
                let passing = usize::try_from(self.rest).unwrap_or(usize::MAX).min(bytes.len());
                self.rest -= passing as u64;
                bytes = bytes.get(passing..).unwrap_or_default();
            } else {
                self.header[self.begun] = *first;
                self.begun += 1;
                bytes = behind;
                match self.payload_len() {
                    Some(len) => (self.begun, self.rest) = (0, len),
                    None => continue,
                }
            }
            if self.rest == 0 {
                self.has_passed();
            }
        }
    }

    /// The length of the payload, if the header is whole.
    fn payload_len(&self) -> Option<u64> {
        if self.begun < 2 {
            return None;
        }
        let [_, second, extended @ ..] = self.header;
        let extended_len = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let key_len = if second & 0x80 == 0 { 0 } else { 4 };
        if self.begun < 2 + extended_len + key_len {
            return None;
        }
        let extended = &extended[..extended_len];
        Some(match extended {
            [] => u64::from(second & 0x7f),
            _ => extended.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        })
    }

    /// A frame has passed whole, and its header is still there.
    fn has_passed(&mut self) {
        self.begun = MAX_HEADER;
        let len = self.payload_len().unwrap_or_default();
        self.begun = 0;
        self.flow.frames += 1;
        match self.header[0] & 0x0f {
            opcode @ 0x0..=0x2 => {
                if opcode != 0 {
                    self.is_text = opcode == 1;
                }
                let ends = u64::from(self.header[0] & 0x80 != 0);
                self.flow.payload += len;
                self.flow.messages += ends;
                if self.is_text {
                    self.flow.text_payload += len;
                    self.flow.texts += ends;
                }
            }
            0x9 => self.flow.pings += 1,
            0xa => self.flow.pongs += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length form, masked and not, fragments and control frames between them.
    fn frames() -> (Vec<u8>, Flow) {
        let mut bytes = Vec::new();
        let mut flow = Flow::default();
        let mut frame = |first: u8, len: usize, masked: u8| {
            bytes.push(first);
            match len {
                0..=125 => bytes.push(masked | u8::try_from(len).unwrap()),
                126..=0xffff => {
                    bytes.push(masked | 0x7e);
                    bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
                }
                _ => {
                    bytes.push(masked | 0x7f);
                    bytes.extend((len as u64).to_be_bytes());
                }
            }
            if masked != 0 {
                bytes.extend([1, 2, 3, 4]);
            }
            bytes.extend(std::iter::repeat_n(0x89, len));
        };
        for masked in [0, 0x80] {
            for len in [0, 1, 125, 126, 0xffff, 0x10000] {
                frame(0x82, len, masked);
                frame(0x01, len, masked);
                frame(0x8a, 0, masked);
                frame(0x89, 125, masked);
                frame(0x00, 0, masked);
                frame(0x80, 7, masked);
                flow.frames += 6;
                flow.messages += 2;
                flow.payload += 2 * len as u64 + 7;
                flow.texts += 1;
                flow.text_payload += len as u64 + 7;
                flow.pings += 1;
                flow.pongs += 1;
            }
        }
        frame(0x88, 2, 0);
        flow.frames += 1;
        flow.bytes = bytes.len() as u64;
        (bytes, flow)
    }

    #[test]
    fn frames_are_counted_alike_in_pieces_of_every_size() {
        let (bytes, flow) = frames();
        for size in [1, 2, 3, 5, 13, 14, 15, 1000, 65_536, bytes.len()] {
            let mut meter = Meter::default();
            bytes.chunks(size).for_each(|piece| meter.pass(piece));
            assert_eq!(meter.flow, flow, "in pieces of {size}");
        }
    }

    #[test]
    fn a_frame_counts_when_its_last_byte_has_passed() {
        let mut meter = Meter::default();
        meter.pass(b"\x81\x03ab");
        assert_eq!((meter.flow.bytes, meter.flow.frames, meter.flow.messages), (4, 0, 0));
        meter.pass(b"c");
        assert_eq!((meter.flow.bytes, meter.flow.frames, meter.flow.messages), (5, 1, 1));
    }

    #[test]
    fn a_length_that_nobody_can_send_does_no_harm() {
        let mut meter = Meter::default();
        meter.pass(&vec![0xff; 100_000]);
        assert_eq!((meter.flow.bytes, meter.flow.frames), (100_000, 0));
    }
}
