//! The page that the browser's checks run in.

use bytes::Bytes;
use stentor::http::{Request, Response, header};

const PAGE: &str = include_str!("../../browser/page.html");

/// Answers every plain request with the page.
pub(crate) async fn page(_: Request<()>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
    let html = header::HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}
