//! Sends each line typed as a message and prints what arrives.
//! `cargo run --release --example client -- ws://127.0.0.1:8080/`

use stentor::{CloseCode, Message};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> stentor::Result<()> {
    let uri = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/".to_owned());
    let mut socket = stentor::connect(uri).await?;
    let mut lines = BufReader::new(stdin()).lines();

    // Both calls may be dropped half-way: neither a line nor a message is lost.
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => socket.send(line).await?,
                None => return socket.close(CloseCode::NORMAL, "").await,
            },
            message = socket.recv() => match message? {
                Some(Message::Text(text)) => println!("{text}"),
                Some(Message::Binary(bytes)) => println!("[{} bytes]", bytes.len()),
                None => break,
            },
        }
    }
    if let Some(closed) = socket.closed() {
        eprintln!("{closed}");
    }
    Ok(())
}
