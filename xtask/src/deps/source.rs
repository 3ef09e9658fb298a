//! A Rust file as a list of words, without comments and without what stands in quotes.
//!
//! It is no parser: it knows where comments, strings and characters end, and that is enough to tell a name that is
//! used from a name that is talked about.

/// A file of a crate's `src`.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Its path from `src`, such as `engine.rs`.
    pub(crate) path: String,
    words: Vec<Word>,
}

#[derive(Debug)]
struct Word {
    text: String,
    line: usize,
}

impl SourceFile {
    /// Reads `text`.
    pub(crate) fn new(path: impl Into<String>, text: &str) -> Self {
        Self { path: path.into(), words: words(text) }
    }

    /// The line on which the words of `pattern`, separated by spaces, first stand one after the other.
    ///
    /// `::` and every other sign are words of their own: `Instant : : now`, `# ! [ forbid`.
    pub(crate) fn line_of(&self, pattern: &str) -> Option<usize> {
        let pattern: Vec<String> = words(pattern).into_iter().map(|word| word.text).collect();
        self.words
            .windows(pattern.len())
            .find(|window| window.iter().zip(&pattern).all(|(word, text)| word.text == *text))
            .map(|window| window[0].line)
    }

    /// The line of the first `use` of something in `krate` that names `item`, at any depth of braces.
    pub(crate) fn line_of_use(&self, krate: &str, item: &str) -> Option<usize> {
        let starts =
            self.words.windows(2).enumerate().filter(|(_, pair)| pair[0].text == "use" && pair[1].text == krate);
        starts
            .flat_map(|(at, _)| self.words[at..].iter().take_while(|word| word.text != ";"))
            .find(|word| word.text == item)
            .map(|word| word.line)
    }
}

fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = if let Some(quoted) = quoted(rest) {
            quoted
        } else if is_name(first) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            words.push(Word { text: rest[..end].to_owned(), line });
            end
        } else {
            if !first.is_whitespace() {
                words.push(Word { text: first.to_string(), line });
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    words
}

/// The length of the comment, string or character that `text` begins with.
fn quoted(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    if let Some(raw) = raw_string(text) {
        return Some(raw);
    }
    for prefix in ["\"", "b\"", "c\""] {
        if let Some(inner) = text.strip_prefix(prefix) {
            return Some(prefix.len() + until_quote(inner, '"'));
        }
    }
    for prefix in ["'", "b'"] {
        if let Some(inner) = text.strip_prefix(prefix) {
            // A lifetime has no closing quote behind its first character.
            let mut chars = inner.chars();
            let escaped = chars.next() == Some('\\');
            if escaped || chars.next() == Some('\'') {
                return Some(prefix.len() + until_quote(inner, '\''));
            }
        }
    }
    None
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"]
        .into_iter()
        .find(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"')))?;
    let hashes = text[prefix.len()..].chars().take_while(|c| *c == '#').count();
    let start = prefix.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// The length up to and with the closing quote, a backslash taking the next character with it.
fn until_quote(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if !escaped && c == quote {
            return at + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::SourceFile;

    #[test]
    fn names_in_comments_and_quotes_are_not_found() {
        let text = r##"
            //! [`Name`]
            /* Name /* nested */ Name */
            const A: &str = "Name \" Name";
            const B: &str = r#"Name " Name"#;
            const C: (char, char) = ('"', '\'');
            fn f<'a>(name: &'a Rename) -> Names {}
        "##;
        let file = SourceFile::new("a.rs", text);
        assert_eq!(file.line_of("Name"), None);
        assert_eq!(file.line_of("Rename"), Some(7), "a lifetime is not a quote");
    }

    #[test]
    fn path_is_found_however_it_is_spaced() {
        let file = SourceFile::new("a.rs", "fn f() {\n    Instant\n        :: now();\n}");
        assert_eq!(file.line_of("Instant::now"), Some(2));
        assert_eq!(file.line_of("SystemTime::now"), None);
    }

    #[test]
    fn use_is_found_inside_braces_and_under_another_name() {
        let file =
            SourceFile::new("a.rs", "use std::io;\nuse rustls::{\n    Connection as C, server,\n};\nstruct Connected;");
        assert_eq!(file.line_of_use("rustls", "Connection"), Some(3));
        assert_eq!(file.line_of_use("rustls", "Connected"), None);
        assert_eq!(file.line_of_use("std", "Connection"), None);
    }
}
