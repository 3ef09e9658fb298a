//! Clients: each asks once for `$url`, prints the body, and says by its exit status whether it took it for whole.

use super::{Kind, Subject};

const CLIENT: Subject = Subject {
    id: "",
    name: "",
    kind: Kind::Client,
    packages: &[],
    version: "",
    how: "",
    options: &["--stdout-is-body"],
    with: &[],
    files: &[],
    start: "",
    small: &[],
};

/// For those that know no HTTP.
const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

pub(super) const CLIENTS: &[Subject] = &[
    Subject {
        id: "curl",
        name: "curl",
        packages: &["curl"],
        version: "curl --version | sed -n '1s/curl \\([^ ]*\\).*/\\1/p'",
        how: "`curl -sS --cacert`",
        start: r#"
exec curl -sS --http1.1 --cacert "$ca" "$url"
"#,
        small: SMALL,
        ..CLIENT
    },
    Subject {
        id: "wget",
        name: "wget",
        packages: &["wget"],
        version: "wget --version | sed -n '1s/GNU Wget \\([^ ]*\\).*/\\1/p'",
        how: "`--tries=1`, or it would ask again and again",
        start: r#"
exec wget -q --tries=1 --ca-certificate="$ca" -O - "$url"
"#,
        ..CLIENT
    },
    Subject {
        id: "openssl-s-client",
        name: "openssl s_client",
        options: &[],
        packages: &["openssl"],
        version: "openssl version | sed 's/OpenSSL \\([^ ]*\\).*/\\1/'",
        files: &[("request", REQUEST)],
        how: "`-quiet -verify_return_error`, the request on standard input; it knows no HTTP",
        start: r#"
exec openssl s_client -quiet -verify_return_error -CAfile "$ca" -connect "$addr" < "$work/request"
"#,
        ..CLIENT
    },
    Subject {
        id: "gnutls-cli",
        name: "gnutls-cli",
        options: &[],
        packages: &["gnutls-bin"],
        version: "gnutls-cli --version | sed -n '1s/.* //p'",
        files: &[("request", REQUEST)],
        how: "the request on standard input; it knows no HTTP",
        start: r#"
exec gnutls-cli --logfile=/dev/null --x509cafile="$ca" --port "$port" localhost < "$work/request"
"#,
        ..CLIENT
    },
    Subject {
        id: "python-urllib",
        name: "Python urllib",
        packages: &["python3"],
        version: "/usr/bin/python3 --version | sed 's/.* //'",
        how: "`urllib.request.urlopen(…).read()`",
        files: &[(
            "client.py",
            r#"
import ssl, sys, urllib.request
url, ca = sys.argv[1:]
with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=ca)) as answer:
    sys.stdout.buffer.write(answer.read())
"#,
        )],
        start: r#"
exec /usr/bin/python3 "$work/client.py" "$url" "$ca"
"#,
        ..CLIENT
    },
    Subject {
        id: "node-https",
        name: "Node https",
        // It takes a second to start.
        options: &["--stdout-is-body", "--jobs", "2", "--timeout", "8s"],
        packages: &["nodejs"],
        version: "node --version | sed 's/v//'",
        how: "`https.get`, all of the body collected",
        files: &[(
            "client.js",
            r#"
const https = require('https'), fs = require('fs');
const [url, ca] = process.argv.slice(2);
const failed = (error) => { console.error(error); process.exitCode = 1; };
https.get(url, { ca: fs.readFileSync(ca) }, (answer) => {
  const parts = [];
  answer.on('data', (part) => parts.push(part));
  answer.on('error', failed);
  answer.on('end', () => process.stdout.write(Buffer.concat(parts)));
}).on('error', failed);
"#,
        )],
        start: r#"
exec node "$work/client.js" "$url" "$ca"
"#,
        ..CLIENT
    },
    Subject {
        id: "java-https",
        name: "Java HttpsURLConnection",
        // It takes a second to start.
        options: &["--stdout-is-body", "--jobs", "2", "--timeout", "8s"],
        packages: &["default-jdk-headless"],
        version: "java --version | sed -n '1s/openjdk \\([^ ]*\\).*/\\1/p'",
        how: "`readAllBytes` of its stream",
        files: &[(
            "Client.java",
            r#"
import java.io.*;
import java.net.URL;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.*;

public class Client {
    public static void main(String[] args) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var in = new FileInputStream(args[1])) {
            int at = 0;
            for (var authority : CertificateFactory.getInstance("X.509").generateCertificates(in))
                store.setCertificateEntry("ca" + at++, authority);
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        var connection = (HttpsURLConnection) new URL(args[0]).openConnection();
        connection.setSSLSocketFactory(context.getSocketFactory());
        byte[] body;
        try (var in = connection.getInputStream()) { body = in.readAllBytes(); }
        System.out.write(body);
        System.out.flush();
    }
}
"#,
        )],
        start: r#"
[ -e "$work/Client.class" ] || javac -d "$work" "$work/Client.java"
exec java -Xshare:auto -cp "$work" Client "$url" "$ca"
"#,
        ..CLIENT
    },
    Subject {
        id: "reqwest",
        name: "reqwest",
        version: "\"$peers\" versions | sed -n 's/^reqwest //p'",
        how: "over rustls; `get`, then `bytes`",
        start: r#"
exec "$peers" client reqwest "$url" "$ca"
"#,
        ..CLIENT
    },
    Subject {
        id: "hyper-tokio-rustls",
        name: "tokio-rustls + hyper",
        version: "\"$peers\" versions | sed -n 's/^tokio-rustls //p'",
        how: "hyper's HTTP/1.1 client",
        start: r#"
exec "$peers" client tokio-rustls "$addr" "$ca"
"#,
        ..CLIENT
    },
    Subject {
        id: "hyper-closenotify",
        name: "closenotify + hyper",
        version: "\"$peers\" versions | sed -n 's/^closenotify //p'",
        how: "hyper's HTTP/1.1 client over `close_on_shutdown`",
        small: SMALL,
        start: r#"
exec "$peers" client closenotify "$addr" "$ca"
"#,
        ..CLIENT
    },
];

/// The topics whose cells are the same in most runs.
const SMALL: &[&str] = &["client/end/", "client/truncation/", "client/close/"];
