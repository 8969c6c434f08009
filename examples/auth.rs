//! A page to log in, and a socket for those who have. An `HttpOnly` cookie says who it is; a token says
//! that it is our own page that asks: in the URL of the socket, and in each message.
//! `cargo run --release --features csrf --example auth -- --user ann:secret --user bob:hunter2`

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use stentor::csrf::Csrf;
use stentor::http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use stentor::http::{HeaderMap, Method, Request, Response, StatusCode};
use stentor::proto::bytes::Bytes;
use stentor::{BoxError, CloseCode, Config, HandshakeLimits, Rejection, Server, UpgradeRequest, WebSocket};

struct App {
    /// Names and passwords. Yours are in a database, hashed by a function made for passwords.
    users: HashMap<String, String>,
    logins: Mutex<HashMap<String, Login>>,
    csrf: Csrf,
}

/// Whose connection it is: the context of each.
#[derive(Clone)]
struct Login {
    session: String,
    user: String,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let (mut users, mut lifetime, mut address) = (HashMap::new(), 60, "127.0.0.1:8080".to_owned());
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match (name.as_str(), value.split_once(':')) {
            ("--user", Some((user, password))) => drop(users.insert(user.to_owned(), password.to_owned())),
            ("--lifetime", None) => lifetime = value.parse()?,
            ("--listen", Some(_)) => address = value,
            _ => {
                return Err(
                    "usage: auth [--user NAME:PASSWORD]… [--lifetime SECONDS] [--listen ADDRESS]".into()
                );
            }
        }
    }
    let csrf = Csrf::new(random()?)?.lifetime(Duration::from_secs(lifetime));
    let app = Arc::new(App { users, logins: Mutex::default(), csrf });
    let handshake = HandshakeLimits { max_http_body: 1024, ..HandshakeLimits::default() };
    let server = Server::bind(address).await?.config(Config { handshake, ..Config::default() });
    println!("listening on http://{}", server.local_addr()?);

    let (pages, door) = (Arc::clone(&app), Arc::clone(&app));
    let server = server.http(move |request| ready(pages.answer(&request)));
    let server = server.authorize(move |request| ready(door.authorize(&request)));
    Ok(server.serve(move |socket| talk(socket, Arc::clone(&app))).await?)
}

/// Answers each message whose token is good, and ends with the first whose is not.
async fn talk(mut socket: WebSocket, app: Arc<App>) -> stentor::Result<()> {
    let Some(login) = socket.context::<Login>().cloned() else { return Ok(()) };
    while let Some(message) = socket.recv().await? {
        let said: Value = serde_json::from_slice(message.as_bytes()).unwrap_or_default();
        let (Some(token), Some(text)) = (said["token"].as_str(), said["text"].as_str()) else {
            return socket.close(CloseCode::UNSUPPORTED_DATA, "this is not what the page sends").await;
        };
        if let Err(error) = app.csrf.verify(token, &login.session, SystemTime::now()) {
            socket.send(json!({ "error": error.to_string() }).to_string()).await?;
            return socket.close(CloseCode::POLICY_VIOLATION, "log in again").await;
        }
        socket.send(json!({ "user": login.user, "text": text }).to_string()).await?;
    }
    Ok(())
}

impl App {
    /// Before the socket opens: who it is, and that our own page asks.
    fn authorize(&self, request: &UpgradeRequest) -> Result<Login, Rejection> {
        let refuse = |why: String| Rejection::new(StatusCode::FORBIDDEN, why);
        let login = self.login(request.headers()).ok_or_else(|| refuse("log in first".into()))?;
        let token = field(request.uri().query().unwrap_or_default().as_bytes(), "token");
        let verdict = self.csrf.verify(&token, &login.session, SystemTime::now());
        verdict.map(|()| login).map_err(|error| refuse(error.to_string()))
    }

    /// The pages, and tokens for the page that stays open.
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (html, json) = ("text/html; charset=utf-8", "application/json");
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => answer(200, html, include_str!("auth.html").into()),
            (&Method::POST, "/login") => self.log_in(request),
            (&Method::GET, "/token") => match self.login(request.headers()) {
                Some(Login { session, user }) => {
                    let token = self.csrf.issue(&session, SystemTime::now());
                    answer(200, json, json!({ "user": user, "token": token }).to_string())
                }
                None => answer(401, json, r#"{"error":"log in first"}"#.into()),
            },
            _ => answer(404, "text/plain", "no such page".into()),
        }
    }

    fn log_in(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let (user, password) = (field(request.body(), "user"), field(request.body(), "password"));
        let known = self.users.get(&user).is_some_and(|known| same(known, &password));
        let Ok(session) = random().map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes)) else {
            return answer(503, "text/plain", "no random numbers".into());
        };
        // Another page must not log a user in as somebody else either.
        if !known || !is_from_here(request.headers()) {
            return answer(403, "text/plain", "wrong name or password".into());
        }
        let mut response = answer(303, "text/plain", String::new());
        // Over TLS, `Secure` belongs here as well. Scripts cannot read it, other sites' pages not send it.
        let cookie = format!("session={session}; HttpOnly; SameSite=Strict; Path=/; Max-Age=86400");
        let cookie = cookie.parse().expect("Base64 can stand in a header");
        response.headers_mut().extend([(SET_COOKIE, cookie), (LOCATION, "/".parse().expect("a path"))]);
        let login = Login { session: session.clone(), user };
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).insert(session, login);
        response
    }

    fn login(&self, headers: &HeaderMap) -> Option<Login> {
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split("; "));
        let session = pairs.find_map(|pair| pair.strip_prefix("session="))?;
        self.logins.lock().unwrap_or_else(PoisonError::into_inner).get(session).cloned()
    }
}

fn answer(status: u16, content_type: &'static str, body: String) -> Response<Bytes> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    response.header(CACHE_CONTROL, "no-store").body(body.into()).expect("a valid response")
}

/// Whether the page that sends the form is ours: browsers say it with every POST.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(ORIGIN), text(HOST)) else { return false };
    origin.split_once("://").is_some_and(|(_, from)| from == host)
}

/// One value of a form, or nothing.
fn field(form: &[u8], wanted: &str) -> String {
    let mut fields = form_urlencoded::parse(form);
    fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map(|()| bytes)
}

/// Compares without telling by the time it takes how much is right.
fn same(a: &str, b: &str) -> bool {
    let Ok(key) = random() else { return false };
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
    // This `==` looks at every byte, wherever the first difference is.
    mac.clone().chain_update(a).finalize() == mac.chain_update(b).finalize()
}
