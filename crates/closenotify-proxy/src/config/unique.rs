//! Values of which a file may have each only once.
//!
//! The first one is right; the error stands at the second.

use std::collections::HashSet;
use std::hash::Hash;

use super::problem::Noted;
use super::section::{Reader, Value};

#[derive(Debug)]
pub(super) struct Unique<T>(HashSet<T>);

impl<T: Eq + Hash> Unique<T> {
    /// Takes a value, or notes that it is taken.
    pub(super) fn take(&mut self, key: T, value: &Value<'_>, reader: &mut Reader, taken: &str) -> Result<(), Noted> {
        if self.0.insert(key) { Ok(()) } else { Err(value.error(reader, format!("{taken}; remove one of them"))) }
    }
}

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}
