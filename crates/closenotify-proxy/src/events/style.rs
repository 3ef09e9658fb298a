//! How lines are written: in which format, and which sessions have none. A reload changes it.
//!
//! It formats nothing. Lines that wait already keep the format that they have.

use std::sync::atomic::{AtomicBool, Ordering};

use super::SessionResult;
use crate::config::{LogFormat, LogSettings};

/// Shared by those who report and the thread that writes.
#[derive(Debug)]
pub(super) struct Style {
    json: AtomicBool,
    /// In the order of [`SessionResult::ALL`].
    skip: [AtomicBool; SessionResult::ALL.len()],
}

impl Style {
    pub(super) fn new(settings: &LogSettings) -> Self {
        let style = Self { json: AtomicBool::new(false), skip: Default::default() };
        style.set(settings);
        style
    }

    /// For the lines that are reported from now on.
    pub(super) fn set(&self, settings: &LogSettings) {
        self.json.store(settings.format == LogFormat::Json, Ordering::Relaxed);
        for (result, skip) in SessionResult::ALL.iter().zip(&self.skip) {
            skip.store(settings.skip.contains(result), Ordering::Relaxed);
        }
    }

    pub(super) fn format(&self) -> LogFormat {
        if self.json.load(Ordering::Relaxed) { LogFormat::Json } else { LogFormat::Text }
    }

    /// Whether sessions with this result have no line.
    pub(super) fn skips(&self, result: SessionResult) -> bool {
        SessionResult::ALL.iter().zip(&self.skip).any(|(known, skip)| *known == result && skip.load(Ordering::Relaxed))
    }
}
