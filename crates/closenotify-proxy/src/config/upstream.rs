//! Reads `[upstream.NAME]`: the servers behind a name, and how they are reached.
//!
//! It opens no file and resolves no name. Whether a route uses an upstream, and how, is known only after the listeners are
//! read; [`Upstreams::check_uses`] holds those rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls_pki_types::ServerName;

use super::file::FileKind;
use super::pattern::check_own_name;
use super::problem::Noted;
use super::section::{NamedSection, Reader, Section, Value, shown};
use super::word::nearest;
use super::{Balance, RouteTarget, UpstreamSettings, UpstreamTls};
use crate::address::Endpoint;

/// The upstreams of a file, also those with errors, so that a route to one of them is not another error.
#[derive(Debug, Default)]
pub(super) struct Upstreams<'t>(BTreeMap<&'t str, Upstream<'t>>);

#[derive(Debug)]
struct Upstream<'t> {
    at: usize,
    settings: Result<UpstreamSettings, Noted>,
    /// Where it asks for TLS.
    tls: Option<Value<'t>>,
    terminated: bool,
    passed_through: bool,
    /// Terminated with truncation strict.
    strict: bool,
}

impl<'t> Upstreams<'t> {
    /// Reads all of them.
    pub(super) fn read(root: &Section<'t>, reader: &mut Reader) -> Result<Self, Noted> {
        let mut upstreams = Self::default();
        let Some(value) = root.get("upstream") else { return Ok(upstreams) };
        for NamedSection { name, at, section } in value.named_sections(reader)? {
            let named = check_own_name(&shown(name))
                .map_err(|error| reader.notes.error(at, &format!("upstream.{}", shown(name)), error));
            let tls = section.as_ref().ok().and_then(|section| section.get("tls"));
            let settings =
                section.and_then(|section| read(name, &section, reader)).and_then(|read| named.map(|()| read));
            let (terminated, passed_through, strict) = (false, false, false);
            upstreams.0.insert(name, Upstream { at, settings, tls, terminated, passed_through, strict });
        }
        Ok(upstreams)
    }

    /// Takes down that a route of a listener leads to an upstream, which must be there.
    pub(super) fn use_by(
        &mut self,
        route: &Value<'t>,
        target: &RouteTarget,
        strict: bool,
        reader: &mut Reader,
    ) -> Result<(), Noted> {
        let (RouteTarget::Terminate(name) | RouteTarget::Passthrough(name)) = target;
        let Some(upstream) = self.0.get_mut(name.as_str()) else {
            if reader.notes.is_full() {
                return Err(route.error(reader, String::new()));
            }
            let name = shown(name);
            let instead = match nearest(&name, self.0.keys().copied()) {
                Some(right) => format!("did you mean {right:?}?"),
                None => format!("add [upstream.{name}]"),
            };
            return Err(route.error(reader, format!("there is no upstream {name:?}; {instead}")));
        };
        match target {
            RouteTarget::Terminate(_) => {
                upstream.terminated = true;
                upstream.strict |= strict;
            }
            RouteTarget::Passthrough(_) => upstream.passed_through = true,
        }
        Ok(())
    }

    /// Checks each upstream against the routes that lead to it, of which `all_read` says whether any had an error.
    pub(super) fn check_uses(&self, all_read: bool, reader: &mut Reader) {
        for (name, upstream) in &self.0 {
            let path = format!("upstream.{}", shown(name));
            if upstream.passed_through
                && let Some(tls) = &upstream.tls
            {
                let message = "a route passes TLS through to this upstream, so it would get TLS inside TLS; leave tls out, or \
                               give that route an upstream of its own";
                tls.error(reader, message);
            }
            if all_read && !upstream.terminated && !upstream.passed_through {
                reader.notes.warning(upstream.at, &path, "no route leads to this upstream; it is not used");
            }
            if upstream.terminated && upstream.passed_through && upstream.tls.is_none() {
                let message = "it gets plaintext from one route and TLS from another; most servers expect one of them";
                reader.notes.warning(upstream.at, &path, message);
            }
            let has_unix = |settings: &UpstreamSettings| {
                settings.tls.is_none() && settings.addresses.iter().any(|at| matches!(at, Endpoint::Unix(_)))
            };
            if upstream.strict && upstream.settings.as_ref().is_ok_and(has_unix) {
                let message = "a Unix socket cannot carry a reset, so a truncated request looks complete to this upstream even \
                               with truncation = \"strict\"; use a TCP address if the upstream must notice";
                reader.notes.warning(upstream.at, &format!("{path}.addresses"), message);
            }
        }
    }

    /// All of them, if none has an error.
    pub(super) fn into_settings(self) -> Result<BTreeMap<String, Arc<UpstreamSettings>>, Noted> {
        self.0.into_iter().map(|(name, upstream)| Ok((name.to_owned(), Arc::new(upstream.settings?)))).collect()
    }
}

fn read(name: &str, section: &Section<'_>, reader: &mut Reader) -> Result<UpstreamSettings, Noted> {
    let addresses = section.required(reader, "addresses", |value, reader| {
        value.list(reader, |value, reader| value.parse(reader, Endpoint::parse_target))
    });
    let balance = section.or(reader, "balance", Balance::default(), Value::word);
    let tls = section.optional(reader, "tls", |value, reader| read_tls(&value.section(reader)?, reader));
    let send_proxy_protocol = section.optional(reader, "send_proxy_protocol", Value::word);
    Ok(UpstreamSettings {
        name: name.to_owned(),
        addresses: addresses?,
        balance: balance?,
        tls: tls?,
        send_proxy_protocol: send_proxy_protocol?,
    })
}

fn read_tls(section: &Section<'_>, reader: &mut Reader) -> Result<UpstreamTls, Noted> {
    let name = section.required(reader, "name", |value, reader| {
        value.parse(reader, |text| {
            ServerName::try_from(text.to_owned()).map_err(|_| {
                format!("{:?} is neither a DNS name nor an IP address; write it without a port", shown(text))
            })
        })
    });
    let ca = section.required(reader, "ca", |value, reader| value.file(FileKind::TrustedCa, reader));
    let certificate =
        section.optional(reader, "certificate", |value, reader| value.file(FileKind::ClientCertificate, reader));
    Ok(UpstreamTls { name: name?, ca: ca?, certificate: certificate? })
}
