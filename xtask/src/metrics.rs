//! The example `metrics`: its page counts what a peer by hand has sent and read.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::outcome::{Context as _, Result, Stop};
use crate::process::Service;
use crate::workspace;

const LIMIT: Duration = Duration::from_secs(30);

/// The opening handshake, a text of 5 bytes, an empty binary message and a Close frame with code 1000.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const FRAMES: &[u8] = b"\x81\x85\0\0\0\0hello\x82\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe8";
const ECHOES: &[u8] = b"\x81\x05hello\x82\x00\x88\x02\x03\xe8";

/// What the page says then, among other things.
const LINES: &[&str] = &[
    "# TYPE stentor_connections gauge",
    "stentor_connections 0",
    "# TYPE stentor_connections_opened_total counter",
    "stentor_connections_opened_total 1",
    "stentor_connections_closed_total{code=\"1000\",by=\"peer\"} 1",
    "stentor_connections_closed_total{code=\"other\",by=\"peer\"} 0",
    "stentor_handshake_duration_seconds_count 1",
    "stentor_received_bytes_total 25",
    "stentor_received_frames_total 3",
    "stentor_received_messages_total{kind=\"text\"} 1",
    "stentor_received_messages_total{kind=\"binary\"} 1",
    "stentor_received_payload_bytes_total{kind=\"text\"} 5",
    "stentor_sent_bytes_total 13",
    "stentor_sent_frames_total 3",
    "stentor_sent_payload_bytes_total{kind=\"text\"} 5",
];

pub(crate) fn run() -> Result {
    let example = workspace::build("stentor", &["--example", "metrics", "--features", "metrics"])?;
    let server = Service::start(Command::new(example).args(["--listen", "127.0.0.1:0"]))?;
    let address = server.address().trim_start_matches("http://");
    let answer = say(address, &[REQUEST.as_bytes(), FRAMES].concat())?;
    if !answer.ends_with(ECHOES) {
        return Err(Stop::fail(format!("not what was sent: {}", answer.escape_ascii())));
    }
    // The server counts its last frame when it has written it, which the peer may see before.
    let deadline = Instant::now() + LIMIT;
    loop {
        let page = say(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let page = String::from_utf8_lossy(&page).into_owned();
        match LINES.iter().find(|line| !page.lines().any(|found| found == **line)) {
            None => return Ok(()),
            Some(missing) if Instant::now() > deadline => {
                return Err(Stop::fail(format!("no line {missing:?} in {page}")));
            }
            Some(_) => {}
        }
    }
}

/// What comes back, up to the end of the connection.
fn say(address: &str, words: &[u8]) -> Result<Vec<u8>> {
    let mut tcp = TcpStream::connect(address).context(address)?;
    tcp.set_read_timeout(Some(LIMIT)).context(address)?;
    tcp.write_all(words).context(address)?;
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).context(address)?;
    Ok(answer)
}
