//! The rules of `client_auth.allow`: which client certificates may enter.
//!
//! A rule is one of
//!
//! | rule | matches |
//! |---|---|
//! | `CN=ops` | the common name of the subject, if there is exactly one |
//! | `app.example.com`, `DNS:app.example.com` | a dNSName, in any case |
//! | `spiffe://mesh/*`, `URI:urn:x` | a uniformResourceIdentifier |
//! | `ops@example.com`, `email:ops@example.com` | an rfc822Name; its domain in any case |
//! | `10.0.0.7`, `10.0.0.*`, `IP:2001:db8::7` | an iPAddress, in its canonical text |
//!
//! `*` stands for any characters, also for none and for dots. A rule never matches a name of another kind. No part of the
//! subject but the common name can be matched.

use std::fmt;
use std::net::IpAddr;

use super::error::TlsError;
use super::identity::Names;

/// Which client certificates may enter: those that match one of the rules, or all where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    kind: Kind,
    pattern: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    CommonName,
    Dns,
    Uri,
    Email,
    Ip,
}

impl Rules {
    /// Reads rules as they are written in the settings.
    pub(super) fn parse(rules: &[String]) -> Result<Self, TlsError> {
        if let Some(rule) = rules.get(MAX_RULES) {
            return Err(TlsError::Rule { rule: rule.clone(), reason: "it is one of more than 1,000 rules" });
        }
        rules
            .iter()
            .map(|text| {
                Rule::parse(text).map_err(|reason| TlsError::Rule { rule: text.chars().take(200).collect(), reason })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether a certificate with these names may enter.
    pub(super) fn allow(&self, names: &Names) -> bool {
        self.0.is_empty() || self.0.iter().any(|rule| rule.matches(names))
    }
}

impl fmt::Display for Rules {
    /// The first few.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.0.iter().take(SHOWN).enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{rule}")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more @ 1..) => write!(f, " and {more} more"),
            _ => Ok(()),
        }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("it is empty; leave allow out to let in every certificate of the CA");
        }
        if text.len() > MAX_RULE {
            return Err("it is longer than 1,024 bytes");
        }
        if text.chars().any(char::is_control) {
            return Err("it has a control character");
        }
        if text.chars().all(|c| c == '*') {
            return Err("it matches everything; leave allow out to let in every certificate of the CA");
        }
        let (kind, pattern) = Kind::of(text)?;
        if pattern.is_empty() {
            return Err("nothing follows the kind of name");
        }
        let pattern = match kind {
            Kind::CommonName | Kind::Uri => pattern.to_owned(),
            Kind::Dns => pattern.to_ascii_lowercase(),
            Kind::Email => email(pattern),
            Kind::Ip => pattern.parse::<IpAddr>().map_or_else(|_| pattern.to_ascii_lowercase(), |ip| ip.to_string()),
        };
        let fits = match kind {
            Kind::CommonName => true,
            Kind::Dns => pattern.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._*".contains(&b)),
            Kind::Uri => is_uri(&pattern),
            Kind::Email => pattern.contains('@') && pattern.is_ascii() && !pattern.contains(' '),
            Kind::Ip => pattern.parse::<IpAddr>().is_ok() || (is_ip_pattern(&pattern) && pattern.contains('*')),
        };
        fits.then_some(Self { kind, pattern }).ok_or(match kind {
            Kind::CommonName | Kind::Dns => {
                "expected CN=name, a DNS name, a URI, a mail address or an IP address; * stands for any characters"
            }
            Kind::Uri => "a URI begins with its scheme, as in spiffe://mesh/*",
            Kind::Email => "a mail address has one @ and no spaces",
            Kind::Ip => "it is no IP address; for a range use *, as in 10.0.0.*",
        })
    }

    fn matches(&self, names: &Names) -> bool {
        let any = |values: &[String]| values.iter().any(|value| glob(&self.pattern, value));
        match self.kind {
            // With more than one it is unclear which is meant.
            Kind::CommonName => names.common_names.len() == 1 && any(&names.common_names),
            Kind::Dns => names.dns.iter().any(|name| glob(&self.pattern, &name.to_ascii_lowercase())),
            Kind::Uri => any(&names.uris),
            Kind::Email => names.emails.iter().any(|name| glob(&self.pattern, &email(name))),
            Kind::Ip => any(&names.ips),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::CommonName => "CN=",
            Kind::Dns => "DNS:",
            Kind::Uri => "URI:",
            Kind::Email => "email:",
            Kind::Ip => "IP:",
        })?;
        f.write_str(&self.pattern)
    }
}

impl Kind {
    /// The kind of a rule, and what follows where the kind is written.
    fn of(text: &str) -> Result<(Self, &str), &'static str> {
        let after = |prefix: &str| {
            let (start, rest) = text.split_at_checked(prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then_some(rest)
        };
        for (prefix, kind) in [
            ("CN=", Self::CommonName),
            ("DNS:", Self::Dns),
            ("URI:", Self::Uri),
            ("email:", Self::Email),
            ("IP:", Self::Ip),
        ] {
            if let Some(rest) = after(prefix) {
                return Ok((kind, rest));
            }
        }
        Ok(if text.contains("://") {
            (Self::Uri, text)
        } else if text.parse::<IpAddr>().is_ok() || is_ip_pattern(text) {
            (Self::Ip, text)
        } else if text.contains('=') {
            return Err("of the subject only the common name can be matched, as CN=name");
        } else if text.contains('@') {
            (Self::Email, text)
        } else if text.contains(':') {
            (Self::Uri, text)
        } else {
            (Self::Dns, text)
        })
    }
}

/// Digits and separators of an address, with `*`: `10.0.0.*`, `2001:db8:*`.
fn is_ip_pattern(text: &str) -> bool {
    let of = |separator, is_digit: fn(&u8) -> bool| {
        text.contains(separator)
            && text.bytes().any(|b| is_digit(&b))
            && text.bytes().all(|b| is_digit(&b) || b":.*".contains(&b))
    };
    of('.', u8::is_ascii_digit) || of(':', u8::is_ascii_hexdigit)
}

/// RFC 3986, 3.1: a letter, then letters, digits, `+`, `-` and `.`, then `:`.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !rest.is_empty()
        && !text.contains(' ')
}

/// A mail address with its domain in lower case.
fn email(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
        None => text.to_owned(),
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    // `split` returns at least one part.
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        // The first place is as good as any: what follows has the most room then.
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The most rules of a listener.
const MAX_RULES: usize = 1_000;

/// The longest rule, in bytes.
const MAX_RULE: usize = 1_024;

/// How many rules an error shows.
const SHOWN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Result<Rules, String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        Rules::parse(&texts).map_err(|error| error.to_string())
    }

    fn names() -> Names {
        let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        Names {
            common_names: strings(&["ops"]),
            dns: strings(&["App.example.com"]),
            uris: strings(&["spiffe://mesh/ns/web", "urn:team:ops"]),
            emails: strings(&["Ops@Example.com"]),
            ips: strings(&["10.0.0.7", "2001:db8::7"]),
        }
    }

    #[test]
    fn a_rule_matches_names_of_its_kind_only() {
        for (rule, matches) in [
            ("CN=ops", true),
            ("cn=o*", true),
            ("CN=op", false),
            ("CN=Ops", false),
            ("CN=*", true),
            ("ops", false),
            ("app.example.com", true),
            ("DNS:APP.example.com", true),
            ("*.example.com", true),
            ("*.com", true),
            ("*.org", false),
            ("*.*", true),
            ("example.com", false),
            ("spiffe://mesh/*", true),
            ("spiffe://mesh", false),
            ("spiffe://mes*/ns/*b", true),
            ("SPIFFE://mesh/*", false),
            ("urn:team:*", true),
            ("URI:urn:team:ops", true),
            ("DNS:spiffe", false),
            ("Ops@example.COM", true),
            ("ops@example.com", false),
            ("*@example.com", true),
            ("email:Ops@example.com", true),
            ("10.0.0.7", true),
            ("10.0.0.*", true),
            ("10.0.1.*", false),
            ("2001:DB8:0::7", true),
            ("2001:db8:*", true),
            ("IP:10.0.0.7", true),
        ] {
            assert_eq!(rules(&[rule]).unwrap().allow(&names()), matches, "{rule}");
        }
    }

    #[test]
    fn one_rule_of_several_is_enough_and_none_lets_everyone_in() {
        assert!(rules(&["CN=eve", "*@example.com"]).unwrap().allow(&names()));
        assert!(!rules(&["CN=eve", "CN=mallory"]).unwrap().allow(&names()));
        assert!(rules(&[]).unwrap().allow(&Names::default()));
        assert!(!rules(&["CN=*"]).unwrap().allow(&Names::default()));
    }

    #[test]
    fn a_certificate_with_two_common_names_matches_no_common_name() {
        let names = Names { common_names: vec!["ops".into(), "eve".into()], ..Names::default() };
        assert!(!rules(&["CN=ops"]).unwrap().allow(&names));
    }

    #[test]
    fn a_rule_that_cannot_be_read_is_named_with_the_reason() {
        let long = "x".repeat(1_025);
        for (rule, reason) in [
            ("", "it is empty"),
            ("*", "it matches everything"),
            ("**", "it matches everything"),
            ("CN=", "nothing follows"),
            ("O=ops", "only the common name"),
            ("app example", "expected CN=name"),
            ("app/x", "expected CN=name"),
            ("a\nb", "control character"),
            ("URI:mesh", "begins with its scheme"),
            ("email:ops", "has one @"),
            ("IP:ten", "no IP address"),
            ("10.0.0.0/8", "expected CN=name"),
            ("300.0.0.1", "no IP address"),
            ("*:*", "begins with its scheme"),
            (&long, "longer than"),
        ] {
            let error = rules(&["CN=ops", rule]).unwrap_err();
            assert!(error.contains(reason), "{rule:?}: {error}");
            assert!(error.contains(&format!("{:?}", rule.chars().take(200).collect::<String>())), "{error}");
        }
        let many = vec!["CN=ops"; 1_001];
        assert!(rules(&many[1..]).is_ok());
        assert!(rules(&many).unwrap_err().contains("more than 1,000"));
    }

    #[test]
    fn a_pattern_matches_any_characters_where_the_star_is() {
        for (pattern, text, matches) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acd", false),
            ("*a*", "banana", true),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("*ana", "banana", true),
            ("b*an*na", "banana", true),
            ("**a", "a", true),
            ("a", "b", false),
            ("é*", "été", true),
        ] {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn an_error_shows_the_first_rules_only() {
        let texts: Vec<String> = (0..10).map(|n| format!("CN={n}")).collect();
        let shown = Rules::parse(&texts).unwrap().to_string();
        assert_eq!(shown, "CN=0, CN=1, CN=2, CN=3, CN=4, CN=5, CN=6, CN=7 and 2 more");
    }
}
