//! Where the subject is: its address, its command with certificates made for it, and whom to believe.

use std::net::SocketAddr;
use std::sync::Arc;

use closenotify_check::process::{Demand, Started, Template};
use closenotify_probe::{Identity, Trust};
use closenotify_proxy::HostPort;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tempfile::TempDir;

use crate::check::args::{ProcessArgs, TrustArgs};
use crate::check::failure;
use crate::exit::{ExitCode, Failure};

/// The address of a host and a port; the first, where a name has several.
pub(crate) async fn resolve(at: &HostPort) -> Result<SocketAddr, Failure> {
    let none = |why: String| Failure::new(ExitCode::NoSubject, format!("{at}: {why}"));
    let mut found = tokio::net::lookup_host((at.host(), at.port()))
        .await
        .map_err(|error| none(format!("cannot find it: {error}")))?;
    found.next().ok_or_else(|| none("it has no address".to_owned()))
}

/// The subject's process, if it is known, and what was made for it.
pub(crate) struct Place {
    process: Option<u32>,
    started: Option<Started>,
    made: Option<Made>,
}

/// Certificates, in memory and in files.
pub(crate) struct Made {
    pub(crate) identity: Identity,
    dir: TempDir,
}

impl Place {
    /// Starts the command, if there is one, and waits until it listens at `addr`.
    /// What can be filled in is the address, the certificates, and what `places` names.
    pub(crate) async fn new(
        args: &ProcessArgs,
        at: &HostPort,
        addr: SocketAddr,
        places: &[(&str, String)],
    ) -> Result<Self, Failure> {
        if args.command.is_empty() {
            if let Some(pid) = args.pid
                && Demand::of(pid).is_none()
            {
                return Err(Failure::new(ExitCode::NoSubject, format!("--pid {pid}: there is no such process")));
            }
            return Ok(Self { process: args.pid, started: None, made: None });
        }
        if let Err(error) = std::net::TcpListener::bind(addr) {
            let message = format!("{at}: {error}; what listens there would be checked in place of the command");
            return Err(Failure::new(ExitCode::Listen, message));
        }
        let made = Made::new()?;
        let (host, port, whole) = (at.host(), at.port().to_string(), at.to_string());
        let own = [("addr", &*whole), ("host", &host), ("port", &port)];
        let places: Vec<_> = own.into_iter().chain(places.iter().map(|(name, value)| (*name, &**value))).collect();
        let words = made.fill(&args.command, &places)?;
        let mut started = Started::new(&words).map_err(failure)?;
        started.listens(addr, args.start_timeout).await.map_err(failure)?;
        Ok(Self { process: Some(started.id()), started: Some(started), made: Some(made) })
    }

    pub(crate) fn process(&self) -> Option<u32> {
        self.process
    }

    /// What the command was given to identify itself with.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.made.as_ref().map(|made| &made.identity)
    }

    /// Stops what was started.
    pub(crate) async fn stop(self) {
        if let Some(started) = self.started {
            started.stop().await;
        }
    }
}

impl Made {
    pub(crate) fn new() -> Result<Self, Failure> {
        let internal = |error: &dyn std::fmt::Display| {
            Failure::new(ExitCode::Internal, format!("cannot make certificates: {error}"))
        };
        let identity = Identity::new().map_err(|error| internal(&error))?;
        let dir = tempfile::tempdir().map_err(|error| internal(&error))?;
        let chain = format!("{}{}", identity.cert_pem, identity.ca_pem);
        for (name, text) in [
            ("cert.pem", &chain),
            ("key.pem", &identity.key_pem),
            ("ca.pem", &identity.ca_pem),
            ("both.pem", &format!("{}{chain}", identity.key_pem)),
        ] {
            std::fs::write(dir.path().join(name), text).map_err(|error| internal(&error))?;
        }
        Ok(Self { identity, dir })
    }

    /// The command with the places filled in: those given, and the files.
    pub(crate) fn fill(&self, command: &[String], places: &[(&str, &str)]) -> Result<Vec<String>, Failure> {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let (cert, key, ca, both) = (file("cert.pem"), file("key.pem"), file("ca.pem"), file("both.pem"));
        let dir = self.dir.path().display().to_string();
        let files = [("cert", &*cert), ("key", &key), ("ca", &ca), ("both", &both), ("dir", &dir)];
        let places: Vec<_> = places.iter().copied().chain(files).collect();
        Template::new(command.to_vec()).and_then(|template| template.fill(&places)).map_err(failure)
    }
}

/// Whom to believe: anyone, a file's authorities, the one made for the command, or the system's.
pub(crate) fn trust(args: &TrustArgs, identity: Option<&Identity>) -> Result<Trust, Failure> {
    let bad = |message: String| Failure::new(ExitCode::Credentials, message);
    if args.insecure {
        return Ok(Trust::Anyone);
    }
    let mut roots = RootCertStore::empty();
    if let Some(file) = &args.ca {
        let name = file.display();
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(format!("--ca {name}: {error}")))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| bad(format!("--ca {name}: {error}")))?;
            roots.add(certificate).map_err(|error| bad(format!("--ca {name}: {error}")))?;
        }
        if roots.is_empty() {
            return Err(bad(format!("--ca {name}: there is no certificate in it")));
        }
    } else if let Some(identity) = identity {
        return Ok(identity.trust());
    } else {
        // Those that cannot be parsed are of no use to anyone; with none at all the first handshake says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(Trust::Roots(Arc::new(roots)))
}
