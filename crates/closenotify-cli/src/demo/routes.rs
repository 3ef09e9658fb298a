//! Which path of the demo answers what.
//!
//! A number out of bounds is refused with 400, an unknown path with 404 and the list; no method is refused, since the
//! methods are not what the demo is about.

use std::convert::Infallible;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::body::DemoBody;
use super::wire::ResetOrder;

/// The answer to a request. Never reads the request's body itself.
pub(super) fn respond(request: Request<Incoming>, order: &ResetOrder) -> Result<Response<DemoBody>, Infallible> {
    let path = request.uri().path().to_owned();
    // `OPTIONS *` and `CONNECT host:port` have no path; what they have is none of the list.
    let (route, argument) = match path.strip_prefix('/').map(|path| (path, path.split_once('/'))) {
        Some((_, Some((route, argument)))) => (route, Some(argument)),
        Some((route, None)) => (route, None),
        None => ("*", None),
    };
    Ok(match (route, argument) {
        ("", None) => answer(StatusCode::OK, HTML, DemoBody::text(page())),
        ("bytes", Some(n)) => counted(n, MAX_BYTES, |left| DemoBody::Pattern { left }),
        ("slow", Some(n)) => counted(n, MAX_SECONDS, |seconds| {
            let first = format!("the first line at once; the rest in {seconds} s\n");
            let rest = "the rest: this response is complete\n";
            DemoBody::slow(first, rest, Duration::from_secs(seconds))
        }),
        ("early", None) => {
            let text = "sent before the body of your request was read; the rest of it is discarded\n";
            let mut response = answer(StatusCode::OK, TEXT, DemoBody::text(text));
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            response
        }
        ("echo", None) => answer(StatusCode::OK, BINARY, DemoBody::Echo(request.into_body())),
        ("reset", Some(n)) => counted(n, MAX_BYTES, |given| DemoBody::reset(given, order.clone())),
        _ => answer(StatusCode::NOT_FOUND, TEXT, DemoBody::text(format!("no such path; try one of\n\n{ROUTES}"))),
    })
}

fn answer(status: StatusCode, content_type: &'static str, body: DemoBody) -> Response<DemoBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The answer that a decimal number from 0 to `max` asks for, or the refusal of anything else.
fn counted(text: &str, max: u64, body: impl FnOnce(u64) -> DemoBody) -> Response<DemoBody> {
    // Parsing alone would also take a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(n) if digits && n <= max => answer(StatusCode::OK, TEXT, body(n)),
        _ => {
            let text = format!("the last part of the path must be a whole number from 0 to {max}\n");
            answer(StatusCode::BAD_REQUEST, TEXT, DemoBody::text(text))
        }
    }
}

fn page() -> String {
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>closenotify demo</title>\n<pre>\n\
         This is the demo of closenotify proxy: a TLS proxy that gets connection shutdown right.\n\
         You speak TLS to the proxy; its upstream is a plain HTTP server, built in for the demo.\n\
         The proxy logs one line for each session: how each direction ended, and who ended first.\n\n\
         Paths to try:\n\n{ROUTES}</pre>\n"
    )
}

const ROUTES: &str = "\
/               this page
/bytes/N        exactly N bytes, N up to 1073741824
/slow/SECONDS   one line at once, the rest after SECONDS, up to 60
/early          responds without reading the body of your request (send a large one)
/echo           sends the body of your request back as it comes in
/reset/N        N bytes of a longer response, then a TCP reset: it must not look complete
";

const MAX_BYTES: u64 = 1 << 30;
const MAX_SECONDS: u64 = 60;

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";
