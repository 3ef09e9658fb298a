//! Every mistake that the reader knows, with its place and what to write instead: a table of slips.

use super::{LEAST, lines};

#[test]
fn each_mistake_is_named_with_its_place_and_what_to_write() {
    for (from, to, said) in [
        // Names that do not exist.
        ("listen =", "listne =", "3:1: listener.listne: unknown setting; did you mean \"listen\"?"),
        (
            "name = 'web'",
            "name = 'web'\nidle = '5m'",
            "3:1: listener.idle: unknown setting here; it belongs in [listener.timeouts]",
        ),
        (
            "certificates = ",
            "certificate = ",
            "4:1: listener.certificate: unknown setting; did you mean \"certificates\"?",
        ),
        ("name = 'web'", "name = 'web'\nq = 1", "unknown setting; write one of name, listen, certificates,"),
        ("[[listener]]", "[logs]\n[[listener]]", "1:2: logs: unknown setting; did you mean \"log\"?"),
        ("addresses = ", "address = ", "8:1: upstream.app.address: unknown setting; did you mean \"addresses\"?"),
        (
            "upstream = 'app'",
            "upstream = 'ap'",
            "6:12: listener.route.upstream: there is no upstream \"ap\"; did you mean \"app\"?",
        ),
        ("upstream = 'app'", "upstream = 'q'", "there is no upstream \"q\"; add [upstream.q]"),
        ("name = 'web'", "name = 'web'\nmax_sessions = 1", "did you mean \"sessions\" in [limits]?"),
        ("name = 'web'", "name = 'web'\nidle_timeout = '1s'", "did you mean \"idle\" in [listener.timeouts]?"),
        (
            "[[listener]]",
            "listen = 'a:1'\n[[listener]]",
            "1:1: listen: unknown setting here; it belongs in [admin] or [listener]",
        ),
        // Words.
        (
            "name = 'web'",
            "name = 'web'\ntruncation = 'strikt'",
            "3:14: listener.truncation: \"strikt\" is not allowed here; did you mean \"strict\"?",
        ),
        (
            "name = 'web'",
            "name = 'web'\nmin_tls = 1.2",
            "3:11: listener.min_tls: is a number: write it in quotes, as in \"1.2\"",
        ),
        ("name = 'web'", "name = 'web'\nmin_tls = '1.1'", "TLS before 1.2 is not supported"),
        (
            "[[listener]]",
            "[log]\nskip = ['refused', 'comlete']\n[[listener]]",
            "2:20: log.skip: \"comlete\" is not allowed here; did you mean \"complete\"?",
        ),
        // Types and bounds.
        (
            "listen = '127.0.0.1:0'",
            "listen = 8443",
            "3:10: listener.listen: is an integer, but must be a list of strings (host:port,",
        ),
        ("listen = '127.0.0.1:0'", "listen = []", "3:10: listener.listen: the list is empty: write at least one value"),
        (
            "listen = '127.0.0.1:0'",
            "listen = ['127.0.0.1:0', true]",
            "3:26: listener.listen: is a boolean, but must be a string (host:port,",
        ),
        (
            "name = 'web'",
            "name = 'web'\ntimeouts.idle = 30",
            "3:17: listener.timeouts.idle: is an integer, but must be a string with a time and its unit",
        ),
        (
            "name = 'web'",
            "name = 'web'\ntimeouts.idle = '30'",
            "listener.timeouts.idle: \"30\": write a time with its unit",
        ),
        ("name = 'web'", "name = 'web'\ntimeouts.idle = '0s'", "zero would end everything at once"),
        (
            "[[listener]]",
            "[limits]\nsessions = 0\n[[listener]]",
            "2:12: limits.sessions: 0 is out of bounds: write a number from 1 to 10000000",
        ),
        (
            "[[listener]]",
            "[process]\ngroup = 'www-data'\n[[listener]]",
            "2:9: process.group: has no effect without process.user: name the user to become, or remove it",
        ),
        ("[[listener]]", "[limits]\nsessions = -1\n[[listener]]", "-1 is out of bounds"),
        ("[[listener]]", "[limits]\nsessions = 99999999999999999999999999\n[[listener]]", "is out of bounds"),
        (
            "[[listener]]",
            "[limits]\nsessions = '5'\n[[listener]]",
            "is a string, but must be a number from 1 to 10000000",
        ),
        (
            "[[listener]]",
            "[process]\nworkers = 0\n[[listener]]",
            "process.workers: 0 is out of bounds: write a number from 1 to 1024",
        ),
        ("[[listener]]", "[listener]", "1:2: listener: is a table, but must be a list of tables: write [[listener]]"),
        (
            "[[listener.route]]",
            "[listener.route]",
            "listener.route: is a table, but must be a list of tables: write [[listener.route]]",
        ),
        ("[upstream.app]", "[[upstream.app]]", "upstream.app: is an array, but must be a table: write [upstream.app]"),
        (
            "[upstream.app]\naddresses",
            "[upstream]\naddresses",
            "upstream.addresses: is a string, but must be a table: write [upstream.addresses]",
        ),
        (
            "name = 'web'",
            "name = 'web'\nclient_auth = 'required'",
            "3:1: listener.client_auth: is a string, but must be a table",
        ),
        // Missing.
        ("name = 'web'\n", "", "1:1: listener.name: is missing: The name in log lines"),
        ("addresses = '127.0.0.1:80'\n", "", "7:11: upstream.app.addresses: is missing: The servers. When one"),
        (
            "[[listener.route]]\nupstream = 'app'\n",
            "",
            "1:1: listener.route: is missing: Where sessions go, one table each.",
        ),
        ("[[listener.route]]\nupstream = 'app'\n", "", "Write [[listener.route]]"),
        ("upstream = 'app'\n", "", "5:1: listener.route: leads nowhere; write upstream = \"NAME\""),
        (
            "name = 'web'",
            "name = 'web'\nclient_auth.ca = 'x'",
            "listener.client_auth.mode: is missing: `required` refuses",
        ),
        // Addresses.
        ("127.0.0.1:0", "8443", "3:10: listener.listen: the host is missing: write 127.0.0.1:8443, or 0.0.0.0:8443"),
        ("127.0.0.1:0", "127.0.0.1", "the port is missing: write 127.0.0.1:port"),
        ("127.0.0.1:0", "unix:app.sock", "is not an absolute path: write unix:/path/to/socket"),
        ("127.0.0.1:80", "127.0.0.1:0", "8:13: upstream.app.addresses: nothing listens on port 0"),
        ("127.0.0.1:80", "unix:app.sock", "write unix:/path/to/socket"),
        // Texts.
        ("'web.pem'", "''", "listener.certificates: is empty: write a string (path of"),
        ("'web.pem'", "\"a\\u0000b\"", "4:16: listener.certificates: holds a control character"),
        ("'web'", "'a b'", "2:8: listener.name: \"a b\" is not a name; write 1 to 64"),
        ("[upstream.app]", "[upstream.'a b']", "7:11: upstream.a b: \"a b\" is not a name"),
        (
            "name = 'web'",
            "name = 'web'\naccept_proxy_protocol = ['10.0.0.0/8', '10.0.0.0/33']",
            "3:40: listener.accept_proxy_protocol: \"10.0.0.0/33\" is not a network",
        ),
        (
            "name = 'web'",
            "name = 'web'\naccept_proxy_protocol = '10.0.0.1/8'",
            "10.0.0.1/8 has bits set after its prefix; write 10.0.0.0/8",
        ),
        (
            "name = 'web'",
            "name = 'web'\naccept_proxy_protocol = '::/0'",
            "3:25: warning: listener.accept_proxy_protocol: every client may then claim any address",
        ),
        (
            "name = 'web'",
            "name = 'web'\nclient_auth = {mode='required', ca='x', allow=['O=us']}",
            "\"O\" is not an attribute that a rule can name",
        ),
        (
            "name = 'web'",
            "name = 'web'\nclient_auth = {mode='required', ca='x', allow=['CN=']}",
            "the common name is missing",
        ),
        ("name = 'web'", "name = 'web'\nalpn = ['h2', 'h2']", "\"h2\" is in the list already"),
        (
            "upstream = 'app'",
            "upstream = 'app'\nsni = 'app.*.com'",
            "7:7: listener.route.sni: \"app.*.com\" has a wildcard that is not the leftmost label",
        ),
        (
            "addresses",
            "tls = {name='a b', ca='x'}\naddresses",
            "upstream.app.tls.name: \"a b\" is neither a DNS name nor an IP address",
        ),
        // Rules between settings.
        (
            "certificates = 'web.pem'\n",
            "",
            "1:1: listener.certificates: is missing: a route of this listener terminates TLS",
        ),
        ("upstream = 'app'", "upstream = 'app'\npassthrough = 'app'", "a route has upstream or passthrough, not both"),
        ("upstream = 'app'", "passthrough = 'app'", "4:16: warning: listener.certificates: has no effect"),
        (
            "upstream = 'app'",
            "upstream = 'app'\n[[listener.route]]\nsni = 'a.b'\nupstream = 'app'",
            "7:1: listener.route: is after route 1, which has no sni and takes everything else",
        ),
        (
            "upstream = 'app'",
            "upstream = 'app'\nsni='a.b.c'\n[[listener.route]]\nsni = ['b.c', 'a.B.c']\nupstream = 'app'",
            "9:15: listener.route.sni: a.b.c never gets here: route 1 has it already",
        ),
        (
            "'127.0.0.1:0'",
            "['127.0.0.1:1', '127.0.0.1:1']",
            "3:26: listener.listen: 127.0.0.1:1 is listened on already; remove one of them",
        ),
        (
            "[[listener]]",
            "admin.listen = '[::]:1'\n[[listener]]\nlisten = '[::]:1'\nname = 'a'\ncertificates = 'x'\n[[listener.route]]\nupstream='app'\n[[listener]]",
            "3:10: listener.listen: [::]:1 is listened on already",
        ),
        (
            "[[listener]]",
            "[[listener]]\nlisten = '[::]:1'\nname = 'web'\ncertificates = 'x'\n[[listener.route]]\nupstream='app'\n[[listener]]",
            "8:8: listener.name: there is another listener \"web\"",
        ),
        (
            "[upstream.app]",
            "[upstream.old]\naddresses = 'a:1'\n[upstream.app]",
            "7:11: warning: upstream.old: no route leads to this upstream",
        ),
        ("'127.0.0.1:80'", "'unix:/run/a.sock'", "warning: upstream.app.addresses: a Unix socket cannot carry a reset"),
        (
            "[[listener]]",
            "[limits]\nsessions = 5\nsessions_per_address = 6\n[[listener]]",
            "3:24: warning: limits.sessions_per_address: has no effect",
        ),
        (
            "[[listener]]",
            &format!("[process]\ntakeover = '/{}'\n[[listener]]", "x".repeat(107)),
            "the path has 108 bytes",
        ),
        // Not TOML.
        ("name = 'web'", "name = 'web", "2:"),
        ("name = 'web'", "name = 'web'\nname = 'web'", "3:1: not TOML: duplicate key"),
    ] {
        assert!(LEAST.contains(from), "{from}");
        let lines = lines(&LEAST.replacen(from, to, 1));
        assert!(lines.iter().any(|line| line.contains(said)), "{said}\n{}", lines.join("\n"));
    }
}
