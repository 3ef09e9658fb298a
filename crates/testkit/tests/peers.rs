//! Every program that the tests talk to is there and runs.

use std::process::Command;
use std::time::Duration;

use testkit::peers::{Running, curl, gnutls_cli, node, openssl, python, run};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn every_peer_says_its_version() {
    let peers = [
        (python(), "--version", "Python 3"),
        (curl(), "--version", "curl"),
        (openssl(), "version", "OpenSSL"),
        (gnutls_cli(), "--version", "gnutls-cli"),
        (node(), "--version", "v"),
    ];
    for (program, argument, expected) in peers {
        let output = run(Command::new(&program).arg(argument), b"", LIMIT);
        assert!(output.status.success() && output.stdout_text().starts_with(expected), "{program:?}: {output}");
    }
}

#[test]
fn input_is_given_and_output_taken_whole() {
    let input = vec![b'x'; 1_000_000];
    let output = run(&mut Command::new("cat"), &input, LIMIT);
    assert!(output.status.success() && output.stdout == input, "{} bytes came back", output.stdout.len());
}

#[test]
fn first_line_is_handed_out_and_stays_in_the_output() {
    let (running, line) =
        Running::start_until_line(Command::new("sh").args(["-c", "echo 4711; cat; echo end >&2; exit 3"]), LIMIT);
    assert_eq!(line, "4711");
    let output = running.finish(LIMIT);
    assert_eq!((output.status.code(), output.stdout_text().as_str()), (Some(3), "4711\n"), "{output}");
    assert_eq!(output.stderr_text(), "end\n");
}

#[test]
#[should_panic(expected = "printed no line")]
fn program_without_a_line_is_a_failure() {
    let _ = Running::start_until_line(&mut Command::new("true"), LIMIT);
}
