//! The messages of the checks about compression: the same as in `interop/node/deflate.mjs`, `interop/python/deflate.py`
//! and `browser/deflate.mjs`.

use stentor::Message;

use crate::content::binary;

/// Nothing; twice nearly the same, which pays where the compressor remembers; more than the largest window; binary.
pub(super) fn messages() -> Vec<Message> {
    vec!["".into(), people(40).into(), people(41).into(), people(2500).into(), binary(3000).into()]
}

/// `count` lines of JSON.
fn people(count: usize) -> String {
    let line = |id| format!("{{\"id\":{id},\"name\":\"Ännchen\",\"online\":true}}\n");
    (0..count).map(line).collect::<Vec<_>>().concat()
}

/// How many bytes all of them have.
pub(super) fn total() -> usize {
    messages().iter().map(Message::len).sum()
}
