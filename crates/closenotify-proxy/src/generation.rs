//! Settings at work: the listeners and upstreams that they describe, with what their files hold, and how a reload gets from one
//! to the next.
//!
//! Everything that can fail is done before anything changes: a reload is complete, or it did not happen. Sessions keep what they
//! began with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::config::{CertificateSource, Config, ListenerSettings, ProxyProtocol, RouteTarget, UpstreamSettings};
use crate::events::Event;
use crate::listener::{Listener, Slot};
use crate::telemetry::Telemetry;
use crate::tls::{CertificateFacts, Change, ListenerTls, ReloadReport, TlsError, UpstreamTlsState};
use crate::upstream::{Network, Upstream};

/// The listeners and upstreams of one configuration.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) config: Config,
    pub(crate) listeners: BTreeMap<String, Arc<Slot<Listener>>>,
    upstreams: BTreeMap<String, Served>,
}

/// An upstream that sessions go to.
#[derive(Clone, Debug)]
struct Served {
    settings: Arc<UpstreamSettings>,
    slot: Arc<Slot<Upstream>>,
    tls: Option<Arc<UpstreamTlsState>>,
}

impl Served {
    fn load(
        settings: &Arc<UpstreamSettings>,
        handshake: Duration,
        network: &Network,
        now: SystemTime,
    ) -> Result<Self, TlsError> {
        let tls =
            settings.tls.as_ref().map(|tls| UpstreamTlsState::load(tls, handshake, now)).transpose()?.map(Arc::new);
        let upstream = Upstream::new(settings, connector(tls.as_deref()), network);
        upstream.begin_lookups();
        Ok(Self { settings: Arc::clone(settings), slot: Arc::new(Slot::new(upstream)), tls })
    }
}

/// A reload that can no longer fail.
#[derive(Debug)]
pub(crate) struct Prepared {
    config: Config,
    /// TLS of listeners that have none of an earlier generation.
    tls: BTreeMap<String, Arc<ListenerTls>>,
    upstreams: BTreeMap<String, Served>,
}

impl Prepared {
    /// The settings.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

/// What a reload changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) added: Vec<String>,
    pub(crate) removed: Vec<String>,
    /// Listeners by name, everything else by its place in the settings.
    pub(crate) changed: Vec<String>,
}

impl Generation {
    /// Loads everything that the settings name.
    ///
    /// # Errors
    ///
    /// [`TlsError`] for the first file that cannot be used.
    pub(crate) fn load(config: Config, telemetry: &Telemetry, network: &Network) -> Result<Self, TlsError> {
        let empty = Self {
            config: Config { listeners: Vec::new(), ..config.clone() },
            listeners: BTreeMap::new(),
            upstreams: BTreeMap::new(),
        };
        let prepared = empty.prepare(config, network)?;
        let mut generation = empty;
        let _all_added = generation.apply(prepared, telemetry);
        Ok(generation)
    }

    /// Loads what is new in other settings. Nothing changes.
    ///
    /// # Errors
    ///
    /// [`TlsError`] for the first file that cannot be used.
    pub(crate) fn prepare(&self, config: Config, network: &Network) -> Result<Prepared, TlsError> {
        let now = SystemTime::now();
        let mut tls = BTreeMap::new();
        for settings in &config.listeners {
            let old = self.listeners.get(&settings.name).map(|slot| slot.get());
            let kept = old.as_ref().is_some_and(|old| old.tls.is_some());
            // Other settings are good as a whole or not at all. Files that changed under the same settings are another matter:
            // there the last good ones stay.
            let same = old.as_ref().is_some_and(|old| old.settings.tls == settings.tls);
            if terminates(settings) && !(kept && same) {
                let loaded = ListenerTls::load(&settings.tls, settings.timeouts.handshake, now)?;
                if !kept {
                    tls.insert(settings.name.clone(), Arc::new(loaded));
                }
            }
        }
        let mut upstreams = BTreeMap::new();
        for (name, settings) in &config.upstreams {
            let kept = self.upstreams.get(name).filter(|old| old.settings.tls.is_some() == settings.tls.is_some());
            let served = match kept {
                Some(old) => {
                    if let Some(tls) = settings.tls.as_ref().filter(|tls| old.settings.tls.as_ref() != Some(*tls)) {
                        let _good = UpstreamTlsState::load(tls, UPSTREAM_HANDSHAKE, now)?;
                    }
                    Served { settings: Arc::clone(settings), ..old.clone() }
                }
                None => Served::load(settings, UPSTREAM_HANDSHAKE, network, now)?,
            };
            upstreams.insert(name.clone(), served);
        }
        Ok(Prepared { config, tls, upstreams })
    }

    /// Makes the other settings those of the next sessions.
    pub(crate) fn apply(&mut self, prepared: Prepared, telemetry: &Telemetry) -> Changes {
        let Prepared { config, mut tls, upstreams } = prepared;
        let now = SystemTime::now();
        for (name, served) in &upstreams {
            let Some(old) = self.upstreams.get(name).filter(|old| Arc::ptr_eq(&old.slot, &served.slot)) else {
                continue;
            };
            let report = match (&served.tls, &served.settings.tls) {
                (Some(state), Some(settings)) => state.reload(settings, now),
                _ => ReloadReport::default(),
            };
            upstream_reloaded(name, &report, telemetry);
            if *old.settings != *served.settings || !report.changed.is_empty() {
                served.reconfigure();
            }
        }
        let mut changes = Changes::default();
        changes.changed.extend(self.changed_elsewhere(&config));
        let mut listeners = BTreeMap::new();
        for settings in &config.listeners {
            let name = &settings.name;
            let metrics = telemetry.listener(name);
            let old = self.listeners.remove(name);
            let tls = tls.remove(name).or_else(|| {
                let tls = old.as_ref()?.get().tls.clone().filter(|_| terminates(settings))?;
                let report = tls.reload(&settings.tls, now);
                reloaded(name, &report, telemetry);
                Some(tls)
            });
            if let Some(tls) = &tls {
                show(name, &tls.certificates(), telemetry);
            }
            let lead = |name: &str| -> (Arc<Slot<Upstream>>, Option<ProxyProtocol>) {
                let served = &upstreams[name];
                (Arc::clone(&served.slot), served.settings.send_proxy_protocol)
            };
            let listener = Listener::new(Arc::clone(settings), tls, metrics, lead);
            let slot = match old {
                None => {
                    changes.added.push(name.clone());
                    Arc::new(Slot::new(listener))
                }
                Some(slot) => {
                    if *slot.get().settings != *listener.settings {
                        changes.changed.push(name.clone());
                    }
                    slot.set(listener);
                    slot
                }
            };
            listeners.insert(name.clone(), slot);
        }
        changes.removed = self.listeners.keys().cloned().collect();
        self.listeners = listeners;
        self.upstreams = upstreams;
        self.config = config;
        telemetry.watch_upstreams(
            self.upstreams.iter().map(|(name, served)| (name.clone(), Arc::clone(&served.slot))).collect(),
        );
        changes
    }

    /// What other settings change beside the listeners.
    fn changed_elsewhere(&self, new: &Config) -> Vec<String> {
        let old = &self.config;
        let names = old.upstreams.keys().chain(new.upstreams.keys()).collect::<BTreeSet<_>>();
        let differs = |name: &&&String| old.upstreams.get(**name) != new.upstreams.get(**name);
        let upstreams = names.iter().filter(differs).map(|name| format!("upstream.{name}"));
        let others = [
            ("log", old.log != new.log),
            ("limits", old.limits != new.limits),
            ("process", old.process != new.process),
        ];
        let others = others.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned());
        upstreams.chain(others).collect()
    }

    /// Reads the files anew that have changed on disk.
    pub(crate) fn refresh(&self, telemetry: &Telemetry) {
        let now = SystemTime::now();
        for (name, slot) in &self.listeners {
            let listener = slot.get();
            if let Some(tls) = listener.tls.as_ref().filter(|tls| tls.files_changed()) {
                let report = tls.reload(&listener.settings.tls, now);
                reloaded(name, &report, telemetry);
                show(name, &tls.certificates(), telemetry);
            }
        }
        for (name, served) in &self.upstreams {
            let (Some(state), Some(settings)) = (&served.tls, &served.settings.tls) else { continue };
            if state.files_changed() {
                let report = state.reload(settings, now);
                upstream_reloaded(name, &report, telemetry);
                if !report.changed.is_empty() {
                    served.reconfigure();
                }
            }
        }
    }

    /// Reports certificates that have few days left.
    pub(crate) fn warn_of_expiry(&self, telemetry: &Telemetry) {
        let now = SystemTime::now();
        for slot in self.listeners.values() {
            let listener = slot.get();
            // One made up in memory lives as long as the process.
            if listener.settings.tls.certificates == CertificateSource::SelfSigned {
                continue;
            }
            for certificate in listener.tls.iter().flat_map(|tls| tls.certificates()) {
                let days = days_left(certificate.not_after, now);
                if days < EXPIRES_SOON {
                    telemetry.tell(&Event::CertificateExpiresSoon { path: certificate.path, days });
                }
            }
        }
    }
}

impl Served {
    fn reconfigure(&self) {
        let upstream = self.slot.get().reconfigured(&self.settings, connector(self.tls.as_deref()));
        upstream.begin_lookups();
        self.slot.set(upstream);
    }
}

/// Whether some route of a listener ends TLS here.
fn terminates(settings: &ListenerSettings) -> bool {
    settings.routes.iter().any(|route| matches!(route.target, RouteTarget::Terminate(_)))
}

fn connector(
    tls: Option<&UpstreamTlsState>,
) -> Option<(closenotify::TlsConnector, rustls_pki_types::ServerName<'static>)> {
    tls.map(|tls| {
        let (connector, name) = tls.connector();
        ((*connector).clone(), name)
    })
}

/// Reports what a reload of a listener's files did.
fn reloaded(name: &str, report: &ReloadReport, telemetry: &Telemetry) {
    if !report.changed.is_empty() {
        telemetry.tell(&Event::TlsReloaded { listener: name.to_owned(), changes: in_words(&report.changed) });
    }
    rejected(report, telemetry);
}

/// Reports what a reload of an upstream's files did.
fn upstream_reloaded(name: &str, report: &ReloadReport, telemetry: &Telemetry) {
    if !report.changed.is_empty() {
        telemetry.tell(&Event::UpstreamTlsReloaded { upstream: name.to_owned(), changes: in_words(&report.changed) });
    }
    rejected(report, telemetry);
}

fn in_words(changes: &[Change]) -> Vec<String> {
    let mut words: Vec<_> = changes.iter().take(CHANGES_SHOWN).map(ToString::to_string).collect();
    if changes.len() > CHANGES_SHOWN {
        words.push(format!("{} more changes", changes.len() - CHANGES_SHOWN));
    }
    words
}

fn rejected(report: &ReloadReport, telemetry: &Telemetry) {
    for error in &report.rejected {
        let path = error.path().map(PathBuf::from).unwrap_or_default();
        telemetry.tell(&Event::CertificateRejected { path, reason: format!("{error}; {}", error.kept()) });
    }
}

fn show(name: &str, certificates: &[CertificateFacts], telemetry: &Telemetry) {
    let all = certificates.iter().map(|certificate| (certificate.path.clone(), certificate.not_after)).collect();
    telemetry.set_certificates(name, all);
}

fn days_left(until: SystemTime, now: SystemTime) -> i64 {
    let days = |duration: Duration| i64::try_from(duration.as_secs() / (24 * 60 * 60)).unwrap_or(i64::MAX);
    match until.duration_since(now) {
        Ok(left) => days(left),
        Err(past) => -days(past.duration()) - 1,
    }
}

/// The connect timeout of the listener bounds it; this only keeps it from being without a bound.
const UPSTREAM_HANDSHAKE: Duration = Duration::from_secs(60);

/// In days.
const EXPIRES_SOON: i64 = 14;

/// How many changes one line names: a directory can hold ten thousand certificates.
const CHANGES_SHOWN: usize = 16;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;
    use testkit::certs::Authority;

    use super::*;
    use crate::config::ConfigFile;
    use crate::telemetry::tests::quiet;
    use crate::upstream::{Observer, UpstreamEvent};

    #[derive(Debug)]
    struct Nobody;

    impl Observer for Nobody {
        fn observe(&self, _: UpstreamEvent<'_>) {}
    }

    const SETTINGS: &str = "
[[listener]]
name = 'web'
listen = '127.0.0.1:0'
certificates = 'web.pem'
ticket_keys = 'tickets'
client_auth = { mode = 'required', ca = 'clients.pem' }
[[listener.route]]
upstream = 'app'
[upstream.app]
addresses = '192.0.2.1:1'
tls = { name = 'app.internal', ca = 'ca.pem' }
";

    /// A line of a file of ticket keys.
    fn ticket_key(four: &str) -> String {
        four.repeat(16) + "\n"
    }

    #[test]
    fn each_file_that_changes_has_a_line() {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let ca = || Authority::new().cert_pem();
        write("clients.pem", &ca());
        write("ca.pem", &ca());
        write("tickets", &ticket_key("ABCD"));
        let file = ConfigFile::parse(SETTINGS, &folder.path().join("proxy.toml")).unwrap();
        let mut config = file.config;
        let mut listener = (*config.listeners[0]).clone();
        listener.tls.certificates = CertificateSource::SelfSigned;
        config.listeners = vec![Arc::new(listener)];
        let (telemetry, _log) = quiet();
        let generation = Generation::load(config, &telemetry, &Network::system(Arc::new(Nobody))).unwrap();
        let last = || telemetry.snapshot(None).events.first().map(|kept| kept.what.clone());
        let (listener, upstream) = ("web".to_owned(), "app".to_owned());

        write("tickets", &(ticket_key("EFGH") + &ticket_key("ABCD")));
        generation.refresh(&telemetry);
        let changes = vec!["ticket keys changed".to_owned()];
        assert_eq!(last(), Some(Event::TlsReloaded { listener: listener.clone(), changes }));

        write("clients.pem", &ca());
        generation.refresh(&telemetry);
        let changes = vec!["client authentication changed".to_owned()];
        assert_eq!(last(), Some(Event::TlsReloaded { listener, changes }));

        write("ca.pem", &ca());
        generation.refresh(&telemetry);
        let changes = vec!["trusted CA certificates changed".to_owned()];
        assert_eq!(last(), Some(Event::UpstreamTlsReloaded { upstream, changes }));

        for (name, kept) in [
            ("tickets", "the ticket keys before stay in use"),
            ("clients.pem", "the trusted CA certificates before stay in use"),
            ("ca.pem", "the trusted CA certificates before stay in use"),
        ] {
            let good = std::fs::read_to_string(folder.path().join(name)).unwrap();
            write(name, "nothing of use");
            generation.refresh(&telemetry);
            let text = last().unwrap().to_string();
            assert!(text.ends_with(kept) && text.matches(name).count() == 1, "{text}");
            write(name, &good);
        }
    }

    #[test]
    fn a_line_names_so_many_changes_and_no_more() {
        let change = |number: usize| Change::CertificateAdded(Path::new("/certs").join(number.to_string()));
        let words = in_words(&(0..10_000).map(change).collect::<Vec<_>>());
        assert_eq!(words.len(), CHANGES_SHOWN + 1);
        assert_eq!(words.last().unwrap(), "9984 more changes");
    }
}
