//! The page in Chromium, used by clicks, on sessions that are planted.
//!
//! With `SCREENSHOTS=FOLDER` it writes the pictures of `docs/operations.md` there.

use std::path::PathBuf;

use testkit::browser::Browser;

use super::tests::{Served, entry, plant, plant_history, plant_sessions, served};
use crate::events::Event;
use std::time::Duration;

fn opened(served: &Served) -> Browser {
    let browser = Browser::start(1400, 1000, false);
    browser.open(&format!("http://{}/", served.address));
    browser.wait("return document.querySelector('#stage').textContent === 'ready'");
    browser
}

/// The texts of all elements that a selector finds.
fn texts(browser: &Browser, selector: &str) -> Vec<String> {
    let script = format!("return [...document.querySelectorAll('{selector}')].map((e) => e.innerText.trim())");
    serde_json::from_value(browser.run(&script)).unwrap()
}

#[test]
fn a_person_on_call_finds_the_line_of_a_truncated_answer() {
    let served = served();
    plant(&served.telemetry);
    let browser = opened(&served);

    browser.click("[data-filter=answer_truncated]");
    browser.wait("return document.querySelectorAll('#unclean .entry').length === 4");
    assert_eq!(texts(&browser, "#unclean pre:not([hidden] *)"), [""; 0]);
    browser.click("#unclean li:first-child .entry");
    let line = texts(&browser, "#unclean li:first-child pre").remove(0);
    assert!(line.starts_with("answer_truncated 20") && line.contains(" session=43 "), "{line}");
    browser.click("#unclean li:first-child .full button");
    browser.wait("return document.querySelector('#unclean .full button').textContent.startsWith('Copied')");
    // A refresh that brings a new session leaves it open.
    let before = texts(&browser, "#unclean .entry").len();
    plant(&served.telemetry);
    browser.wait(&format!("return document.querySelectorAll('#unclean .entry').length > {before}"));
    assert!(texts(&browser, "#unclean .full:not([hidden]) pre").contains(&line));

    // The chart shows what was chosen, and nothing else.
    let colors = "return [...new Set([...document.querySelectorAll('#chart rect')].map((e) => e.style.fill))].join()";
    assert_eq!(browser.run(colors), "var(--answer_truncated)");
    browser.click("[data-filter='']");
    browser.wait(&format!("return ({}).includes('var(--complete)')", colors.strip_prefix("return ").unwrap()));
}

#[test]
fn live_sessions_show_each_half() {
    let served = served();
    plant(&served.telemetry);
    let _sessions = plant_sessions(&served);
    let browser = opened(&served);
    let row = browser.wait("return document.querySelector('#sessions tbody tr')?.innerText");
    let row = row.as_str().unwrap();
    for part in ["#47 web", "app.example.com", "close_notify → fin", "open → open", "5.1 MiB, 256.0 KiB unsent"] {
        assert!(row.contains(part), "{part} in {row}");
    }
    assert!(texts(&browser, "#spins")[0].contains("session 17"), "{:?}", texts(&browser, "#spins"));
    assert!(texts(&browser, "#certificates")[0].contains("8 days left"));
    assert!(texts(&browser, "#upstreams")[0].contains("not used for a while: connection refused"));
}

#[test]
fn what_a_peer_chose_stays_text() {
    let served = served();
    plant(&served.telemetry);
    let mut hostile = entry(50);
    hostile.explain("<img src=x onerror=\"document.title='owned'\"> passed");
    hostile.sni = Some("<script>document.title='owned'</script>".into());
    served.telemetry.closed(&served.telemetry.listener("<b>web</b>"), hostile);
    let browser = opened(&served);
    browser.wait("return document.querySelectorAll('#unclean .entry').length === 8");
    assert!(texts(&browser, "#unclean .why").iter().any(|text| text.starts_with("<img src=x onerror")));
    assert_eq!(
        browser.run("return [document.title, document.images.length]"),
        serde_json::json!(["closenotify proxy", 0])
    );
}

#[test]
fn pausing_stops_the_clock_and_resuming_goes_on() {
    let served = served();
    plant(&served.telemetry);
    let browser = opened(&served);
    // Counts what the page asks for, from now on.
    browser.run(
        "window.asked = 0; const real = fetch; window.fetch = (...a) => { window.asked += 1; return real(...a); }",
    );
    browser.wait("return window.asked >= 2");
    browser.click("#pause");
    assert_eq!(texts(&browser, "#pause"), ["Resume"]);
    // The next refresh was cancelled by the click, and no timer is left that could ask.
    assert_eq!(browser.run("return timer !== 0 && paused"), true);
    let asked = browser.run("return window.asked");
    // Longer than a refresh by the page's own clock.
    browser.run("window.late = false; setTimeout(() => { window.late = true; }, 3 * REFRESH)");
    browser.wait("return window.late");
    assert_eq!(browser.run("return window.asked"), asked);
    browser.click("#pause");
    browser.wait(&format!("return window.asked > {asked}"));
}

#[test]
fn draining_and_a_server_that_is_gone_are_said_plainly() {
    let served = served();
    plant(&served.telemetry);
    let browser = opened(&served);
    served.telemetry.tell(&Event::Draining { signal: "SIGTERM".into(), drain: Duration::from_secs(30) });
    browser.wait("return !document.querySelector('#draining').hidden && document.querySelector('#stage').textContent === 'draining'");
    drop(served);
    browser.wait("return !document.querySelector('#gone').hidden");
    assert_eq!(texts(&browser, "#stage"), ["no answer"]);
    let banner = texts(&browser, "#gone").remove(0);
    assert!(
        banner.starts_with("The proxy does not answer") && banner.contains("Everything below is as of"),
        "{banner}"
    );
}

#[test]
fn it_fits_wide_and_narrow_screens_in_light_and_dark() {
    let served = served();
    plant_history(&served.telemetry);
    plant(&served.telemetry);
    let _sessions = plant_sessions(&served);
    let folder = std::env::var_os("SCREENSHOTS").map(PathBuf::from);
    for (name, width, height, dark) in
        [("wide", 1400, 1250, false), ("dark", 1400, 1250, true), ("phone", 390, 844, false)]
    {
        let browser = Browser::start(width, height, dark);
        browser.resize(width, height, if name == "phone" { 2.0 } else { 1.0 });
        browser.open(&format!("http://{}/", served.address));
        browser.wait("return document.querySelectorAll('#sessions tbody tr').length === 3");
        let overflow = browser.run("return document.documentElement.scrollWidth - window.innerWidth");
        assert!(overflow.as_i64().unwrap() <= 0, "{name}: it is {overflow} px too wide");
        let ground = browser.run("return getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground == "rgb(17, 21, 27)", dark, "{name}: {ground}");
        browser.click("#unclean li:nth-child(3) .entry");
        if let Some(folder) = &folder {
            browser.screenshot(&folder.join(format!("page-{name}.png")));
        }
    }
}
