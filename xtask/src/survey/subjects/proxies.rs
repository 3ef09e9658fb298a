//! Proxies: what ends TLS and passes plain TCP on. The checker is client and upstream.

use super::{Kind, Subject, terminators};

const PROXY: Subject = Subject {
    id: "",
    name: "",
    kind: Kind::Proxy,
    packages: &[],
    version: "",
    how: "",
    options: &[],
    with: &[],
    files: &[],
    start: "",
    small: &[],
};

pub(super) const PROXIES: &[Subject] = &[
    Subject {
        id: "proxy-nginx-stream",
        name: "nginx stream",
        packages: &["nginx", "libnginx-mod-stream"],
        version: "nginx -v 2>&1 | sed 's,.*/,,'",
        how: "`proxy_half_close off` (the default)",
        with: &[("half_close", "off")],
        start: terminators::NGINX_STREAM,
        ..PROXY
    },
    Subject {
        id: "proxy-nginx-stream-half-close",
        name: "nginx stream, half_close",
        packages: &["nginx", "libnginx-mod-stream"],
        version: "nginx -v 2>&1 | sed 's,.*/,,'",
        how: "`proxy_half_close on`",
        with: &[("half_close", "on")],
        start: terminators::NGINX_STREAM,
        ..PROXY
    },
    Subject {
        id: "proxy-haproxy",
        name: "HAProxy",
        packages: &["haproxy"],
        version: "haproxy -v | sed -n '1s/.*version \\([^ ]*\\).*/\\1/p'",
        how: "`mode tcp`",
        with: &[("mode", "tcp")],
        start: terminators::HAPROXY,
        small: SMALL,
        ..PROXY
    },
    Subject {
        id: "proxy-hitch",
        name: "hitch",
        packages: &["hitch"],
        version: "hitch --version | sed 's/hitch //'",
        how: "defaults",
        start: terminators::HITCH,
        ..PROXY
    },
    Subject {
        id: "proxy-stunnel",
        name: "stunnel",
        packages: &["stunnel4"],
        version: "stunnel -version 2>&1 | sed -n 's/^stunnel \\([0-9.]*\\).*/\\1/p'",
        how: "defaults",
        start: terminators::STUNNEL,
        ..PROXY
    },
    Subject {
        id: "proxy-socat",
        name: "socat",
        packages: &["socat"],
        version: "socat -V | sed -n 's/^socat version \\([^ ]*\\).*/\\1/p'",
        how: "`OPENSSL-LISTEN` to `TCP`, `fork`",
        start: r#"
exec socat "OPENSSL-LISTEN:$port,bind=$host,cert=$both,verify=0,reuseaddr,fork" "TCP:$upstream"
"#,
        ..PROXY
    },
    Subject {
        id: "proxy-tokio-rustls",
        name: "tokio-rustls",
        version: "\"$peers\" versions | sed -n 's/^tokio-rustls //p'",
        how: "`copy_bidirectional`, and both streams dropped",
        start: r#"
exec "$peers" proxy "$addr" "$upstream" "$cert" "$key"
"#,
        ..PROXY
    },
    Subject {
        id: "proxy-closenotify",
        name: "closenotify proxy",
        version: "\"$closenotify\" --version | sed 's/closenotify //'",
        how: "defaults",
        small: SMALL,
        start: r#"
exec "$closenotify" proxy --listen "$addr" --upstream "$upstream" --cert "$cert" --key "$key"
"#,
        ..PROXY
    },
];

/// The topics whose cells are the same in most runs.
const SMALL: &[&str] = &["proxy/half-close/", "proxy/cut/", "proxy/upstream-end/"];
