//! Servers: what answers HTTP over TLS by itself, and what ends TLS in front of a plain HTTP server.
//!
//! The plain server is `peers plain`, which answers, ends its direction, and reads on until the other side has ended too. Who
//! stands in front of it is judged for the pair.

use super::{Kind, Subject, terminators};

const SERVER: Subject = Subject {
    id: "",
    name: "",
    kind: Kind::Server,
    packages: &[],
    version: "",
    how: "",
    options: &["--app", "http1:/big"],
    with: &[],
    files: &[],
    start: "",
    small: &[],
};

pub(super) const SERVERS: &[Subject] = &[
    Subject {
        id: "nginx-http",
        name: "nginx http",
        packages: &["nginx"],
        version: "nginx -v 2>&1 | sed 's,.*/,,'",
        how: "a static file, one worker",
        start: r#"
cat > "$dir/nginx.conf" <<END
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log;
user root;
events { }
http {
    access_log off;
    client_body_temp_path $dir/a; proxy_temp_path $dir/b; fastcgi_temp_path $dir/c;
    uwsgi_temp_path $dir/d; scgi_temp_path $dir/e;
    server {
        listen $addr ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $cert;
        ssl_certificate_key $key;
        root $work;
    }
}
END
exec nginx -e "$dir/error.log" -c "$dir/nginx.conf"
"#,
        small: SMALL,
        ..SERVER
    },
    Subject {
        id: "nginx-stream",
        name: "nginx stream",
        packages: &["nginx", "libnginx-mod-stream"],
        version: "nginx -v 2>&1 | sed 's,.*/,,'",
        how: "in front of a plain HTTP server, `proxy_half_close off` (the default)",
        with: &[("half_close", "off")],
        start: terminators::NGINX_STREAM,
        ..SERVER
    },
    Subject {
        id: "nginx-stream-half-close",
        name: "nginx stream, half_close",
        packages: &["nginx", "libnginx-mod-stream"],
        version: "nginx -v 2>&1 | sed 's,.*/,,'",
        how: "in front of a plain HTTP server, `proxy_half_close on`",
        with: &[("half_close", "on")],
        start: terminators::NGINX_STREAM,
        ..SERVER
    },
    Subject {
        id: "haproxy",
        name: "HAProxy",
        packages: &["haproxy"],
        version: "haproxy -v | sed -n '1s/.*version \\([^ ]*\\).*/\\1/p'",
        how: "`mode http` in front of a plain HTTP server",
        with: &[("mode", "http")],
        start: terminators::HAPROXY,
        ..SERVER
    },
    Subject {
        id: "hitch",
        name: "hitch",
        packages: &["hitch"],
        version: "hitch --version | sed 's/hitch //'",
        how: "in front of a plain HTTP server",
        start: terminators::HITCH,
        ..SERVER
    },
    Subject {
        id: "stunnel",
        name: "stunnel",
        packages: &["stunnel4"],
        version: "stunnel -version 2>&1 | sed -n 's/^stunnel \\([0-9.]*\\).*/\\1/p'",
        how: "in front of a plain HTTP server",
        start: terminators::STUNNEL,
        ..SERVER
    },
    Subject {
        id: "apache",
        name: "Apache",
        packages: &["apache2"],
        version: "apache2 -v | sed -n '1s,.*/\\([0-9.]*\\).*,\\1,p'",
        how: "a static file, `mpm_event`",
        start: r#"
modules=/usr/lib/apache2/modules
cat > "$dir/apache.conf" <<END
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule ssl_module $modules/mod_ssl.so
ServerName localhost
Mutex file:$work default
DefaultRuntimeDir $work
PidFile $dir/apache.pid
ErrorLog $dir/error.log
User www-data
Group www-data
Listen $addr
DocumentRoot $work
<Directory $work>
    Require all granted
</Directory>
SSLEngine on
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLCertificateFile $cert
SSLCertificateKeyFile $key
END
exec apache2 -D FOREGROUND -f "$dir/apache.conf"
"#,
        ..SERVER
    },
    Subject {
        id: "lighttpd",
        name: "lighttpd",
        packages: &["lighttpd", "lighttpd-mod-openssl"],
        version: "lighttpd -v | sed 's,.*/\\([0-9.]*\\).*,\\1,'",
        how: "a static file",
        start: r#"
cat > "$dir/lighttpd.conf" <<END
server.modules = ("mod_openssl")
server.document-root = "$work"
server.bind = "$host"
server.port = $port
server.errorlog = "$dir/error.log"
mimetype.assign = ("" => "application/octet-stream")
ssl.engine = "enable"
ssl.pemfile = "$cert"
ssl.privkey = "$key"
END
exec lighttpd -D -f "$dir/lighttpd.conf"
"#,
        ..SERVER
    },
    Subject {
        id: "caddy",
        name: "Caddy",
        packages: &["caddy"],
        version: "caddy version | sed 's/[^0-9]*\\([0-9.]*\\).*/\\1/'",
        how: "a static file; TLS is Go's",
        start: r#"
export HOME=$dir XDG_DATA_HOME=$dir XDG_CONFIG_HOME=$dir
cat > "$dir/Caddyfile" <<END
{
    admin off
    auto_https off
}
https://$host:$port {
    tls $cert $key
    root * $work
    file_server
}
END
exec caddy run --adapter caddyfile --config "$dir/Caddyfile"
"#,
        ..SERVER
    },
    Subject {
        id: "openssl-s-server",
        name: "openssl s_server",
        packages: &["openssl"],
        version: "openssl version | sed 's/OpenSSL \\([^ ]*\\).*/\\1/'",
        how: "`-WWW`, a static file; it takes one connection at a time, so one case at a time",
        options: &["--app", "http1:/big", "--jobs", "1"],
        start: r#"
cd "$work"
exec openssl s_server -quiet -accept "$addr" -cert "$cert" -key "$key" -WWW
"#,
        ..SERVER
    },
    Subject {
        id: "gnutls-serv",
        name: "gnutls-serv",
        packages: &["gnutls-bin"],
        version: "gnutls-serv --version | sed -n '1s/.* //p'",
        how: "`--echo`: an answer of `--http` holds the request, and no length",
        options: &["--app", "echo"],
        start: r#"
exec gnutls-serv --echo --port "$port" --x509certfile "$cert" --x509keyfile "$key"
"#,
        ..SERVER
    },
    Subject {
        id: "python",
        name: "Python http.server",
        packages: &["python3"],
        version: "/usr/bin/python3 --version | sed 's/.* //'",
        how: "`ThreadingHTTPServer` over a socket of `ssl`, a static file",
        files: &[(
            "server.py",
            r#"
import functools, http.server, ssl, sys
host, port, cert, key, root = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=root)
server = http.server.ThreadingHTTPServer((host, int(port)), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"#,
        )],
        start: r#"
exec /usr/bin/python3 "$work/server.py" "$host" "$port" "$cert" "$key" "$work"
"#,
        ..SERVER
    },
    Subject {
        id: "node",
        name: "Node https",
        packages: &["nodejs"],
        version: "node --version | sed 's/v//'",
        how: "`https.createServer`, an answer with its length",
        files: &[(
            "server.js",
            r#"
const https = require('https'), fs = require('fs');
const [host, port, cert, key, big] = process.argv.slice(2);
const body = fs.readFileSync(big);
https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (request, response) => {
  response.setHeader('Content-Length', body.length);
  response.end(body);
}).listen(Number(port), host);
"#,
        )],
        start: r#"
exec node "$work/server.js" "$host" "$port" "$cert" "$key" "$work/big"
"#,
        ..SERVER
    },
    Subject {
        id: "java",
        name: "Java HttpsServer",
        packages: &["default-jdk-headless"],
        version: "java --version | sed -n '1s/openjdk \\([^ ]*\\).*/\\1/p'",
        how: "`com.sun.net.httpserver.HttpsServer`, an answer with its length, a pool of threads",
        files: &[(
            "Server.java",
            r#"
import com.sun.net.httpserver.*;
import java.io.*;
import java.net.*;
import java.nio.file.*;
import java.security.KeyStore;
import java.util.concurrent.Executors;
import javax.net.ssl.*;

public class Server {
    public static void main(String[] args) throws Exception {
        var store = KeyStore.getInstance("PKCS12");
        try (var in = new FileInputStream(args[2])) { store.load(in, "secret".toCharArray()); }
        var keys = KeyManagerFactory.getInstance("SunX509");
        keys.init(store, "secret".toCharArray());
        var context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        var body = Files.readAllBytes(Path.of(args[3]));
        var server = HttpsServer.create(new InetSocketAddress(args[0], Integer.parseInt(args[1])), 64);
        server.setHttpsConfigurator(new HttpsConfigurator(context));
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, body.length);
            try (var out = exchange.getResponseBody()) { out.write(body); }
            exchange.close();
        });
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
    }
}
"#,
        )],
        options: &["--app", "http1:/big", "--start-timeout", "30s"],
        start: r#"
openssl pkcs12 -export -in "$cert" -inkey "$key" -out "$dir/keys.p12" -passout pass:secret
exec java "$work/Server.java" "$host" "$port" "$dir/keys.p12" "$work/big"
"#,
        ..SERVER
    },
    Subject {
        id: "tokio-rustls",
        name: "tokio-rustls + hyper",
        version: "\"$peers\" versions | sed -n 's/^tokio-rustls //p'",
        how: "hyper's defaults",
        start: r#"
exec "$peers" server tokio-rustls "$addr" "$cert" "$key"
"#,
        ..SERVER
    },
    Subject {
        id: "tokio-rustls-half-close",
        name: "tokio-rustls + hyper, half_close",
        version: "\"$peers\" versions | sed -n 's/^tokio-rustls //p'",
        how: "hyper with `half_close(true)`",
        start: r#"
exec "$peers" server tokio-rustls "$addr" "$cert" "$key" half-close
"#,
        ..SERVER
    },
    Subject {
        id: "closenotify",
        name: "closenotify + hyper",
        version: "\"$peers\" versions | sed -n 's/^closenotify //p'",
        how: "hyper's defaults over `close_on_shutdown`",
        start: r#"
exec "$peers" server closenotify "$addr" "$cert" "$key"
"#,
        ..SERVER
    },
    Subject {
        id: "closenotify-half-close",
        name: "closenotify + hyper, half_close",
        version: "\"$peers\" versions | sed -n 's/^closenotify //p'",
        how: "hyper with `half_close(true)` over `close_on_shutdown`",
        small: SMALL,
        start: r#"
exec "$peers" server closenotify "$addr" "$cert" "$key" half-close
"#,
        ..SERVER
    },
];

/// The topics whose cells are the same in most runs.
const SMALL: &[&str] = &["server/end/", "server/half-close/", "server/alert/"];
