//! The scripts of programs that end TLS in front of `$upstream`: the same as servers, with a plain server `$behind`, and as
//! proxies.

pub(super) const NGINX_STREAM: &str = r#"
cat > "$dir/nginx.conf" <<END
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log;
user root;
events { }
stream {
    server {
        listen $addr ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate $cert;
        ssl_certificate_key $key;
        proxy_pass $upstream;
        proxy_half_close $half_close;
    }
}
END
exec $behind nginx -e "$dir/error.log" -c "$dir/nginx.conf"
"#;

pub(super) const HAPROXY: &str = r#"
cat > "$dir/haproxy.cfg" <<END
defaults
    mode $mode
    timeout connect 5s
    timeout client 1m
    timeout server 1m
listen front
    bind $addr ssl crt $both
    server one $upstream
END
exec $behind haproxy -db -f "$dir/haproxy.cfg"
"#;

pub(super) const HITCH: &str = r#"
cat > "$dir/hitch.conf" <<END
frontend = "[$host]:$port"
backend = "[${upstream%:*}]:${upstream##*:}"
pem-file = "$both"
user = "nobody"
END
exec $behind hitch --config="$dir/hitch.conf"
"#;

pub(super) const STUNNEL: &str = r#"
cat > "$dir/stunnel.conf" <<END
foreground = yes
pid =
[front]
accept = $addr
connect = $upstream
cert = $cert
key = $key
END
exec $behind stunnel "$dir/stunnel.conf"
"#;
