//! A server at work: accepting, admitting, a task for each connection, and the end of it all.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};

use crate::error::{Result, Why};
use crate::handler::HandlerOutput;
use crate::handshake;
use crate::limits::{Limiter, Limits, Place, TooMany};
use crate::listener::{self, Listener};
use crate::opening::{Admission, too_many};
use crate::race::{First, race};
use crate::rejection::Rejection;
use crate::settings::Settings;
use crate::shared::{Life, drive};
use crate::trace;
use crate::transport::Transport;
use crate::upgrade::Upgrade;

/// How long one who is refused unheard has to take a part of the answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who may connect at all.
pub(crate) type Filter = Arc<dyn Fn(SocketAddr) -> bool + Send + Sync>;

/// What all the loops and tasks of a server share.
pub(crate) struct Service<H> {
    pub(crate) settings: Settings,
    pub(crate) limiter: Arc<Limiter>,
    filter: Option<Filter>,
    handler: H,
}

impl<H, F> Service<H>
where
    H: Fn(Upgrade) -> F + Send + Sync + 'static,
    F: Future<Output: HandlerOutput> + Send + 'static,
{
    pub(crate) fn new(settings: Settings, limits: Limits, filter: Option<Filter>, handler: H) -> Arc<Self> {
        Arc::new(Self { settings, limiter: Limiter::new(limits), filter, handler })
    }

    /// Serves in the runtime that it is called in, until the server is shut down.
    pub(crate) async fn serve(self: Arc<Self>, listeners: Vec<Listener>) -> Result<()> {
        let _serving = self.settings.shutdown.serving(&self.settings.connections);
        for listener in &listeners {
            trace::listening(listener.local_addr().ok());
        }
        if let First::Left(broken) = race(self.accept_all(&listeners), self.settings.shutdown.begun()).await {
            return broken;
        }
        self.turn_away(listeners);
        self.see_out().await;
        Ok(())
    }

    /// Accepts for ever, in a task for each connection.
    pub(crate) async fn accept_all(self: &Arc<Self>, listeners: &[Listener]) -> Result<()> {
        let relieve = || {
            self.limiter.end_oldest_handshake();
        };
        loop {
            let mut place = self.limiter.place().await;
            let (transport, peer) = listener::accept(listeners, relieve).await?;
            if !self.lets_in(peer) {
                self.settings.visitor(peer).dropped(Why::Words("the accept filter does not let it in"));
                continue;
            }
            if let Err(TooMany) = self.count(peer, &mut place) {
                self.refuse(transport, peer, too_many());
                continue;
            }
            let handshaking = Some(self.limiter.handshake().await);
            tokio::spawn(self.connection(transport, peer, Admission { place, handshaking }));
        }
    }

    /// Refuses those who wait in the operating system's queues, then closes the listeners.
    pub(crate) fn turn_away(&self, listeners: Vec<Listener>) {
        let mut cx = Context::from_waker(Waker::noop());
        for listener in listeners {
            while let Poll::Ready(Ok((transport, peer))) = listener.poll_accept(&mut cx) {
                self.refuse(transport, peer, self.settings.busy());
            }
        }
    }

    /// Sees out everybody who is there.
    pub(crate) async fn see_out(&self) {
        self.settings.shutdown.see_out(&self.settings.connections, &self.limiter).await;
    }

    /// Asks the filter.
    fn lets_in(&self, peer: Option<SocketAddr>) -> bool {
        match (&self.filter, peer) {
            (Some(filter), Some(peer)) => {
                // What the filter keeps is the server's own, and the next one finds it as this one
                // has left it.
                catch_unwind(AssertUnwindSafe(|| filter(peer))).unwrap_or_else(|_| {
                    self.settings.report_panic(Some(peer), "accept filter");
                    false
                })
            }
            _ => true,
        }
    }

    /// Counts the connection as one from the peer's address, unless that is a proxy's.
    fn count(&self, peer: Option<SocketAddr>, place: &mut Place) -> Result<(), TooMany> {
        let Some(address) = peer.map(|peer| peer.ip()) else { return Ok(()) };
        if self.settings.proxies.as_ref().is_some_and(|proxies| proxies.trusts(Some(address))) {
            return Ok(());
        }
        place.claim(address)
    }

    /// Refuses without having read anything, as far as there is time for it. With TLS there is not:
    /// whoever is refused is dropped, because a handshake costs the server more than the client.
    fn refuse(&self, transport: Transport, peer_addr: Option<SocketAddr>, rejection: Rejection) {
        let visitor = self.settings.visitor(peer_addr);
        let room = if self.settings.speaks_tls() { None } else { self.limiter.farewell() };
        let Some(room) = room else { return visitor.dropped(Why::Rejection(&rejection)) };
        let mut transport = transport;
        tokio::spawn(async move {
            let refusing = visitor.refusing(rejection.status(), Why::Rejection(&rejection));
            let response: Response<Bytes> = rejection.clone().into();
            let said = handshake::say(&mut transport, &response, &Method::GET, PATIENCE).await;
            refusing.end(said.is_ok());
            if said.is_ok() {
                let _ = handshake::see_out(transport, PATIENCE).await;
            }
            drop(room);
        });
    }

    /// The whole life of one connection.
    fn connection(
        self: &Arc<Self>,
        transport: Transport,
        peer: Option<SocketAddr>,
        mut admission: Admission,
    ) -> impl Future<Output = ()> + Send + 'static {
        let service = Arc::clone(self);
        Life::Opening(Box::pin(async move {
            let opened = service.settings.open(transport, peer, Some(&mut admission)).await;
            let upgrade = opened.unwrap_or_else(|error| {
                service.settings.report(peer, error.to_string().into());
                None
            });
            let (mut upgrade, seat) = upgrade?.awaited();
            let span = upgrade.span();
            let place = admission.place;
            let starting = Arc::clone(&service);
            Some(Box::pin(drive(
                seat,
                move || span.within(|| span.run((starting.handler)(upgrade))),
                move |ended| {
                    service.settings.report_handler(ended);
                    drop(place);
                },
            )))
        }))
    }
}
