//! Certificates and configurations of one authority work together, and only together.

use std::fs;

use rustls::{ClientConnection, ServerConnection};
use rustls_pki_types::ServerName;
use testkit::certs::{Authority, LOCAL_NAMES, TlsVersion};

/// A handshake in memory: the error of whichever end refused first.
fn handshake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), rustls::Error> {
    for _ in 0..10 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).expect("a vector takes everything");
        server.read_tls(&mut wire.as_slice()).expect("a flight fits the buffer");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).expect("a vector takes everything");
        client.read_tls(&mut wire.as_slice()).expect("a flight fits the buffer");
        client.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn configurations_of_one_authority_shake_hands() {
    let authority = Authority::new();
    let versions = [
        (TlsVersion::V12, rustls::ProtocolVersion::TLSv1_2),
        (TlsVersion::V13, rustls::ProtocolVersion::TLSv1_3),
        (TlsVersion::Both, rustls::ProtocolVersion::TLSv1_3),
    ];
    for (version, expected) in versions {
        for name in LOCAL_NAMES {
            let name = ServerName::try_from(name).expect("a local name");
            let mut client = ClientConnection::new(authority.client_config(version), name).expect("valid");
            let mut server = ServerConnection::new(authority.server_config(version)).expect("valid");
            handshake(&mut client, &mut server).expect("one authority");
            assert!(!client.is_handshaking() && !server.is_handshaking());
            assert_eq!(client.protocol_version(), Some(expected));
        }
    }
}

#[test]
fn client_certificate_is_required_and_accepted() {
    let authority = Authority::new();
    let name = ServerName::try_from("localhost").expect("a local name");
    let config = authority.server_config_requiring_client(TlsVersion::Both);

    let without = authority.client_config(TlsVersion::Both);
    let mut client = ClientConnection::new(without, name.clone()).expect("valid");
    let mut server = ServerConnection::new(config.clone()).expect("valid");
    assert_eq!(handshake(&mut client, &mut server), Err(rustls::Error::NoCertificatesPresented));

    let with = authority.client_config_with(TlsVersion::Both, &authority.issue_client("client.test"));
    let mut client = ClientConnection::new(with, name).expect("valid");
    let mut server = ServerConnection::new(config).expect("valid");
    handshake(&mut client, &mut server).expect("the client shows a certificate of the authority");
    assert!(server.peer_certificates().is_some_and(|chain| chain.len() == 1));
}

#[test]
fn files_go_with_their_value() {
    let files = Authority::new().write_pem_files();
    let dir = files.dir().to_owned();
    for file in [&files.cert, &files.key, &files.ca] {
        assert!(fs::read_to_string(file).expect("written").starts_with("-----BEGIN "));
    }
    drop(files);
    assert!(!dir.exists());
}
