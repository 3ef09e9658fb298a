//! Early data against OpenSSL, over real sockets: its client with our server, and ours with its server.

use closenotify::{Linger, SentEnding, TlsAcceptor, TlsConnector};
use rustls::ServerConfig;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use testkit::certs::{Authority, LOCAL_NAMES, TlsVersion};
use testkit::peers::{Running, openssl, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// No test waits for this long: it turns a hang into a failure.
const HANG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn openssl_says_early_data_to_our_server() {
    let authority = Authority::new();
    let leaf = authority.issue(&LOCAL_NAMES);
    let files = leaf.write_pem_files(&authority);
    let mut config = ServerConfig::clone(&authority.server_config_with(TlsVersion::V13, &leaf));
    config.max_early_data_size = 16_384;
    config.send_half_rtt_data = true;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (session, said) = (files.dir().join("session"), files.dir().join("said"));
    std::fs::write(&said, "said first, ").unwrap();
    for resumed in [false, true] {
        let mut command = Command::new(openssl());
        // It goes on when its input has ended, until we close.
        command.args([
            "s_client",
            "-tls1_3",
            "-ign_eof",
            "-verify_return_error",
            "-servername",
            "localhost",
            "-CAfile",
        ]);
        command.arg(&files.ca).arg("-connect").arg(address.to_string());
        if resumed {
            command.arg("-sess_in").arg(&session).arg("-early_data").arg(&said);
        } else {
            command.arg("-sess_out").arg(&session);
        }
        let client = tokio::task::spawn_blocking(move || run(&mut command, b"then this", HANG));
        let served = async {
            let (socket, _) = listener.accept().await.unwrap();
            let mut early = acceptor.accept_early(socket).await.unwrap();
            let mut got = String::new();
            if resumed {
                // The answer goes out before the client has finished, and makes it finish.
                let mut first = [0; 12];
                early.read_exact(&mut first).await.unwrap();
                got.push_str(std::str::from_utf8(&first).unwrap());
                early.write_all(b"the early answer").await.unwrap();
                early.flush().await.unwrap();
            }
            early.read_to_string(&mut got).await.unwrap();
            let mut stream = early.finish().await.unwrap();
            stream.write_all(b" and the rest").await.unwrap();
            stream.flush().await.unwrap();
            let mut then = [0; 9];
            stream.read_exact(&mut then).await.unwrap();
            got.push_str(std::str::from_utf8(&then).unwrap());
            (got, stream.facts().early_data(), stream.close(Linger::default()).await)
        };
        let (got, early, ended) = timeout(HANG, served).await.unwrap();
        let client = client.await.unwrap();
        assert_eq!(got, if resumed { "said first, then this" } else { "then this" }, "{client}");
        assert_eq!(early, resumed.then_some(12), "{client}");
        assert_eq!(ended.sent, SentEnding::CloseNotify, "{client}");
        assert!(client.status.success(), "{client}");
        assert!(client.stdout_text().contains(" and the rest"), "{client}");
        assert_eq!(client.stdout_text().contains("Early data was accepted"), resumed, "{client}");
        assert_eq!(client.stdout_text().contains("the early answer"), resumed, "{client}");
    }
}

#[tokio::test]
async fn our_client_says_early_data_to_openssl() {
    let authority = Authority::new();
    let leaf = authority.issue(&LOCAL_NAMES);
    let files = leaf.write_pem_files(&authority);
    for allowed in [true, false] {
        let mut command = Command::new(openssl());
        command.args(["s_server", "-tls1_3", "-accept", "127.0.0.1:0", "-no_dhe", "-naccept", "2"]);
        command.arg("-cert").arg(&files.cert).arg("-key").arg(&files.key);
        // What it puts into its tickets, and whether it takes any.
        command.args(["-max_early_data", "16384"]);
        if allowed {
            command.arg("-early_data");
        }
        let (server, line) = Running::start_until_line(&mut command, HANG);
        let address = line.strip_prefix("ACCEPT ").unwrap().to_owned();
        let connector = TlsConnector::from(authority.client_config(TlsVersion::V13));
        let said = async {
            // The first session is over when its tickets have been read.
            let socket = TcpStream::connect(&address).await.unwrap();
            let mut stream = connector.connect("localhost".try_into().unwrap(), socket).await.unwrap();
            stream.shutdown().await.unwrap();
            let _any_end = stream.read_to_end(&mut Vec::new()).await;
            let socket = TcpStream::connect(&address).await.unwrap();
            let name = "localhost".try_into().unwrap();
            let mut stream = connector.connect_early(name, socket, &b"said first, "[..]).await.unwrap();
            let early = stream.facts().early_data();
            stream.write_all(b"then this\n").await.unwrap();
            (early, stream.close(Linger::default()).await)
        };
        let (early, ended) = timeout(HANG, said).await.unwrap();
        let output = tokio::task::spawn_blocking(move || server.finish(HANG)).await.unwrap();
        assert_eq!(early, allowed.then_some(12), "{output}");
        assert_eq!(ended.sent, SentEnding::CloseNotify, "{output}");
        let seen = output.stdout_text();
        assert!(seen.contains("said first, ") && seen.contains("then this"), "{output}");
    }
}
