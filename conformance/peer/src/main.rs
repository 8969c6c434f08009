//! Our side of the checks against others' WebSocket implementations, on the public API: a server with the behaviours
//! of `conformance/README.md`, a client that makes its checks, both with TLS if they are given certificates and both
//! for compression and for proxies between them, and a client for Autobahn's fuzzing server.

mod autobahn;
mod behind;
mod certificates;
mod checks;
mod client;
mod content;
mod deflate;
mod hooks;
mod page;
mod seen;
mod server;

use std::process::ExitCode;

use stentor::{Config, Deflate};
use stentor_testkit::deflate::settings;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["server"] => server::run(None).await,
        ["server", chain, key] => server::run(Some((chain, key))).await,
        ["axum-server"] => server::run_inside_axum().await,
        ["hooks"] => hooks::run().await,
        ["client", address] => client::run(address, None).await,
        ["client", address, roots] => client::run(address, Some(roots)).await,
        ["behind-server", way] => behind::server::run(way, None).await,
        ["behind-server", way, chain, key] => behind::server::run(way, Some((chain, key))).await,
        ["behind-client", address] => behind::client::run(address, None).await,
        ["behind-client", address, roots] => behind::client::run(address, Some(roots)).await,
        ["silence-client", address] => behind::silence::run(address).await,
        ["held-client", address] => behind::held::run(address).await,
        ["certificates", folder] => certificates::write(folder.as_ref()),
        ["deflate-server"] => deflate::server::run().await,
        ["deflate-client", address, smallest] => deflate::client::run(address, smallest).await,
        ["autobahn-client", url] => autobahn::run(url).await,
        _ => Err(
            "server [CHAIN KEY] | axum-server | hooks | client http[s]://ADDRESS [ROOTS] | certificates FOLDER | \
                  deflate-server | deflate-client http://ADDRESS BITS | autobahn-client ws://ADDRESS | \
                  behind-server WAY [CHAIN KEY] | behind-client http[s]://ADDRESS [ROOTS] | \
                  silence-client http://ADDRESS | held-client http://ADDRESS"
                .into(),
        ),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Limits that let the largest checks through: Autobahn sends 16 MiB in one frame, and 4 MiB in 65,536 fragments.
fn config() -> Config {
    Config {
        max_frame_size: 16 << 20,
        max_message_size: 16 << 20,
        max_fragments: 70_000,
        // Autobahn keeps some connections waiting for longer than a ping is patient.
        keepalive: None,
        ..Config::default()
    }
}

/// The same, with messages sent in fragments of 3 bytes, which cut characters apart.
fn fragmenting() -> Config {
    Config { fragment_size: Some(3), ..config() }
}

/// The same, with messages of any size compressed on these terms.
fn deflating(terms: &str) -> Result<Config> {
    let deflate = Deflate { threshold: Some(0), ..settings(terms)? };
    Ok(Config { deflate: Some(deflate), ..config() })
}
