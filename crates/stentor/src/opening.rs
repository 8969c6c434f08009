//! One opening handshake on a server, from the first byte to the answer (RFC 6455 §4.2).
//!
//! ```text
//!  PROXY header ─► TLS ─► request ─► origin ─► plain: the http hook's answer
//!       │           │       │         │   └─► upgrade: address counted ─► hooks ─► Upgrade
//!       └───────────┤       └─────────┴─ 4xx                │               │
//!                   └─ dropped                              └─ 429          └─ as they say, 408, 500
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode};
#[cfg(feature = "tls")]
use stentor_proto::Phase;
use stentor_proto::handshake::{
    Acceptance, HandshakeError, Incoming, Offer, Progress, ServerHandshake, error_response,
};

use crate::error::{Error, HandshakeFailure, Result, Why};
use crate::forwarded::Source;
use crate::handler::{Panicked, catch_panic};
use crate::handshake;
use crate::limits::{Handshaking, Place, TooMany};
use crate::observer::Visitor;
use crate::proxy_protocol;
use crate::race::{First, race};
use crate::rejection::Rejection;
use crate::request::UpgradeRequest;
use crate::settings::Settings;
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;
use crate::transport::Transport;
use crate::upgrade::{Accepted, Terms, Upgrade};

/// What a server counts a new connection as.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) place: Place,
    /// `None` once it is no handshake that it is busy with.
    pub(crate) handshaking: Option<Handshaking>,
}

impl Admission {
    /// Until the handshake has to end for the sake of others.
    pub(crate) async fn ended(this: &mut Option<&mut Self>) {
        match this.as_mut().and_then(|admission| admission.handshaking.as_mut()) {
            Some(handshaking) => handshaking.ended().await,
            None => std::future::pending().await,
        }
    }

    fn handshaking<'a>(this: &'a Option<&mut Self>) -> Option<&'a Handshaking> {
        this.as_ref()?.handshaking.as_ref()
    }
}

/// There are too many connections from one address.
pub(crate) fn too_many() -> Rejection {
    Rejection::new(StatusCode::TOO_MANY_REQUESTS, "too many connections from this address")
}

impl Settings {
    /// Reads the opening handshake within its deadline, asks the hooks, and refuses whom they or
    /// the rules refuse. `None` when it was a plain HTTP request, which has been answered.
    pub(crate) async fn open(
        &self,
        transport: Transport,
        peer_addr: Option<SocketAddr>,
        admission: Option<&mut Admission>,
    ) -> Result<Option<Upgrade>> {
        let visitor = self.visitor(peer_addr);
        visitor.span.accepted();
        let answering = self.answer_request(transport, &visitor, admission);
        visitor.span.run(answering).await.map_err(|Unopened { error, told }| {
            if !told {
                visitor.dropped(Why::Error(&error));
            }
            error
        })
    }

    async fn answer_request(
        &self,
        transport: Transport,
        visitor: &Visitor,
        mut admission: Option<&mut Admission>,
    ) -> Result<Option<Upgrade>, Unopened> {
        let peer_addr = visitor.peer_addr;
        let mut source = Source::direct(peer_addr);
        #[cfg(feature = "tls")]
        let transport =
            match race(self.decrypt(transport, &mut source), Admission::ended(&mut admission)).await {
                First::Left(transport) => transport?,
                // The client would not understand a word yet.
                First::Right(()) => return Err(Error::from(HandshakeFailure::Rejected(self.busy())).into()),
            };
        let mut transport = transport;
        let mut inbound = BytesMut::new();
        let arriving = self.arrive(&mut transport, &mut source, &mut inbound);
        let arriving = tokio::time::timeout(self.config.handshake.timeout, arriving);
        let arrived = match race(arriving, Admission::ended(&mut admission)).await {
            First::Left(Ok(Ok(arrived))) => arrived,
            First::Left(Ok(Err(error))) => return Err(Error::from(error).into()),
            First::Left(Err(_)) => Err(HandshakeError::TimedOut),
            First::Right(()) => return Err(give_way(transport, visitor, self.busy())),
        };
        let incoming = match arrived {
            Ok(incoming) => incoming,
            Err(error) => {
                drop(inbound);
                return Err(self.refuse(transport, visitor, HandshakeFailure::Offer(error), admission).await);
            }
        };
        #[cfg(feature = "tls")]
        let incoming = with_tls_info(incoming, &transport);
        visitor.span.asks_for(match &incoming {
            Incoming::Upgrade(offer) => offer.request().uri(),
            Incoming::Plain(request) => request.uri(),
        });
        let offer = match (incoming, &self.http) {
            (Incoming::Upgrade(offer), _) => offer,
            (Incoming::Plain(_), None) => {
                let failure = HandshakeFailure::Offer(HandshakeError::UpgradeRequired);
                return Err(self.refuse(transport, visitor, failure, admission).await);
            }
            (Incoming::Plain(request), Some(hook)) => {
                if let Some(admission) = admission {
                    admission.handshaking = None;
                }
                let method = request.method().clone();
                let response = catch_panic(async { hook(request).await }).await.unwrap_or_else(|Panicked| {
                    self.report_panic(peer_addr, "http hook");
                    error_response(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
                });
                let patience = self.config.write_timeout;
                let said = handshake::say(&mut transport, &response, &method, patience).await;
                let answered = match said {
                    Ok(()) => handshake::see_out(transport, patience).await,
                    failed => failed,
                };
                // It has not come for an opening handshake, so it is not refused one.
                return answered.map(|()| None).map_err(|error| Unopened { error, told: true });
            }
        };
        match self.decide(offer, source, &mut admission).await {
            Ok((request, acceptance)) => {
                let accepted = self.accepted(request, acceptance);
                Ok(Some(Upgrade::new(accepted, visitor.clone(), transport, inbound)))
            }
            Err(Denial { rejection, in_haste: true }) => Err(give_way(transport, visitor, rejection)),
            Err(Denial { rejection, in_haste: false }) => {
                Err(self.refuse(transport, visitor, HandshakeFailure::Rejected(rejection), admission).await)
            }
        }
    }

    /// Finds out whose request it is, counts that client, and asks the hooks.
    pub(crate) async fn decide(
        &self,
        offer: Offer,
        source: Source,
        admission: &mut Option<&mut Admission>,
    ) -> Result<(UpgradeRequest, Acceptance), Denial> {
        if let Some(handshaking) = Admission::handshaking(admission) {
            handshaking.is_needed();
        }
        let place = admission.as_mut().map(|admission| &mut admission.place);
        let peer_addr = source.peer;
        let request = self.identify(offer, source, place)?;
        let patience = self.config.handshake.authorize_timeout;
        match race(self.hooks.decide(request, patience), Admission::ended(admission)).await {
            First::Left(Ok(_)) if self.shutdown.has_begun() => Err(self.busy().into()),
            First::Left(Ok(decision)) => Ok(decision),
            First::Left(Err(refusal)) => {
                if let Some(hook) = refusal.panicked {
                    self.report_panic(peer_addr, hook);
                }
                Err(refusal.rejection.into())
            }
            First::Right(()) => Err(Denial { rejection: self.busy(), in_haste: true }),
        }
    }

    pub(crate) fn accepted(&self, request: UpgradeRequest, acceptance: Acceptance) -> Accepted {
        Accepted { request, acceptance, terms: self.terms() }
    }

    fn terms(&self) -> Terms {
        Terms {
            config: Arc::clone(&self.config),
            keep_uri: self.keep_uri,
            watchers: self.watchers.clone(),
            connections: self.connections.clone(),
            shutdown: self.shutdown.clone(),
        }
    }

    /// Has TLS spoken over the transport, if the server speaks it, within the time for that.
    #[cfg(feature = "tls")]
    async fn decrypt(&self, mut transport: Transport, source: &mut Source) -> Result<Transport> {
        let Some(tls) = &self.tls else { return Ok(transport) };
        let patience = self.config.handshake.tls_timeout;
        let header = self.read_proxy_header(&mut transport, source);
        tokio::time::timeout(patience, header).await.map_err(|_| Error::Timeout(Phase::Tls))??;
        // Boxed, so that a connection without TLS has no room for it.
        Box::pin(tls.accept(transport, patience)).await
    }

    /// Reads all that comes before a request's answer, and notes where it comes from.
    async fn arrive(
        &self,
        transport: &mut Transport,
        source: &mut Source,
        inbound: &mut BytesMut,
    ) -> io::Result<Result<Incoming, HandshakeError>> {
        if !self.speaks_tls() {
            self.read_proxy_header(transport, source).await?;
        }
        self.read_request(transport, inbound).await
    }

    /// What a proxy says before anything that the client says, even before its TLS.
    async fn read_proxy_header(&self, transport: &mut Transport, source: &mut Source) -> io::Result<()> {
        if self.proxies.as_ref().is_some_and(|proxies| proxies.expects_proxy_header(source.client))
            && let Some(client) = proxy_protocol::read(transport).await?
        {
            source.client = Some(client.ip());
        }
        Ok(())
    }

    /// The rules for a request.
    pub(crate) fn handshake(&self) -> ServerHandshake {
        ServerHandshake::new(self.config.handshake).versions(self.versions).origins(Arc::clone(&self.origins))
    }

    async fn read_request(
        &self,
        transport: &mut Transport,
        inbound: &mut BytesMut,
    ) -> io::Result<Result<Incoming, HandshakeError>> {
        let mut handshake = self.handshake();
        loop {
            if handshake::read(transport, inbound).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match handshake.receive(inbound) {
                Ok(Progress::NeedMore(more)) => handshake = more,
                Ok(Progress::Done(incoming)) => return Ok(Ok(incoming)),
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// Finds out whose request it is, and counts that client.
    fn identify(
        &self,
        offer: Offer,
        mut source: Source,
        place: Option<&mut Place>,
    ) -> Result<UpgradeRequest, Rejection> {
        if let Some(proxies) = &self.proxies {
            let client = proxies.client(source.client, offer.request().headers());
            source.client = client.map_err(|_| {
                Rejection::new(StatusCode::BAD_REQUEST, "what the proxy forwards cannot be read")
            })?;
        }
        if let (Some(place), Some(client)) = (place, source.client) {
            // A proxy is not its clients; those it does not tell apart are not counted.
            let is_proxy = self.proxies.as_ref().is_some_and(|proxies| proxies.trusts(Some(client)));
            if !is_proxy {
                place.claim(client).map_err(|TooMany| too_many())?;
            }
        }
        Ok(UpgradeRequest::new(offer, source))
    }

    /// Answers who is refused, tells who watches, and sees him out; not for long, when others need the
    /// room.
    async fn refuse(
        &self,
        mut transport: Transport,
        visitor: &Visitor,
        failure: HandshakeFailure,
        mut admission: Option<&mut Admission>,
    ) -> Unopened {
        if let Some(handshaking) = Admission::handshaking(&admission) {
            handshaking.is_dispensable();
        }
        let (response, patience) = (response_to(&failure), self.config.write_timeout);
        let error = Error::from(failure);
        let refusing = visitor.refusing(response.status(), Why::Error(&error));
        // The method is unknown, or GET, or not to be trusted; a body does no harm even to HEAD,
        // because the connection ends behind it.
        let answering = async {
            let said = handshake::say(&mut transport, &response, &Method::GET, patience).await;
            refusing.end(said.is_ok());
            said?;
            handshake::see_out(transport, patience).await
        };
        match race(answering, Admission::ended(&mut admission)).await {
            First::Left(Err(error)) => Unopened { error, told: true },
            First::Left(Ok(())) | First::Right(()) => Unopened { error, told: true },
        }
    }

    pub(crate) fn busy(&self) -> Rejection {
        let message =
            if self.shutdown.has_begun() { "the server is going down" } else { "the server is busy" };
        Rejection::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }
}

/// Why a request in order is not upgraded.
#[derive(Debug)]
pub(crate) struct Denial {
    /// What the client is told.
    pub(crate) rejection: Rejection,
    /// There is no time to tell it properly.
    in_haste: bool,
}

impl From<Rejection> for Denial {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, in_haste: false }
    }
}

/// Why an opening handshake has come to nothing.
struct Unopened {
    error: Error,
    /// Those who watch know, or need not.
    told: bool,
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self { error, told: false }
    }
}

/// What a client is answered.
fn response_to(failure: &HandshakeFailure) -> Response<Bytes> {
    match failure {
        HandshakeFailure::Offer(error) => error.response(),
        HandshakeFailure::Rejected(rejection) => rejection.clone().into(),
        _ => error_response(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

/// Ends a handshake for the sake of others, with what can be said without waiting.
fn give_way(mut transport: Transport, visitor: &Visitor, rejection: Rejection) -> Unopened {
    let answered = handshake::answer_at_once(&mut transport, &rejection.clone().into());
    let status = rejection.status();
    let error = HandshakeFailure::Rejected(rejection).into();
    visitor.refusing(status, Why::Error(&error)).end(answered);
    Unopened { error, told: true }
}

/// Notes what is known of a client that came over TLS, for the hooks to see.
#[cfg(feature = "tls")]
fn with_tls_info(mut incoming: Incoming, transport: &Transport) -> Incoming {
    if let Some(info) = TlsInfo::of(transport) {
        match &mut incoming {
            Incoming::Upgrade(offer) => offer.request_extensions_mut().insert(info),
            Incoming::Plain(request) => request.extensions_mut().insert(info),
        };
    }
    incoming
}
