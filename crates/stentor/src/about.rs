//! What is known of a connection beyond its bytes, kept only when it was asked for.

use std::net::IpAddr;

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{Extensions, Response, Uri};

use crate::forwarded::Source;

/// What few connections have, in one box.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// What the authorize hook has returned; on a client, the server's [`Answer`].
    pub(crate) context: Extensions,
    pub(crate) uri: Option<Uri>,
    /// The subprotocol that was agreed on.
    pub(crate) subprotocol: Option<Box<str>>,
    /// The client's address, when it is not the peer's.
    pub(crate) forwarded: Option<IpAddr>,
}

/// The response that accepted a client. It lies where servers keep their context, so that their
/// connections have no room for it, and its type is nobody else's, so that it is not taken for one.
#[derive(Clone, Debug)]
struct Answer(Response<()>);

impl About {
    /// `None` when there is nothing to be kept.
    pub(crate) fn new(
        context: Extensions,
        uri: Option<&Uri>,
        subprotocol: Option<String>,
        source: Source,
    ) -> Option<Box<Self>> {
        // A copy, because the URI of a request shares the memory of the whole head.
        let uri = uri.and_then(|uri| uri.to_string().parse().ok());
        let forwarded = source.client.filter(|_| source.is_forwarded());
        let subprotocol = subprotocol.map(String::into_boxed_str);
        let empty = context.is_empty() && uri.is_none() && subprotocol.is_none() && forwarded.is_none();
        (!empty).then(|| Box::new(Self { context, uri, subprotocol, forwarded }))
    }

    /// Of a client that was accepted by this response.
    pub(crate) fn accepted_by(response: Response<()>) -> Self {
        let subprotocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        let subprotocol = subprotocol.and_then(|name| name.to_str().ok()).map(Into::into);
        let mut about = Self { subprotocol, ..Self::default() };
        about.context.insert(Answer(response));
        about
    }

    /// The response that accepted the client.
    pub(crate) fn response(&self) -> Option<&Response<()>> {
        self.context.get().map(|Answer(response)| response)
    }
}
