//! The least of an opening handshake (RFC 6455 §4.2.2), for servers that bring none.

use std::io;

use base64::prelude::{BASE64_STANDARD, Engine};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The answer to a request; `None` as long as that is incomplete.
#[must_use]
pub fn answer(request: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(request).ok()?.strip_suffix("\r\n\r\n")?;
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
    })?;
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let accept = BASE64_STANDARD.encode(hash.finalize());
    Some(
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .into_bytes(),
    )
}

/// Performs the handshake on a connection.
///
/// # Errors
///
/// When the client goes away.
pub async fn perform(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(response) = answer(&request) {
            return stream.write_all(&response).await;
        }
    }
}
