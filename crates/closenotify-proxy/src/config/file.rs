//! From a configuration file to a [`Config`]: reads the text, and the tables that stand once in a file.
//!
//! It opens no other file than this one: whether certificates can be loaded is not known here.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::listener::{Taken, read_listen, read_listeners};
use super::problem::{ConfigErrors, Lines, Noted, Notes, Problem};
use super::section::{FileUse, Reader, Section, UserUse, Value, shown};
use super::upstream::Upstreams;
use super::{Config, Limits, LogFormat, LogSettings, ProcessSettings, SpinAction, WhenFull};
use crate::address::UNIX_PATH_MAX;
use crate::privileges::Identity;

/// What a configuration file says.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// The settings.
    pub config: Config,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
    /// The files and directories that must be usable before the start, in the order of the file. None has been
    /// opened.
    pub files: Vec<NamedFile>,
    /// The user to become. It has not been looked up.
    pub user: Option<NamedUser>,
}

impl ConfigFile {
    /// Reads a configuration file. Paths in it that are relative begin at its directory.
    ///
    /// # Errors
    ///
    /// [`ConfigErrors`] with everything that is wrong, each with its place: the file cannot be read, is not UTF-8 or has more
    /// than 1 MiB; it is not TOML; a setting is unknown, missing, malformed or out of bounds, or contradicts another.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_text(path).map_err(|message| ConfigErrors::unreadable(path, message))?;
        Self::parse(&text, path)
    }

    /// As [`read`](Self::read), with the content of the file. `file` is its name in messages; relative paths begin at its
    /// directory.
    ///
    /// # Errors
    ///
    /// As `read`.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { base: directory_of(file), notes: Notes::default(), files: Vec::new(), user: None };
        let (table, errors) = DeTable::parse_recoverable(text);
        // What a parser makes of a text that is not TOML would only be misread.
        let config = match note_syntax(text, &errors, &mut reader) {
            Some(noted) => Err(noted),
            None => read_config(table.get_ref(), &mut reader),
        };
        let lines = Lines::new(text);
        let warnings = reader.notes.finish(file, &lines)?;
        let config = config.unwrap_or_else(|Noted { .. }| unreachable!("an error that was noted fails in `finish`"));
        let named = |FileUse { kind, path, at, setting }| NamedFile {
            kind,
            path,
            place: Problem::error(file, &lines, at, setting, String::new()),
        };
        reader.files.sort_by_key(|used| used.at);
        let user = reader.user.map(|UserUse { user: (user, at), group }| NamedUser {
            user,
            place: Problem::error(file, &lines, at, "process.user".into(), String::new()),
            group: group
                .map(|(group, at)| (group, Problem::error(file, &lines, at, "process.group".into(), String::new()))),
        });
        Ok(Self { config, warnings, files: reader.files.into_iter().map(named).collect(), user })
    }
}

impl Config {
    /// The settings of a configuration file, and the warnings about it. As [`ConfigFile::read`].
    ///
    /// # Errors
    ///
    /// As [`ConfigFile::read`].
    pub fn from_file(path: &Path) -> Result<(Self, Vec<Problem>), ConfigErrors> {
        ConfigFile::read(path).map(|ConfigFile { config, warnings, .. }| (config, warnings))
    }
}

/// A file or directory that a setting names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// What it is for.
    pub kind: FileKind,
    /// The absolute path.
    pub path: PathBuf,
    /// An error at its place, without a message.
    place: Problem,
}

impl NamedFile {
    /// That something is wrong with the file, as an error at the place of its setting.
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        self.place.with_message(message.into())
    }
}

/// The user, and the group, that the proxy becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedUser {
    user: String,
    group: Option<(String, Problem)>,
    /// An error at the place of the user, without a message.
    place: Problem,
}

impl NamedUser {
    /// Looks both up. Returns why they cannot be become, as an error at the place of the setting at fault.
    pub fn problem(&self) -> Option<Problem> {
        let group = self.group.as_ref().map(|(group, _)| group.as_str());
        let error = Identity::find(&self.user, group).err()?.to_string();
        // The text names the setting for those who have no place to show.
        let named = |setting: &str| error.strip_prefix(&format!("[process] {setting}: ")).map(str::to_owned);
        Some(match (named("group"), &self.group) {
            (Some(message), Some((_, place))) => place.with_message(message),
            (_, _) => self.place.with_message(named("user").unwrap_or(error)),
        })
    }
}

/// What a file that a setting names is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A PEM file with a listener's chain and its key, or a directory of certificates.
    Certificates,
    /// A PEM file with trusted CA certificates.
    TrustedCa,
    /// A file or directory with ticket keys.
    TicketKeys,
    /// A PEM file with the chain and the key of our client certificate.
    ClientCertificate,
    /// A file or a Unix socket that the proxy creates: its directory must exist.
    Created,
}

/// Notes the first syntax error of each line. What follows from one slip fills pages, so the first few must do.
fn note_syntax(text: &str, errors: &[toml::de::Error], reader: &mut Reader) -> Option<Noted> {
    let place = |error: &toml::de::Error| error.span().map_or(0, |span| span.start.min(text.len()));
    let line = |at: usize| text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
    let mut noted = None;
    let mut last_line = None;
    for error in errors.iter().take(SYNTAX_ERRORS_READ) {
        let at = place(error);
        if last_line.replace(line(at)) == Some(line(at)) {
            continue;
        }
        noted = Some(reader.notes.general_error(at, format!("not TOML: {}", shown(error.message()))));
        if reader.notes.errors() >= SYNTAX_ERRORS_SHOWN {
            break;
        }
    }
    noted
}

fn read_text(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file; give the path of a configuration file".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory; give the path of a configuration file".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; give the user of the proxy the right to read it".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    };
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err("has more than 1 MiB; give the path of a configuration file".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("is not UTF-8 text (line {line}); save it as UTF-8")
    })
}

/// The directory of a file, absolute, so that it stays the same when the process changes its own.
fn directory_of(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    absolute.parent().map(Path::to_owned).unwrap_or_default()
}

fn read_config<'t>(table: &'t DeTable<'t>, reader: &mut Reader) -> Result<Config, Noted> {
    let root = Section::root(table, reader);
    let mut taken = Taken::default();
    let admin = root.optional(reader, "admin", |value, reader| {
        let section = value.section(reader)?;
        section.required(reader, "listen", |value, reader| read_listen(value, &mut taken.addresses, reader))
    });
    let log = root.or(reader, "log", LogSettings::default(), |value, reader| read_log(&value.section(reader)?, reader));
    let limits =
        root.or(reader, "limits", Limits::default(), |value, reader| read_limits(&value.section(reader)?, reader));
    let process = root.or(reader, "process", ProcessSettings::default(), |value, reader| {
        read_process(&value.section(reader)?, reader)
    });
    let mut upstreams = Upstreams::read(&root, reader)?;
    let listeners = read_listeners(&root, &mut upstreams, &mut taken, reader);
    upstreams.check_uses(listeners.is_ok(), reader);
    Ok(Config {
        admin: admin?,
        log: log?,
        limits: limits?,
        process: process?,
        listeners: listeners?,
        upstreams: upstreams.into_settings()?,
    })
}

fn read_log(section: &Section<'_>, reader: &mut Reader) -> Result<LogSettings, Noted> {
    let format = section.or(reader, "format", LogFormat::default(), Value::word);
    let file = section.optional(reader, "file", |value, reader| value.file(FileKind::Created, reader));
    let skip = section
        .optional(reader, "skip", |value, reader| value.list(reader, Value::word))
        .map(Option::unwrap_or_default);
    Ok(LogSettings { format: format?, file: file?, skip: skip? })
}

fn read_limits(section: &Section<'_>, reader: &mut Reader) -> Result<Limits, Noted> {
    let sessions = section.optional(reader, "sessions", Value::count);
    let sessions_per_address = section.optional(reader, "sessions_per_address", Value::count);
    let handshakes_per_second = section.optional(reader, "handshakes_per_second", Value::count);
    let when_full = section.or(reader, "when_full", WhenFull::default(), Value::word);
    if let (Ok(Some(all)), Ok(Some(one)), Some(value)) =
        (sessions, sessions_per_address, section.get("sessions_per_address"))
        && one > all
    {
        value.warning(reader, format!("has no effect: there are never more than {all} sessions, by limits.sessions"));
    }
    Ok(Limits {
        sessions: sessions?,
        sessions_per_address: sessions_per_address?,
        handshakes_per_second: handshakes_per_second?,
        when_full: when_full?,
    })
}

fn read_process(section: &Section<'_>, reader: &mut Reader) -> Result<ProcessSettings, Noted> {
    let workers = section.optional(reader, "workers", Value::count);
    let user = section.optional(reader, "user", account);
    let group = section.optional(reader, "group", account);
    if let (Ok(Some(name)), Some(value)) = (&user, section.get("user")) {
        let place = |name: &String| Some((name.clone(), section.get("group")?.at));
        let group = group.as_ref().ok().and_then(Option::as_ref).and_then(place);
        reader.user = Some(UserUse { user: (name.clone(), value.at), group });
    }
    let takeover = section.optional(reader, "takeover", |value, reader| {
        let path = value.file(FileKind::Created, reader)?;
        let length = path.as_os_str().len();
        if length > UNIX_PATH_MAX {
            let message = format!(
                "the path has {length} bytes, and that of a Unix socket at most {UNIX_PATH_MAX}; choose a shorter one"
            );
            return Err(value.error(reader, message));
        }
        Ok(path)
    });
    let group = match (&user, group, section.get("group")) {
        (Ok(None), Ok(Some(_)), Some(value)) => {
            Err(value.error(reader, "has no effect without process.user: name the user to become, or remove it"))
        }
        (_, group, _) => group,
    };
    let defaults = ProcessSettings::default();
    let drain = section.or(reader, "drain", defaults.drain, Value::duration);
    let spin = section.or(reader, "spin", SpinAction::default(), Value::word);
    Ok(ProcessSettings {
        workers: workers?.and_then(|count| usize::try_from(count).ok()?.try_into().ok()),
        user: user?,
        group: group?,
        takeover: takeover?,
        drain: drain?,
        spin: spin?,
    })
}

/// The name of a user or a group. Whether there is one is the system's to say.
fn account(value: &Value<'_>, reader: &mut Reader) -> Result<String, Noted> {
    value.text(reader).map(str::to_owned)
}

const SYNTAX_ERRORS_SHOWN: usize = 3;

/// Of those that the parser found.
const SYNTAX_ERRORS_READ: usize = 100;

/// 1 MiB: far more than any proxy's settings, far less than a file given by mistake.
const FILE_MAX: u64 = 1024 * 1024;
