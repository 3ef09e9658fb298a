//! Configuration files from text to settings: what is accepted, every default, and what each mistake is called.

mod mistakes;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::problem::PROBLEMS_MAX;
use super::schema::{Form, LeftOut, ROOT, Table};
use super::*;

const EXAMPLE: &str = include_str!("../../../../docs/example.toml");

/// The least that is a configuration.
const LEAST: &str = "\
[[listener]]
name = 'web'
listen = '127.0.0.1:0'
certificates = 'web.pem'
[[listener.route]]
upstream = 'app'
[upstream.app]
addresses = '127.0.0.1:80'
";

fn parse(text: &str) -> Result<(Config, Vec<Problem>), ConfigErrors> {
    ConfigFile::parse(text, Path::new("/etc/proxy.toml")).map(|ConfigFile { config, warnings, .. }| (config, warnings))
}

/// The settings, with no warning.
fn good(text: &str) -> Config {
    let (config, warnings) = parse(text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(warnings, []);
    config
}

/// The lines about an erroneous text, without the name of the file.
fn lines(text: &str) -> Vec<String> {
    let shown = match parse(text) {
        Ok((_, warnings)) => warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(errors) => errors.to_string(),
    };
    shown.lines().map(|line| line.strip_prefix("/etc/proxy.toml:").unwrap().to_owned()).collect()
}

fn path(text: &str) -> PathBuf {
    text.into()
}

#[test]
fn example_of_the_readme_is_a_complete_file() {
    let readme = include_str!("../../../../README.md");
    let (_, after) = readme.split_once("```toml\n").unwrap();
    let config = good(after.split_once("```").unwrap().0);
    assert_eq!((config.listeners.len(), config.upstreams["app"].addresses.len()), (1, 2));
}

#[test]
fn example_of_the_docs_passes_the_check_without_a_warning() {
    let config = good(EXAMPLE);
    assert_eq!(config.admin.unwrap().to_string(), "127.0.0.1:9901");
    let log = LogSettings {
        format: LogFormat::Json,
        file: Some(path("/var/log/closenotify.log")),
        skip: vec![SessionResult::Refused],
    };
    assert_eq!(config.log, log);
    let limits = Limits {
        sessions: Some(20_000),
        sessions_per_address: Some(200),
        handshakes_per_second: Some(2000),
        when_full: WhenFull::Wait,
    };
    assert_eq!(config.limits, limits);
    assert_eq!((config.process.workers.unwrap().get(), config.process.user.as_deref()), (4, Some("closenotify")));
    let [web, db] = &config.listeners[..] else { panic!("two listeners") };
    assert_eq!((web.name.as_str(), web.listen[0].to_string().as_str()), ("web", "[::]:443"));
    assert_eq!(web.tls.certificates, CertificateSource::Paths(vec![path("/etc/closenotify/certs")]));
    assert_eq!(web.tls.alpn, ["h2", "http/1.1"]);
    let auth = ClientAuth {
        required: true,
        ca: path("/etc/closenotify/clients.pem"),
        allow: vec!["spiffe://mesh/*".into(), "CN=ops".into()],
    };
    assert_eq!(web.tls.client_auth, Some(auth));
    assert_eq!(web.accept_proxy_protocol, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(web.timeouts.lifetime, Some(Duration::from_secs(86_400)));
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<NamePattern>>();
    let routes = [
        Route { sni: names(&["app.example.com", "*.example.com"]), target: RouteTarget::Terminate("app".into()) },
        Route { sni: names(&["raw.example.com"]), target: RouteTarget::Passthrough("raw".into()) },
        Route { sni: vec![], target: RouteTarget::Terminate("legacy".into()) },
    ];
    assert_eq!(web.routes, routes);
    assert_eq!(db.truncation, TruncationPolicy::Tolerant);
    let app = UpstreamSettings {
        name: "app".into(),
        addresses: ["10.0.0.1:8080", "app.internal:8080", "unix:/run/app.sock"].map(|at| at.parse().unwrap()).into(),
        balance: Balance::LeastSessions,
        tls: Some(UpstreamTls {
            name: "app.internal".try_into().unwrap(),
            ca: path("/etc/closenotify/ca.pem"),
            certificate: None,
        }),
        send_proxy_protocol: Some(ProxyProtocol::V2),
    };
    assert_eq!(*config.upstreams["app"], app);
    assert_eq!(config.upstreams.keys().collect::<Vec<_>>(), ["app", "db", "legacy", "raw"]);
}

/// docs/cases.md D13
#[test]
fn exact_name_is_taken_before_a_wildcard_and_that_before_the_rest() {
    let config = good(EXAMPLE);
    for (name, upstream) in [
        (Some("raw.example.com"), "raw"),
        (Some("RAW.Example.com"), "raw"),
        (Some("app.example.com"), "app"),
        (Some("x.example.com"), "app"),
        (Some("x.y.example.com"), "legacy"),
        (Some("example.com"), "legacy"),
        (None, "legacy"),
    ] {
        let (RouteTarget::Terminate(found) | RouteTarget::Passthrough(found)) =
            &config.listeners[0].route(name).unwrap().target;
        assert_eq!(found, upstream, "{name:?}");
    }
    let named = good(&LEAST.replace("upstream = 'app'", "upstream = 'app'\nsni = '*.b'"));
    assert_eq!(named.listeners[0].route(None), None);
    assert_eq!(named.listeners[0].route(Some("b")), None);
    assert!(named.listeners[0].route(Some("a.b")).is_some());
}

#[test]
fn files_that_must_be_there_are_listed_with_their_places() {
    let file = ConfigFile::parse(EXAMPLE, Path::new("proxy.toml")).unwrap();
    let shown: BTreeSet<_> =
        file.files.iter().map(|named| named.problem(format!("{:?}", named.kind)).to_string()).collect();
    let expected = [
        ("\"/var/log/closenotify.log\"", "log.file: Created"),
        ("\"/run/closenotify/takeover.sock\"", "process.takeover: Created"),
        ("\"/etc/closenotify/certs\"", "listener.certificates: Certificates"),
        ("\"/etc/closenotify/clients.pem\"", "listener.client_auth.ca: TrustedCa"),
        ("\"/etc/closenotify/tickets\"", "listener.ticket_keys: TicketKeys"),
        ("\"/etc/closenotify/db.pem\"", "listener.certificates: Certificates"),
        ("\"/etc/closenotify/ca.pem\"", "upstream.app.tls.ca: TrustedCa"),
    ];
    let expected = expected.map(|(written, said)| {
        let before = &EXAMPLE[..EXAMPLE.find(written).unwrap()];
        let (line, column) = (before.lines().count(), before.len() - before.rfind('\n').unwrap());
        format!("proxy.toml:{line}:{column}: {said}")
    });
    assert_eq!(shown, expected.into());
    let named = file.files.iter().find(|named| named.kind == FileKind::TicketKeys).unwrap();
    assert_eq!(named.path, Path::new("/etc/closenotify/tickets"));
    assert_eq!(named.problem("").severity(), Severity::Error);
}

#[test]
fn sockets_are_files_that_are_created() {
    let text = LEAST.replace("'127.0.0.1:0'", "['127.0.0.1:0', 'unix:/run/a.sock']");
    let file = ConfigFile::parse(&format!("admin.listen = 'unix:/run/b.sock'\n{text}"), Path::new("f")).unwrap();
    let created = file.files.iter().filter(|named| named.kind == FileKind::Created);
    let shown: Vec<_> = created.map(|named| named.problem(named.path.display().to_string()).to_string()).collect();
    assert_eq!(shown, ["f:1:16: admin.listen: /run/b.sock", "f:4:26: listener.listen: /run/a.sock"]);
}

#[test]
fn user_and_group_that_do_not_exist_are_errors_at_their_places() {
    let problem = |process: &str| {
        let file = ConfigFile::parse(&format!("[process]\n{process}\n{LEAST}"), Path::new("f")).unwrap();
        file.user.and_then(|user| user.problem()).map(|problem| problem.to_string())
    };
    assert_eq!(problem("drain = '1s'"), None);
    assert_eq!(problem("user = 'nobody'"), None);
    let user = problem("user = 'no-such-user'").unwrap();
    assert!(user.starts_with("f:2:8: process.user: this system has no user \"no-such-user\";"), "{user}");
    let group = problem("user = 'nobody'\ngroup = 'no-such-group'").unwrap();
    assert!(group.starts_with("f:3:9: process.group: this system has no group \"no-such-group\";"), "{group}");
    assert!(problem("user = 'root'").unwrap().starts_with("f:2:8: process.user: root cannot be"));
}

/// The shape that was promised, in any order of routes.
#[test]
fn exact_route_after_a_wildcard_that_covers_it_is_no_mistake() {
    let text = LEAST.replace(
        "upstream = 'app'",
        "sni = '*.b'\nupstream = 'app'\n[[listener.route]]\nsni = 'a.b'\nupstream = 'app'",
    );
    assert_eq!(good(&text).listeners[0].route(Some("a.b")).unwrap().sni[0].to_string(), "a.b");
}

#[test]
fn relative_paths_begin_at_the_directory_of_the_file() {
    let config = good(&format!("[log]\nfile = 'x.log'\n{LEAST}"));
    assert_eq!(config.log.file, Some(path("/etc/x.log")));
    assert_eq!(config.listeners[0].tls.certificates, CertificateSource::Paths(vec![path("/etc/web.pem")]));
    let ConfigFile { config, .. } = ConfigFile::parse(LEAST, Path::new("here.toml")).unwrap();
    let here = std::env::current_dir().unwrap().join("web.pem");
    assert_eq!(config.listeners[0].tls.certificates, CertificateSource::Paths(vec![here]));
}

/// Each scalar setting with its table's path, and each table that stands once within another.
fn settings(table: &'static Table, path: &str, found: &mut Vec<(String, &'static schema::Setting)>) {
    for setting in table.settings {
        let path = if path.is_empty() { setting.key.to_owned() } else { format!("{path}.{}", setting.key) };
        found.push((path.clone(), setting));
        if let Some(inner) = setting.form.table() {
            let path = if matches!(setting.form, Form::Named(_)) { format!("{path}.app") } else { path };
            settings(inner, &path, found);
        }
    }
}

/// A file with one setting more than the least, written as a dotted key where that can be.
fn with(path: &str, value: &str) -> String {
    let passthrough = "[[listener.route]]\nupstream = 'app'\n";
    if let Some(key) = path.strip_prefix("listener.route.") {
        let kept = if key == "sni" { passthrough } else { "[[listener.route]]\n" };
        return LEAST.replace(passthrough, &format!("{kept}{key} = {value}\n"));
    }
    let (header, key) = match path.split_once('.') {
        Some(("listener", key)) => ("name = 'web'\n", key),
        Some(("upstream", key)) => ("[upstream.app]\n", key.strip_prefix("app.").unwrap()),
        _ => return format!("{path} = {value}\n{LEAST}"),
    };
    let first = key.split('.').next().unwrap();
    let rest: String =
        LEAST.lines().filter(|line| !line.starts_with(&format!("{first} ="))).map(|line| format!("{line}\n")).collect();
    if first == "name" {
        rest.replace("listen =", &format!("{key} = {value}\nlisten ="))
    } else {
        rest.replace(header, &format!("{header}{key} = {value}\n"))
    }
}

#[test]
fn every_setting_of_the_reference_is_read() {
    let mut found = Vec::new();
    settings(&ROOT, "", &mut found);
    let tested: BTreeSet<_> = found
        .iter()
        .filter(|(_, setting)| setting.form.table().is_none())
        .map(|(path, _)| {
            let text = with(path, "2020-01-01");
            let lines = lines(&text);
            let wrong = format!(" {path}: is a datetime, but must be ");
            assert!(lines.iter().any(|line| line.contains(&wrong)), "{path}:\n{}\n{text}", lines.join("\n"));
            path
        })
        .collect();
    assert!(tested.len() > 30, "{tested:#?}");
}

#[test]
fn defaults_of_the_reference_are_those_of_the_settings() {
    let mut found = Vec::new();
    settings(&ROOT, "", &mut found);
    let least = format!("{:?}", good(LEAST));
    let mut tested = 0;
    for (path, setting) in &found {
        if let LeftOut::Value(value) = setting.default {
            assert_eq!(format!("{:?}", good(&with(path, value))), least, "{path}");
            tested += 1;
        }
    }
    assert!(tested > 10);
    let config = good(LEAST);
    assert_eq!(config.listeners[0].timeouts, Timeouts::default());
    assert_eq!(config.process, ProcessSettings::default());
}

#[test]
fn every_word_of_the_reference_is_accepted() {
    let mut found = Vec::new();
    settings(&ROOT, "", &mut found);
    for (path, setting) in &found {
        let (Form::Word(words) | Form::Words(words)) = setting.form else { continue };
        for word in words() {
            let text = with(path, &format!("'{word}'"));
            let others: Vec<_> = lines(&text).into_iter().filter(|line| !line.contains("client_auth.")).collect();
            assert!(others.is_empty(), "{path} = {word}: {others:?}");
        }
    }
}

#[test]
fn passthrough_allows_no_tls_of_ours_on_either_side() {
    let text = "\
[[listener]]
name = 'web'
listen = '127.0.0.1:0'
client_auth = { mode = 'required', ca = 'x' }
[[listener.route]]
passthrough = 'app'
[upstream.app]
addresses = '127.0.0.1:443'
tls = { name = 'app', ca = 'x' }
";
    let lines = lines(text);
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].starts_with("4:1: listener.client_auth: every route"), "{lines:#?}");
    assert!(lines[1].starts_with("9:1: upstream.app.tls: a route passes TLS through"), "{lines:#?}");
}

#[test]
fn every_error_of_a_file_is_reported_in_its_order() {
    let text = "\
[log]
format = 'xml'
[[listener]]
name = 'a b'
listen = ['8443', 'localhost:1']
timeouts = { idle = '5', half_close = '0s' }
[[listener.route]]
upstream = 'nowhere'
[upstream.app]
addresses = ['10.0.0.1', ':80']
balance = 'random'
";
    let lines = lines(text);
    let places: Vec<_> = lines.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["2:10", "4:8", "5:11", "6:21", "6:39", "8:12", "10:14", "10:26", "11:11"], "{lines:#?}");
}

#[test]
fn empty_file_says_what_is_missing() {
    assert_eq!(lines(""), ["1:1: listener: is missing: Where clients connect to, one table each. Write [[listener]]"]);
}

#[test]
fn slip_in_the_syntax_is_one_error_a_line_and_few() {
    let slips = LEAST.replace("name = 'web'", "name === 'web'").replace("[upstream.app]", "[upstream.app");
    let places: Vec<_> = lines(&slips).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["2:7", "7:14"]);
    let open = EXAMPLE.replace("[\"[::]:443\"]", "[\"[::]:443\"");
    assert_eq!(lines(&open).len(), 3);
}

#[test]
fn long_and_many_values_make_short_and_few_messages() {
    let long = "x".repeat(100_000);
    for text in [
        format!("{long} = 1"),
        format!("[log]\nformat = '{long}'"),
        format!("[limits]\nsessions = {}", "9".repeat(100_000)),
    ] {
        assert!(lines(&text).iter().all(|line| line.len() < 500), "{:?}", lines(&text));
    }
    let many: String = (0..20_000).map(|number| format!("key{number} = 1\n")).collect();
    assert_eq!(lines(&many).len(), PROBLEMS_MAX + 1);
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(parse(&deep).is_err());
}

#[test]
fn file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    for (path, said) in [
        (folder.path().join("none.toml"), "there is no such file"),
        (folder.path().to_owned(), "is a directory"),
        (file("latin.toml", b"# ok\n# caf\xe9\n"), "is not UTF-8 text (line 2); save it as UTF-8"),
        (file("huge.toml", &vec![b'#'; (1 << 20) + 1]), "has more than 1 MiB"),
        (file("image.toml", b"\x89PNG\r\n"), "is not UTF-8 text (line 1)"),
    ] {
        let shown = Config::from_file(&path).unwrap_err().to_string();
        assert_eq!(shown.lines().count(), 1);
        assert!(shown.starts_with(&format!("{}: ", path.display())) && shown.contains(said), "{shown}");
    }
    let (config, _) =
        Config::from_file(&file("good.toml", format!("\u{feff}{LEAST}").replace('\n', "\r\n").as_bytes())).unwrap();
    let beside = folder.path().join("web.pem");
    assert_eq!(config.listeners[0].tls.certificates, CertificateSource::Paths(vec![beside]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// What an editor's slip, a merge or a fuzzer makes of a file is a configuration or a list of errors with places in it.
    #[test]
    fn mutated_example_is_settings_or_errors(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, any::<prop::sample::Index>()), 1..6)
    ) {
        const PIECES: [&str; 16] =
            ["", "'", "\"", "[", "]", "[[", "{", "}", "=", "\n", "0", "-1", "é", "\0", "x = 1\n", "[upstream]\n"];
        let mut text = EXAMPLE.to_owned();
        for (at, length, piece) in edits {
            let mut start = at.index(text.len() + 1);
            let mut end = (start + length).min(text.len());
            while !text.is_char_boundary(start) { start -= 1; }
            while !text.is_char_boundary(end) { end += 1; }
            text.replace_range(start..end, PIECES[piece.index(PIECES.len())]);
        }
        match parse(&text) {
            Ok((config, _)) => prop_assert!(!config.listeners.is_empty()),
            Err(errors) => {
                let line_count = text.split('\n').count();
                for line in errors.to_string().lines() {
                    let rest = line.strip_prefix("/etc/proxy.toml:");
                    prop_assert!(rest.is_some(), "{line}");
                    let number = rest.unwrap().split(':').next().unwrap().parse();
                    let counts_the_rest = line.ends_with(" more errors are not shown");
                    prop_assert!(counts_the_rest || number.is_ok_and(|line| (1..=line_count).contains(&line)), "{line}");
                }
            }
        }
    }
}
