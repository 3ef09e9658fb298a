//! Every script of this workspace.

fn main() {}
