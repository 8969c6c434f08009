//! Opening connections.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Response, Uri};
use stentor_proto::handshake::{
    ClientHandshake, ClientHandshakeError, ClientRequest, ClientRequestError, Progress,
};
use stentor_proto::{Config, Connection, Phase, Version};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::about::About;
use crate::driver::now;
use crate::entropy::OsEntropy;
use crate::error::{Error, HandshakeFailure, Result};
use crate::handshake;
use crate::observer::{Arrival, Observer};
use crate::shared::{Opened, Shared, Watchers};
use crate::socket::WebSocket;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use crate::trace::Span;
use crate::transport::{Io, Transport};

/// The most bytes of a refusing response's body that are read.
const MAX_REFUSAL: usize = 64 << 10;

/// Opens a connection to a `ws://` URI, or with the feature `tls` a `wss://` URI, with the default
/// settings: see [`Client`].
///
/// ```no_run
/// # async fn example() -> stentor::Result<()> {
/// let mut socket = stentor::connect("ws://127.0.0.1:9001").await?;
/// socket.send("hello").await?;
/// while let Some(message) = socket.recv().await? {
///     println!("{message:?}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`Client::connect`].
///
/// # Cancel safety
///
/// As [`Client::connect`].
pub async fn connect<U>(uri: U) -> Result<WebSocket>
where
    U: TryInto<Uri, Error: Into<http::Error>>,
{
    Client::new().connect(uri).await
}

/// How a client asks for a connection.
///
/// What the protocol needs is always sent; what is added here comes beside it.
///
/// ```no_run
/// use stentor::Client;
/// use stentor::http::{HeaderValue, header::COOKIE};
///
/// # async fn example() -> stentor::Result<()> {
/// let socket = Client::new()
///     .header(COOKIE, HeaderValue::from_static("session=1234"))
///     .subprotocol("chat.v2")
///     .connect("ws://127.0.0.1:9001/room?id=7")
///     .await?;
/// assert_eq!(socket.subprotocol(), Some("chat.v2"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    request: ClientRequest,
    config: Arc<Config>,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    watchers: Watchers,
}

impl Client {
    /// The default settings.
    #[must_use]
    pub fn new() -> Self {
        Self {
            request: ClientRequest::new(Uri::default()),
            config: Arc::default(),
            #[cfg(feature = "tls")]
            tls: None,
            watchers: Watchers::default(),
        }
    }

    /// Sets the limits, deadlines and habits of the connection.
    /// [`HandshakeLimits::timeout`](crate::proto::HandshakeLimits::timeout) is the one deadline
    /// for everything from the name look-up to the server's answer.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// Counts what passes over each connection, for [`WebSocket::traffic`]. By default nothing is
    /// counted, which costs nothing.
    #[must_use]
    pub fn count_traffic(mut self) -> Self {
        self.watchers.counts = true;
        self
    }

    /// Has `observer` watch the connections, beside those that do already.
    #[must_use]
    pub fn observe(mut self, observer: impl Observer) -> Self {
        self.watchers.observers.add(observer);
        self
    }

    /// Adds a header to the request. Those of the handshake itself cannot be replaced: connecting
    /// then fails.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Offers a subprotocol, after those offered before. The server then has to choose one.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.request = self.request.subprotocol(name);
        self
    }

    /// Lets the server choose none of the subprotocols offered.
    #[must_use]
    pub fn subprotocol_optional(mut self) -> Self {
        self.request.subprotocol_optional = true;
        self
    }

    /// Sets the origin named in the request; none by default.
    #[must_use]
    pub fn origin(mut self, origin: HeaderValue) -> Self {
        self.request.origin = Some(origin);
        self
    }

    /// Sets the protocol version asked for; 13 by default.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.request.version = version;
        self
    }

    /// Sets how `wss://` is spoken; by default servers are trusted that show a certificate of the
    /// web for the host of the URI. Clients that share a [`ClientTls`] resume its TLS sessions.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Opens a connection to a `ws://` URI, or with the feature `tls` a `wss://` URI.
    ///
    /// # Errors
    ///
    /// [`Error::Handshake`] when the URI or a setting cannot be used, or the server's answer is not
    /// what RFC 6455 §4.1 demands; [`HandshakeFailure::Refused`] with the whole response when it
    /// refuses; [`Error::Tls`] when the server cannot be trusted; [`Error::Timeout`] with the phase in
    /// which time ran out; [`Error::Io`] when the server cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up.
    pub async fn connect<U>(&self, uri: U) -> Result<WebSocket>
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        let uri = parse(uri)?;
        self.attempt(&uri, |arriving| self.dial(uri.clone(), arriving)).await
    }

    /// Reaches the server, and opens the connection.
    async fn dial(&self, uri: Uri, arriving: Arriving) -> Result<WebSocket> {
        let handshake = self.handshake(uri.clone())?;
        // RFC 3986 §3.1: schemes are the same in any case.
        let encrypted = uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("wss"));
        if encrypted && !cfg!(feature = "tls") {
            return Err(HandshakeFailure::Request(ClientRequestError::UnsupportedScheme).into());
        }
        let host = uri.host().unwrap_or_default();
        // An IPv6 address stands in brackets in a URI, but not in an address.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // RFC 6455 §3.
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let deadline = self.deadline();
        let tcp = timeout_at(deadline, TcpStream::connect((host, port)))
            .await
            .map_err(|_| Error::Timeout(Phase::Connect))??;
        tcp.set_nodelay(true)?;
        let transport = Transport::Tcp(tcp);
        #[cfg(feature = "tls")]
        let transport = if encrypted { self.encrypt(transport, host, deadline).await? } else { transport };
        self.open(handshake, transport, deadline, arriving).await
    }

    /// Opens a connection, of which the log is told.
    async fn attempt<F>(&self, uri: &Uri, open: impl FnOnce(Arriving) -> F) -> Result<WebSocket>
    where
        F: Future<Output = Result<WebSocket>>,
    {
        let span = Span::client(uri);
        let opened = span.run(open(Arriving { span: span.clone(), began: now() })).await;
        if let Err(error) = &opened {
            span.failed(error);
        }
        opened
    }

    #[cfg(feature = "tls")]
    async fn encrypt(&self, transport: Transport, host: &str, deadline: Instant) -> Result<Transport> {
        let tls = match &self.tls {
            Some(tls) => tls.clone(),
            None => ClientTls::builder().build()?,
        };
        // Boxed, so that a connection without TLS has no room for it.
        let handshake = Box::pin(tls.connect(transport, host));
        timeout_at(deadline, handshake).await.map_err(|_| Error::Timeout(Phase::Tls))?
    }

    /// Opens a connection over a byte stream that leads to the server already, encrypted if it has to
    /// be. The URI says what to ask for.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up.
    pub async fn connect_over<U>(&self, uri: U, io: impl Io) -> Result<WebSocket>
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        let uri = parse(uri)?;
        let open = async |arriving| {
            let handshake = self.handshake(uri.clone())?;
            self.open(handshake, Transport::Boxed(Box::new(io)), self.deadline(), arriving).await
        };
        self.attempt(&uri, open).await
    }

    fn deadline(&self) -> Instant {
        // A timeout beyond what an instant can hold is as good as 30 years.
        let far = std::time::Duration::from_secs(30 * 365 * 24 * 3600);
        Instant::now() + self.config.handshake.timeout.min(far)
    }

    fn handshake(&self, uri: Uri) -> Result<ClientHandshake> {
        let request = ClientRequest { uri, ..self.request.clone() };
        ClientHandshake::new(&request, Box::new(OsEntropy), Arc::clone(&self.config))
            .map_err(|error| HandshakeFailure::Request(error).into())
    }

    async fn open(
        &self,
        handshake: ClientHandshake,
        mut transport: Transport,
        deadline: Instant,
        arriving: Arriving,
    ) -> Result<WebSocket> {
        arriving.span.reached(transport.peer_addr());
        let mut inbound = BytesMut::new();
        let answer = ask(handshake, &mut transport, &mut inbound);
        let (connection, response) = match timeout_at(deadline, answer).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(Error::Handshake(failure))) => match *failure {
                HandshakeFailure::Response(ClientHandshakeError::Refused(response)) => {
                    let body = read_refusal(&response, &mut transport, inbound);
                    // A body that does not come in time is not worth the status it came with.
                    let body = timeout_at(deadline, body).await.unwrap_or_default();
                    return Err(HandshakeFailure::Refused(response.map(|()| body)).into());
                }
                failure => return Err(failure.into()),
            },
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(Error::Timeout(Phase::Handshake)),
        };
        let opened = Opened {
            connection,
            peer_addr: transport.peer_addr(),
            transport,
            inbound,
            about: Some(Box::new(About::accepted_by(response))),
            registry: None,
            watchers: self.watchers.clone(),
            arrival: Arrival { span: arriving.span, took: Some(now() - arriving.began) },
        };
        Ok(WebSocket::new(Shared::new(opened, false)))
    }
}

/// An attempt to connect: its span, and when it began.
struct Arriving {
    span: Span,
    began: std::time::Instant,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

fn parse<U>(uri: U) -> Result<Uri>
where
    U: TryInto<Uri, Error: Into<http::Error>>,
{
    uri.try_into().map_err(|error| HandshakeFailure::Uri(error.into()).into())
}

/// Sends the request and reads the answer.
async fn ask(
    mut handshake: ClientHandshake,
    transport: &mut Transport,
    inbound: &mut BytesMut,
) -> Result<(Connection, Response<()>)> {
    handshake::write(transport, handshake.request_head().clone()).await?;
    loop {
        if handshake::read(transport, inbound).await? == 0 {
            return Err(HandshakeFailure::Response(ClientHandshakeError::UnexpectedEof).into());
        }
        match handshake.receive(inbound, now()).map_err(HandshakeFailure::Response)? {
            Progress::NeedMore(more) => handshake = more,
            Progress::Done(opened) => return Ok(opened),
        }
    }
}

/// The body of a response that refuses: as long as it says, or up to its end, within bounds.
async fn read_refusal(response: &Response<()>, transport: &mut Transport, mut body: BytesMut) -> Bytes {
    let len = response.headers().get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<usize>().ok());
    let wanted = len.unwrap_or(usize::MAX).min(MAX_REFUSAL);
    while body.len() < wanted {
        match handshake::read(transport, &mut body).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    body.truncate(wanted);
    body.freeze()
}
