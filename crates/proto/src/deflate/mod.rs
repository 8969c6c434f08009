//! permessage-deflate: compressed messages (RFC 7692).

mod answer;
mod offer;
mod parameters;
mod params;
mod settings;

pub(crate) use answer::DeflateAnswer;
pub(crate) use parameters::NAME;
pub use parameters::ParameterError;
pub use params::DeflateParams;
pub use settings::Deflate;
