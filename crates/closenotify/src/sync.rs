//! The primitives under [`link`](crate::link), [`turn`](crate::turn) and [`shared`](crate::shared). `tests/loom` builds those
//! files over loom's in place of these, and searches every interleaving.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, TryLockError};
