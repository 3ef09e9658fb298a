//! The public API of the published crates, one item a line, compared with `public-api.txt` beside each manifest.
//!
//! The listing is of the default features and `early-data`. It is made from rustdoc's JSON, which stable Rust gives only
//! when told to; the version of `public-api` must know the format of the Rust in use.

use std::fs;

use crate::shell::{self, Failure, Outcome, cargo};

/// Compares each listing with its file; with `bless`, writes the file.
pub(crate) fn run(bless: bool) -> Outcome {
    for (package, features) in [("closenotify-core", EARLY), ("closenotify", EARLY), ("pollcheck", "")] {
        let listing = listing(package, features)?;
        let file = format!("crates/{package}/public-api.txt");
        let path = shell::root().join(&file);
        if bless {
            fs::write(&path, listing).map_err(|error| Failure::new(format!("{file} cannot be written: {error}")))?;
            continue;
        }
        let listed = fs::read_to_string(&path).map_err(|error| {
            Failure::new(format!("{file} cannot be read: {error}; `cargo xtask api --bless` writes it"))
        })?;
        let changes = changes(&listed, &listing);
        if !changes.is_empty() {
            return Err(Failure::new(format!(
                "the public API of {package} is not that of {file}:\n{}\nif this is meant: cargo xtask api --bless",
                changes.join("\n")
            )));
        }
        println!("{file}: {} items", listing.lines().count());
    }
    Ok(())
}

fn listing(package: &str, features: &str) -> Outcome<String> {
    let mut doc = cargo(&["rustdoc", "--quiet", "--locked", "--lib", "-p", package, "--features", features]);
    let target = shell::target_folder();
    doc.arg("--target-dir").arg(&target);
    doc.args(["--", "-Zunstable-options", "--output-format=json", "--cap-lints=allow"]).env("RUSTC_BOOTSTRAP", "1");
    shell::run(doc)?;
    let json = target.join("doc").join(format!("{}.json", package.replace('-', "_")));
    let api = public_api::Builder::from_rustdoc_json(&json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", json.display())))?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// The lines of one text and not of the other, each with its sign.
fn changes(listed: &str, found: &str) -> Vec<String> {
    let only = |sign: char, of: &str, other: &str| -> Vec<String> {
        let other: std::collections::BTreeSet<&str> = other.lines().collect();
        of.lines().filter(|line| !other.contains(line)).map(|line| format!("{sign}{line}")).collect()
    };
    let mut changes = only('-', listed, found);
    changes.extend(only('+', found, listed));
    changes
}

const EARLY: &str = "early-data";

#[cfg(test)]
mod tests {
    use super::changes;

    #[test]
    fn a_removed_and_an_added_item_are_both_named() {
        assert_eq!(changes("pub fn a()\npub fn b()\n", "pub fn b()\npub fn c()\n"), ["-pub fn a()", "+pub fn c()"]);
        assert!(changes("pub fn a()\n", "pub fn a()\n").is_empty());
    }
}
