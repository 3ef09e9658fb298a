//! The `closenotify` command.

fn main() {}
