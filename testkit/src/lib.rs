//! What the tests of Stentor share.
//!
//! Everything here knows the protocol by itself: frames are built and taken apart by code of this
//! crate, so that a mistake in `stentor-proto` cannot hide itself in its own tests.

// A test kit panics to say that a test failed; that is its interface.
#![allow(clippy::missing_panics_doc)]

pub mod corpus;
pub mod deflate;
pub mod frame;
pub mod inflate;
pub mod pair;
#[cfg(feature = "transport")]
pub mod peer;
pub mod script;
#[cfg(feature = "transport")]
pub mod transport;
