//! Reads `[[listener]]`: its addresses, its TLS and its timeouts.
//!
//! It opens no file and no socket. Routes are read by their own module.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::file::FileKind;
use super::pattern::check_own_name;
use super::problem::Noted;
use super::route::read_routes;
use super::section::{Reader, Section, Value, shown};
use super::unique::Unique;
use super::upstream::Upstreams;
use super::word::AuthMode;
use super::{
    CertificateSource, ClientAuth, ListenerSettings, Route, RouteTarget, Timeouts, TlsSettings, TlsVersion,
    TruncationPolicy,
};
use crate::address::Endpoint;

/// Names and addresses of which no two listeners may have the same.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) names: Unique<String>,
    pub(super) addresses: Unique<Endpoint>,
}

/// Reads all listeners.
pub(super) fn read_listeners<'t>(
    root: &Section<'t>,
    upstreams: &mut Upstreams<'t>,
    taken: &mut Taken,
    reader: &mut Reader,
) -> Result<Vec<Arc<ListenerSettings>>, Noted> {
    let sections = root.required(reader, "listener", Value::sections)?;
    let read: Vec<_> = sections.iter().map(|section| read_listener(section, upstreams, taken, reader)).collect();
    read.into_iter().map(|listener| listener.map(Arc::new)).collect()
}

/// Reads one address to listen on, which nothing else may have. Port 0 takes a free one each time.
pub(super) fn read_listen(
    value: &Value<'_>,
    taken: &mut Unique<Endpoint>,
    reader: &mut Reader,
) -> Result<Endpoint, Noted> {
    let address: Endpoint = value.parse(reader, str::parse)?;
    if let Endpoint::Unix(path) = &address {
        value.uses(FileKind::Created, path.clone(), reader);
    }
    match &address {
        Endpoint::Tcp(tcp) if tcp.port() == 0 => {}
        _ => taken.take(address.clone(), value, reader, &format!("{address} is listened on already"))?,
    }
    Ok(address)
}

fn read_listener<'t>(
    section: &Section<'t>,
    upstreams: &mut Upstreams<'t>,
    taken: &mut Taken,
    reader: &mut Reader,
) -> Result<ListenerSettings, Noted> {
    let name = section.required(reader, "name", |value, reader| {
        let name = value.text(reader)?;
        check_own_name(&shown(name)).map_err(|error| value.error(reader, error))?;
        taken.names.take(name.to_owned(), value, reader, &format!("there is another listener {name:?}"))?;
        Ok(name.to_owned())
    });
    let listen = section.required(reader, "listen", |value, reader| {
        value.list(reader, |value, reader| read_listen(value, &mut taken.addresses, reader))
    });
    let truncation = section.or(reader, "truncation", TruncationPolicy::default(), Value::word);
    // A word that is wrong is no reason for a warning about what it would mean.
    let strict = matches!(truncation, Ok(TruncationPolicy::Strict));
    let routes = read_routes(section, strict, upstreams, reader);
    let tls = read_tls(section, reader);
    check_tls_against_routes(section, &routes, reader);
    let accept_proxy_protocol = section
        .optional(reader, "accept_proxy_protocol", |value, reader| value.list(reader, read_network))
        .map(Option::unwrap_or_default);
    let timeouts = section
        .or(reader, "timeouts", Timeouts::default(), |value, reader| read_timeouts(&value.section(reader)?, reader));
    Ok(ListenerSettings {
        name: name?,
        listen: listen?,
        tls: tls?,
        truncation: truncation?,
        accept_proxy_protocol: accept_proxy_protocol?,
        timeouts: timeouts?,
        routes: routes?,
    })
}

fn read_tls(section: &Section<'_>, reader: &mut Reader) -> Result<TlsSettings, Noted> {
    let certificates = section
        .optional(reader, "certificates", |value, reader| {
            value.list(reader, |value, reader| value.file(FileKind::Certificates, reader))
        })
        .map(Option::unwrap_or_default);
    let alpn = section.optional(reader, "alpn", read_alpn).map(Option::unwrap_or_default);
    let min_tls = section.or(reader, "min_tls", TlsVersion::default(), |value, reader| {
        if value.text(reader).is_ok_and(|text| matches!(text, "1.0" | "1.1")) {
            return Err(value.error(reader, "TLS before 1.2 is not supported; write \"1.2\" or \"1.3\""));
        }
        value.word(reader)
    });
    let client_auth =
        section.optional(reader, "client_auth", |value, reader| read_client_auth(&value.section(reader)?, reader));
    let ticket_keys = section.optional(reader, "ticket_keys", |value, reader| value.file(FileKind::TicketKeys, reader));
    Ok(TlsSettings {
        certificates: CertificateSource::Paths(certificates?),
        alpn: alpn?,
        min_tls: min_tls?,
        client_auth: client_auth?,
        ticket_keys: ticket_keys?,
    })
}

fn read_alpn(value: &Value<'_>, reader: &mut Reader) -> Result<Vec<String>, Noted> {
    let mut taken = Unique::default();
    value.list(reader, |value, reader| {
        let name = value.text(reader)?;
        // RFC 7301 section 3.1.
        if name.len() > ALPN_MAX {
            return Err(
                value.error(reader, format!("has {} bytes: a protocol name has at most {ALPN_MAX}", name.len()))
            );
        }
        taken.take(name.to_owned(), value, reader, &format!("{name:?} is in the list already"))?;
        Ok(name.to_owned())
    })
}

fn read_client_auth(section: &Section<'_>, reader: &mut Reader) -> Result<ClientAuth, Noted> {
    let mode = section.required(reader, "mode", Value::word::<AuthMode>);
    let ca = section.required(reader, "ca", |value, reader| value.file(FileKind::TrustedCa, reader));
    let allow = section
        .optional(reader, "allow", |value, reader| value.list(reader, |value, reader| value.parse(reader, allow_rule)))
        .map(Option::unwrap_or_default);
    Ok(ClientAuth { required: mode? == AuthMode::Required, ca: ca?, allow: allow? })
}

/// A rule on client certificates, as written, without what is surely a slip.
fn allow_rule(text: &str) -> Result<String, String> {
    let attribute = text
        .split_once('=')
        .filter(|(attribute, _)| !attribute.is_empty() && attribute.bytes().all(|byte| byte.is_ascii_alphabetic()));
    match attribute {
        Some(("CN", "")) => Err("the common name is missing; write CN=name".to_owned()),
        None | Some(("CN", _)) => Ok(text.to_owned()),
        Some((attribute, _)) => Err(format!(
            "{:?} is not an attribute that a rule can name; write CN=name, or a DNS name, URI, mail address or IP address",
            shown(attribute)
        )),
    }
}

fn read_network(value: &Value<'_>, reader: &mut Reader) -> Result<IpNet, Noted> {
    let network = value.parse(reader, |text| {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(IpNet::from(ip));
        }
        let network: IpNet =
            text.parse().map_err(|_| format!("{:?} is not a network; write 10.0.0.0/8 or fd00::/8", shown(text)))?;
        match network.trunc() {
            exact if exact == network => Ok(network),
            exact => Err(format!("{network} has bits set after its prefix; write {exact}")),
        }
    })?;
    if network.prefix_len() == 0 {
        let message = "every client may then claim any address; name the networks of your load balancers";
        value.warning(reader, message);
    }
    Ok(network)
}

fn read_timeouts(section: &Section<'_>, reader: &mut Reader) -> Result<Timeouts, Noted> {
    let defaults = Timeouts::default();
    let handshake = section.or(reader, "handshake", defaults.handshake, Value::duration);
    let idle = section.or(reader, "idle", defaults.idle, Value::duration);
    let half_close = section.or(reader, "half_close", defaults.half_close, Value::duration);
    let lifetime = section.optional(reader, "lifetime", Value::duration);
    let connect = section.or(reader, "connect", defaults.connect, Value::duration);
    Ok(Timeouts { handshake: handshake?, idle: idle?, half_close: half_close?, lifetime: lifetime?, connect: connect? })
}

/// Whoever terminates TLS needs a certificate; whoever only passes it through cannot have a say in it.
fn check_tls_against_routes(section: &Section<'_>, routes: &Result<Vec<Route>, Noted>, reader: &mut Reader) {
    let Ok(routes) = routes else { return };
    if routes.iter().any(|route| matches!(route.target, RouteTarget::Terminate(_))) {
        if section.get("certificates").is_none() {
            let message = "is missing: a route of this listener terminates TLS; write certificates = [\"/path\"], or use \
                           passthrough in its routes";
            reader.notes.error(section.at(), &section.path_of("certificates"), message);
        }
        return;
    }
    if let Some(value) = section.get("client_auth") {
        let message = "every route of this listener passes TLS through, so no client certificate is ever checked; leave it out, \
                       or use upstream in a route";
        value.error(reader, message);
    }
    for key in ["certificates", "alpn", "min_tls", "truncation", "ticket_keys"] {
        if let Some(value) = section.get(key) {
            value.warning(reader, "has no effect: every route of this listener passes TLS through");
        }
    }
}

const ALPN_MAX: usize = 255;
