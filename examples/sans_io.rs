//! The protocol without a runtime: a client on a blocking `TcpStream`.
//! `cargo run --release --example sans_io -- ws://127.0.0.1:8080/`

use std::io::{Error, Read, Write};
use std::net::TcpStream;
use std::{sync::Arc, time::Instant};

use stentor::proto::bytes::{Buf, BytesMut};
use stentor::proto::handshake::{ClientHandshake, ClientRequest, Progress};
use stentor::proto::{CloseCode, Config, Entropy, Event, Message, State};

struct OsRandom;

impl Entropy for OsRandom {
    fn fill(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("random bytes");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri: http::Uri = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/".into()).parse()?;
    let mut tcp = TcpStream::connect(uri.authority().ok_or("a URI with a host")?.as_str())?;
    let mut bytes = BytesMut::new();

    let request = ClientRequest::new(uri);
    let mut handshake = ClientHandshake::new(&request, Box::new(OsRandom), Arc::new(Config::default()))?;
    tcp.write_all(handshake.request_head())?;
    let mut connection = loop {
        read(&mut tcp, &mut bytes)?;
        match handshake.receive(&mut bytes, Instant::now())? {
            Progress::NeedMore(more) => handshake = more,
            Progress::Done((connection, _response)) => break connection,
        }
    };

    connection.send(Message::from("hello"))?;
    while connection.state() != State::Closed {
        while let Some(mut out) = connection.poll_transmit() {
            let len = tcp.write(out.chunk())?;
            out.advance(len);
        }
        if read(&mut tcp, &mut bytes)? == 0 {
            connection.receive_eof(Instant::now());
        }
        while let Some(event) = connection.receive(&mut bytes, Instant::now()) {
            println!("{event:?}");
            if let Event::Message(_) = event {
                connection.close(CloseCode::NORMAL, "that was all", Instant::now())?;
            }
        }
    }
    Ok(())
}

fn read(tcp: &mut TcpStream, bytes: &mut BytesMut) -> Result<usize, Error> {
    let mut block = [0; 4096];
    let len = tcp.read(&mut block)?;
    bytes.extend_from_slice(&block[..len]);
    Ok(len)
}
