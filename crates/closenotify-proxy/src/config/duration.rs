//! The one rule for durations, in files and on the command line: a number with its unit, from 1 ms to 365 days.
//!
//! It accepts no bare number, and neither zero nor "for ever": each would be a surprise in a proxy.

use std::time::Duration;

/// Parses a duration as people write it: `500ms`, `30s`, `5m`, `1m 30s`.
///
/// # Errors
///
/// What is wrong, and what to write, for a person.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => format!("too long; {LONGEST_TEXT} is the longest"),
        _ => HOW.to_owned(),
    })?;
    if parsed.is_zero() {
        return Err(format!("zero would end everything at once; {HOW}"));
    }
    if parsed < SHORTEST {
        return Err(format!("too short; {SHORTEST_TEXT} is the shortest"));
    }
    if parsed > LONGEST {
        return Err(format!("too long; {LONGEST_TEXT} is the longest"));
    }
    Ok(parsed)
}

const HOW: &str = "write a time with its unit, as in 500ms, 30s, 5m or \"1m 30s\"";
const SHORTEST: Duration = Duration::from_millis(1);
pub(super) const SHORTEST_TEXT: &str = "1ms";
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
pub(super) const LONGEST_TEXT: &str = "365d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration(SHORTEST_TEXT), Ok(SHORTEST));
        assert_eq!(parse_duration(LONGEST_TEXT), Ok(LONGEST));
        for (text, hint) in [
            ("30", "unit"),
            ("", "unit"),
            ("soon", "unit"),
            ("-5s", "unit"),
            ("5 parsecs", "unit"),
            ("0s", "zero"),
            ("0ms", "zero"),
            ("999us", "shortest"),
            ("366d", "longest"),
            ("99999999999999999999s", "longest"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(hint), "{text:?}: {error}");
        }
    }
}
