//! tokio-postgres against a real PostgreSQL, with a [`TlsConnector`] as it is: the feature `tokio-postgres`.
//!
//! The login requires channel binding, so the server compares the hash of its certificate with what we computed.

use crate::setup::within;
use closenotify::TlsConnector;
use closenotify::rustls::pki_types::CertificateDer;
use closenotify::rustls::pki_types::pem::PemObject as _;
use closenotify::rustls::{ClientConfig, RootCertStore};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SignatureAlgorithm};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use tokio_postgres::config::{ChannelBinding, SslMode};

#[tokio::test]
async fn postgresql_accepts_our_channel_binding_for_every_hash() {
    let cluster = Cluster::new();
    let signed: [(&str, &dyn Fn() -> RootCertStore); 5] = [
        ("ECDSA, SHA-256", &|| cluster.certificate(&rcgen::PKCS_ECDSA_P256_SHA256)),
        ("ECDSA, SHA-384", &|| cluster.certificate(&rcgen::PKCS_ECDSA_P384_SHA384)),
        ("ECDSA, SHA-512", &|| cluster.certificate(&rcgen::PKCS_ECDSA_P521_SHA512)),
        ("RSA, SHA-256", &|| cluster.certificate(&rcgen::PKCS_RSA_SHA256)),
        ("RSA-PSS, SHA-384", &|| cluster.pss_certificate()),
    ];
    for (signature, certificate) in signed {
        let roots = certificate();
        let server = cluster.start();
        let (client, connection) =
            within("the login", server.config(ChannelBinding::Require).connect(connector(roots)))
                .await
                .unwrap_or_else(|error| panic!("{signature}: {error:?}\n{}", cluster.log()));
        let connection = tokio::spawn(connection);
        let sql = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()";
        let row = within("a row", client.query_one(sql, &[])).await.unwrap();
        assert_eq!((row.get(0), row.get(1)), (true, "TLSv1.3"));
        let sql = "select repeat('x', 1000000) from generate_series(1, 10)";
        let rows = within("ten megabytes", client.query(sql, &[])).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, &str>(0).len()).sum::<usize>(), 10_000_000);
        drop(client); // tokio-postgres says goodbye and shuts the stream down
        within("the end", connection).await.unwrap().unwrap();
    }
    // PostgreSQL calls a session that ended otherwise by its name.
    let log = cluster.log();
    for bad in ["SSL error", "could not receive data", "unexpected EOF"] {
        assert!(!log.contains(bad), "{log}");
    }
}

/// RFC 5929 defines no hash for Ed25519: a login that requires channel binding fails, and another one works without.
#[tokio::test]
async fn without_a_hash_for_the_certificate_there_is_no_channel_binding() {
    let cluster = Cluster::new();
    let roots = cluster.certificate(&rcgen::PKCS_ED25519);
    let server = cluster.start();
    for (binding, works) in [(ChannelBinding::Require, false), (ChannelBinding::Disable, true)] {
        let login = within("the login", server.config(binding).connect(connector(roots.clone()))).await;
        assert_eq!(login.is_ok(), works, "{binding:?}: {:?}", login.err());
    }
}

fn connector(roots: RootCertStore) -> TlsConnector {
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A new database cluster in a temporary folder.
struct Cluster {
    folder: TempDir,
    programs: PathBuf,
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("closenotify-postgres-").tempdir().unwrap();
        let cluster = Self { folder, programs: programs() };
        // PostgreSQL does not run as root.
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(cluster.folder.path()));
        }
        cluster.write("password", PASSWORD);
        let data = cluster.data();
        let file = format!("--pwfile={}", cluster.path("password").display());
        run(cluster.program("initdb").arg("-D").arg(data).args(["-U", USER, "-A", "scram-sha-256", "-N", &file]));
        cluster
    }

    /// Gives it a certificate that is signed with `algorithm`; returns what to trust.
    fn certificate(&self, algorithm: &'static SignatureAlgorithm) -> RootCertStore {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate_for(algorithm).unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        self.write("cert.pem", &leaf.pem());
        self.write("key.pem", &key.serialize_pem());
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        roots
    }

    /// The same with RSA-PSS and SHA-384, by openssl: the hash is not in the name of the algorithm, but in its parameters.
    fn pss_certificate(&self) -> RootCertStore {
        let pss = "-sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1";
        let new = "openssl req -newkey rsa:2048 -nodes -batch";
        run(Command::new("sh").current_dir(self.folder.path()).stderr(Stdio::null()).args([
            "-ec",
            &format!(
                "{new} -x509 {pss} -subj /CN=pss -keyout ca.key -out ca.pem
                 {new} -subj /CN=leaf -keyout leaf.key -out leaf.csr
                 echo subjectAltName=DNS:localhost > leaf.ext
                 openssl x509 -req {pss} -in leaf.csr -extfile leaf.ext -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem"
            ),
        ]));
        let text = |name: &str| fs::read_to_string(self.path(name)).unwrap();
        self.write("cert.pem", &text("leaf.pem"));
        self.write("key.pem", &text("leaf.key"));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(text("ca.pem").as_bytes()).unwrap()).unwrap();
        roots
    }

    fn start(&self) -> Server<'_> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c ssl=on \
             -c ssl_cert_file={} -c ssl_key_file={}",
            self.path("cert.pem").display(),
            self.path("key.pem").display()
        );
        let mut start = self.program("pg_ctl");
        start.args(["-w", "-t", "60", "-D"]).arg(self.data()).arg("-l").arg(self.path("log"));
        run(start.args(["-o", &settings, "start"]));
        Server { cluster: self, port }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that only the server may read.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&path));
        }
    }

    /// A program of PostgreSQL's, as the user that it runs as.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.folder.path());
        command
    }
}

/// A running server, stopped when dropped.
struct Server<'a> {
    cluster: &'a Cluster,
    port: u16,
}

impl Server<'_> {
    fn config(&self, binding: ChannelBinding) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host("localhost").hostaddr("127.0.0.1".parse().unwrap()).port(self.port);
        config.user(USER).password(PASSWORD).dbname("postgres");
        config.ssl_mode(SslMode::Require).channel_binding(binding);
        config
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let mut stop = self.cluster.program("pg_ctl");
        run(stop.args(["-w", "-m", "fast", "-D"]).arg(self.cluster.data()).arg("stop"));
    }
}

/// Where PostgreSQL's programs are: Debian has them in no folder of `PATH`.
fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    versions.retain(|folder| folder.join("initdb").is_file());
    versions.sort();
    versions.pop().expect("there is no PostgreSQL; install it: apt-get install -y --no-install-recommends postgresql")
}

fn is_root() -> bool {
    // The owner of our own entry is who we are.
    fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}

fn run(command: &mut Command) {
    // Not `output`: the server, which stays, would keep the pipe open.
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

const USER: &str = "tester";

const PASSWORD: &str = "a password";
