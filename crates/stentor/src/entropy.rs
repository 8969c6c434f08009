//! Unpredictable bytes from the operating system, fetched for many masking keys at once.

use std::cell::RefCell;

use stentor_proto::Entropy;

/// One system call serves this many bytes: 64 masking keys.
const BATCH: usize = 256;

struct Batch {
    bytes: [u8; BATCH],
    used: usize,
}

thread_local! {
    static RANDOM: RefCell<Batch> = const { RefCell::new(Batch { bytes: [0; BATCH], used: BATCH }) };
}

/// The operating system's random generator. Takes no memory of its own.
#[derive(Debug)]
pub(crate) struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        let batched = RANDOM.try_with(|random| random.borrow_mut().take(bytes)).unwrap_or(false);
        if !batched {
            draw(bytes);
        }
    }
}

impl Batch {
    /// Fills `bytes` from the batch, unless they are too many for one.
    fn take(&mut self, bytes: &mut [u8]) -> bool {
        if bytes.len() > BATCH {
            return false;
        }
        if BATCH - self.used < bytes.len() {
            draw(&mut self.bytes);
            self.used = 0;
        }
        let fresh = &mut self.bytes[self.used..self.used + bytes.len()];
        bytes.copy_from_slice(fresh);
        // What was handed out is not kept where a later look at the memory could find it.
        fresh.fill(0);
        self.used += bytes.len();
        true
    }
}

fn draw(bytes: &mut [u8]) {
    // Without randomness a masking key would be a promise broken in silence; there is no way on.
    // It happens only where the operating system has no generator at all.
    getrandom::fill(bytes).expect("the operating system has no random bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_do_not_repeat_within_or_across_batches() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let mut key = [0; 8];
            OsEntropy.fill(&mut key);
            assert!(seen.insert(key));
        }
        let mut long = [0; 1000];
        OsEntropy.fill(&mut long);
        assert_ne!(long, [0; 1000]);
    }
}
