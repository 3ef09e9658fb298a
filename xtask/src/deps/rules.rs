//! The rules, and the judging of a graph and of sources by them.

use std::fmt;

use super::graph::Graph;
use super::source::SourceFile;

/// A broken rule: where, what, and why it is a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    place: String,
    what: String,
    why: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.place, self.what, self.why)
    }
}

/// Judges who depends on whom.
pub(crate) fn check_graph(graph: &Graph) -> Vec<Violation> {
    let mut violations = Vec::new();
    for rule in &NEVER_DEPENDS {
        if rule.exists == Exists::Always && !graph.has_member(rule.krate) {
            // A renamed crate must not lose its rule in silence.
            let what = "is ruled and not in the workspace".to_owned();
            violations.push(Violation { place: rule.krate.to_owned(), what, why: rule.why });
        }
        for never in rule.never {
            if let Some(way) = graph.way(rule.krate, never) {
                let what = format!("depends on {never}: {}", way.join(" -> "));
                violations.push(Violation { place: rule.krate.to_owned(), what, why: rule.why });
            }
        }
    }
    violations
}

/// Judges what the files of one crate's `src` name.
pub(crate) fn check_sources(krate: &str, files: &[SourceFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !MAY_NAME_CONNECTIONS.contains(&krate) {
        for file in files {
            let in_seam = |seam: &str| krate == CORE && file.path == seam;
            let mut named: Vec<(usize, &str)> = CONNECTIONS
                .iter()
                .filter(|(_, seam)| !in_seam(seam))
                .filter_map(|(name, _)| Some((file.line_of(name)?, *name)))
                .collect();
            if let Some(line) = file.line_of_use("rustls", "Connection").filter(|_| !in_seam(ENGINE)) {
                named.push((line, "rustls::Connection"));
            }
            violations.extend(named.into_iter().map(|(line, name)| Violation {
                place: format!("{krate}/src/{}:{line}", file.path),
                what: format!("names {name}"),
                why: "each connection type of rustls is named in one file of closenotify-core, engine.rs, hello.rs or kernel.rs: the engine seam",
            }));
        }
    }
    if krate == CORE {
        for file in files {
            let read = CLOCKS_AND_SOCKETS.iter().filter_map(|name| Some((file.line_of(name)?, *name)));
            violations.extend(read.map(|(line, name)| Violation {
                place: format!("{krate}/src/{}:{line}", file.path),
                what: format!("uses {name}"),
                why: "the core has no clock and no sockets; its caller owns time and I/O",
            }));
        }
    }
    violations
}

/// Judges whether a crate forbids `unsafe`, by itself or by the workspace's lints.
pub(crate) fn check_unsafe(
    krate: &str,
    root_manifest: &str,
    manifest: &str,
    files: &[SourceFile],
) -> Option<Violation> {
    let workspace_forbids = has_setting(root_manifest, "[workspace.lints.rust]", "unsafe_code = \"forbid\"");
    let inherits =
        has_setting(manifest, "[lints]", "workspace = true") || has_setting(manifest, "", "lints.workspace = true");
    let mut roots = files.iter().filter(|file| file.path == "lib.rs" || file.path == "main.rs").peekable();
    let itself = roots.peek().is_some() && roots.all(|file| file.line_of("#![forbid(unsafe_code").is_some());
    if (workspace_forbids && inherits) || itself {
        return None;
    }
    Some(Violation {
        place: krate.to_owned(),
        what: "does not forbid unsafe code".to_owned(),
        why: "`[lints] workspace = true` in its Cargo.toml, or `#![forbid(unsafe_code)]` at its root",
    })
}

/// Whether `setting` is a line of `section` (of the whole file for an empty one), comments and spacing aside.
fn has_setting(manifest: &str, section: &str, setting: &str) -> bool {
    let squeeze = |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().collect::<String>();
    let setting = squeeze(setting);
    let mut inside = section.is_empty();
    for line in manifest.lines() {
        let line = squeeze(line);
        if line.starts_with('[') && !section.is_empty() {
            inside = line == section;
        } else if inside && line == setting {
            return true;
        }
    }
    false
}

struct NeverDepends {
    krate: &'static str,
    exists: Exists,
    never: &'static [&'static str],
    why: &'static str,
}

#[derive(PartialEq, Eq)]
enum Exists {
    Always,
    Planned,
}

const CORE: &str = "closenotify-core";

/// Performs the handshake.
const ENGINE: &str = "engine.rs";

/// Reads a ClientHello before a configuration is chosen.
const HELLO: &str = "hello.rs";

/// What rustls still does after the handshake.
const KERNEL: &str = "kernel.rs";

const NEVER_DEPENDS: [NeverDepends; 5] = [
    NeverDepends {
        krate: CORE,
        exists: Exists::Always,
        never: &["tokio", "mio", "socket2", "async-io", "smol"],
        why: "the core does no I/O",
    },
    NeverDepends {
        krate: "pollcheck",
        exists: Exists::Planned,
        never: &["rustls", "rustls-pki-types", "aws-lc-rs", "ring", "openssl", "native-tls", CORE, "closenotify"],
        why: "the poll contract knows no TLS",
    },
    NeverDepends {
        krate: "closenotify-probe",
        exists: Exists::Planned,
        never: &[CORE, "closenotify"],
        why: "a checker must not share the bugs of what it checks",
    },
    NeverDepends {
        krate: "closenotify-check",
        exists: Exists::Planned,
        never: &[CORE, "closenotify"],
        why: "a checker must not share the bugs of what it checks",
    },
    NeverDepends {
        krate: "testkit",
        exists: Exists::Always,
        never: &[CORE, "closenotify"],
        why: "what tests a crate must not share its bugs",
    },
];

/// The connection types of rustls, each with the file of the core that may name it.
const CONNECTIONS: [(&str, &str); 8] = [
    ("ClientConnection", ENGINE),
    ("ServerConnection", ENGINE),
    ("ConnectionCommon", ENGINE),
    ("UnbufferedClientConnection", ENGINE),
    ("UnbufferedServerConnection", ENGINE),
    ("rustls::Connection", ENGINE),
    ("Acceptor", HELLO),
    ("KernelConnection", KERNEL),
];

/// Peers and scripts, which nobody builds a product on.
const MAY_NAME_CONNECTIONS: [&str; 3] = ["closenotify-probe", "testkit", "xtask"];

const CLOCKS_AND_SOCKETS: [&str; 8] = [
    "Instant::now",
    "SystemTime::now",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "UnixListener",
    "std::thread",
];

#[cfg(test)]
mod tests {
    use super::super::graph::tests::planted;
    use super::{SourceFile, check_graph, check_sources, check_unsafe};

    const MEMBERS: [&str; 3] = ["closenotify-core", "closenotify", "testkit"];

    fn told(members: &[&str], edges: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        check_graph(&planted(members, edges)).iter().map(ToString::to_string).collect()
    }

    fn named(krate: &str, path: &str, text: &str) -> Vec<String> {
        check_sources(krate, &[SourceFile::new(path, text)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn allowed_graph_is_silent() {
        let edges = [
            ("closenotify-core", "rustls", None),
            ("closenotify-core", "testkit", Some("dev")),
            ("closenotify", "closenotify-core", None),
            ("closenotify", "tokio", None),
            ("testkit", "tokio", None),
        ];
        assert_eq!(told(&MEMBERS, &edges), [""; 0]);
    }

    #[test]
    fn core_over_tokio_is_told_with_the_way() {
        let edges = [("closenotify-core", "helper", None), ("helper", "tokio", None), ("tokio", "mio", None)];
        assert_eq!(
            told(&MEMBERS, &edges),
            [
                "closenotify-core: depends on tokio: closenotify-core -> helper -> tokio (the core does no I/O)",
                "closenotify-core: depends on mio: closenotify-core -> helper -> tokio -> mio (the core does no I/O)",
            ]
        );
    }

    #[test]
    fn checker_over_what_it_checks_is_told() {
        for krate in ["closenotify-probe", "closenotify-check", "testkit"] {
            let members = ["closenotify-core", "closenotify", "testkit", krate];
            let edges = [(krate, "closenotify", None), ("closenotify", "closenotify-core", None)];
            assert_eq!(told(&members, &edges).len(), 2, "{krate}");
        }
    }

    #[test]
    fn pollcheck_over_tls_is_told() {
        let members = ["closenotify-core", "closenotify", "testkit", "pollcheck"];
        let told = told(&members, &[("pollcheck", "rustls", Some("build"))]);
        assert_eq!(told, ["pollcheck: depends on rustls: pollcheck -> rustls (the poll contract knows no TLS)"]);
    }

    #[test]
    fn renamed_core_does_not_lose_its_rule_in_silence() {
        assert_eq!(
            told(&["heart", "testkit"], &[]),
            ["closenotify-core: is ruled and not in the workspace (the core does no I/O)"]
        );
    }

    #[test]
    fn connections_are_named_in_the_seam_alone() {
        let uses = "use rustls::{ClientConnection, Connection};";
        assert_eq!(named("closenotify-core", "engine.rs", uses), [""; 0]);
        assert_eq!(named("closenotify-probe", "lib.rs", uses), [""; 0]);
        assert_eq!(named("closenotify-core", "receiver.rs", uses).len(), 2);
        assert_eq!(named("closenotify-core", "engine/receive.rs", uses).len(), 2);
        assert_eq!(named("closenotify", "engine.rs", "\nfn f(_: rustls::Connection) {}").len(), 1);
        assert_eq!(named("closenotify", "lib.rs", "/// As [`rustls::ServerConnection`] does.\nfn f() {}"), [""; 0]);
        let told = named("closenotify-proxy", "relay.rs", "\n\nuse rustls::server::ServerConnection;");
        assert!(told[0].starts_with("closenotify-proxy/src/relay.rs:3: names ServerConnection"), "{told:?}");
    }

    #[test]
    fn each_file_of_the_seam_has_its_own_types() {
        let kernel = "use rustls::kernel::KernelConnection;";
        assert_eq!(named("closenotify-core", "kernel.rs", kernel), [""; 0]);
        assert_eq!(named("closenotify-core", "engine.rs", kernel).len(), 1);
        assert_eq!(named("closenotify", "kernel.rs", kernel).len(), 1);
        let hello = "use rustls::server::{Accepted, Acceptor};";
        assert_eq!(named("closenotify-core", "hello.rs", hello), [""; 0]);
        assert_eq!(named("closenotify-core", "kernel.rs", hello).len(), 1);
        assert_eq!(named("closenotify", "lazy.rs", "struct LazyConfigAcceptor;"), [""; 0]);
    }

    #[test]
    fn clock_in_the_core_is_told_and_elsewhere_is_not() {
        let reads = "fn f() { let _ = std::time::Instant::now(); }";
        assert_eq!(named("closenotify-core", "sender.rs", reads).len(), 1);
        assert_eq!(named("closenotify", "closing.rs", reads), [""; 0]);
        assert_eq!(named("closenotify-core", "sender.rs", "fn f(now: Instant) {}"), [""; 0]);
    }

    #[test]
    fn unsafe_is_forbidden_by_the_crate_or_by_the_workspace() {
        let strict = "[workspace.lints.rust]\nunsafe_code = \"forbid\" # everywhere\n";
        let lax = "[workspace.lints.rust]\nunsafe_code = \"warn\"\n";
        let inherits = "[package]\nname = \"x\"\n\n[lints]\nworkspace=true\n";
        let own = [SourceFile::new("lib.rs", "//! Doc.\n#![forbid(unsafe_code)]\n")];
        let none = [SourceFile::new("lib.rs", "// #![forbid(unsafe_code)]\n")];
        assert_eq!(check_unsafe("x", strict, inherits, &none), None);
        assert_eq!(check_unsafe("x", lax, "[package]", &own), None);
        assert!(check_unsafe("x", lax, inherits, &none).is_some());
        assert!(check_unsafe("x", strict, "[package]\n[features]\nworkspace = true\n", &none).is_some());
        assert!(check_unsafe("x", strict, "[package]", &[]).is_some());
    }
}
