//! A ladder diagram of one case as SVG: a life line for each end, an arrow for each event, time downwards.
//!
//! It draws what is in the events and adds no opinion but the one mark where the ending goes wrong. Distances are not to
//! scale: rows have one height, and a long gap is a break in the life lines that says how long it was. Colours are classes of
//! the page's style sheet; shapes alone tell FIN, RST and the rest apart.

use super::html::escape;
use super::{Shown, excerpt, safe, time};
use crate::case::Subject;
use crate::outcome::Outcome;
use closenotify_probe::{By, Event, Link, What};
use std::fmt::Write;
use std::time::Duration;

/// The diagram of an outcome; `key` makes its ids unique in the page. An outcome without events has none.
pub(super) fn draw(outcome: &Outcome, subject: Subject, key: usize) -> Option<String> {
    let first = outcome.events.first()?;
    let mut ladder = Ladder { ends: Ends::of(subject), svg: String::new(), y: TOP, last: first.at.min(LONG) };
    for shown in excerpt(outcome) {
        match shown {
            Shown::Left(left) => ladder.broken(&format!("{left} more events")),
            Shown::Event(at, event) => {
                ladder.gap(event.at);
                ladder.event(event, outcome.wrong_at == Some(at));
            }
        }
    }
    ladder.gap(outcome.took);
    ladder.over(outcome.took);
    Some(ladder.finish(outcome, key))
}

/// The samples of what the diagrams use, each with its name.
pub(super) fn legend() -> String {
    let sample = |class: &str, head: String, name: &str| {
        format!(
            "<li><svg class=\"sample\" viewBox=\"0 0 48 16\" width=\"48\" height=\"16\" aria-hidden=\"true\">\
             <g class=\"{class}\"><path class=\"shaft\" d=\"M3 8H40\"/>{head}</g></svg>{name}</li>"
        )
    };
    let samples = [
        sample("e-data", arrow_head(43, 8, 1), "data"),
        sample("e-notify", arrow_head(43, 8, 1), "close_notify"),
        sample("e-alert", arrow_head(43, 8, 1), "another alert"),
        sample("e-fin", bar_head(43, 8, 1), "FIN"),
        sample("e-reset", cross(40, 8), "RST"),
        sample("e-odd", arrow_head(43, 8, 1), "unusual bytes"),
        sample("e-wire", arrow_head(43, 8, 1), "handshake and upkeep"),
    ];
    format!("<ul class=\"legend\" aria-label=\"Legend of the diagrams\">{}</ul>", samples.concat())
}

/// The life lines: who they are and where, from left to right. Clients are on the left.
struct Ends {
    names: Vec<(&'static str, &'static str)>,
    subject: usize,
    gap: i32,
}

impl Ends {
    fn of(subject: Subject) -> Self {
        match subject {
            Subject::Server => Self { names: vec![("probe", "client"), ("subject", "server")], subject: 1, gap: 264 },
            Subject::Client => Self { names: vec![("subject", "client"), ("probe", "server")], subject: 0, gap: 264 },
            Subject::Proxy => Self {
                names: vec![("probe", "client"), ("subject", "proxy"), ("probe", "upstream")],
                subject: 1,
                gap: 232,
            },
        }
    }

    fn x(&self, end: usize) -> i32 {
        // At most three ends.
        LEFT + self.gap * end as i32
    }

    fn right(&self) -> i32 {
        self.x(self.names.len() - 1)
    }

    fn width(&self) -> i32 {
        self.right() + RIGHT
    }

    /// Which life line did it, and which is at the other end of the connection.
    fn of_event(&self, event: &Event) -> (usize, usize) {
        let probe = match (self.names.len(), event.link) {
            (3, Link::Upstream) => 2,
            (3, Link::Tls) => 0,
            _ => 1 - self.subject,
        };
        match event.by {
            By::Probe => (probe, self.subject),
            By::Subject => (self.subject, probe),
        }
    }

    /// How many characters fit between two life lines.
    fn room(&self) -> usize {
        usize::try_from(self.gap - 28).unwrap_or_default() * 10 / CHARACTER
    }
}

struct Ladder {
    ends: Ends,
    svg: String,
    y: i32,
    last: Duration,
}

impl Ladder {
    /// A break in the life lines, where nothing happened for long.
    fn gap(&mut self, at: Duration) {
        let nothing = at.saturating_sub(self.last);
        self.last = self.last.max(at);
        if nothing >= LONG {
            self.broken(&format!("{} of nothing", time(nothing)));
        }
    }

    fn broken(&mut self, label: &str) {
        self.y += BREAK;
        let (middle, y) = (self.y - BREAK / 2, self.y);
        for end in 0..self.ends.names.len() {
            let x = self.ends.x(end);
            let top = middle - 7;
            self.add(format_args!(
                "<rect class=\"wipe\" x=\"{}\" y=\"{top}\" width=\"18\" height=\"14\"/>\
                 <path class=\"break\" d=\"M{x} {top}l-6 3.5l12 7l-6 3.5\"/>",
                x - 9
            ));
        }
        let x = i32::midpoint(self.ends.x(0), self.ends.right());
        // Beside the middle life line, where there is one.
        let x = if self.ends.names.len() == 3 { i32::midpoint(self.ends.x(0), self.ends.x(1)) } else { x };
        self.add(format_args!("<text class=\"silence\" x=\"{x}\" y=\"{}\">{}</text>", middle + 4, escape(label, 60)));
        self.y = y;
    }

    fn event(&mut self, event: &Event, wrong: bool) {
        let whole = safe::one_line(&event.what.to_string());
        let (from, to) = self.ends.of_event(event);
        let lines = lines(&whole, self.ends.room());
        let extra = LINE * (i32::try_from(lines.len()).unwrap_or(1) - 1);
        let boxed = matches!(event.what, What::Note(_) | What::Handshaken(_));
        let height = if boxed { BOX + extra + 16 } else { ROW + extra };
        if wrong {
            let (y, width) = (self.y + 11, self.ends.width());
            self.add(format_args!(
                "<rect class=\"wrong\" x=\"1\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"5\"/>",
                width - 2,
                height - 1
            ));
        }
        self.y += height;
        let y = self.y;
        let title = format!("{}, {}: {whole}", time(event.at), event.by);
        self.add(format_args!(
            "<g class=\"{}{}\"><title>{}</title>",
            class(&event.what),
            if wrong { " is-wrong" } else { "" },
            escape(&title, TITLE_MAX)
        ));
        let middle = if boxed { y - 2 - (BOX + extra) / 2 } else { y };
        self.time(event.at, middle);
        match event.what {
            What::Note(_) => self.note(from, &lines, y - 2),
            What::Handshaken(_) => self.band(from, to, &lines, y - 2),
            _ => self.arrow(from, to, &lines, &event.what),
        }
        self.add(format_args!("</g>"));
        if wrong {
            let x = self.ends.right() + 8;
            self.add(format_args!(
                "<g class=\"here\"><path d=\"M{x} {middle}l9 -9h34v18h-34z\"/><text x=\"{}\" y=\"{}\">here</text></g>",
                x + 25,
                middle + 4
            ));
        }
    }

    fn arrow(&mut self, from: usize, to: usize, lines: &[String], what: &What) {
        let (start, end, y) = (self.ends.x(from), self.ends.x(to), self.y);
        let way = if end > start { 1 } else { -1 };
        let (tip, head) = match what {
            What::Reset => (end - 16 * way, cross(end - 16 * way, y)),
            What::Fin => (end - 14 * way, bar_head(end - way, y, way)),
            _ => (end - 4 * way, arrow_head(end - way, y, way)),
        };
        self.add(format_args!("<path class=\"shaft\" d=\"M{start} {y}H{tip}\"/>{head}"));
        self.words(i32::midpoint(start, end), y - 7, lines);
    }

    /// A box on a life line, towards the middle of the diagram.
    fn note(&mut self, end: usize, lines: &[String], bottom: i32) {
        let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
        let width = i32::try_from(longest * CHARACTER / 10).unwrap_or_default() + 20;
        let height = BOX + LINE * (i32::try_from(lines.len()).unwrap_or(1) - 1);
        let x = match end {
            0 => self.ends.x(0) - 12,
            last if last + 1 == self.ends.names.len() => self.ends.x(last) + 12 - width,
            inner => self.ends.x(inner) - width / 2,
        };
        self.add(format_args!(
            "<rect class=\"box\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{height}\" rx=\"4\"/>",
            bottom - height
        ));
        self.words(x + width / 2, bottom - 7, lines);
    }

    /// A bar over both life lines of a connection: something that they have in common.
    fn band(&mut self, one: usize, other: usize, lines: &[String], bottom: i32) {
        let (left, right) = (self.ends.x(one.min(other)), self.ends.x(one.max(other)));
        let height = BOX + LINE * (i32::try_from(lines.len()).unwrap_or(1) - 1);
        self.add(format_args!(
            "<rect class=\"box\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\" rx=\"{}\"/>",
            left - 8,
            bottom - height,
            right - left + 16,
            BOX / 2
        ));
        self.words(i32::midpoint(left, right), bottom - 7, lines);
    }

    /// Lines of text, the last on `y`.
    fn words(&mut self, x: i32, y: i32, lines: &[String]) {
        for (at, line) in lines.iter().rev().enumerate() {
            let y = y - LINE * i32::try_from(at).unwrap_or_default();
            self.add(format_args!("<text class=\"label\" x=\"{x}\" y=\"{y}\">{}</text>", escape(line, TITLE_MAX)));
        }
    }

    fn time(&mut self, at: Duration, y: i32) {
        let (x, y) = (LEFT - 20, y + 4);
        self.add(format_args!("<text class=\"time\" x=\"{x}\" y=\"{y}\">{}</text>", time(at)));
    }

    fn over(&mut self, took: Duration) {
        self.y += BOX + 6;
        let y = self.y;
        self.time(took, y);
        for end in 0..self.ends.names.len() {
            let x = self.ends.x(end);
            self.add(format_args!("<path class=\"over\" d=\"M{} {y}h16\"/>", x - 8));
        }
        let x = i32::midpoint(self.ends.x(0), self.ends.x(1));
        self.add(format_args!("<text class=\"silence\" x=\"{x}\" y=\"{}\">the case was over</text>", y + 4));
    }

    fn finish(self, outcome: &Outcome, key: usize) -> String {
        let (width, height) = (self.ends.width(), self.y + 14);
        let mut lines = String::new();
        for (end, (name, role)) in self.ends.names.iter().enumerate() {
            let (x, class) = (self.ends.x(end), if end == self.ends.subject { "end subject" } else { "end" });
            // Infallible: it is a String.
            let _ = write!(
                lines,
                "<path class=\"life\" d=\"M{x} 48V{}\"/><g class=\"{class}\"><rect x=\"{}\" y=\"6\" width=\"88\" \
                 height=\"42\" rx=\"8\"/><text class=\"name\" x=\"{x}\" y=\"24\">{name}</text>\
                 <text class=\"role\" x=\"{x}\" y=\"39\">{role}</text></g>",
                self.y,
                x - 44
            );
        }
        let wide = if self.ends.names.len() == 3 { " wide" } else { "" };
        format!(
            "<svg class=\"ladder{wide}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"t{key} d{key}\"><title id=\"t{key}\">What happened in {}</title><desc id=\"d{key}\">{}</desc>\
             {lines}{}</svg>",
            escape(&outcome.id(), TITLE_MAX),
            escape(&described(outcome), DESCRIPTION_MAX),
            self.svg
        )
    }

    fn add(&mut self, piece: std::fmt::Arguments<'_>) {
        // Infallible: it is a String.
        let _ = self.svg.write_fmt(piece);
    }
}

/// The diagram in words, for those who cannot see it.
fn described(outcome: &Outcome) -> String {
    let parts: Vec<_> = excerpt(outcome)
        .into_iter()
        .map(|shown| match shown {
            Shown::Left(left) => format!("{left} more events"),
            Shown::Event(at, Event { at: since, by, what, .. }) => {
                let here = if outcome.wrong_at == Some(at) { " (here it goes wrong)" } else { "" };
                format!("{}, {by}: {}{here}", time(*since), safe::cut(&what.to_string(), TITLE_MAX))
            }
        })
        .collect();
    format!("{}; {}: the case was over", parts.join("; "), time(outcome.took))
}

/// Two lines at most, the second cut where it is too long.
fn lines(text: &str, room: usize) -> Vec<String> {
    if text.chars().count() <= room {
        return vec![text.to_owned()];
    }
    let mut first = String::new();
    let mut words = text.split(' ').peekable();
    while let Some(word) = words.next_if(|word| first.chars().count() + 1 + word.chars().count() <= room) {
        if !first.is_empty() {
            first.push(' ');
        }
        first.push_str(word);
    }
    let rest = words.collect::<Vec<_>>().join(" ");
    let second = safe::ellipsis(&rest, room);
    if first.is_empty() { vec![second] } else { vec![first, second] }
}

fn class(what: &What) -> &'static str {
    match what {
        What::Data(_) => "e-data",
        What::CloseNotify { .. } => "e-notify",
        What::Alert { .. } => "e-alert",
        What::Fin => "e-fin",
        What::Reset => "e-reset",
        What::Odd(_) => "e-odd",
        What::Note(_) => "e-note",
        What::Handshaken(_) => "e-shaken",
        What::Connected | What::Flight(_) | What::KeyUpdate { .. } | What::Ticket => "e-wire",
    }
}

fn arrow_head(x: i32, y: i32, way: i32) -> String {
    format!("<path class=\"head\" d=\"M{x} {y}l{} -5v10z\"/>", -10 * way)
}

/// An open head against a bar: no more comes from here.
fn bar_head(x: i32, y: i32, way: i32) -> String {
    format!("<path class=\"open\" d=\"M{} {y}l{} -5v10zM{x} {}v14\"/>", x - 2 * way, -11 * way, y - 7)
}

fn cross(x: i32, y: i32) -> String {
    format!("<path class=\"cross\" d=\"M{} {}l12 12m0 -12l-12 12\"/>", x - 6, y - 6)
}

/// Where the first life line is; left of it are the times.
const LEFT: i32 = 84;
/// What is right of the last life line: the mark where it goes wrong.
const RIGHT: i32 = 56;
/// Where the life lines begin.
const TOP: i32 = 54;
/// An arrow with one line of text.
const ROW: i32 = 36;
/// Another line of text.
const LINE: i32 = 15;
/// A box with one line of text.
const BOX: i32 = 22;
/// A break in the life lines.
const BREAK: i32 = 38;
/// The width of a character, in tenths.
const CHARACTER: usize = 66;
/// A gap as long as this is drawn as a break.
const LONG: Duration = Duration::from_millis(200);
/// What is shown when a pointer rests on an event.
const TITLE_MAX: usize = 200;
/// All shown events in words.
const DESCRIPTION_MAX: usize = 8000;
