//! Ticket keys in a file or a directory, which the proxies of a fleet share.
//!
//! A key is 80 or 48 bytes. A file holds either one key as it is, as for `ssl_session_ticket_key` of nginx, or a key in
//! base64 a line, as for `tls-ticket-keys` of HAProxy; empty lines and lines that begin with `#` are skipped. A directory
//! holds such files and nothing else but hidden files and directories; they are taken in the order of their names. There may
//! be 16 keys in all.
//!
//! **The first key encrypts, all of them decrypt.** To change keys without losing a session, first add the new key at the end
//! on every machine, then move it to the front on every machine, and remove the old one after 12 hours, when no ticket of it
//! is valid any more. (HAProxy encrypts with the last but one of its file.)
//!
//! The bytes are secret material from which keys are derived: tickets of nginx or HAProxy with the same file are not valid
//! here. `openssl rand 80 | openssl base64 -A` makes a key.

use std::fmt;
use std::fs;
use std::path::Path;

use data_encoding::BASE64;

use super::error::{FileRole, TlsError};
use super::files::Reader;

/// The secret material of a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct KeyMaterial(Vec<u8>);

impl KeyMaterial {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMaterial").finish_non_exhaustive()
    }
}

/// The keys at a path, at least one, the first of which encrypts.
pub(super) fn load(path: &Path, reader: &mut Reader) -> Result<Vec<KeyMaterial>, TlsError> {
    let mut keys = Vec::new();
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        for item in reader.list(path).map_err(unreadable(path))?.iter().filter(|item| !item.directory) {
            file(&item.path, reader, &mut keys)?;
        }
    } else {
        file(path, reader, &mut keys)?;
    }
    if keys.is_empty() {
        let reason = "there is no key; expected 80 or 48 bytes, or a line of them in base64".into();
        return Err(TlsError::TicketKeys { path: path.into(), line: None, reason });
    }
    Ok(keys)
}

/// Adds the keys of a file.
fn file(path: &Path, reader: &mut Reader, keys: &mut Vec<KeyMaterial>) -> Result<(), TlsError> {
    let bytes = reader.read(path).map_err(unreadable(path))?;
    let wrong =
        |line: Option<usize>, reason: &str| TlsError::TicketKeys { path: path.into(), line, reason: reason.into() };
    let mut add = |line, material: Vec<u8>| {
        if material.iter().all(|byte| Some(byte) == material.first()) {
            return Err(wrong(line, "the bytes of a key are all the same"));
        }
        if keys.len() == MAX_KEYS {
            return Err(wrong(line, "there are more than 16 keys"));
        }
        keys.push(KeyMaterial(material));
        Ok(())
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) if text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace()) => text,
        // Random bytes are text in one of 10^20 cases.
        _ if LENGTHS.contains(&bytes.len()) => return add(None, bytes),
        _ => return Err(wrong(None, "it is neither text nor a key of 80 or 48 bytes")),
    };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = Some(index + 1);
        // The line is not shown: it is a key, or nearly one.
        let material = BASE64.decode(line.as_bytes()).map_err(|_| wrong(number, "it is not base64"))?;
        if !LENGTHS.contains(&material.len()) {
            let length = material.len();
            return Err(wrong(number, &format!("a key has 80 or 48 bytes, and this one has {length}")));
        }
        add(number, material)?;
    }
    Ok(())
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> TlsError {
    move |source| TlsError::Unreadable { path: path.into(), role: FileRole::TicketKeys, source }
}

/// How long a key may be: HAProxy's for AES-256 and for AES-128, and nginx's.
const LENGTHS: [usize; 2] = [80, 48];

/// The most keys: a ticket is tried with one, but whoever gives more has given another kind of file.
const MAX_KEYS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use tempfile::TempDir;

    fn key(seed: u8, length: u8) -> Vec<u8> {
        (0..length).map(|n| n.wrapping_mul(37) ^ seed | 0x80).collect()
    }

    fn loaded(path: &Path) -> Result<Vec<Vec<u8>>, String> {
        let keys = load(path, &mut Reader::default()).map_err(|error| error.to_string())?;
        Ok(keys.into_iter().map(|key| key.0).collect())
    }

    #[test]
    fn raw_keys_and_lines_of_base64_are_read_in_order() {
        let dir = TempDir::new().unwrap();
        let lines = format!("# first\n{}\r\n\n  {}\n", BASE64.encode(&key(1, 80)), BASE64.encode(&key(2, 48)));
        fs::write(dir.path().join("b"), &lines).unwrap();
        fs::write(dir.path().join("c"), key(3, 48)).unwrap();
        fs::write(dir.path().join("a"), key(4, 80)).unwrap();
        fs::write(dir.path().join(".hidden"), "no key").unwrap();
        fs::create_dir(dir.path().join("directory")).unwrap();
        assert_eq!(loaded(&dir.path().join("b")).unwrap(), [key(1, 80), key(2, 48)]);
        assert_eq!(loaded(&dir.path().join("c")).unwrap(), [key(3, 48)]);
        assert_eq!(loaded(dir.path()).unwrap(), [key(4, 80), key(1, 80), key(2, 48), key(3, 48)]);
    }

    #[test]
    fn what_is_no_key_is_named_by_file_and_line_and_not_shown() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("keys");
        let good = BASE64.encode(&key(1, 80));
        let spoilt = format!("{good}\n!{}\n", &good[1..]);
        let many = format!("{good}\n").repeat(17);
        for (contents, said) in [
            (b"".to_vec(), "keys: there is no key"),
            (b"# nothing\n".to_vec(), "keys: there is no key"),
            (spoilt.clone().into_bytes(), "keys, line 2: it is not base64"),
            (b"\nAAAA\n".to_vec(), "keys, line 2: a key has 80 or 48 bytes, and this one has 3"),
            (key(1, 79), "keys: it is neither text nor a key"),
            (vec![0; 80], "keys: the bytes of a key are all the same"),
            (BASE64.encode(&[7; 48]).into_bytes(), "keys, line 1: the bytes of a key are all the same"),
            (many.clone().into_bytes(), "keys, line 17: there are more than 16 keys"),
        ] {
            fs::write(&path, contents).unwrap();
            let error = loaded(&path).unwrap_err();
            assert!(error.contains(said) && error.contains("openssl rand"), "{error}");
            assert!(!error.contains(&good[1..20]), "{error}");
        }
        fs::write(&path, &many[..many.len() / 17 * 16]).unwrap();
        assert_eq!(loaded(&path).unwrap().len(), 16);
        assert!(loaded(&dir.path().join("gone")).unwrap_err().contains("cannot read the ticket keys"));
    }

    #[test]
    fn the_command_that_errors_give_makes_a_key() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("keys");
        fs::write(&path, "").unwrap();
        let error = loaded(&path).unwrap_err();
        let (_, command) = error.trim_end_matches('`').split_once('`').unwrap();
        let made = Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(made.status.success(), "{command}");
        fs::write(&path, made.stdout).unwrap();
        assert_eq!(loaded(&path).unwrap()[0].len(), 80);
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", KeyMaterial(key(1, 80))), "KeyMaterial { .. }");
    }
}
