//! DEFLATE taken apart by hand (RFC 1951), in the form of compressed messages (RFC 7692 §7.2.2).
//!
//! Slow, and strict where a usual decoder is not: a distance beyond the window that was agreed on
//! shows, and so does data that does not end where the tail says.

/// What a peer's decoder would have: the bytes that the next message may refer to.
///
/// ```
/// use stentor_testkit::inflate::Inflater;
///
/// // The examples of RFC 7692 §7.2.3.1 and §7.2.3.2.
/// let mut inflater = Inflater::new(15, true);
/// assert_eq!(inflater.message(b"\xf2\x48\xcd\xc9\xc9\x07\x00").unwrap(), b"Hello");
/// assert_eq!(inflater.message(b"\xf2\x00\x11\x00\x00").unwrap(), b"Hello");
/// assert!(Inflater::new(15, false).message(b"\xf2\x00\x11\x00\x00").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Inflater {
    window: usize,
    takeover: bool,
    seen: Vec<u8>,
}

impl Inflater {
    /// For a window of 2^`window_bits` bytes, remembering earlier messages if `takeover`.
    #[must_use]
    pub fn new(window_bits: u8, takeover: bool) -> Self {
        Self { window: 1 << window_bits, takeover, seen: Vec::new() }
    }

    /// The message that this payload, put together from its fragments, stands for.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn message(&mut self, payload: &[u8]) -> Result<Vec<u8>, &'static str> {
        if !self.takeover {
            self.seen.clear();
        }
        let begin = self.seen.len();
        let data = [payload, &[0x00, 0x00, 0xff, 0xff]].concat();
        let mut bits = Bits { data: &data, at: 0 };
        while bits.at < 8 * data.len() {
            self.block(&mut bits)?;
        }
        let message = self.seen[begin..].to_vec();
        let old = self.seen.len().saturating_sub(self.window);
        self.seen.drain(..old);
        Ok(message)
    }

    fn block(&mut self, bits: &mut Bits<'_>) -> Result<(), &'static str> {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.align();
                let (len, complement) = (bits.take(16)?, bits.take(16)?);
                if len != !complement & 0xffff {
                    return Err("a stored block's length does not match");
                }
                for _ in 0..len {
                    let byte = bits.take(8)?;
                    self.seen.push(u8::try_from(byte).unwrap());
                }
            }
            1 => {
                let mut lengths = [8_u8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                self.codes(bits, &Code::new(&lengths)?, &Code::new(&[5; 30])?)?;
            }
            2 => {
                let (literals, distances) = tables(bits)?;
                self.codes(bits, &literals, &distances)?;
            }
            _ => return Err("a reserved kind of block"),
        }
        if last {
            // A final block ends on a byte, and another stream may follow (RFC 7692 §7.2.3.4).
            bits.align();
        }
        Ok(())
    }

    /// RFC 1951 §3.2.5.
    fn codes(&mut self, bits: &mut Bits<'_>, literals: &Code, distances: &Code) -> Result<(), &'static str> {
        loop {
            let symbol = literals.take(bits)?;
            match symbol {
                0..256 => self.seen.push(u8::try_from(symbol).unwrap()),
                256 => return Ok(()),
                257..286 => {
                    let len = match symbol - 257 {
                        28 => 258,
                        code @ 0..8 => 3 + code,
                        code => {
                            let extra = code / 4 - 1;
                            3 + ((4 + code % 4) << extra) + bits.take(extra)?
                        }
                    };
                    let distance = match distances.take(bits)? {
                        code @ 0..4 => 1 + code,
                        code @ 4..30 => {
                            let extra = code / 2 - 1;
                            1 + ((2 + code % 2) << extra) + bits.take(extra)?
                        }
                        _ => return Err("a reserved distance code"),
                    };
                    if distance > self.window {
                        return Err("a distance beyond the window");
                    }
                    let Some(mut from) = self.seen.len().checked_sub(distance) else {
                        return Err("a distance beyond the beginning");
                    };
                    for _ in 0..len {
                        self.seen.push(self.seen[from]);
                        from += 1;
                    }
                }
                _ => return Err("a reserved length code"),
            }
        }
    }
}

/// The tables of a dynamic block (RFC 1951 §3.2.7).
fn tables(bits: &mut Bits<'_>) -> Result<(Code, Code), &'static str> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances) = (257 + bits.take(5)?, 1 + bits.take(5)?);
    let count = 4 + bits.take(4)?;
    let mut lengths = [0; 19];
    for at in &ORDER[..count] {
        lengths[*at] = u8::try_from(bits.take(3)?).unwrap();
    }
    let code = Code::new(&lengths)?;
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (len, times) = match code.take(bits)? {
            16 => (*lengths.last().ok_or("nothing to repeat")?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            len => (u8::try_from(len).unwrap(), 1),
        };
        lengths.extend(std::iter::repeat_n(len, times));
    }
    if lengths.len() > literals + distances {
        return Err("too many code lengths");
    }
    Ok((Code::new(&lengths[..literals])?, Code::new(&lengths[literals..])?))
}

/// A Huffman code (RFC 1951 §3.2.2): how many symbols have a code of each length, and the symbols in
/// the order of their codes.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Result<Self, &'static str> {
        let mut counts = [0; 16];
        for &len in lengths {
            counts[usize::from(len)] += 1;
        }
        counts[0] = 0;
        let used: usize = counts.iter().enumerate().map(|(len, count)| count << (15 - len)).sum();
        if used > 1 << 15 {
            return Err("more codes than there can be");
        }
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        Ok(Self { counts, symbols })
    }

    fn take(&self, bits: &mut Bits<'_>) -> Result<usize, &'static str> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code = code << 1 | bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
        }
        Err("a code that means nothing")
    }
}

/// Bits in the order of RFC 1951 §3.1.1.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<usize, &'static str> {
        let mut value = 0;
        for bit in 0..count {
            let byte = self.data.get(self.at / 8).ok_or("it ends within a block")?;
            value |= usize::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7692_are_read() {
        for payload in [
            b"\xf2\x48\xcd\xc9\xc9\x07\x00".as_slice(),
            b"\x00\x05\x00\xfa\xffHello\x00",
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ] {
            assert_eq!(Inflater::new(8, false).message(payload).unwrap(), b"Hello");
        }
        assert_eq!(Inflater::new(8, false).message(b"\x00").unwrap(), b"");
    }

    #[test]
    fn what_is_cut_short_or_reaches_too_far_is_noticed() {
        for end in 0..6 {
            assert!(Inflater::new(15, true).message(&b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..end]).is_err());
        }
        // 300 bytes, then a copy of the first of them.
        let mut stored = vec![0x00, 0x2c, 0x01, 0xd3, 0xfe];
        stored.extend(0..=255);
        stored.extend(0..44);
        let mut inflater = Inflater::new(8, true);
        inflater.message(&[stored.as_slice(), &[0x00]].concat()).unwrap();
        // A fixed block: length 3 (code 257), distance 257 (code 16, extra 0).
        assert_eq!(inflater.message(&[0x02, 0x06, 0x00, 0x00]), Err("a distance beyond the window"));
    }
}
