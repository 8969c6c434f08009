//! What the handles of one connection share with whoever drives it, and the `task` that does.

mod task;

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use stentor_proto::{CloseCode, CloseFrame, Compress, Connection, Failure, Message, Misuse, Prepared};

use crate::about::About;
use crate::driver::{Core, now};
use crate::error::{Error, Result};
use crate::id::ConnectionId;
use crate::observer::{Arrival, Observed, Observers, Subject};
use crate::registry::Registry;
use crate::trace::{self, Span};
use crate::traffic::Traffic;
use crate::transport::Transport;

pub(crate) use task::{HandlerFailure, Life, Seat, drive};

/// One connection.
#[derive(Debug)]
pub(crate) struct Shared {
    core: Mutex<Core>,
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) id: ConnectionId,
    pub(crate) about: Option<Box<About>>,
    /// Where the connection is listed as long as anything is left of it.
    registry: Option<Arc<Registry<Shared>>>,
    observers: Observers,
    pub(crate) span: Span,
}

/// What is known of a connection when its opening handshake is done.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) transport: Transport,
    /// What arrived behind the handshake.
    pub(crate) inbound: BytesMut,
    pub(crate) peer_addr: Option<SocketAddr>,
    pub(crate) about: Option<Box<About>>,
    pub(crate) registry: Option<Arc<Registry<Shared>>>,
    pub(crate) watchers: Watchers,
    pub(crate) arrival: Arrival,
}

/// Who watches a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchers {
    /// What passes is counted, even if nobody is to be told.
    pub(crate) counts: bool,
    pub(crate) observers: Observers,
}

impl Shared {
    /// A connection with one handle, which a task drives or the handle itself.
    pub(crate) fn new(opened: Opened, driven: bool) -> Arc<Self> {
        let Watchers { counts, observers } = opened.watchers;
        let mut core = Core::new(opened.connection, opened.transport, opened.inbound, driven);
        if counts || !observers.is_empty() {
            core.watch(observers.is_empty());
        }
        let shared = Arc::new(Self {
            core: Mutex::new(core),
            peer_addr: opened.peer_addr,
            id: ConnectionId::next(),
            about: opened.about,
            registry: opened.registry,
            observers,
            span: opened.arrival.span,
        });
        if let Some(registry) = &shared.registry {
            registry.insert(shared.id, Arc::downgrade(&shared));
        }
        shared.span.opened(shared.id.into(), shared.subprotocol(), opened.arrival.took);
        let observed = Observed::opened(&*shared, opened.arrival.took);
        shared.span.within(|| shared.observers.opened(&observed));
        shared
    }

    /// The subprotocol that was agreed on, if any.
    pub(crate) fn subprotocol(&self) -> Option<&str> {
        self.about.as_ref()?.subprotocol.as_deref()
    }

    /// The client's address: the peer's, or the one that a trusted proxy has told.
    pub(crate) fn client_ip(&self) -> Option<IpAddr> {
        let forwarded = self.about.as_ref().and_then(|about| about.forwarded);
        forwarded.or_else(|| self.peer_addr.map(|peer| peer.ip().to_canonical()))
    }

    /// Uses the connection's state. Nobody else can meanwhile, and no call waits inside.
    #[inline]
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(&mut Core) -> R) -> R {
        let mut core = self.lock();
        let result = use_it(&mut core);
        let has_news = core.has_news();
        drop(core);
        if has_news {
            self.trace();
        }
        if !self.observers.is_empty() {
            self.tell(false);
        }
        result
    }

    /// Has it told in the log what has happened, which happens a few times in a connection's life.
    #[cold]
    #[inline(never)]
    fn trace(&self) {
        let news = self.lock().news();
        self.span.tell(&news);
    }

    /// Tells the observers what has happened, in its order: whoever drives does, and nobody who holds
    /// the lock.
    #[cold]
    #[inline(never)]
    fn tell(&self, drives: bool) {
        loop {
            let report = {
                let core = &mut *self.lock();
                let tells = drives || !core.is_driven();
                let Some(watch) = core.watch.as_mut().filter(|_| tells) else { return };
                watch.begin_telling(&core.connection)
            };
            if report.is_empty() {
                return;
            }
            self.span.within(|| self.observers.tell(&Observed::new(self), &report));
            if let Some(watch) = &mut self.lock().watch {
                watch.has_told();
            }
        }
    }

    /// Tells the observers what a turn of the connection's task has brought.
    #[inline]
    pub(crate) fn tell_as_driver(&self) {
        if !self.observers.is_empty() {
            self.tell(true);
        }
    }

    /// It is over, and none of the open ones any more.
    pub(crate) fn leave(&self) {
        let Some(registry) = &self.registry else { return };
        let connection = &self.lock().connection;
        registry.leave(self.id, connection.closed().is_some() && connection.failure().is_none());
    }

    /// What has passed so far, where that is counted.
    pub(crate) fn traffic(&self) -> Option<Traffic> {
        let core = self.lock();
        core.watch.as_ref().map(|watch| watch.traffic(&core.connection))
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Core> {
        // What runs under the lock is this crate's code and wakers; nothing is left half done.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message once there is room, and waits a moment when it was dropped for want of it.
    #[inline]
    pub(crate) fn poll_feed(&self, cx: &mut Context<'_>, message: &mut Option<Message>) -> Poll<Result<()>> {
        if !self.lock().feed_at_once(message) {
            return self.poll_feed_with(cx, message, Compress::ByThreshold);
        }
        if !self.observers.is_empty() {
            self.tell(false);
        }
        Poll::Ready(Ok(()))
    }

    /// The same with a choice about compression.
    pub(crate) fn poll_feed_with(
        &self,
        cx: &mut Context<'_>,
        message: &mut Option<Message>,
        compress: Compress,
    ) -> Poll<Result<()>> {
        self.with(|core| {
            if message.is_some() {
                ready!(core.poll_change(cx, |core| {
                    core.try_send_with(message, compress).map(|sent| sent.then_some(()))
                }))?;
                if core.lets_others_go(cx) {
                    return Poll::Pending;
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Queues a message that was encoded before, once there is room.
    pub(crate) fn poll_feed_prepared(&self, cx: &mut Context<'_>, message: &Prepared) -> Poll<Result<()>> {
        self.with(|core| core.poll_change(cx, |core| core.try_send_prepared(message)))
    }

    /// Queues a message once there is room, and sees to it that it leaves soon: at once when
    /// self-driven, else at the task's next turn.
    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    pub(crate) fn send(&self, message: Message) -> Send<'_> {
        Send { shared: self, message: Some(message) }
    }

    #[cold]
    fn poll_send(&self, cx: &mut Context<'_>, message: &mut Option<Message>) -> Poll<Result<()>> {
        ready!(self.poll_feed(cx, message))?;
        self.poll_depart(cx)
    }

    /// Sees to it that what was queued leaves soon.
    pub(crate) fn poll_depart(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.with(|core| core.poll_depart(cx))
    }

    /// Until there is room for a message.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.with(|core| core.lets_others_go(cx)) {
            return Poll::Pending;
        }
        self.with(|core| {
            core.poll_change(cx, |core| core.check_open().map(|()| core.connection.has_room().then_some(())))
        })
    }

    /// Waits a moment when a message was dropped for want of room.
    pub(crate) async fn pause(&self) {
        let mut paused = false;
        std::future::poll_fn(|cx| {
            if !paused && self.with(|core| core.lets_others_go(cx)) {
                paused = true;
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Queues a message for which there is room.
    pub(crate) fn start_send(&self, message: Message) -> Result<()> {
        let sent = self.with(|core| core.try_send(&mut Some(message)))?;
        if sent { Ok(()) } else { Err(Misuse::OutboxFull.into()) }
    }

    /// Until everything queued was written.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.with(|core| core.poll_flush(cx))
    }

    /// A Ping, and the time until its Pong.
    pub(crate) async fn ping(&self) -> Result<Duration> {
        let answered = self.with(|core| {
            core.check_open()?;
            core.connection.ping(now())?;
            Ok::<_, Error>(core.pongs)
        })?;
        std::future::poll_fn(|cx| {
            self.with(|core| {
                core.poll_change(cx, |core| {
                    if core.pongs != answered {
                        return Ok(core.connection.round_trip());
                    }
                    core.check_open().map(|()| None)
                })
            })
        })
        .await
    }

    /// Begins the closing handshake, if nobody has.
    pub(crate) fn begin_close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.with(|core| core.close(code, reason)).map_err(Error::from)
    }

    /// The closing handshake.
    pub(crate) async fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        std::future::poll_fn(|cx| self.poll_close(cx, code, reason)).await
    }

    /// The closing handshake, which the first call begins.
    pub(crate) fn poll_close(&self, cx: &mut Context<'_>, code: CloseCode, reason: &str) -> Poll<Result<()>> {
        self.with(|core| {
            core.close(code, reason)?;
            core.poll_change(cx, |core| {
                // A self-driven connection has nobody else to see its transport out.
                let seen_out = core.is_driven() || core.is_gone();
                if !core.is_over() || !core.is_flushed() || !seen_out {
                    return Ok(None);
                }
                match core.connection.failure() {
                    // A peer that hangs up instead of answering has closed too.
                    Some(Failure::Disconnected) => Ok(Some(())),
                    _ => core.outcome().map(Some),
                }
            })
        })
    }

    /// Has a task drive the connection, if none does.
    pub(crate) fn hand_over(self: &Arc<Self>) {
        let runtime = self.with(|core| if core.is_gone() { None } else { core.hand_over() });
        if let Some(runtime) = runtime {
            let seat = Seat::Found(Arc::clone(self));
            runtime.spawn(drive(seat, || std::future::ready(()), drop));
        }
    }

    /// Sees to it that what somebody without a handle has queued or decided is carried out.
    pub(crate) fn nudge(self: &Arc<Self>) {
        self.hand_over();
        self.with(|core| core.wake_driver());
    }

    /// Closes the connection as soon as its handler waits and nothing is there for it.
    pub(crate) fn retire(self: &Arc<Self>, farewell: &Arc<CloseFrame>) {
        self.hand_over();
        self.with(|core| core.retire(Arc::clone(farewell)));
    }

    /// Ends the connection at once, and its task with the handler.
    pub(crate) fn kill(&self) {
        self.with(|core| {
            if core.is_driven() {
                core.killed = true;
                core.wake_driver();
            } else {
                core.abandon();
            }
        });
    }

    /// One handle more.
    pub(crate) fn add_handle(&self) {
        self.with(|core| core.handles += 1);
    }

    /// One handle less. After the last, whoever drives closes the connection.
    pub(crate) fn drop_handle(self: &Arc<Self>) {
        let to_finish = self.with(|core| {
            core.handles -= 1;
            if core.handles == 0 {
                core.discard();
                core.wake_driver();
            }
            core.handles == 0 && !core.is_driven() && !core.is_gone()
        });
        if to_finish {
            self.hand_over();
        }
    }
}

impl Subject for Shared {
    fn id(&self) -> ConnectionId {
        self.id
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip()
    }

    fn about(&self) -> Option<&About> {
        self.about.as_deref()
    }

    fn subprotocol(&self) -> Option<&str> {
        self.subprotocol()
    }

    fn traffic(&self) -> Traffic {
        self.traffic().unwrap_or_default()
    }

    fn failure(&self) -> Option<Failure> {
        self.lock().connection.failure()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if trace::ON || !self.observers.is_empty() {
            // Nobody drives it any more, so this is its end if it has not had one.
            self.with(Core::abandon);
            self.tell(true);
        }
        self.leave();
    }
}

/// The future of [`Shared::send`]: written out, because it has to be inlined.
pub(crate) struct Send<'a> {
    shared: &'a Shared,
    /// Until it is queued.
    message: Option<Message>,
}

impl Future for Send<'_> {
    type Output = Result<()>;

    #[allow(clippy::inline_always)] // A call of its own costs a tenth of a small message.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Self { shared, message } = self.get_mut();
        if !shared.lock().send_at_once(message) {
            return shared.poll_send(cx, message);
        }
        if !shared.observers.is_empty() {
            shared.tell(false);
        }
        Poll::Ready(Ok(()))
    }
}
