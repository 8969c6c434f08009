//! What our server's hooks refuse, as curl sees it.

use std::process::Command;
use std::time::Duration;

use crate::outcome::{Result, Stop};
use crate::peer::Peer;
use crate::process;
use crate::tools::debian;

const LIMIT: Duration = Duration::from_secs(30);

/// A request and what has to come back.
struct Check {
    name: &'static str,
    path: &'static str,
    headers: &'static [&'static str],
    status: &'static str,
    /// Lines of the head, in lower case.
    lines: &'static [&'static str],
    /// The message in the body; `None` where there is no JSON.
    message: Option<&'static str>,
}

const SPOKEN: &str = "Sec-WebSocket-Protocol: v2, v1";
const REFUSED: &[&str] = &["content-type: application/json", "cache-control: no-store", "connection: close"];

const CHECKS: &[Check] = &[
    Check {
        name: "let in",
        path: "/",
        headers: &[SPOKEN],
        status: "101 Switching Protocols",
        lines: &["sec-websocket-protocol: v1", "set-cookie: a=1; httponly", "set-cookie: b=2"],
        message: None,
    },
    Check {
        name: "a foreign page",
        path: "/",
        headers: &[SPOKEN, "Origin: http://evil.example"],
        status: "403 Forbidden",
        lines: REFUSED,
        message: Some("origin not allowed"),
    },
    Check {
        name: "not authorized",
        path: "/refused",
        headers: &[SPOKEN],
        status: "401 Unauthorized",
        lines: &["www-authenticate: bearer", "retry-after: 7"],
        message: Some("log in first"),
    },
    Check {
        name: "a hook that takes too long",
        path: "/slow",
        headers: &[SPOKEN],
        status: "408 Request Timeout",
        lines: REFUSED,
        message: Some("the decision took too long"),
    },
    Check {
        name: "a hook that panics",
        path: "/panic",
        headers: &[SPOKEN],
        status: "500 Internal Server Error",
        lines: REFUSED,
        message: Some("internal error"),
    },
    Check {
        name: "no subprotocol in common",
        path: "/",
        headers: &["Sec-WebSocket-Protocol: v2"],
        status: "400 Bad Request",
        lines: REFUSED,
        message: Some("none of the subprotocols offered is spoken here"),
    },
    Check {
        name: "another version",
        path: "/",
        headers: &[SPOKEN, "Sec-WebSocket-Version: 99"],
        status: "426 Upgrade Required",
        lines: &["sec-websocket-version: 13", "connection: upgrade, close"],
        message: Some("unsupported Sec-WebSocket-Version"),
    },
];

pub(crate) fn run() -> Result {
    debian::program("curl", "curl")?;
    let server = Peer::build()?.hooks()?;
    let mut failed = 0;
    // Twice, because the server has to live on.
    for check in CHECKS.iter().chain(CHECKS) {
        let result = ask(server.address(), check).and_then(|answer| judge(check, &answer));
        match result {
            Ok(()) => println!("ok {}", check.name),
            Err(why) => {
                failed += 1;
                println!("not ok {}: {why:?}", check.name);
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(Stop::fail(format!("{failed} of the checks"))) }
}

/// The head and the body that come back.
fn ask(address: &str, check: &Check) -> Result<String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--include", "--http1.1", "--no-buffer", "--max-time", "10"]);
    let handshake =
        ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    let version = ["Sec-WebSocket-Version: 13"];
    let other_version = check.headers.iter().any(|header| header.starts_with("Sec-WebSocket-Version"));
    let version = if other_version { &[][..] } else { &version };
    for header in handshake.iter().chain(version).chain(check.headers) {
        command.args(["--header", header]);
    }
    process::output(command.arg(format!("{address}{}", check.path)), LIMIT)
}

fn judge(check: &Check, answer: &str) -> Result {
    let missing = |what: &str| Stop::fail(format!("no {what} in {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| missing("head"))?;
    if head.lines().next() != Some(&format!("HTTP/1.1 {}", check.status)) {
        return Err(missing(check.status));
    }
    let head = head.to_lowercase();
    for line in check.lines {
        if !head.lines().any(|found| found == *line) {
            return Err(missing(line));
        }
    }
    let (code, status) = check.status.split_once(' ').ok_or_else(|| missing("status"))?;
    let (right, expected) = match check.message {
        Some(message) => {
            let json = format!(r#"{{"code":{code},"message":"{message}","status":"{status}"}}"#);
            (body == json, json)
        }
        // In a frame, with another behind it.
        None => (body.contains("let in"), "message".to_owned()),
    };
    if right { Ok(()) } else { Err(missing(&expected)) }
}
