//! The last bytes of one direction: what the next message may refer to (RFC 7692 §7.1.1).

/// At most one window of bytes, the latest; grows with what it is told.
#[derive(Debug)]
pub(super) struct History {
    bytes: Vec<u8>,
    /// Where the oldest byte is, once the window is full.
    start: usize,
    window: usize,
}

impl History {
    /// Remembers up to `window` bytes.
    pub(super) fn new(window: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, window }
    }

    /// The bytes, oldest first, in two pieces.
    pub(super) fn pieces(&self) -> [&[u8]; 2] {
        let (newer, older) = self.bytes.split_at_checked(self.start).unwrap_or_default();
        [older, newer]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes note of the bytes that follow.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let excess = bytes.len().saturating_sub(self.window);
        let bytes = bytes.get(excess..).unwrap_or_default();
        let free = (self.window - self.bytes.len()).min(bytes.len());
        let (first, rest) = bytes.split_at_checked(free).unwrap_or_default();
        self.grow(first.len());
        self.bytes.extend_from_slice(first);
        // What there is no room for takes the place of the oldest, around the end.
        let to_end = (self.bytes.len() - self.start).min(rest.len());
        let (before_end, after) = rest.split_at_checked(to_end).unwrap_or_default();
        self.overwrite(before_end);
        self.overwrite(after);
    }

    /// Doubles rather than fits, and never beyond the window.
    fn grow(&mut self, by: usize) {
        let needed = self.bytes.len() + by;
        if needed > self.bytes.capacity() {
            let wanted = (self.bytes.capacity() * 2).min(self.window).max(needed);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }

    fn overwrite(&mut self, bytes: &[u8]) {
        if let Some(oldest) = self.bytes.get_mut(self.start..self.start + bytes.len()) {
            oldest.copy_from_slice(bytes);
            self.start += bytes.len();
        }
        if self.start == self.bytes.len() {
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_window_of_whatever_came_in_whatever_pieces() {
        for window in [1, 2, 7, 16] {
            for piece in 1..40 {
                let all: Vec<u8> = (0..200).collect();
                let mut history = History::new(window);
                for (i, bytes) in all.chunks(piece).enumerate() {
                    history.push(bytes);
                    history.push(&[]);
                    let seen = (piece * (i + 1)).min(all.len());
                    let expected = &all[seen.saturating_sub(window)..seen];
                    assert_eq!(history.pieces().concat(), expected, "window {window}, pieces of {piece}");
                    assert_eq!(history.len(), expected.len());
                    assert!(history.bytes.capacity() <= window);
                }
            }
        }
    }

    #[test]
    fn it_grows_with_what_it_is_told() {
        let mut history = History::new(1 << 15);
        assert_eq!(history.bytes.capacity(), 0);
        history.push(&[7; 100]);
        assert!(history.bytes.capacity() <= 200);
    }
}
