//! What the reports say of runs that are made by hand, and what the file of known deviations does to them.

mod exit;
mod expect;
mod html;
mod json;
mod junit;
mod progress;
mod sample;
mod text;
