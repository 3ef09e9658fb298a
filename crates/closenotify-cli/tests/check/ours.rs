//! What we make is held to every case that there is. What it does not meet stands in `ours.toml`, with a reason.

use crate::command::check;
use bytes::Bytes;
use closenotify::{Linger, TlsAcceptor, Truncation};
use closenotify_check::{Subject, cases_of};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use testkit::certs::{Authority, TlsVersion};
use tokio::net::TcpListener;

const EXPECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check/ours.toml");

/// hyper over our streams, in this process.
pub(crate) fn hyper_server(authority: &Authority) -> SocketAddr {
    let acceptor = TlsAcceptor::from(authority.server_config(TlsVersion::Both)).truncation(Truncation::AsEof);
    let (said, bound) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            said.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A handshake that does not come about is over.
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    let (io, ended) = stream.close_on_shutdown(Linger::default());
                    let mut http = hyper::server::conn::http1::Builder::new();
                    // Else hyper takes the client's close_notify for the end of all, and drops the answer.
                    http.half_close(true);
                    // Its errors are about sessions that ended badly, and the checker looks at those itself.
                    let _ = http.serve_connection(TokioIo::new(io), service_fn(answer)).await;
                    let _ended = ended.await;
                });
            }
        });
    });
    bound.recv().unwrap()
}

async fn answer(_: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(vec![b'a'; 600_000].into()))
}

#[test]
fn our_streams_under_hyper_are_a_right_server() {
    let authority = Authority::new();
    let addr = hyper_server(&authority).to_string();
    let files = authority.write_pem_files();
    let (ca, process) = (files.ca.display().to_string(), std::process::id().to_string());
    let said = check(&["server", "--app", "http1:/big", "--ca", &ca, "--pid", &process, "--expect", EXPECT, &addr]);
    assert_eq!(said.code, Some(0), "{}\n{}", said.stdout, said.stderr);
    let all: usize = cases_of(Subject::Server).iter().map(|case| case.versions.len()).sum();
    assert!(said.stdout.contains(&format!(": {all} met\n")), "{}", said.stdout);
}
