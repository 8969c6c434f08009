//! Reading heads and writing responses: the opening handshake's I/O, for both sides.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use stentor_proto::Phase;
use stentor_proto::handshake::encode_response;

use crate::error::{Error, Result};
use crate::transport::Transport;

/// How long a refused peer has to read its answer and go.
const LINGER: Duration = Duration::from_secs(2);

/// Reads once, into a buffer that grows with what has really arrived; 0 bytes mean the end.
pub(crate) async fn read(transport: &mut Transport, bytes: &mut BytesMut) -> io::Result<usize> {
    if bytes.capacity() - bytes.len() < 256 {
        bytes.reserve(1024);
    }
    std::future::poll_fn(|cx| transport.poll_read(cx, bytes)).await
}

/// Reads exactly `len` bytes behind those that are there.
pub(crate) async fn read_exact(
    transport: &mut Transport,
    bytes: &mut BytesMut,
    len: usize,
) -> io::Result<()> {
    let end = bytes.len() + len;
    bytes.reserve(len);
    while bytes.len() < end {
        let missing = end - bytes.len();
        let mut room = (&mut *bytes).limit(missing);
        if std::future::poll_fn(|cx| transport.poll_read(cx, &mut room)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Writes all of `bytes`.
pub(crate) async fn write(transport: &mut Transport, mut bytes: Bytes) -> io::Result<()> {
    std::future::poll_fn(|cx| {
        while bytes.has_remaining() {
            ready!(transport.poll_write(cx, &mut bytes))?;
        }
        transport.poll_flush(cx)
    })
    .await
}

/// Answers with `response` instead of a handshake. Waits at most `patience` at a time for the transport
/// to take a part of it.
pub(crate) async fn say(
    transport: &mut Transport,
    response: &http::Response<Bytes>,
    method: &http::Method,
    patience: Duration,
) -> Result<()> {
    let mut bytes = encode_response(response, method);
    while bytes.has_remaining() {
        within(patience, |cx| transport.poll_write(cx, &mut bytes)).await?;
    }
    within(patience, |cx| transport.poll_flush(cx)).await
}

/// Ends a connection on which the answer has been said, once the peer has had time to read it.
pub(crate) async fn see_out(mut transport: Transport, patience: Duration) -> Result<()> {
    within(patience, |cx| transport.poll_shutdown(cx)).await?;
    drain(transport).await;
    Ok(())
}

/// Ends a transport over which the last word has been said.
#[cfg(feature = "tls")]
pub(crate) async fn see_off(mut transport: Transport) {
    if within(LINGER, |cx| transport.poll_shutdown(cx)).await.is_ok() {
        drain(transport).await;
    }
}

/// Dropping a socket that holds unread bytes resets it, which can destroy the answer before the peer
/// has read it. So what it still sends is read and thrown away, for a while.
async fn drain(mut transport: Transport) {
    let _ = tokio::time::timeout(LINGER, async {
        // Small, because thousands may be refused at the same time.
        let mut waste = BytesMut::with_capacity(512);
        while read(&mut transport, &mut waste).await.is_ok_and(|len| len > 0) {
            waste.clear();
        }
    })
    .await;
}

/// What `poll` gives, unless that takes longer than `patience`.
async fn within<T>(
    patience: Duration,
    poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>> + Unpin,
) -> Result<T> {
    let result = tokio::time::timeout(patience, std::future::poll_fn(poll)).await;
    Ok(result.map_err(|_| Error::Timeout(Phase::Write))??)
}

/// Answers without waiting, for want of a task to wait in: as much as the transport takes at once. Says
/// whether that was all.
pub(crate) fn answer_at_once(transport: &mut Transport, response: &http::Response<Bytes>) -> bool {
    let mut bytes = encode_response(response, &http::Method::GET);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    while bytes.has_remaining() {
        if !matches!(transport.poll_write(&mut cx, &mut bytes), Poll::Ready(Ok(_))) {
            return false;
        }
    }
    let flushed = matches!(transport.poll_flush(&mut cx), Poll::Ready(Ok(())));
    let _ = transport.poll_shutdown(&mut cx);
    flushed
}
