//! Sessions over sockets, HTTP of either version on them, and waits that say what did not come.

use bytes::Bytes;
use closenotify::{Ended, ReceivedEnding, SentEnding, TlsAcceptor, TlsConnector, client, server};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::graceful::GracefulConnection;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;
use testkit::certs::{Authority, TlsVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) const CLEAN: ReceivedEnding = ReceivedEnding::CloseNotify;

/// Much more than what lies in the buffers of two kernels.
pub(crate) const BIG: usize = 4 << 20;

/// Awaits, and says what it was when it does not come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(value) => value,
        Err(_) => panic!("this did not come: {what}"),
    }
}

pub(crate) fn message(length: usize) -> Bytes {
    (0..length).map(|at| (at % 251) as u8).collect()
}

pub(crate) fn acceptor(version: TlsVersion) -> TlsAcceptor {
    TlsAcceptor::from(authority().server_config(version))
}

pub(crate) fn connector(version: TlsVersion) -> TlsConnector {
    TlsConnector::from(authority().client_config(version))
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// Two ends of one connection.
pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (connected, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

pub(crate) type Sessions = (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>);

/// Two ends of one session.
pub(crate) async fn sessions(version: TlsVersion) -> Sessions {
    let (to_server, to_client) = sockets().await;
    let (client, server) = tokio::join!(
        connector(version).connect("localhost".try_into().unwrap(), to_server),
        acceptor(version).accept(to_client)
    );
    (client.unwrap(), server.unwrap())
}

pub(crate) fn assert_clean(side: &str, ended: &Ended) {
    assert_eq!((&ended.received, &ended.sent), (&CLEAN, &SentEnding::CloseNotify), "{side}: {ended}");
}

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    One,
    Two,
}

/// Each HTTP over each TLS.
pub(crate) const EACH: [(Http, TlsVersion); 4] = [
    (Http::One, TlsVersion::V12),
    (Http::One, TlsVersion::V13),
    (Http::Two, TlsVersion::V12),
    (Http::Two, TlsVersion::V13),
];

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

pub(crate) fn body(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// A client's connection: requests to be sent, and the task that serves it.
pub(crate) struct Client {
    requests: Requests,
    pub(crate) connection: JoinHandle<hyper::Result<()>>,
}

enum Requests {
    One(hyper::client::conn::http1::SendRequest<Body>),
    Two(hyper::client::conn::http2::SendRequest<Body>),
}

impl Client {
    pub(crate) async fn new(http: Http, io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let io = TokioIo::new(io);
        match http {
            Http::One => {
                let (requests, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                Self { requests: Requests::One(requests), connection: tokio::spawn(connection) }
            }
            Http::Two => {
                let (requests, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
                Self { requests: Requests::Two(requests), connection: tokio::spawn(connection) }
            }
        }
    }

    pub(crate) async fn send(&mut self, body: Body) -> hyper::Result<Response<Incoming>> {
        let request = Request::post("https://localhost/").body(body).unwrap();
        match &mut self.requests {
            Requests::One(requests) => requests.send_request(request).await,
            Requests::Two(requests) => requests.send_request(request).await,
        }
    }

    /// Has no more requests, and waits until the connection is done.
    pub(crate) async fn done(self) -> hyper::Result<()> {
        drop(self.requests);
        within("the end of the client's connection", self.connection).await.unwrap()
    }
}

/// What tells a server to stop gracefully, and then says that it has heard.
#[derive(Default)]
pub(crate) struct Stop {
    pub(crate) now: Notify,
    pub(crate) heard: Notify,
}

/// Serves one connection with `answer`.
pub(crate) async fn serve<F, R>(
    http: Http,
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    stop: &Stop,
    answer: F,
) -> hyper::Result<()>
where
    F: Fn(Request<Incoming>) -> R + Send,
    R: Future<Output = Body> + Send + 'static,
{
    let io = TokioIo::new(io);
    let service = service_fn(|request| {
        let body = answer(request);
        async { Ok::<_, Infallible>(Response::new(body.await)) }
    });
    match http {
        Http::One => run(hyper::server::conn::http1::Builder::new().serve_connection(io, service), stop).await,
        Http::Two => {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            run(builder.serve_connection(io, service), stop).await
        }
    }
}

/// Drives a connection of hyper's until it is done, and stops it gracefully when it is told to.
pub(crate) async fn run<C: GracefulConnection>(connection: C, stop: &Stop) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        done = connection.as_mut() => return done,
        () = stop.now.notified() => connection.as_mut().graceful_shutdown(),
    }
    stop.heard.notify_one();
    connection.await
}
