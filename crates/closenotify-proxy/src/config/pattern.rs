//! The names in a configuration: server names of routes with their wildcards, and the names of listeners and upstreams.
//!
//! No name is resolved. What no client can send as its server name (an IP address, a trailing dot) is an error.

use std::net::IpAddr;
use std::str::FromStr;

use super::NamePattern;

impl FromStr for NamePattern {
    type Err = String;

    /// Parses `app.example.com` or `*.example.com`, in any case. The error is for a person.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Err("\"*\" alone is not a name; leave sni out to match every name".to_owned());
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(parent) => (parent, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(format!("{text:?} has a wildcard that is not the leftmost label; write *.example.com"));
        }
        if name.parse::<IpAddr>().is_ok() || (name.starts_with('[') && name.ends_with(']')) {
            return Err(format!("{text:?} is an IP address, and clients send none as a server name; write a DNS name"));
        }
        if name.ends_with('.') {
            return Err(format!("{text:?} ends with a dot, and server names never do; leave it out"));
        }
        if !name.is_ascii() {
            return Err(format!("{text:?} is not ASCII; write the name as clients send it, beginning with xn--"));
        }
        if name.len() > NAME_MAX || !name.split('.').all(is_label) {
            return Err(format!("{text:?} is not a DNS name; write app.example.com or *.example.com"));
        }
        let name = name.to_ascii_lowercase();
        Ok(if wildcard { Self::Wildcard(name) } else { Self::Exact(name) })
    }
}

/// Checks the name of a listener or an upstream, which stands in lines and labels. The error is for a person.
pub(super) fn check_own_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > OWN_NAME_MAX || !name.bytes().all(allowed) {
        return Err(format!(
            "{name:?} is not a name; write 1 to {OWN_NAME_MAX} letters, digits, \"-\", \"_\" or \".\""
        ));
    }
    Ok(())
}

/// A label as it occurs: with the underscore that RFC 1123 does not have.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LABEL_MAX).contains(&label.len())
        && label.bytes().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// RFC 1035 section 2.3.4, as text without the last dot.
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

pub(super) const OWN_NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_patterns_are_taken_in_lower_case() {
        for (text, shown) in [
            ("App.Example.com", "app.example.com"),
            ("*.EXAMPLE.com", "*.example.com"),
            ("localhost", "localhost"),
            ("_x.a-b.example", "_x.a-b.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(text.parse::<NamePattern>().map(|name| name.to_string()), Ok(shown.into()));
        }
    }

    #[test]
    fn bad_patterns_say_what_to_write() {
        let (label, name) = ("x".repeat(64), "x.".repeat(127) + "x");
        for (text, hint) in [
            ("", "not a DNS name"),
            ("*", "leave sni out"),
            ("*.", "not a DNS name"),
            ("app.*.com", "leftmost"),
            ("*app.example.com", "leftmost"),
            ("*.*.com", "leftmost"),
            ("10.0.0.1", "IP address"),
            ("[::1]", "IP address"),
            ("::1", "IP address"),
            ("example.com.", "ends with a dot"),
            ("bücher.example", "xn--"),
            ("a..b", "not a DNS name"),
            ("-a.example", "not a DNS name"),
            ("a b", "not a DNS name"),
            ("example.com:443", "not a DNS name"),
            ("https://example.com", "not a DNS name"),
            (&label, "not a DNS name"),
            (&name, "not a DNS name"),
        ] {
            let error = text.parse::<NamePattern>().unwrap_err();
            assert!(error.contains(hint), "{text:?}: {error}");
        }
    }

    #[test]
    fn own_names_fit_a_label_and_a_line() {
        assert_eq!(check_own_name("web-1_a.b"), Ok(()));
        for name in ["", "a b", "a\nb", "a\"b", "é", &"x".repeat(65)] {
            assert!(check_own_name(name).is_err(), "{name:?}");
        }
    }
}
