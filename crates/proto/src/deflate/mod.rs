//! permessage-deflate: compressed messages (RFC 7692).

mod params;
mod settings;

pub use params::DeflateParams;
pub use settings::Deflate;
