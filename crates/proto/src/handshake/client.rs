//! The client's side: a request, and a response that is in order (RFC 6455 §4.1).

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, Response, StatusCode, Version as HttpVersion};

use super::Progress;
use super::client_error::{ClientHandshakeError, ClientRequestError};
use super::client_request::ClientRequest;
use super::extensions::{self, Agreed};
use super::fields::{Duplicate, connection_upgrades, has_body, single};
use super::head::{Head, HeadReader};
use super::key::{AcceptKey, HandshakeKey};
use super::server::http_version;
use crate::config::Config;
use crate::connection::{Connection, State};
use crate::entropy::Entropy;
use crate::extension::Extension;

/// A client's handshake while the response is being read (RFC 6455 §4.1).
///
/// Send [`request_head`](Self::request_head), then feed what arrives to
/// [`receive`](Self::receive).
///
/// ```
/// use std::{sync::Arc, time::Instant};
/// use stentor_proto::bytes::BytesMut;
/// use stentor_proto::handshake::{ClientHandshake, ClientRequest, Progress};
/// use stentor_proto::{Config, Entropy, State};
///
/// struct SampleNonce;
/// impl Entropy for SampleNonce {
///     fn fill(&mut self, bytes: &mut [u8]) {
///         bytes.copy_from_slice(&b"the sample nonce"[..bytes.len()]);
///     }
/// }
///
/// let request = ClientRequest::new("ws://example.com/chat".parse()?);
/// let handshake = ClientHandshake::new(&request, Box::new(SampleNonce), Arc::new(Config::default()))?;
/// assert!(handshake.request_head().starts_with(b"GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
///
/// let mut bytes = BytesMut::from(concat!(
///     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
///     "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
/// ));
/// let Progress::Done((connection, _)) = handshake.receive(&mut bytes, Instant::now())? else {
///     unreachable!()
/// };
/// assert_eq!(connection.state(), State::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientHandshake {
    reader: HeadReader,
    head: Bytes,
    accept: AcceptKey,
    subprotocols: Vec<String>,
    subprotocol_optional: bool,
    config: Arc<Config>,
    entropy: Box<dyn Entropy>,
}

impl ClientHandshake {
    /// Writes the request, with a key drawn from `entropy`, which must be unpredictable and later
    /// makes the connection's masking keys (RFC 6455 §4.1, §10.3). It offers permessage-deflate if
    /// [`Config::deflate`] is set.
    ///
    /// # Errors
    ///
    /// A [`ClientRequestError`] if the request asks for what a client may not.
    pub fn new(
        request: &ClientRequest,
        mut entropy: Box<dyn Entropy>,
        config: Arc<Config>,
    ) -> Result<Self, ClientRequestError> {
        let key = HandshakeKey::generate(entropy.as_mut());
        Ok(Self {
            reader: HeadReader::new(config.handshake, false),
            head: request.head(&key, extensions::offers(&config).as_deref())?,
            accept: AcceptKey::from(&key),
            subprotocols: request.subprotocols.clone(),
            subprotocol_optional: request.subprotocol_optional,
            config,
            entropy,
        })
    }

    /// The state of the connection to be: [`State::Connecting`] (RFC 6455 §4.1).
    #[must_use]
    pub const fn state(&self) -> State {
        State::Connecting
    }

    /// The request, to be sent before anything else.
    #[must_use]
    pub const fn request_head(&self) -> &Bytes {
        &self.head
    }

    /// Looks at what has arrived in `bytes` since the last call.
    ///
    /// A complete response is taken out of `bytes` and opens the connection. Interim ones, such as 103, are skipped; they
    /// count towards the limits. What remains are the first frames of the server: feed
    /// them to the connection before anything else. Whether messages are compressed tells
    /// [`Connection::deflate`].
    ///
    /// # Errors
    ///
    /// A [`ClientHandshakeError`]; nothing in `bytes` may be interpreted after it, except for the
    /// body of a response that [refuses](ClientHandshakeError::Refused).
    pub fn receive(
        mut self,
        bytes: &mut BytesMut,
        now: Instant,
    ) -> Result<Progress<Self, (Connection, Response<()>)>, ClientHandshakeError> {
        loop {
            let Some(head) = self.reader.read(bytes)? else { return Ok(Progress::NeedMore(self)) };
            let response = response(head)?;
            match response.status() {
                StatusCode::SWITCHING_PROTOCOLS => {
                    let agreed = self.check(&response)?;
                    let connection = Connection::client(self.config, self.entropy, now);
                    return Ok(Progress::Done((agreed.apply(connection), response)));
                }
                // RFC 9110 §15.2: a client must be able to read interim responses, even unasked.
                status if status.is_informational() => {}
                _ => return Err(ClientHandshakeError::Refused(Box::new(response))),
            }
        }
    }

    /// Enforces what RFC 6455 §4.1 asks of a response that upgrades.
    fn check(&self, response: &Response<()>) -> Result<Agreed, ClientHandshakeError> {
        if response.version() != HttpVersion::HTTP_11 {
            return Err(ClientHandshakeError::UnsupportedHttpVersion);
        }
        let headers = response.headers();
        // RFC 9110 §8.6, RFC 9112 §6.1: a 101 announces no body.
        if !matches!(has_body(headers), Ok(false)) {
            return Err(ClientHandshakeError::UnexpectedBody);
        }
        // Point 2: `Upgrade` is "websocket" in any case, and nothing else.
        match single(headers, &UPGRADE) {
            Ok(Some(value)) if value.as_bytes().eq_ignore_ascii_case(b"websocket") => {}
            _ => return Err(ClientHandshakeError::InvalidUpgrade),
        }
        // Point 3: `Connection` lists "Upgrade".
        if !matches!(connection_upgrades(headers), Ok(true)) {
            return Err(ClientHandshakeError::InvalidConnection);
        }
        // Point 4: `Sec-WebSocket-Accept` belongs to the key.
        let accept = single(headers, &SEC_WEBSOCKET_ACCEPT)
            .map_err(|Duplicate| ClientHandshakeError::DuplicateAccept)?
            .ok_or(ClientHandshakeError::MissingAccept)?;
        if accept.as_bytes() != self.accept.as_str().as_bytes() {
            return Err(ClientHandshakeError::WrongAccept);
        }
        // Point 5: no extension that was not offered.
        let answers = Extension::from_headers(headers).map_err(ClientHandshakeError::InvalidExtensions)?;
        let agreed = Agreed::by(&answers, &self.config)?;
        self.check_subprotocol(headers)?;
        Ok(agreed)
    }

    /// Point 6: no subprotocol that was not offered.
    fn check_subprotocol(&self, headers: &HeaderMap) -> Result<(), ClientHandshakeError> {
        let chosen = single(headers, &SEC_WEBSOCKET_PROTOCOL)
            .map_err(|Duplicate| ClientHandshakeError::DuplicateSubprotocol)?;
        match chosen {
            Some(chosen) if self.subprotocols.iter().any(|name| name.as_bytes() == chosen.as_bytes()) => {
                Ok(())
            }
            Some(_) => Err(ClientHandshakeError::SubprotocolNotOffered),
            // A client that offers subprotocols cannot know what is spoken without one.
            None if !self.subprotocols.is_empty() && !self.subprotocol_optional => {
                Err(ClientHandshakeError::MissingSubprotocol)
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the request, which may hold credentials.
        f.debug_struct("ClientHandshake").field("reader", &self.reader).finish_non_exhaustive()
    }
}

/// Reads the status line (RFC 9112 §4).
fn response(head: Head) -> Result<Response<()>, ClientHandshakeError> {
    let Head { start_line, headers } = head;
    let mut parts = start_line.splitn(3, |byte| *byte == b' ');
    let (Some(version), Some(status)) = (parts.next(), parts.next()) else {
        return Err(ClientHandshakeError::InvalidStatusLine);
    };
    let version = match http_version(version) {
        Some((1, 0)) => HttpVersion::HTTP_10,
        Some((1, _)) => HttpVersion::HTTP_11,
        Some(_) => return Err(ClientHandshakeError::UnsupportedHttpVersion),
        None => return Err(ClientHandshakeError::InvalidStatusLine),
    };
    let status = StatusCode::from_bytes(status).map_err(|_| ClientHandshakeError::InvalidStatusLine)?;

    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    *response.headers_mut() = headers;
    Ok(response)
}

#[cfg(test)]
mod tests;
