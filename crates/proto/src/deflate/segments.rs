//! A message of unknown length under way: memory that grows without ever being copied, so that a
//! limit on the message is a limit on the memory, too.

/// The first segment's size; each further one doubles the whole.
const FIRST: usize = 8 << 10;

/// Bytes in segments, each as large as all before it.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    /// How much of `last` is filled.
    filled: usize,
    len: usize,
}

impl Segments {
    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Room for some of the `wanted` bytes behind the others; none only when none is wanted.
    pub(crate) fn room(&mut self, wanted: usize) -> &mut [u8] {
        if self.filled == self.last.len() && wanted > 0 {
            let next = vec![0; self.len.max(FIRST).min(wanted)];
            let full = std::mem::replace(&mut self.last, next);
            if self.filled > 0 {
                self.full.push(full);
            }
            self.filled = 0;
        }
        let end = self.last.len().min(self.filled + wanted);
        self.last.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Makes the first `len` bytes of the room part of the message, and gives them.
    pub(crate) fn fill(&mut self, len: usize) -> &[u8] {
        let start = self.filled;
        self.filled += len;
        self.len += len;
        self.last.get(start..self.filled).unwrap_or_default()
    }

    /// The segments in order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        let last = self.last.get(..self.filled).unwrap_or_default();
        self.full.iter().map(Vec::as_slice).chain([last])
    }

    /// All in one, without room to spare.
    pub(crate) fn join(self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        for segment in self.iter() {
            all.extend_from_slice(segment);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(segments: &Segments) -> usize {
        segments.full.iter().map(Vec::capacity).sum::<usize>() + segments.last.capacity()
    }

    #[test]
    fn bytes_come_together_in_order_and_never_hold_more_than_the_limit_or_twice_their_number() {
        for limit in [0, 1, FIRST - 1, FIRST, FIRST + 1, 100_000, 1 << 20] {
            for piece in [1, 1000, 5000, 70_000].into_iter().filter(|piece| limit / piece < 5000) {
                let mut segments = Segments::default();
                let mut next = 0_u8;
                while segments.len() < limit {
                    let room = segments.room((limit - segments.len()).min(piece));
                    assert!(!room.is_empty());
                    for byte in &mut *room {
                        next = next.wrapping_add(1);
                        *byte = next;
                    }
                    let len = room.len();
                    assert_eq!(segments.fill(len).last(), Some(&next));
                    assert!(held(&segments) <= limit.min(2 * segments.len() + FIRST));
                }
                assert!(segments.room(0).is_empty());
                let all = segments.join();
                assert_eq!((all.len(), all.capacity()), (limit, limit));
                assert!(all.iter().zip((0..=255).cycle().skip(1)).all(|(byte, expected)| *byte == expected));
            }
        }
    }
}
