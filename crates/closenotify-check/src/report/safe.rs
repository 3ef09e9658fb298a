//! Text from outside, made fit to be shown: a peer, a command line or a file may say anything.
//!
//! It cuts and replaces, and never drops a character silently. Escaping for a format (JSON, XML, HTML) is the format's own.

/// The text in one line for a terminal, a page or an XML document: control characters and those that turn the direction of
/// writing are spelled (`\u{1b}`), line breaks are spaces, and what is longer than 2000 characters is cut with a note.
#[must_use]
pub fn one_line(text: &str) -> String {
    cut(text, LINE_MAX)
}

/// As [`one_line`], with at most `max` characters of the text before the note.
#[must_use]
pub fn cut(text: &str, max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max) + 8);
    for (at, one) in text.chars().enumerate() {
        if at == max {
            let left = text.chars().count() - max;
            shown.push_str(&format!("… ({left} more characters)"));
            break;
        }
        match one {
            '\n' | '\t' => shown.push(' '),
            '\r' => shown.push_str("\\r"),
            _ if is_unfit(one) => shown.extend(one.escape_unicode()),
            _ => shown.push(one),
        }
    }
    shown
}

/// At most `max` characters, the last of them `…` where something was cut. For labels whose whole text stands elsewhere.
#[must_use]
pub fn ellipsis(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut shown: String = text.chars().take(max.saturating_sub(1)).collect();
    shown.push('…');
    shown
}

/// Controls, and the invisible ones that reorder or hide what is around them; and what XML cannot hold at all.
fn is_unfit(one: char) -> bool {
    one.is_control()
        || matches!(one,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}')
}

/// More than any text of ours; a bound for those of others.
const LINE_MAX: usize = 2000;
