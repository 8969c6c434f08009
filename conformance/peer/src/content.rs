//! What the checks send: the same as `interop/node/content.mjs` and `interop/python/client.py`.

/// `size` bytes of UTF-8, of characters of one to four bytes.
pub(crate) fn text(size: usize) -> String {
    "aé漢😀".repeat(size / 10) + &"z".repeat(size % 10)
}

/// `size` bytes that repeat only after 64 KiB, so that a piece in the wrong place shows.
pub(crate) fn binary(size: usize) -> Vec<u8> {
    (0..size).map(|i| (31 * i + (i >> 8)).to_le_bytes()[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_has_exactly_the_size() {
        for size in [0, 1, 9, 10, 125, 65_536] {
            assert_eq!(text(size).len(), size);
            assert_eq!(binary(size).len(), size);
        }
    }
}
