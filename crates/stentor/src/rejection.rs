//! How a server refuses an opening handshake: a status, a message for people, headers.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use stentor_proto::handshake::error_response;

/// The HTTP response that refuses an opening handshake, after which the connection is closed
/// (RFC 6455 §4.2.2).
///
/// Its body is JSON, `{"code":403,"message":"…","status":"Forbidden"}`, unless
/// [`body`](Self::body) sets another. No cache may keep it.
///
/// ```
/// use std::time::Duration;
/// use stentor::Rejection;
/// use stentor::http::{HeaderValue, Response, StatusCode, header::WWW_AUTHENTICATE};
///
/// let rejection = Rejection::new(StatusCode::UNAUTHORIZED, "log in first")
///     .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
///     .retry_after(Duration::from_secs(30));
///
/// let response: Response<_> = rejection.into();
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["www-authenticate"], "Bearer");
/// assert_eq!(response.headers()["retry-after"], "30");
/// assert_eq!(response.headers()["cache-control"], "no-store");
/// assert_eq!(response.body(), r#"{"code":401,"message":"log in first","status":"Unauthorized"}"#);
/// ```
#[derive(Clone)]
pub struct Rejection(Box<Inner>);

#[derive(Clone)]
struct Inner {
    status: StatusCode,
    message: Cow<'static, str>,
    headers: HeaderMap,
    /// The body in place of the JSON, and its type.
    body: Option<(HeaderValue, Bytes)>,
}

impl Rejection {
    /// Refuses with `status`, and with `message` for the client's developer to read.
    ///
    /// The message goes to the client: it should tell nothing that the client may not know.
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let (headers, body) = (HeaderMap::new(), None);
        Self(Box::new(Inner { status, message: message.into(), headers, body }))
    }

    /// Adds a header, behind others of its name.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Tells the client when to try again (`Retry-After`, RFC 9110 §10.2.3), in whole seconds,
    /// rounded up.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
        self.0.headers.insert(RETRY_AFTER, seconds.into());
        self
    }

    /// Sends this body in place of the JSON.
    #[must_use]
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.0.body = Some((content_type, body.into()));
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The message, unless it was composed at run time.
    #[cfg(feature = "tracing")]
    pub(crate) fn fixed_message(&self) -> Option<&'static str> {
        match self.0.message {
            Cow::Borrowed(message) => Some(message),
            Cow::Owned(_) => None,
        }
    }

    /// The message for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}

/// The status alone, with its name as the message.
impl From<StatusCode> for Rejection {
    fn from(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or_default())
    }
}

impl From<Rejection> for Response<Bytes> {
    fn from(rejection: Rejection) -> Self {
        let Inner { status, message, headers, body } = *rejection.0;
        let mut response = match body {
            None => error_response(status, &message),
            Some((content_type, body)) => {
                let mut response = Response::new(body);
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
        };
        response.headers_mut().extend(headers);
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status, self.0.message)
    }
}

/// What a header says may be a secret, so only the names are told.
impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("status", &self.0.status)
            .field("message", &self.0.message)
            .field("headers", &self.0.headers.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(rejection: Rejection) -> Response<Bytes> {
        rejection.into()
    }

    #[test]
    fn a_status_is_a_rejection() {
        let rejection = Rejection::from(StatusCode::NOT_FOUND);
        assert_eq!(rejection.to_string(), "404 Not Found: Not Found");
        let response = response(rejection);
        assert_eq!(response.body(), r#"{"code":404,"message":"Not Found","status":"Not Found"}"#);
    }

    #[test]
    fn a_delay_is_rounded_up() {
        for (delay, seconds) in [(0, "0"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2")] {
            let rejection = Rejection::from(StatusCode::SERVICE_UNAVAILABLE);
            let response = response(rejection.retry_after(Duration::from_millis(delay)));
            assert_eq!(response.headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn a_body_of_its_own_is_not_cached_either() {
        let html = HeaderValue::from_static("text/html");
        let response = response(Rejection::new(StatusCode::FORBIDDEN, "told to the log").body(html, "<p>no"));
        assert_eq!((response.status(), &response.body()[..]), (StatusCode::FORBIDDEN, &b"<p>no"[..]));
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }

    #[test]
    fn headers_replace_those_of_the_body_and_may_repeat() {
        let cookie = |value| (http::header::SET_COOKIE, HeaderValue::from_static(value));
        let rejection = [cookie("a="), cookie("b=")]
            .into_iter()
            .fold(Rejection::from(StatusCode::FORBIDDEN), |rejection, (name, value)| {
                rejection.header(name, value)
            })
            .header(CACHE_CONTROL, HeaderValue::from_static("private"));
        let response = response(rejection);
        let cookies: Vec<_> = response.headers().get_all(http::header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["a=", "b="]);
        let caching: Vec<_> = response.headers().get_all(CACHE_CONTROL).iter().collect();
        assert_eq!(caching, ["private"]);
    }

    #[test]
    fn a_debug_print_does_not_tell_what_headers_say() {
        let rejection = Rejection::from(StatusCode::FORBIDDEN)
            .header(http::header::SET_COOKIE, HeaderValue::from_static("session=hunter2"));
        let printed = format!("{rejection:?}");
        assert!(printed.contains("set-cookie") && !printed.contains("hunter2"), "{printed}");
    }
}
