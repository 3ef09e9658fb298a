//! Reports: the same run for people and for machines.
//!
//! A report computes nothing anew and judges nothing: what it prints is in [`Judged`](crate::summary::Judged).

pub mod safe;
