//! What each path returns.
//!
//! Requests only read: any method but GET and HEAD is refused. A request through a name that is not ours is refused where the
//! answer holds text from the log: a web page elsewhere must not read it by pointing its own name here (DNS rebinding).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::listener::Host;
use super::view;
use crate::events::SessionResult;
use crate::telemetry::{Stage, Telemetry};

/// The paths, and what they read from.
#[derive(Debug)]
pub(super) struct Routes {
    telemetry: Arc<Telemetry>,
    host: Host,
}

impl Routes {
    pub(super) fn new(telemetry: Arc<Telemetry>, host: Host) -> Self {
        Self { telemetry, host }
    }

    /// The response to a request; its body is not read.
    pub(super) async fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let Some(route) = Route::of(path) else {
            return text(StatusCode::NOT_FOUND, format!("no such path; there are {}\n", Route::LIST));
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD; nothing can be changed here\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if route.holds_log_text() && !self.is_ours(host_of(request)) {
            return text(
                StatusCode::FORBIDDEN,
                "this name is not one of the proxy's; use an IP address, localhost, or the name in [admin] listen\n",
            );
        }
        match self.get(route, request.uri().query().unwrap_or("")).await {
            Ok(response) => response,
            Err(message) => text(StatusCode::BAD_REQUEST, message),
        }
    }

    async fn get(&self, route: Route, query: &str) -> Result<Response<Full<Bytes>>, String> {
        let stage = self.telemetry.stage();
        Ok(match route {
            Route::Page => response(StatusCode::OK, "text/html; charset=utf-8", PAGE),
            Route::Healthz => text(StatusCode::OK, "ok\n"),
            Route::Readyz => match stage {
                Stage::Ready => text(StatusCode::OK, "ready\n"),
                Stage::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
                Stage::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            },
            Route::Metrics => {
                response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.telemetry.metrics_text())
            }
            Route::Sessions => {
                let limit = match parameter(query, "limit") {
                    None => LIMIT,
                    Some(number) => match number.parse() {
                        Ok(limit @ 0..=LIMIT_MAX) => limit,
                        _ => return Err(format!("limit is a number from 0 to {LIMIT_MAX}\n")),
                    },
                };
                let views = self.telemetry.live().look(limit, PATIENCE).await;
                json(&view::sessions(self.telemetry.live().len(), &views))
            }
            Route::Status => {
                let result = match parameter(query, "result") {
                    None | Some("") => None,
                    Some(word) => {
                        Some(SessionResult::ALL.into_iter().find(|result| result.word() == word).ok_or_else(|| {
                            format!("result is one of {}\n", SessionResult::ALL.map(SessionResult::word).join(", "))
                        })?)
                    }
                };
                json(&view::status(&self.telemetry, result))
            }
        })
    }

    /// Whether a request may name this host.
    fn is_ours(&self, host: Option<&str>) -> bool {
        let Host::Named(configured) = &self.host else { return true };
        // HTTP/1.0 sends none; a browser always does.
        let Some(host) = host else { return true };
        let name = without_port(host);
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        bare.parse::<IpAddr>().is_ok()
            || bare.eq_ignore_ascii_case("localhost")
            || bare.eq_ignore_ascii_case(configured)
    }
}

/// The paths that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Page,
    Healthz,
    Readyz,
    Metrics,
    Sessions,
    Status,
}

impl Route {
    const LIST: &str = "/, /healthz, /readyz, /metrics, /sessions, /status.json";

    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Page,
            "/healthz" => Self::Healthz,
            "/readyz" => Self::Readyz,
            "/metrics" => Self::Metrics,
            "/sessions" => Self::Sessions,
            "/status.json" => Self::Status,
            _ => return None,
        })
    }

    /// Whether names, addresses or lines of sessions are in the answer. Probes and scrapes come through names of services.
    fn holds_log_text(self) -> bool {
        match self {
            Self::Sessions | Self::Status => true,
            Self::Page | Self::Healthz | Self::Readyz | Self::Metrics => false,
        }
    }
}

fn host_of<B>(request: &Request<B>) -> Option<&str> {
    // A header that is not text names no host of ours.
    let header = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    request.uri().host().or(header)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            // Not the last group of an address without brackets.
            if name.contains(':') && !name.ends_with(']') { host } else { name }
        }
        _ => host,
    }
}

/// The value of the first parameter of this name.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", text)
}

fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    // Strings and numbers only: there is nothing in it that JSON cannot hold.
    response(StatusCode::OK, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // No page of another origin may read any of it, not even as an image or a script.
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

/// The page: one file that loads nothing.
const PAGE: &str = include_str!("page.html");

/// What the page may do: its own styles and script, and requests to where it came from.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How many sessions are listed when the request does not say, and at most.
const LIMIT: usize = 1000;
const LIMIT_MAX: usize = 10_000;

/// How long the sessions have to answer.
const PATIENCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_their_ports() {
        for (host, name) in [
            ("localhost:9901", "localhost"),
            ("localhost", "localhost"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:9901", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("fe80::1:2", "fe80::1:2"),
            ("evil.example:", "evil.example"),
        ] {
            assert_eq!(without_port(host), name, "{host}");
        }
    }

    #[test]
    fn only_our_own_names_reach_log_text() {
        let (telemetry, _folder) = crate::telemetry::tests::quiet();
        let routes = Routes::new(telemetry, Host::Named("edge1.example.com".into()));
        for host in ["127.0.0.1:9901", "[::1]", "LOCALHOST:80", "edge1.example.com:9901", "192.0.2.7"] {
            assert!(routes.is_ours(Some(host)), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "edge1.example.com.", "?"]
        {
            assert!(!routes.is_ours(Some(host)), "{host}");
        }
        assert!(routes.is_ours(None));
    }

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        assert_eq!(parameter("xlimit=1&limit=2&limit=3", "limit"), Some("2"));
        assert_eq!(parameter("limits=1", "limit"), None);
        assert_eq!(parameter("", "limit"), None);
    }
}
