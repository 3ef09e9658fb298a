//! Reads `[[listener.route]]`: which server names go where.
//!
//! An exact name is taken before a wildcard, and that before a route without names. So no two routes have the same name, and the
//! one without names stands last, where a reader expects what takes the rest.

use std::collections::HashMap;

use super::problem::Noted;
use super::section::{Reader, Section, Value};
use super::upstream::Upstreams;
use super::{NamePattern, Route, RouteTarget};

/// Reads the routes of a listener, which is `strict` about truncation or not.
pub(super) fn read_routes<'t>(
    listener: &Section<'t>,
    strict: bool,
    upstreams: &mut Upstreams<'t>,
    reader: &mut Reader,
) -> Result<Vec<Route>, Noted> {
    let sections = listener.required(reader, "route", Value::sections)?;
    let mut seen = Seen::default();
    let mut routes = Vec::new();
    for (number, section) in (1..).zip(&sections) {
        let sni = seen.read_sni(number, section, reader);
        let target = read_target(section, reader);
        // An upstream that an erroneous route leads to is used, too.
        let used = target.and_then(|(value, target)| {
            upstreams.use_by(&value, &target, strict, reader)?;
            Ok(target)
        });
        routes.push(sni.and_then(|sni| Ok(Route { sni, target: used? })));
    }
    routes.into_iter().collect()
}

fn read_target<'t>(section: &Section<'t>, reader: &mut Reader) -> Result<(Value<'t>, RouteTarget), Noted> {
    match (section.get("upstream"), section.get("passthrough")) {
        (Some(value), None) => {
            let name = value.text(reader)?.to_owned();
            Ok((value, RouteTarget::Terminate(name)))
        }
        (None, Some(value)) => {
            let name = value.text(reader)?.to_owned();
            Ok((value, RouteTarget::Passthrough(name)))
        }
        (Some(_), Some(both)) => {
            Err(both.error(reader, "a route has upstream or passthrough, not both; remove one of them"))
        }
        (None, None) => {
            let message =
                "leads nowhere; write upstream = \"NAME\", or passthrough = \"NAME\" to leave TLS to the upstream";
            Err(reader.notes.error(section.at(), section.path(), message))
        }
    }
}

/// The names that the routes before have.
#[derive(Debug, Default)]
struct Seen {
    /// Each with the number of its route.
    patterns: HashMap<NamePattern, usize>,
    catch_all: Option<usize>,
}

impl Seen {
    fn read_sni(
        &mut self,
        number: usize,
        section: &Section<'_>,
        reader: &mut Reader,
    ) -> Result<Vec<NamePattern>, Noted> {
        if let Some(earlier) = self.catch_all {
            let message = format!(
                "is after route {earlier}, which has no sni and takes everything else; move this route before it"
            );
            return Err(reader.notes.error(section.at(), section.path(), message));
        }
        let Some(value) = section.get("sni") else {
            self.catch_all = Some(number);
            return Ok(Vec::new());
        };
        let names = value.list(reader, |value, reader| {
            let pattern: NamePattern = value.parse(reader, str::parse)?;
            let earlier = *self.patterns.entry(pattern.clone()).or_insert(number);
            if earlier != number {
                let message = format!("{pattern} never gets here: route {earlier} has it already; remove one of them");
                return Err(value.error(reader, message));
            }
            Ok(pattern)
        })?;
        Ok(names)
    }
}
