//! What a server listens on: TCP and unix sockets, bound here or handed in, and streams of others.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs};

use crate::error::{Error, Result};
use crate::transport::{Io, Transport};

/// A socket that clients connect to.
///
/// ```no_run
/// use stentor::{Listener, Server};
///
/// # async fn example() -> stentor::Result<()> {
/// let server = Server::bind("127.0.0.1:8080")
///     .await?
///     .listen_on(Listener::bind("[::1]:8080").await?)
///     .listen_on(Listener::bind_unix("/run/chat/socket")?);
/// # Ok(())
/// # }
/// ```
pub struct Listener(Kind);

enum Kind {
    Tcp {
        listener: TcpListener,
        /// Others may listen on the same address beside it.
        reuse_port: bool,
    },
    #[cfg(unix)]
    Unix(tokio::net::UnixListener, Option<unix::SocketFile>),
    Other(Incoming),
}

/// Byte streams that come from elsewhere; `None` after the last.
type Incoming = Mutex<Option<Pin<Box<dyn Stream<Item = io::Result<Accepted>> + Send>>>>;

/// A new connection, and the other end's address.
pub(crate) type Accepted = (Transport, Option<SocketAddr>);

impl Listener {
    /// Listens on the first of the addresses that can be listened on; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when none can be.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn bind(addr: impl ToSocketAddrs) -> Result<Self> {
        let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on");
        for addr in tokio::net::lookup_host(addr).await? {
            match listening(addr) {
                Ok(listener) => return Ok(listener.into()),
                Err(error) => failed = error,
            }
        }
        Err(failed.into())
    }

    /// Listens on an address on which others, of this process or another, may listen at the same
    /// time in the same way (`SO_REUSEPORT`). The operating system spreads the clients over them.
    ///
    /// A server with [workers](crate::Server::workers) opens one more socket for each of them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when it cannot be listened on.
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
    pub fn bind_reuse_port(addr: SocketAddr) -> Result<Self> {
        let listener = TcpListener::from_std(reusing_port(addr)?)?;
        Ok(Self(Kind::Tcp { listener, reuse_port: true }))
    }

    /// Listens on a unix socket at `path`. A socket file that is there and on which nobody listens
    /// any more is replaced; this one is removed when the listener is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when it cannot be listened on.
    #[cfg(unix)]
    pub fn bind_unix(path: impl AsRef<std::path::Path>) -> Result<Self> {
        let (listener, file) = unix::bind(path.as_ref())?;
        Ok(Self(Kind::Unix(listener, Some(file))))
    }

    /// The sockets that systemd, or another of its kind, hands to the process (`LISTEN_FDS`), in
    /// their order; none when it was started otherwise.
    ///
    /// It takes these variables out of the environment, so call it once, at the beginning, before
    /// other threads could look at the environment.
    ///
    /// ```no_run
    /// use stentor::{Listener, Server};
    ///
    /// # async fn example() -> stentor::Result<()> {
    /// let server = match Listener::from_env()?.into_iter().next() {
    ///     Some(handed_in) => Server::from_listener(handed_in),
    ///     None => Server::bind("127.0.0.1:8080").await?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when one of them is no TCP or unix socket.
    #[cfg(unix)]
    pub fn from_env() -> Result<Vec<Self>> {
        let mut handed_in = listenfd::ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..handed_in.len() {
            // Whichever it is: the other try leaves it in its place.
            let listener = match handed_in.take_tcp_listener(index) {
                Ok(Some(tcp)) => Self::try_from(tcp)?,
                _ => match handed_in.take_unix_listener(index)? {
                    Some(unix) => Self::try_from(unix)?,
                    None => continue,
                },
            };
            listeners.push(listener);
        }
        Ok(listeners)
    }

    /// Takes connections from a stream: byte streams of any kind, with the addresses of their other
    /// ends where they have some. When it ends, no more will come.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    /// use stentor::{Client, Listener, Server, WebSocket};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> stentor::Result<()> {
    /// let (ours, theirs) = tokio::io::duplex(1024);
    /// let listener = Listener::from_stream(stream::iter([Ok((theirs, None))]));
    /// let greet = async |mut socket: WebSocket| socket.send("hello").await;
    /// tokio::spawn(Server::from_listener(listener).serve(greet));
    /// let mut socket = Client::new().connect_over("ws://in.memory/", ours).await?;
    /// assert_eq!(socket.recv().await?, Some("hello".into()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_stream<I: Io>(
        stream: impl Stream<Item = io::Result<(I, Option<SocketAddr>)>> + Send + 'static,
    ) -> Self {
        Self(Kind::Other(Mutex::new(Some(Box::pin(Boxing(Box::pin(stream)))))))
    }

    /// The address listened on.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when the operating system does not say, or when it is no TCP
    /// socket.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        match &self.0 {
            Kind::Tcp { listener, .. } => Ok(listener.local_addr()?),
            #[cfg(unix)]
            Kind::Unix(..) => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            Kind::Other(_) => Err(io::Error::from(io::ErrorKind::Unsupported).into()),
        }
    }

    /// The next connection.
    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match &self.0 {
            Kind::Tcp { listener, .. } => {
                let (tcp, peer) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Ok((prepare(tcp), Some(peer))))
            }
            #[cfg(unix)]
            Kind::Unix(listener, _) => {
                let (stream, _) = ready!(listener.poll_accept(cx))?;
                Poll::Ready(Ok((Transport::Boxed(Box::new(stream)), None)))
            }
            Kind::Other(incoming) => {
                let mut incoming = incoming.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(stream) = &mut *incoming else { return Poll::Pending };
                if let Some(accepted) = ready!(stream.as_mut().poll_next(cx)) {
                    return Poll::Ready(accepted);
                }
                *incoming = None;
                Poll::Pending
            }
        }
    }

    /// This socket for one thread and others like it for the rest, none of them registered with a
    /// runtime: more sockets on the same address where that was prepared, otherwise copies of the
    /// one. A stream stays with the first thread.
    pub(crate) fn spread(self, threads: usize) -> io::Result<Vec<Detached>> {
        let first = match self.0 {
            Kind::Tcp { listener, reuse_port } => Detached::Tcp(listener.into_std()?, reuse_port),
            #[cfg(unix)]
            Kind::Unix(listener, file) => Detached::Unix(listener.into_std()?, file),
            Kind::Other(incoming) => Detached::Other(incoming),
        };
        let others = (1..threads).filter_map(|_| first.another()).collect::<io::Result<Vec<_>>>()?;
        Ok(std::iter::once(first).chain(others).collect())
    }
}

/// A stream whose byte streams become transports.
struct Boxing<S>(Pin<Box<S>>);

impl<I: Io, S: Stream<Item = io::Result<(I, Option<SocketAddr>)>>> Stream for Boxing<S> {
    type Item = io::Result<Accepted>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let boxed = |(io, peer)| (Transport::Boxed(Box::new(io)), peer);
        self.0.as_mut().poll_next(cx).map(|next| next.map(|accepted| accepted.map(boxed)))
    }
}

/// A listener on its way from one runtime to another.
pub(crate) enum Detached {
    Tcp(std::net::TcpListener, bool),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, Option<unix::SocketFile>),
    Other(Incoming),
}

impl Detached {
    fn another(&self) -> Option<io::Result<Self>> {
        Some(match self {
            #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
            Self::Tcp(listener, true) => {
                listener.local_addr().and_then(reusing_port).map(|other| Self::Tcp(other, true))
            }
            Self::Tcp(listener, _) => listener.try_clone().map(|copy| Self::Tcp(copy, false)),
            #[cfg(unix)]
            Self::Unix(listener, _) => listener.try_clone().map(|copy| Self::Unix(copy, None)),
            Self::Other(_) => return None,
        })
    }

    /// Registers it with the runtime that this is called in.
    pub(crate) fn attach(self) -> io::Result<Listener> {
        Ok(Listener(match self {
            Self::Tcp(listener, reuse_port) => {
                Kind::Tcp { listener: TcpListener::from_std(listener)?, reuse_port }
            }
            #[cfg(unix)]
            Self::Unix(listener, file) => Kind::Unix(tokio::net::UnixListener::from_std(listener)?, file),
            Self::Other(incoming) => Kind::Other(incoming),
        }))
    }
}

/// How many clients the operating system may keep waiting to be accepted: as many as Linux allows by
/// default. When thousands come back at once, those beyond it wait a second or more.
const BACKLOG: i32 = 4096;

fn listening(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that restarts need not wait for its old connections to be forgotten. Elsewhere than
    // on unix this would mean to take the address from another.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG.unsigned_abs())
}

/// A socket that listens on `addr` beside others.
#[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
fn reusing_port(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};

    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Kind::Tcp { listener, reuse_port: false })
    }
}

/// Within a runtime, with which it is registered.
impl TryFrom<std::net::TcpListener> for Listener {
    type Error = Error;

    fn try_from(listener: std::net::TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(TcpListener::from_std(listener)?.into())
    }
}

#[cfg(unix)]
impl From<tokio::net::UnixListener> for Listener {
    fn from(listener: tokio::net::UnixListener) -> Self {
        Self(Kind::Unix(listener, None))
    }
}

/// Within a runtime, with which it is registered.
#[cfg(unix)]
impl TryFrom<std::os::unix::net::UnixListener> for Listener {
    type Error = Error;

    fn try_from(listener: std::os::unix::net::UnixListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(tokio::net::UnixListener::from_std(listener)?.into())
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Tcp { listener, .. } => listener.fmt(f),
            #[cfg(unix)]
            Kind::Unix(listener, _) => listener.fmt(f),
            Kind::Other(_) => f.write_str("Stream"),
        }
    }
}

#[cfg(unix)]
mod unix {
    //! Socket files: made, replaced when they are stale, and removed.

    use std::fs;
    use std::io;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};

    use tokio::net::UnixListener;

    /// The file of a socket that was bound here; removed when dropped, unless another has taken its
    /// place.
    #[derive(Debug)]
    pub(crate) struct SocketFile {
        path: PathBuf,
        /// Device and inode.
        identity: (u64, u64),
    }

    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
                fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            result => result?,
        };
        let identity = identity(path)?;
        Ok((listener, SocketFile { path: path.to_owned(), identity }))
    }

    /// Whether there is a socket that nobody listens on.
    fn is_stale(path: &Path) -> bool {
        let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        is_socket && UnixStream::connect(path).err().is_some_and(refused)
    }

    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
    }

    impl Drop for SocketFile {
        fn drop(&mut self) {
            if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
                // That it stays is no reason to fail: the next to bind finds it stale.
                let _ = fs::remove_file(&self.path);
            }
        }
    }
}

/// How long to wait before accepting again when the process has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The next connection of any of the listeners that can be accepted. When the process has run out
/// of descriptors, `relieve` may see to it that others end.
pub(crate) async fn accept(listeners: &[Listener], mut relieve: impl FnMut()) -> io::Result<Accepted> {
    // Each listener comes first in its turn, so that none starves the others.
    let mut first = 0;
    loop {
        let accepted = std::future::poll_fn(|cx| {
            let (before, after) = listeners.split_at(first.min(listeners.len()));
            first = (first + 1) % listeners.len().max(1);
            let mut ready = after.iter().chain(before).map(|listener| listener.poll_accept(cx));
            ready.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        match accepted.await {
            Ok(accepted) => return Ok(accepted),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) if is_about_the_listener(&error) => return Err(error),
            // Out of descriptors or memory: others have to end first.
            Err(_) => {
                relieve();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn is_about_the_listener(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotConnected, Unsupported};
    matches!(error.kind(), InvalidInput | NotConnected | Unsupported)
}

fn prepare(tcp: TcpStream) -> Transport {
    // Small messages are not held back for fuller segments: what a handler sends at once leaves in
    // one write anyway. A socket that cannot do this is already broken and will say so.
    let _ = tcp.set_nodelay(true);
    Transport::Tcp(tcp)
}
