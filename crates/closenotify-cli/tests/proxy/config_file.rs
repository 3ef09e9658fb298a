//! A configuration file as its operator meets it: checked, served, and each mistake with its place and its exit code.

use std::cell::Cell;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use testkit::certs::{Authority, PemFiles, TlsVersion};

use crate::harness::Proxy;
use crate::tls_client::TlsClient;

/// How a command ended that does not serve.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A directory with a certificate and a configuration file that names it.
struct Folder {
    dir: TempDir,
    authority: Authority,
    files: PemFiles,
}

impl Folder {
    fn new() -> Self {
        let authority = Authority::new();
        let files = authority.write_pem_files();
        let folder = Self { dir: TempDir::new().unwrap(), authority, files };
        let pair = [&folder.files.cert, &folder.files.key].map(|path| fs::read_to_string(path).unwrap()).concat();
        folder.write("web.pem", &pair);
        fs::copy(&folder.files.ca, folder.path("ca.pem")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs `closenotify proxy --config` on a text to its end, which must not be serving.
    fn run(&self, options: &[&str], text: &str) -> Said {
        let file = self.write("proxy.toml", text);
        let output = Command::new(env!("CARGO_BIN_EXE_closenotify"))
            .args(["proxy", "--config"])
            .arg(file)
            .args(options)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text =
            |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&*self.dir.path().to_string_lossy(), "DIR");
        Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn check(&self, text: &str) -> Said {
        self.run(&["--check-config"], text)
    }
}

const GOOD: &str = "\
[[listener]]
name = 'web'
listen = '127.0.0.1:0'
certificates = 'web.pem'
[[listener.route]]
upstream = 'app'
[upstream.app]
addresses = '127.0.0.1:80'
";

/// 80 bytes in base64, as `openssl rand 80 | openssl base64 -A` makes them.
const TICKET_KEY: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk8=";

#[test]
fn good_file_is_ok_on_stdout() {
    let said = Folder::new().check(GOOD);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.stdout, "DIR/proxy.toml: ok, 1 listener, 1 upstream\n");
}

#[test]
fn warnings_are_no_errors_and_stand_on_stderr() {
    let said = Folder::new().check(&format!("{GOOD}[upstream.old]\naddresses = '127.0.0.1:81'\n"));
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(said.stdout, "DIR/proxy.toml: ok, 1 listener, 2 upstreams\n");
    assert_eq!(
        said.stderr,
        "DIR/proxy.toml:9:11: warning: upstream.old: no route leads to this upstream; it is not used\n"
    );
}

#[test]
fn every_error_is_a_line_and_the_exit_code_is_11_checked_or_served() {
    let folder = Folder::new();
    let bad = GOOD.replace("listen =", "truncation = 'strikt'\nlisten =").replace("127.0.0.1:0", "8443");
    for options in [&["--check-config"][..], &[]] {
        let said = folder.run(options, &bad);
        assert_eq!((said.code, said.stdout.as_str()), (Some(11), ""), "{said:?}");
        let lines: Vec<_> = said.stderr.lines().collect();
        assert_eq!(lines.len(), 3, "{said:?}");
        assert_eq!(
            lines[0],
            "DIR/proxy.toml:3:14: listener.truncation: \"strikt\" is not allowed here; did you mean \"strict\"?"
        );
        assert!(
            lines[1].starts_with("DIR/proxy.toml:4:10: listener.listen: the host is missing: write 127.0.0.1:8443")
        );
        assert_eq!(lines[2], "error: cannot use the configuration DIR/proxy.toml: 2 errors");
    }
}

#[test]
fn file_that_is_not_a_configuration_is_11_and_says_why() {
    let folder = Folder::new();
    for (path, why) in [
        (folder.path("none.toml"), "there is no such file"),
        (folder.dir.path().to_owned(), "is a directory"),
        (folder.path("web.pem"), "not TOML"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_closenotify"));
        let output = command.args(["proxy", "--check-config", "--config"]).arg(&path).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(11), "{stderr}");
        assert!(stderr.starts_with(&format!("{}:", path.display())) && stderr.contains(why), "{stderr}");
    }
}

#[test]
fn missing_directory_or_user_is_found_before_the_start() {
    let folder = Folder::new();
    let gone = "there is no directory DIR/gone; create it, or choose another path";
    for (settings, place) in [
        ("log.file = 'gone/log'\n", "1:12: log.file"),
        ("process.takeover = 'gone/sock'\n", "1:20: process.takeover"),
        ("admin.listen = 'unix:DIR/gone/sock'\n", "1:16: admin.listen"),
    ] {
        let settings = settings.replace("DIR", &folder.dir.path().to_string_lossy());
        let said = folder.check(&(settings + GOOD));
        let line = format!("DIR/proxy.toml:{place}: {gone}\n");
        assert_eq!((said.code, said.stdout.as_str()), (Some(11), ""), "{said:?}");
        assert_eq!(said.stderr, line + "error: DIR/proxy.toml: 1 file that it names cannot be used\n");
    }
    let said = folder.check(&format!("process.user = 'no-such-user'\n{GOOD}"));
    assert_eq!(said.code, Some(11), "{said:?}");
    assert!(said.stderr.starts_with("DIR/proxy.toml:1:16: process.user: this system has no user"), "{said:?}");
    assert!(said.stderr.ends_with("error: DIR/proxy.toml: the user that it names cannot be used\n"), "{said:?}");
}

#[test]
fn file_that_it_names_and_that_cannot_be_used_is_3() {
    let folder = Folder::new();
    folder.write("bad.pem", "no PEM");
    folder.write("tickets", TICKET_KEY);
    let auth = "client_auth = { mode = 'required', ca = 'bad.pem' }\nlisten =";
    let tls = "tls = { name = 'app', ca = 'ca.pem', certificate = 'bad.pem' }\naddresses";
    for (from, to, wrong) in [
        (
            "web.pem",
            "none.pem",
            "DIR/proxy.toml:4:16: listener.certificates: cannot read the certificate file DIR/none.pem: No such file",
        ),
        ("web.pem", "bad.pem", "DIR/proxy.toml:4:16: listener.certificates: "),
        ("web.pem", "ca.pem", "DIR/ca.pem"),
        ("listen =", auth, "DIR/proxy.toml:3:41: listener.client_auth.ca: no CA certificate in DIR/bad.pem: "),
        ("listen =", "ticket_keys = 'none'\nlisten =", "DIR/none: No such file"),
        ("addresses", tls, "DIR/bad.pem"),
        ("addresses", "tls = { name = 'app', ca = 'bad.pem' }\naddresses", "no CA certificate in DIR/bad.pem: "),
    ] {
        let said = folder.check(&GOOD.replacen(from, to, 1));
        assert_eq!((said.code, said.stdout.as_str()), (Some(3), ""), "{said:?}");
        assert!(said.stderr.contains(wrong), "{wrong}: {}", said.stderr);
        assert!(
            said.stderr.ends_with("error: DIR/proxy.toml: 1 file that it names cannot be used\n"),
            "{}",
            said.stderr
        );
    }
    let both = GOOD.replace("web.pem", "b.pem").replace("addresses", "tls = { name = 'app', ca = 'a.pem' }\naddresses");
    let said = folder.check(&both);
    let places: Vec<_> = said.stderr.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["DIR/proxy.toml:4:16", "DIR/proxy.toml:8:28", "error"], "{said:?}");
    let all = "client_auth = { mode = 'optional', ca = 'ca.pem' }\nticket_keys = 'tickets'\nlisten =";
    let said = folder.check(&GOOD.replace("listen =", all).replace("'web.pem'\n[", "['web.pem', '.']\n["));
    assert_eq!(said.code, Some(0), "{said:?}");
}

/// As installed: its files are where it says.
#[test]
fn example_of_the_docs_passes_the_check() {
    let folder = Folder::new();
    let example = include_str!("../../../../docs/example.toml");
    let example =
        ["/etc/closenotify", "/run/closenotify"].iter().fold(example.to_owned(), |text, at| text.replace(at, "."));
    let example = example
        .replace("user = \"closenotify\"", "user = \"nobody\"")
        .replace("group = \"closenotify\"", "group = \"65534\"");
    for (name, from) in [("db.pem", "web.pem"), ("clients.pem", "ca.pem")] {
        fs::copy(folder.path(from), folder.path(name)).unwrap();
    }
    fs::create_dir(folder.path("certs")).unwrap();
    fs::copy(folder.path("web.pem"), folder.path("certs/web.pem")).unwrap();
    folder.write("tickets", TICKET_KEY);
    let said = folder.check(&example);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.stdout, "DIR/proxy.toml: ok, 2 listeners, 4 upstreams\n");
}

/// What a package installs, and what a pod mounts.
#[test]
fn files_of_the_deployments_pass_the_check() {
    let manifest = include_str!("../../../../deploy/kubernetes/configmap.yaml");
    let (_, block) = manifest.split_once("  proxy.toml: |\n").unwrap();
    let mounted: String =
        block.lines().map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n").collect();
    for (text, certificates) in [(include_str!("../../../../deploy/debian/proxy.toml"), "certs"), (&mounted, "tls")] {
        let folder = Folder::new();
        fs::create_dir(folder.path(certificates)).unwrap();
        for (name, from) in [("tls.crt", &folder.files.cert), ("tls.key", &folder.files.key)] {
            fs::copy(from, folder.path(certificates).join(name)).unwrap();
        }
        let said = folder.check(&text.replace("/etc/closenotify", "."));
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
        assert_eq!(said.stdout, "DIR/proxy.toml: ok, 1 listener, 1 upstream\n");
    }
}

#[test]
fn file_serves_as_the_flags_do() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = Folder::new();
    let text =
        format!("[log]\nformat = 'json'\n{GOOD}").replace("127.0.0.1:80", &upstream.local_addr().unwrap().to_string());
    let file = folder.write("proxy.toml", &text);
    let Folder { dir: _dir, authority, files } = folder;
    let mut proxy = Proxy::configured(&file, authority, files);
    let mut client = TlsClient::connect(&proxy, TlsVersion::V13);
    let (answering, _) = upstream.accept().unwrap();
    drop(answering);
    let end = client.close_notify();
    client.write(&end);
    assert_eq!(client.read_to_end(), (Vec::new(), vec!["close_notify", "fin"]));
    drop(client);
    assert_eq!(proxy.session(1).endings(), ["close_notify", "close_notify", "fin", "fin"]);
    proxy.stop();
}

/// Each setting that docs/config.md marks so, and no other.
#[test]
fn a_reload_that_changes_what_needs_a_restart_fails_and_names_it() {
    let folder = Folder::new();
    let base = format!(
        "[admin]\nlisten = 'unix:{}'\n[log]\nformat = 'json'\n[process]\n{GOOD}",
        folder.path("admin.sock").display()
    );
    let changes = [
        ("admin", "listen", "admin.sock", "other.sock", "[admin] listen"),
        ("log", "file", "[log]", "[log]\nfile = 'x.log'", "[log] file"),
        ("process", "workers", "[process]", "[process]\nworkers = 1000", "[process] workers"),
        ("process", "user", "[process]", "[process]\nuser = 'nobody'", "[process] user"),
        ("process", "group", "[process]", "[process]\nuser = 'root'\ngroup = 'nogroup'", "[process] user"),
        ("process", "takeover", "[process]", "[process]\ntakeover = 'take.sock'", "[process] takeover"),
    ];
    let mut marked = Vec::new();
    let mut table = "";
    for line in include_str!("../../../../docs/config.md").lines() {
        table = line.strip_prefix("## `[").and_then(|rest| rest.strip_suffix("]`")).unwrap_or(table);
        let cells: Vec<_> = line.split(" | ").collect();
        if let [setting, _, _, "no", _] = cells[..] {
            marked.push((table, setting.trim_matches(['|', ' ', '`'])));
        }
    }
    marked.retain(|(table, _)| !table.is_empty());
    assert_eq!(marked, changes.map(|(table, setting, ..)| (table, setting)));

    let file = folder.write("proxy.toml", &base);
    let Folder { dir, authority, files } = folder;
    let mut proxy = Proxy::configured(&file, authority, files);
    for (nth, (_, _, from, to, named)) in (1..).zip(changes) {
        fs::write(&file, base.replacen(from, to, 1)).unwrap();
        proxy.kill("-HUP");
        let count = Cell::new(0);
        let line = proxy.line("reload_failed", |line| {
            count.set(count.get() + u32::from(line.contains("\"reload_failed\"")));
            (count.get() == nth).then(|| line.to_owned())
        });
        assert!(line.contains(&format!("{named} cannot be changed by a reload; restart, or use a takeover")), "{line}");
    }
    fs::write(&file, base.replace("[process]", "[process]\ndrain = '7s'\nspin = 'report'")).unwrap();
    proxy.kill("-HUP");
    proxy.line("reloaded", |line| line.contains("\"reloaded\"").then_some(()));
    proxy.stop();
    drop(dir);
}
