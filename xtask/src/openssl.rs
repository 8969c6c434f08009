//! OpenSSL and curl against our server over TLS: certificates and keys as people make them, and other clients.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::outcome::{Context, Result, Stop};
use crate::peer::Peer;
use crate::process::{self, Service};
use crate::tools::debian;
use crate::workspace::tools;

const LIMIT: Duration = Duration::from_secs(60);

/// Kinds of keys: how OpenSSL makes one, and what the first line of its file says.
const KEYS: &[(&str, &str, &str)] = &[
    ("RSA in PKCS#1", "openssl genrsa -traditional 2048", "BEGIN RSA PRIVATE KEY"),
    (
        "RSA in PKCS#8",
        "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "BEGIN PRIVATE KEY",
    ),
    ("P-256 in SEC1", "openssl ecparam -name prime256v1 -genkey -noout", "BEGIN EC PRIVATE KEY"),
    ("P-384 in SEC1", "openssl ecparam -name secp384r1 -genkey -noout", "BEGIN EC PRIVATE KEY"),
    (
        "P-256 in PKCS#8",
        "openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "BEGIN PRIVATE KEY",
    ),
    ("Ed25519", "openssl genpkey -quiet -algorithm ED25519", "BEGIN PRIVATE KEY"),
];

/// What a certificate for these checks says.
const SUBJECT: &str = "-days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                       -addext basicConstraints=critical,CA:FALSE";

/// An opening handshake for a socket that is closed at once, with the key of RFC 6455 §1.3.
const REQUEST: &str = r"GET /close?code=4001&reason=bye HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
/// Its answer.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) fn run() -> Result {
    for program in ["openssl", "curl"] {
        debian::program(program, program)?;
    }
    let peer = Peer::build()?;
    let folder = tools("openssl");
    fs::create_dir_all(&folder).context(folder.display())?;
    for (kind, generate, first_line) in KEYS {
        shell(
            &folder,
            &format!("{generate} > key.pem && openssl req -x509 -key key.pem -out chain.pem {SUBJECT}"),
        )?;
        let key = folder.join("key.pem");
        let text = fs::read_to_string(&key).context(key.display())?;
        expect(kind, "the key's file", &text, first_line)?;
        let server = peer.tls_server_with(&folder.join("chain.pem"), &key)?;
        for version in ["-tls1_3", "-tls1_2"] {
            openssl(&folder, kind, version, server.address())?;
        }
        curl(&folder, kind, server.address())?;
    }
    reload(&folder)
}

/// A handshake and a Close frame by `openssl s_client`, which says what it makes of our certificate.
fn openssl(folder: &Path, kind: &str, version: &str, address: &str) -> Result {
    let host = address.trim_start_matches("https://");
    let said = shell(
        folder,
        &format!(
            "printf '{REQUEST}' | openssl s_client -connect {host} -servername localhost -CAfile chain.pem \
             -verify_hostname localhost -verify_return_error -alpn http/1.1 {version} -ign_eof 2>&1"
        ),
    )?;
    let what = format!("openssl s_client {version}");
    for expected in
        ["Verify return code: 0 (ok)", "ALPN protocol: http/1.1", "101 Switching Protocols", ACCEPT, "bye"]
    {
        expect(kind, &what, &said, expected)?;
    }
    println!("ok {kind}: {what}");
    Ok(())
}

/// A page, a handshake and a Close frame by curl.
fn curl(folder: &Path, kind: &str, address: &str) -> Result {
    let curl = "curl --silent --show-error --cacert chain.pem --noproxy '*' --http1.1";
    let page = shell(folder, &format!("{curl} {address}/"))?;
    expect(kind, "the page by curl", &page, "Stentor in a browser")?;
    let said = shell(
        folder,
        &format!(
            "{curl} --include --no-buffer -H 'Upgrade: websocket' -H 'Connection: Upgrade' \
             -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \
             '{address}/close?code=4001&reason=bye'"
        ),
    )?;
    for expected in ["101 Switching Protocols", ACCEPT, "bye"] {
        expect(kind, "the handshake by curl", &said, expected)?;
    }
    println!("ok {kind}: curl");
    Ok(())
}

/// The example `tls` shows another certificate after SIGHUP, and keeps it when the next file is broken.
fn reload(folder: &Path) -> Result {
    let example = crate::workspace::build("stentor", &["--example", "tls", "--features", "tls"])?;
    let make = |name: &str| {
        let generate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        shell(
            folder,
            &format!("{generate} -keyout key.pem -out chain.pem {SUBJECT} 2>&1 && cp chain.pem {name}.pem"),
        )
    };
    make("first")?;
    let mut command = Command::new(example);
    command.current_dir(folder).args(["chain.pem", "key.pem", "--listen", "127.0.0.1:0"]);
    let server = Service::start(&mut command)?;
    let host = server.address().trim_start_matches("https://");
    let is_shown = |name: &str| {
        let check = format!(
            "openssl s_client -connect {host} -servername localhost -CAfile {name}.pem -verify_return_error \
             < /dev/null > /dev/null 2>&1 && echo yes || echo no"
        );
        shell(folder, &check).map(|said| said.trim() == "yes")
    };
    let hang_up = || shell(folder, &format!("kill -HUP {}", server.id()));
    if !is_shown("first")? {
        return Err(Stop::fail("the example does not show its certificate"));
    }
    make("second")?;
    hang_up()?;
    until(|| is_shown("second"))?;
    shell(folder, "echo rubbish > chain.pem")?;
    hang_up()?;
    // It has said so once it has noticed; until then and after that, the second is shown.
    for _ in 0..10 {
        if !is_shown("second")? {
            return Err(Stop::fail("a broken file has taken the certificate away"));
        }
    }
    println!("ok reload");
    Ok(())
}

/// Asks again until the answer is yes.
fn until(mut ask: impl FnMut() -> Result<bool>) -> Result {
    let deadline = std::time::Instant::now() + LIMIT;
    while !ask()? {
        if std::time::Instant::now() > deadline {
            return Err(Stop::fail(format!("not in {LIMIT:?}")));
        }
    }
    Ok(())
}

fn expect(kind: &str, what: &str, said: &str, expected: &str) -> Result {
    if said.contains(expected) {
        return Ok(());
    }
    Err(Stop::fail(format!("{kind}: {what}: no {expected:?} in: {said}")))
}

/// What a line for the shell prints.
fn shell(folder: &Path, line: &str) -> Result<String> {
    process::output(Command::new("sh").current_dir(folder).args(["-c", line]), LIMIT)
}
