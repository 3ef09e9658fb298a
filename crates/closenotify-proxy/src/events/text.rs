//! What lines for people are made of: `key=value` fields that a peer cannot forge, and times.
//!
//! It knows no field by name.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::SystemTime;

/// A value as it stands after `key=`: bare where it is one plain word, quoted and escaped otherwise.
pub(super) struct Value<'a>(pub(super) &'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'=');
        if !self.0.is_empty() && self.0.bytes().all(plain) {
            return f.write_str(self.0);
        }
        Quoted(self.0).fmt(f)
    }
}

/// A value in quotes, with everything escaped that could end the field or the line, or reorder what a terminal shows.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                control if control.is_control() || reorders(control) => write!(f, "{}", control.escape_default())?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

/// At most [`TEXT_MAX`] bytes of `text`; `…` marks what is missing.
pub(super) fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    format!("{}…", &text[..text.floor_char_boundary(TEXT_MAX)]).into()
}

/// UTC, RFC 3339, milliseconds.
pub(crate) fn timestamp(time: SystemTime) -> String {
    // The formatter fails on years that four digits cannot hold; a clock set there must not end the log.
    let latest = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(LATEST);
    humantime::format_rfc3339_millis(time.clamp(SystemTime::UNIX_EPOCH, latest)).to_string()
}

/// Marks that make a terminal show text in another order, and line separators beside `\n`.
fn reorders(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A field that a peer fills may not fill the log: names and reasons are shorter, unless someone plays.
pub(super) const TEXT_MAX: usize = 1024;

/// The last second of the year 9999.
const LATEST: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_value_cannot_look_like_another_field_or_line() {
        for (value, shown) in [
            ("app.example.com", "app.example.com"),
            ("[::1]:443", "[::1]:443"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("x result=complete", "\"x result=complete\""),
            ("a=b", "\"a=b\""),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("a\nb\r\u{1b}[2J", r#""a\nb\r\u{1b}[2J""#),
            ("abc\u{202e}def\u{2028}", r#""abc\u{202e}def\u{2028}""#),
            ("bücher", "\"bücher\""),
        ] {
            assert_eq!(Value(value).to_string(), shown);
        }
    }

    #[test]
    fn long_texts_are_bounded_at_a_character() {
        let long = "é".repeat(TEXT_MAX);
        let shown = bounded(&long);
        assert!(shown.ends_with('…') && shown.len() <= TEXT_MAX + '…'.len_utf8());
        assert_eq!(bounded("short"), "short");
    }

    #[test]
    fn no_clock_stops_the_log() {
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(9)), "1970-01-01T00:00:00.000Z");
        let far = SystemTime::UNIX_EPOCH + Duration::from_secs(LATEST * 2);
        assert_eq!(timestamp(far), "9999-12-31T23:59:59.000Z");
    }
}
