//! The conformance cases under `conformance/corpus`, read into memory.

pub mod frames;
