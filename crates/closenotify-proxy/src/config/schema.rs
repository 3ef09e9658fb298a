//! Every setting of a configuration file: its name, form, bounds and default, and what it does.
//!
//! It reads nothing. The reader takes names, words and bounds from here, so a setting that is not listed cannot be read; tests
//! show that each one listed is read, and `docs/config.md` is made of this list.

use super::pattern::OWN_NAME_MAX;
use super::word::{AuthMode, words};
use super::{Balance, LogFormat, ProxyProtocol, SpinAction, TlsVersion, TruncationPolicy, WhenFull};
use crate::events::SessionResult;

/// A table of settings.
#[derive(Debug)]
pub(super) struct Table {
    /// What it is for.
    pub(super) about: &'static str,
    pub(super) settings: &'static [Setting],
}

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) form: Form,
    pub(super) default: LeftOut,
    /// Whether a reload applies a change; for a table, its settings say so.
    pub(super) reload: bool,
    /// What it does.
    pub(super) about: &'static str,
}

/// How a value is written.
#[derive(Debug)]
pub(super) enum Form {
    /// A table.
    Table(&'static Table),
    /// A list of tables.
    Tables(&'static Table),
    /// Tables by names that the operator chooses.
    Named(&'static Table),
    /// One word of a few.
    Word(fn() -> Vec<&'static str>),
    /// A list of such words.
    Words(fn() -> Vec<&'static str>),
    /// A number with its unit.
    Duration,
    /// A number from 1.
    Count { max: u32 },
    /// A string of this kind.
    Text(&'static str),
    /// A list of strings of this kind; one string alone is a list of one.
    Texts(&'static str),
}

/// What a setting is when it is left out.
#[derive(Debug)]
pub(super) enum LeftOut {
    /// It must not be.
    Required,
    /// This value, as written in a file.
    Value(&'static str),
    /// No value; what that means.
    Nothing(&'static str),
}

impl Table {
    pub(super) fn setting(&self, key: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    pub(super) fn keys(&self) -> Vec<&'static str> {
        self.settings.iter().map(|setting| setting.key).collect()
    }
}

impl Form {
    /// The table that a value of this form is, or is made of.
    pub(super) fn table(&self) -> Option<&'static Table> {
        match self {
            Self::Table(table) | Self::Tables(table) | Self::Named(table) => Some(table),
            Self::Word(_) | Self::Words(_) | Self::Duration | Self::Count { .. } | Self::Text(_) | Self::Texts(_) => {
                None
            }
        }
    }
}

pub(super) static ROOT: Table = Table {
    about: "The tables of a file. At least one `[[listener]]` is required.",
    settings: &[
        setting(
            "admin",
            Form::Table(&ADMIN),
            LeftOut::Nothing("no admin listener"),
            "Metrics, health and live sessions.",
        ),
        setting(
            "log",
            Form::Table(&LOG),
            LeftOut::Nothing("its defaults"),
            "The log: session lines and all other lines.",
        ),
        setting("limits", Form::Table(&LIMITS), LeftOut::Nothing("its defaults"), "How much is accepted at a time."),
        setting("process", Form::Table(&PROCESS), LeftOut::Nothing("its defaults"), "How the process runs."),
        setting("listener", Form::Tables(&LISTENER), LeftOut::Required, "Where clients connect to, one table each."),
        setting("upstream", Form::Named(&UPSTREAM), LeftOut::Nothing("no upstream"), "Where sessions go, by name."),
    ],
};

static ADMIN: Table = Table {
    about: "Serves `/metrics`, `/healthz`, `/readyz`, `/sessions` and a page at `/`, without TLS or authentication: whoever \
            reaches it can read it.",
    settings: &[fixed(
        "listen",
        Form::Text(LISTEN),
        LeftOut::Required,
        "The address to serve on. Keep it to this machine or to the network of the operators.",
    )],
};

static LOG: Table = Table {
    about: "Session lines and all other lines of the log.",
    settings: &[
        setting(
            "format",
            Form::Word(words::<LogFormat>),
            LeftOut::Value("\"text\""),
            "`text` is for people; `json` is one object a line.",
        ),
        fixed(
            "file",
            Form::Text(PATH),
            LeftOut::Nothing("standard error"),
            "The file to append to. SIGUSR1 reopens it, for log rotation.",
        ),
        setting(
            "skip",
            Form::Words(words::<SessionResult>),
            LeftOut::Nothing("every session has a line"),
            "Sessions with these results get no line; the metrics still count them. `[\"refused\"]` quiets port scanners.",
        ),
    ],
};

static LIMITS: Table = Table {
    about: "How much is accepted at a time, all listeners together.",
    settings: &[
        setting(
            "sessions",
            Form::Count { max: 10_000_000 },
            LeftOut::Nothing("what the descriptor limit allows"),
            "The most sessions at a time.",
        ),
        setting(
            "sessions_per_address",
            Form::Count { max: 10_000_000 },
            LeftOut::Nothing("no limit"),
            "The most sessions at a time from one client address; further connections from it are reset. IPv6 clients are counted \
             by their /64 network. With a PROXY protocol header the address that it names is counted.",
        ),
        setting(
            "handshakes_per_second",
            Form::Count { max: 10_000_000 },
            LeftOut::Nothing("no limit"),
            "The most TLS handshakes that begin in a second.",
        ),
        setting(
            "when_full",
            Form::Word(words::<WhenFull>),
            LeftOut::Value("\"wait\""),
            "What happens to a connection beyond `sessions` or `handshakes_per_second`: `wait` leaves it in the listen queue \
             of the kernel, `refuse` resets it.",
        ),
    ],
};

static PROCESS: Table = Table {
    about: "How the process runs.",
    settings: &[
        fixed(
            "workers",
            Form::Count { max: 1024 },
            LeftOut::Nothing("one for each core"),
            "Threads that serve sessions.",
        ),
        fixed(
            "user",
            Form::Text("user name"),
            LeftOut::Nothing("the user stays"),
            "The user to become after the addresses are bound.",
        ),
        fixed(
            "group",
            Form::Text("group name"),
            LeftOut::Nothing("the group of `user`"),
            "The group to become after the addresses are bound. Only together with `user`.",
        ),
        fixed(
            "takeover",
            Form::Text(PATH),
            LeftOut::Nothing("no takeover"),
            "The Unix socket at which a successor process takes the listeners over, at most 107 bytes long.",
        ),
        setting(
            "drain",
            Form::Duration,
            LeftOut::Value("\"30s\""),
            "How long open sessions may go on after SIGTERM. The rest are reset then.",
        ),
        setting(
            "spin",
            Form::Word(words::<SpinAction>),
            LeftOut::Value("\"end\""),
            "What happens to a session whose polls achieve nothing, ten thousand times within a second: `end` resets it, \
             `report` only logs and counts it.",
        ),
    ],
};

static LISTENER: Table = Table {
    about: "A listener: its addresses, its TLS, and the routes to the upstreams.",
    settings: &[
        setting(
            "name",
            Form::Text(NAME),
            LeftOut::Required,
            "The name in log lines and metrics. No two listeners have the same.",
        ),
        setting(
            "listen",
            Form::Texts(LISTEN),
            LeftOut::Required,
            "The addresses to listen on. Port 0 takes a free port.",
        ),
        setting(
            "certificates",
            Form::Texts("path of a PEM file with a chain and its key, or of a directory"),
            LeftOut::Nothing("required where a route has `upstream`"),
            "The certificates. The one that fits the name that the client asks for is served. Changed files are read again.",
        ),
        setting(
            "alpn",
            Form::Texts("protocol name, 1 to 255 bytes"),
            LeftOut::Nothing("ALPN is not used"),
            "The protocols to offer by ALPN, the most preferred first.",
        ),
        setting(
            "min_tls",
            Form::Word(words::<TlsVersion>),
            LeftOut::Value("\"1.2\""),
            "The oldest TLS version to accept.",
        ),
        setting(
            "truncation",
            Form::Word(words::<TruncationPolicy>),
            LeftOut::Value("\"strict\""),
            "What the upstream gets when the client ends without close_notify: a reset (`strict`), or FIN if the client's FIN \
             came between two records (`tolerant`). The session is logged as truncated either way.",
        ),
        setting(
            "client_auth",
            Form::Table(&CLIENT_AUTH),
            LeftOut::Nothing("clients are not asked for a certificate"),
            "Client certificates.",
        ),
        setting(
            "accept_proxy_protocol",
            Form::Texts("network, as in 10.0.0.0/8, or IP address"),
            LeftOut::Nothing("from nobody"),
            "The networks whose connections begin with a PROXY protocol header, version 1 or 2. Name your load balancers \
             only: the header sets the client address. An IPv6 network does not cover IPv4 peers: everyone is \
             `[\"0.0.0.0/0\", \"::/0\"]`.",
        ),
        setting(
            "ticket_keys",
            Form::Text(PATH),
            LeftOut::Nothing("keys of this process only"),
            "The file or directory with the session ticket keys that a fleet shares. Changed files are read again.",
        ),
        setting("timeouts", Form::Table(&TIMEOUTS), LeftOut::Nothing("its defaults"), "How long each wait may be."),
        setting(
            "route",
            Form::Tables(&ROUTE),
            LeftOut::Required,
            "Where sessions go, one table each. A route with exactly the client's server name is taken first, then one with a \
             wildcard for it, then the one without `sni`, which must be the last in the file. A client that no route matches is \
             refused.",
        ),
    ],
};

static CLIENT_AUTH: Table = Table {
    about: "Client certificates. They have no effect on routes with `passthrough`.",
    settings: &[
        setting(
            "mode",
            Form::Word(words::<AuthMode>),
            LeftOut::Required,
            "`required` refuses clients without a certificate; `optional` lets them in.",
        ),
        setting(
            "ca",
            Form::Text(PATH),
            LeftOut::Required,
            "The PEM file with the trusted CA certificates. A changed file is read again.",
        ),
        setting(
            "allow",
            Form::Texts("CN=name, or a DNS name, URI, mail address or IP address"),
            LeftOut::Nothing("every certificate that a trusted CA issued"),
            "Rules of which a certificate must match one: `CN=` and the common name, or a subjectAltName. `*` stands for any \
             characters.",
        ),
    ],
};

static TIMEOUTS: Table = Table {
    about: "How long each wait of a session may be. When one is over, the session is reset and the reason logged.",
    settings: &[
        setting(
            "handshake",
            Form::Duration,
            LeftOut::Value("\"10s\""),
            "From the accepted connection to the end of the TLS handshake, PROXY protocol header included.",
        ),
        setting(
            "idle",
            Form::Duration,
            LeftOut::Value("\"5m\""),
            "Without progress in either direction while both are open. Bytes that a peer takes are progress.",
        ),
        setting(
            "half_close",
            Form::Duration,
            LeftOut::Value("\"1m\""),
            "Without progress after one direction has ended.",
        ),
        setting("lifetime", Form::Duration, LeftOut::Nothing("no limit"), "The whole session."),
        setting(
            "connect",
            Form::Duration,
            LeftOut::Value("\"5s\""),
            "To connect to one address of the upstream, its TLS handshake included.",
        ),
    ],
};

static ROUTE: Table = Table {
    about: "A route has `upstream` or `passthrough`, never both.",
    settings: &[
        setting(
            "sni",
            Form::Texts("server name, or a wildcard as *.example.com, which covers one label"),
            LeftOut::Nothing("everything else, also clients that send no name"),
            "The server names (SNI) that the route is for.",
        ),
        setting(
            "upstream",
            Form::Text("name of an upstream"),
            LeftOut::Nothing("the route has `passthrough`"),
            "TLS ends here, and the plaintext goes to this upstream.",
        ),
        setting(
            "passthrough",
            Form::Text("name of an upstream"),
            LeftOut::Nothing("the route has `upstream`"),
            "TLS is not terminated: its bytes go to this upstream as they are. The client must offer TLS 1.2 or later, or its server name cannot be read.",
        ),
    ],
};

static UPSTREAM: Table = Table {
    about: "An upstream: servers that do the same work.",
    settings: &[
        setting(
            "addresses",
            Form::Texts("host:port, [ipv6]:port or unix:/path; the port from 1 to 65535"),
            LeftOut::Required,
            "The servers. When one cannot be reached, the next one is tried. A Unix socket cannot carry a reset: a \
             server at one reads a truncated request as a complete one.",
        ),
        setting(
            "balance",
            Form::Word(words::<Balance>),
            LeftOut::Value("\"round_robin\""),
            "How a server is chosen: in turn, or the one with the fewest sessions.",
        ),
        setting("tls", Form::Table(&UPSTREAM_TLS), LeftOut::Nothing("plaintext"), "TLS to the upstream."),
        setting(
            "send_proxy_protocol",
            Form::Word(words::<ProxyProtocol>),
            LeftOut::Nothing("no header"),
            "The version of the PROXY protocol header that is sent first.",
        ),
    ],
};

static UPSTREAM_TLS: Table = Table {
    about: "TLS to the upstream. Its certificate is always verified.",
    settings: &[
        setting(
            "name",
            Form::Text("DNS name or IP address"),
            LeftOut::Required,
            "The name that the upstream's certificate must have. A DNS name is also sent as SNI.",
        ),
        setting("ca", Form::Text(PATH), LeftOut::Required, "The PEM file with the trusted CA certificates."),
        setting(
            "certificate",
            Form::Text(PATH),
            LeftOut::Nothing("no client certificate"),
            "The PEM file with the client certificate's chain and key.",
        ),
    ],
};

const fn setting(key: &'static str, form: Form, default: LeftOut, about: &'static str) -> Setting {
    Setting { key, form, default, reload: true, about }
}

/// A setting that a reload does not apply.
const fn fixed(key: &'static str, form: Form, default: LeftOut, about: &'static str) -> Setting {
    Setting { key, form, default, reload: false, about }
}

const LISTEN: &str = "host:port, [ipv6]:port or unix:/path";
const PATH: &str = "path";
const NAME: &str = "1 to 64 letters, digits, \"-\", \"_\" or \".\"";
const _: () = assert!(OWN_NAME_MAX == 64, "NAME gives the bound");
