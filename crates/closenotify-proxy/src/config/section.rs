//! Reads the values of a parsed TOML file by the list of settings: types, bounds, words, names that do not exist.
//!
//! It knows no rule between two settings. Each failure is noted with its place, and reading goes on.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration::parse_duration;
use super::file::FileKind;
use super::problem::{Noted, Notes};
use super::schema::{Form, ROOT, Setting, Table};
use super::word::{Word, instead, much_alike, nearest, nearly_same, one_of, words};

/// What reading a value needs: where relative paths begin, and where problems go.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) base: PathBuf,
    pub(super) notes: Notes,
    /// The files that must be there before the start.
    pub(super) files: Vec<FileUse>,
    /// The user to become.
    pub(super) user: Option<UserUse>,
}

/// A file that a setting names, and the byte at which its path begins.
#[derive(Debug)]
pub(super) struct FileUse {
    pub(super) kind: FileKind,
    pub(super) path: PathBuf,
    pub(super) at: usize,
    pub(super) setting: String,
}

/// A user that a setting names, with its group, and the bytes at which the names begin.
#[derive(Debug)]
pub(super) struct UserUse {
    pub(super) user: (String, usize),
    pub(super) group: Option<(String, usize)>,
}

/// A table of the file, with the settings that it may have.
#[derive(Debug)]
pub(super) struct Section<'t> {
    schema: &'static Table,
    values: &'t DeTable<'t>,
    /// The name in messages; empty for the file as a whole.
    path: String,
    /// The byte at which it begins.
    at: usize,
}

/// A table under a name that the operator chose.
#[derive(Debug)]
pub(super) struct NamedSection<'t> {
    pub(super) name: &'t str,
    /// The byte at which the name begins.
    pub(super) at: usize,
    pub(super) section: Result<Section<'t>, Noted>,
}

/// A value of the file, with its setting.
#[derive(Debug)]
pub(super) struct Value<'t> {
    value: &'t Spanned<DeValue<'t>>,
    form: &'static Form,
    /// The name in messages.
    pub(super) path: String,
    /// The byte at which it begins.
    pub(super) at: usize,
    /// Whether it is one of a list.
    listed: bool,
}

impl<'t> Section<'t> {
    /// The file as a whole.
    pub(super) fn root(values: &'t DeTable<'t>, reader: &mut Reader) -> Self {
        Self { schema: &ROOT, values, path: String::new(), at: 0 }.checked(reader)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The full name of a setting of this table.
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The value of a setting; `None` if it is left out.
    pub(super) fn get(&self, key: &str) -> Option<Value<'t>> {
        let Setting { form, .. } = self.setting(key);
        let (key, value) = self.values.get_key_value(key)?;
        // A table has its header as its place, and a list of tables none of its own.
        let at = if form.table().is_some() { key.span().start } else { value.span().start };
        Some(Value { value, form, path: self.path_of(key.get_ref()), at, listed: false })
    }

    /// Reads a setting that may be left out.
    pub(super) fn optional<T>(
        &self,
        reader: &mut Reader,
        key: &str,
        read: impl FnOnce(&Value<'t>, &mut Reader) -> Result<T, Noted>,
    ) -> Result<Option<T>, Noted> {
        self.get(key).map(|value| read(&value, reader)).transpose()
    }

    /// Reads a setting that has a default.
    pub(super) fn or<T>(
        &self,
        reader: &mut Reader,
        key: &str,
        default: T,
        read: impl FnOnce(&Value<'t>, &mut Reader) -> Result<T, Noted>,
    ) -> Result<T, Noted> {
        Ok(self.optional(reader, key, read)?.unwrap_or(default))
    }

    /// Reads a setting that must be there.
    pub(super) fn required<T>(
        &self,
        reader: &mut Reader,
        key: &str,
        read: impl FnOnce(&Value<'t>, &mut Reader) -> Result<T, Noted>,
    ) -> Result<T, Noted> {
        match self.get(key) {
            Some(value) => read(&value, reader),
            None => {
                let about = self.setting(key).about;
                let form = &self.setting(key).form;
                // A table is written with the tables that it is in.
                let name = if form.table().is_some() { self.path_of(key) } else { key.to_owned() };
                let message = format!("is missing: {about} Write {}", example(&name, form));
                Err(reader.notes.error(self.at, &self.path_of(key), message))
            }
        }
    }

    fn setting(&self, key: &str) -> &'static Setting {
        self.schema.setting(key).expect("only settings of the schema are read; a test reads them all")
    }

    /// Notes every key that the table may not have.
    fn checked(self, reader: &mut Reader) -> Self {
        for key in self.values.keys() {
            let name = key.get_ref();
            if self.schema.setting(name).is_some() {
                continue;
            }
            let message = if reader.notes.is_full() { String::new() } else { self.unknown(name) };
            reader.notes.error(key.span().start, &self.path_of(&shown(name)), message);
        }
        self
    }

    fn unknown(&self, name: &str) -> String {
        // A table that is not written as one is not what was meant.
        let values = self.schema.settings.iter().filter(|setting| setting.form.table().is_none());
        if let Some(right) = nearly_same(name, values.map(|setting| setting.key)) {
            return format!("unknown setting; did you mean {right:?}?");
        }
        let everywhere = settings_within(&ROOT, "");
        let homes: Vec<_> =
            everywhere.iter().filter(|(_, key)| *key == name).map(|(table, _)| format!("[{table}]")).collect();
        if !homes.is_empty() {
            return format!("unknown setting here; it belongs in {}", homes.join(" or "));
        }
        let keys = self.schema.keys();
        if let Some(right) = nearest(name, keys.iter().copied()) {
            return format!("unknown setting; did you mean {right:?}?");
        }
        if let Some(right) = much_alike(name, everywhere.iter().map(|(_, key)| *key)) {
            let home = everywhere.iter().find(|(_, key)| *key == right).map_or("", |(table, _)| table);
            return format!("unknown setting; did you mean {right:?} in [{home}]?");
        }
        format!("unknown setting; write one of {}", keys.join(", "))
    }
}

impl<'t> Value<'t> {
    pub(super) fn error(&self, reader: &mut Reader, message: impl Into<String>) -> Noted {
        reader.notes.error(self.at, &self.path, message)
    }

    pub(super) fn warning(&self, reader: &mut Reader, message: impl Into<String>) {
        reader.notes.warning(self.at, &self.path, message);
    }

    /// A table.
    pub(super) fn section(&self, reader: &mut Reader) -> Result<Section<'t>, Noted> {
        let schema = self.form.table().expect("the schema says that it is a table");
        match self.value.get_ref() {
            DeValue::Table(values) => {
                Ok(Section { schema, values, path: self.path.clone(), at: self.at }.checked(reader))
            }
            other => Err(self.error(reader, mistyped(other, &format!("a table: write [{}]", self.path)))),
        }
    }

    /// A list of tables.
    pub(super) fn sections(&self, reader: &mut Reader) -> Result<Vec<Section<'t>>, Noted> {
        let schema = self.form.table().expect("the schema says that it is a list of tables");
        let how = format!("a list of tables: write [[{}]]", self.path);
        let values = match self.value.get_ref() {
            DeValue::Array(values) if !values.is_empty() => values,
            DeValue::Array(_) => return Err(self.error(reader, format!("is empty, but must be {how}"))),
            other => return Err(self.error(reader, mistyped(other, &how))),
        };
        let mut sections = Vec::new();
        let mut failed = None;
        for value in values {
            let (at, path) = (value.span().start, self.path.clone());
            match value.get_ref() {
                DeValue::Table(values) => sections.push(Section { schema, values, path, at }.checked(reader)),
                other => failed = Some(reader.notes.error(at, &path, mistyped(other, &how))),
            }
        }
        failed.map_or(Ok(sections), Err)
    }

    /// Tables by name.
    pub(super) fn named_sections(&self, reader: &mut Reader) -> Result<Vec<NamedSection<'t>>, Noted> {
        let DeValue::Table(values) = self.value.get_ref() else {
            let how = format!("tables by name: write [{}.NAME]", self.path);
            return Err(self.error(reader, mistyped(self.value.get_ref(), &how)));
        };
        let mut sections = Vec::new();
        for (name, value) in values {
            let at = name.span().start;
            let path = join(&self.path, &shown(name.get_ref()));
            let named = Value { value, form: self.form, path, at, listed: false };
            sections.push(NamedSection { name: name.get_ref(), at, section: named.section(reader) });
        }
        Ok(sections)
    }

    /// A string: not empty, of bounded length, without control characters.
    pub(super) fn text(&self, reader: &mut Reader) -> Result<&'t str, Noted> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => &**text,
            other => return Err(self.error(reader, mistyped(other, &self.expected()))),
        };
        let wrong = if text.is_empty() {
            format!("is empty: write {}, or leave the setting out", self.expected())
        } else if text.len() > TEXT_MAX {
            format!("has {} bytes: write at most {TEXT_MAX}", text.len())
        } else if text.chars().any(char::is_control) {
            "holds a control character, such as a line feed: leave it out".to_owned()
        } else {
            return Ok(text);
        };
        Err(self.error(reader, wrong))
    }

    /// A string that `parse` makes something of; its error is for a person.
    pub(super) fn parse<T, E: ToString>(
        &self,
        reader: &mut Reader,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Noted> {
        let text = self.text(reader)?;
        parse(text).map_err(|error| self.error(reader, error.to_string()))
    }

    /// A list, of which `read` reads each value. A value alone is a list of one.
    pub(super) fn list<T>(
        &self,
        reader: &mut Reader,
        mut read: impl FnMut(&Self, &mut Reader) -> Result<T, Noted>,
    ) -> Result<Vec<T>, Noted> {
        let values = match self.value.get_ref() {
            DeValue::Array(values) if values.is_empty() => {
                let message = "the list is empty: write at least one value, or leave the setting out";
                return Err(self.error(reader, message));
            }
            DeValue::Array(values) => values,
            DeValue::String(_) => {
                let Self { value, form, at, .. } = *self;
                return Ok(vec![read(&Self { value, form, path: self.path.clone(), at, listed: true }, reader)?]);
            }
            other => return Err(self.error(reader, mistyped(other, &self.expected()))),
        };
        let mut list = Vec::new();
        let mut failed = None;
        for value in values {
            let at = value.span().start;
            match read(&Self { value, form: self.form, path: self.path.clone(), at, listed: true }, reader) {
                Ok(value) => list.push(value),
                Err(noted) => failed = Some(noted),
            }
        }
        failed.map_or(Ok(list), Err)
    }

    /// One word of a few.
    pub(super) fn word<T: Word>(&self, reader: &mut Reader) -> Result<T, Noted> {
        let text = match self.value.get_ref() {
            // 1.2 without quotes is the slip that a version invites.
            DeValue::Float(number) if words::<T>().contains(&number.as_str()) => {
                let message = format!("is a number: write it in quotes, as in \"{}\"", number.as_str());
                return Err(self.error(reader, message));
            }
            _ => self.text(reader)?,
        };
        match T::all().into_iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(value),
            None => {
                let instead = instead(text, &words::<T>());
                Err(self.error(reader, format!("{:?} is not allowed here; {instead}", shown(text))))
            }
        }
    }

    pub(super) fn duration(&self, reader: &mut Reader) -> Result<Duration, Noted> {
        self.parse(reader, |text| parse_duration(text).map_err(|error| format!("{:?}: {error}", shown(text))))
    }

    /// A number from 1 to the bound of the schema.
    pub(super) fn count(&self, reader: &mut Reader) -> Result<u32, Noted> {
        let Form::Count { max } = self.form else { unreachable!("the schema says that it is a number") };
        let DeValue::Integer(number) = self.value.get_ref() else {
            return Err(self.error(reader, mistyped(self.value.get_ref(), &self.expected())));
        };
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(count) if (1..=*max).contains(&count) => Ok(count),
            _ => {
                let written = shown(&number.to_string());
                Err(self.error(reader, format!("{written} is out of bounds: write a number from 1 to {max}")))
            }
        }
    }

    /// A path, from the directory of the file if it is relative.
    pub(super) fn path(&self, reader: &mut Reader) -> Result<PathBuf, Noted> {
        let text = self.text(reader)?;
        Ok(reader.base.join(text))
    }

    /// The path of a file that must be there before the start.
    pub(super) fn file(&self, kind: FileKind, reader: &mut Reader) -> Result<PathBuf, Noted> {
        let path = self.path(reader)?;
        self.uses(kind, path.clone(), reader);
        Ok(path)
    }

    /// Notes that it names a file.
    pub(super) fn uses(&self, kind: FileKind, path: PathBuf, reader: &mut Reader) {
        reader.files.push(FileUse { kind, path, at: self.at, setting: self.path.clone() });
    }

    /// What it must be, with its article.
    fn expected(&self) -> String {
        match self.form {
            Form::Words(words) if self.listed => one_of(&words()),
            Form::Texts(kind) if self.listed => format!("a string ({kind})"),
            form => expected(form),
        }
    }
}

/// A text of the file as it can stand in a message: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let short: String = text
        .chars()
        .take(SHOWN_MAX)
        .flat_map(|letter| match letter {
            control if control.is_control() => control.escape_default().collect::<Vec<_>>(),
            other => vec![other],
        })
        .collect();
    if text.chars().nth(SHOWN_MAX).is_some() { short + "…" } else { short }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The settings of the tables within a table, each after the name of its table.
fn settings_within(table: &'static Table, path: &str) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    for setting in table.settings {
        let Some(inner) = setting.form.table() else { continue };
        let path = match setting.form {
            Form::Named(_) => join(path, setting.key) + ".NAME",
            _ => join(path, setting.key),
        };
        found.extend(inner.keys().into_iter().map(|key| (path.clone(), key)));
        found.extend(settings_within(inner, &path));
    }
    found
}

/// What a value must be, with its article.
fn expected(form: &Form) -> String {
    match form {
        Form::Table(_) => "a table".to_owned(),
        Form::Tables(_) => "a list of tables".to_owned(),
        Form::Named(_) => "tables by name".to_owned(),
        Form::Word(words) => one_of(&words()),
        Form::Words(words) => format!("a list of {}", one_of(&words())),
        Form::Duration => "a string with a time and its unit, as in \"30s\"".to_owned(),
        Form::Count { max } => format!("a number from 1 to {max}"),
        Form::Text(kind) => format!("a string ({kind})"),
        Form::Texts(kind) => format!("a list of strings ({kind})"),
    }
}

fn example(key: &str, form: &Form) -> String {
    match form {
        Form::Table(_) => format!("[{key}]"),
        Form::Tables(_) => format!("[[{key}]]"),
        Form::Texts(_) | Form::Words(_) => format!("{key} = [\"…\"]"),
        Form::Word(words) => format!("{key} = {}", one_of(&words())),
        _ => format!("{key} = \"…\""),
    }
}

fn mistyped(value: &DeValue<'_>, expected: &str) -> String {
    let article = match value {
        DeValue::Integer(_) | DeValue::Array(_) => "an",
        _ => "a",
    };
    format!("is {article} {}, but must be {expected}", value.type_str())
}

/// Bytes of a string: as many as a path may have.
const TEXT_MAX: usize = 4096;

/// Characters of a text of the file in a message.
const SHOWN_MAX: usize = 80;
