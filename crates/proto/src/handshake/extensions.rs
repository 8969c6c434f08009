//! What both sides offer, answer and agree on, extension by extension (RFC 6455 §9.1).
//!
//! Everything that the handshake does about extensions goes through here. An extension has one
//! field in [`Answers`] and [`Agreed`], one arm in each function, and its parameters to itself.

use std::fmt;

use super::client_error::ClientHandshakeError;
use crate::config::Config;
use crate::connection::Connection;
use crate::deflate::{self, Deflate, DeflateAnswer, DeflateParams};
use crate::extension::Extension;

/// What a client with this configuration offers: the value of `Sec-WebSocket-Extensions`, `None`
/// for no header.
pub(super) fn offers(config: &Config) -> Option<String> {
    list(config.deflate.iter().flat_map(Deflate::offers))
}

/// What a server answers to a client's offers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    deflate: Option<DeflateAnswer>,
}

impl Answers {
    /// Takes up the first offer of each extension that can be honoured and that the configuration
    /// wants; the others are declined by saying nothing (RFC 6455 §9.1, RFC 7692 §5).
    pub(super) fn to(offers: &[Extension], config: &Config) -> Self {
        let mut answers = Self::default();
        for offer in offers {
            match (offer.name(), &config.deflate) {
                (deflate::NAME, Some(settings)) if answers.deflate.is_none() => {
                    answers.deflate = DeflateAnswer::to(offer, settings).ok();
                }
                _ => {}
            }
        }
        answers
    }

    /// The value of `Sec-WebSocket-Extensions`, `None` for no header.
    pub(super) fn header(&self) -> Option<String> {
        list(self.deflate)
    }

    pub(super) fn agreed(&self) -> Agreed {
        Agreed { deflate: self.deflate.map(DeflateAnswer::params) }
    }
}

/// The extensions that one connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) deflate: Option<DeflateParams>,
}

impl Agreed {
    /// What a client's offers came to by these answers. It must not go on with an extension that it
    /// did not offer, nor with parameters that it cannot do with (RFC 6455 §4.1, §9.1; RFC 7692 §5,
    /// §7.1).
    pub(super) fn by(answers: &[Extension], config: &Config) -> Result<Self, ClientHandshakeError> {
        let mut agreed = Self::default();
        for answer in answers {
            match (answer.name(), &config.deflate) {
                // A second answer would be one to an offer that was not made.
                (deflate::NAME, Some(settings)) if agreed.deflate.is_none() => {
                    agreed.deflate = Some(settings.agreed(answer)?);
                }
                _ => return Err(ClientHandshakeError::ExtensionNotOffered),
            }
        }
        Ok(agreed)
    }

    /// Gives a new connection its extensions.
    pub(super) fn apply(self, connection: Connection) -> Connection {
        match self.deflate {
            Some(params) => connection.with_deflate(params),
            None => connection,
        }
    }
}

/// A list in a header, `None` for an empty one: RFC 6455 §9.1 knows no empty list.
fn list(elements: impl IntoIterator<Item = impl fmt::Display>) -> Option<String> {
    elements.into_iter().map(|element| element.to_string()).reduce(|list, element| list + ", " + &element)
}

#[cfg(test)]
mod tests;
