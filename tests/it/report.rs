//! Pages for people, as a browser shows them: every control is worked, and what goes wrong on the page is seen.
//!
//! **Invariant:** a page that says nothing of its test has failed it. Where there is no Chromium the tests of
//! controls say SKIPPED; what the pages hold is looked at all the same.

use crate::command::{passed, stormglass};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names under which Chromium is known.
const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// A screen on a desk, and one in a hand.
const WIDTHS: [u32; 2] = [1280, 360];
/// Bytes of a page at most.
const PAGE_MAX: u64 = 2_000_000;

/// A folder of a test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder for tests can be written");
    }
    fs::create_dir_all(&folder).expect("the folder for tests can be written");
    folder
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path)
        .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    if all.is_none() {
        println!("SKIPPED: there is no Chromium to work the controls of reports");
    }
    all
}

/// What came of a page's test of itself.
#[derive(Debug)]
struct Worked {
    /// What the page wrote; nothing where it did not come to that.
    result: Option<String>,
    /// What the browser printed of its console.
    console: Vec<String>,
}

impl Worked {
    fn is_green(&self) -> bool {
        let is_ok = |result: &String| result.starts_with("ok: ");
        self.console.is_empty() && self.result.as_ref().is_some_and(is_ok)
    }
}

/// Has a page work its controls in a window of this width.
fn work(browser: &Path, page: &Path, width: u32) -> Worked {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let profile = folder(&format!("browser-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let output = Command::new("timeout")
        .arg("120")
        .arg(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=20000"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={width},800"))
        .arg(format!("file://{}?selftest", page.display()))
        .output()
        .expect("there is `timeout`, and the browser starts");
    let (out, err) = (output.stdout, output.stderr);
    let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
    let result = out.split_once("<pre id=\"selftest\">").map(|(_, rest)| rest);
    let result = result.and_then(|rest| rest.split_once("</pre>"));
    let console = err.lines().filter(|line| line.contains(":CONSOLE"));
    let console = console.map(str::to_string).collect();
    let _ = fs::remove_dir_all(profile);
    Worked { result: result.map(|(result, _)| result.to_string()), console }
}

fn works(browser: &Path, page: &Path) {
    for width in WIDTHS {
        let worked = work(browser, page, width);
        assert!(worked.is_green(), "{} at {width}: {worked:#?}", page.display());
    }
}

/// A campaign that finds a planted defect, in a folder of its own, and its bundles. It is played once.
fn campaign(name: &str) -> (PathBuf, Vec<PathBuf>) {
    static PLAYED: OnceLock<PathBuf> = OnceLock::new();
    let only = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("a folder that can be read");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut folders: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
        folders.sort();
        folders
    };
    let played = PLAYED.get_or_init(|| {
        let out = folder("report-campaign");
        let words = ["campaign", "--seeds", "0..40", "--jobs", "2", "--quiet", "--out"];
        let defect = ["--defect", "replay-drops-blobs", "--protocol", "event-then-blobs"];
        let out_word = [out.to_str().expect("a path of plain letters")];
        let ran = stormglass(&[&words[..], &out_word, &defect].concat());
        assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
        only(&out).remove(0)
    });
    let own = folder(name).join(played.file_name().expect("a name"));
    copy(played, &own);
    let bundles = only(&own);
    assert!(!bundles.is_empty(), "nothing was found");
    (own, bundles)
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{} is copied", from.display());
}

fn report(folder: &Path) -> String {
    passed(&["report", folder.to_str().expect("a path of plain letters")]).trim().to_string()
}

/// Goal: what is found has a page that says it and works. Method: a campaign of a planted defect; its pages are
/// read, written again from their folders, and worked in a browser.
#[test]
fn a_campaign_and_its_bundles_have_pages_that_work() {
    let (folder, bundles) = campaign("report-pages");
    let page = text(&folder.join("report.html"));
    for bundle in &bundles {
        let path = bundle.join("report.html");
        let own = text(&path);
        let name = bundle.file_name().expect("a name").to_string_lossy();
        assert!(page.contains(&format!("href=\"{name}/report.html\"")), "no link to {name}");
        let outcome: Value =
            serde_json::from_str(&text(&bundle.join("outcome.json"))).expect("JSON");
        let signature = &outcome["signature"];
        for told in [&signature["place"], &signature["invariant"], &outcome["seed"]] {
            assert!(
                own.contains(told.as_str().expect("a text")),
                "{told} is not in {}",
                path.display()
            );
        }
        assert!(
            own.contains("state lost\">lost") || own.contains("class=\"state durable\">durable")
        );
        // From the same files the same page, wherever they lie.
        let copy = self::folder("report-copy").join(&*name);
        self::copy(bundle, &copy);
        fs::remove_file(copy.join("report.html")).expect("it was copied");
        assert_eq!(report(&copy), copy.join("report.html").display().to_string());
        assert_eq!(text(&copy.join("report.html")), own);
    }
    assert!(page.contains("runs a second on the whole"), "the lines of runs have no times");
    assert_eq!(report(&folder), folder.join("report.html").display().to_string());
    assert_eq!(text(&folder.join("report.html")), page);
    // A campaign that was killed has no summary, and a page all the same.
    fs::remove_file(folder.join("summary.json")).expect("it was written");
    report(&folder);
    assert!(text(&folder.join("report.html")).contains("there is no summary"));
    let Some(browser) = browser() else { return };
    works(&browser, &folder.join("report.html"));
    works(&browser, &bundles[0].join("report.html"));
}

/// Goal: the test of a page can fail. Method: a page whose button does nothing, one that complains, one whose
/// script does not run at all, one in which a control has no test.
#[test]
fn a_page_with_a_broken_control_is_red() {
    let (_, bundles) = campaign("report-red");
    let whole = text(&bundles[0].join("report.html"));
    let Some(browser) = browser() else { return };
    let path = folder("report-broken").join("report.html");
    let broken = |from: &str, to: &str| {
        assert_eq!(whole.matches(from).count(), 1, "{from}");
        fs::write(&path, whole.replace(from, to)).expect("the folder for tests can be written");
        work(&browser, &path, WIDTHS[0])
    };
    let idle = broken("press('zoom-in', () => zoom(2));", "press('zoom-in', () => {});");
    assert!(idle.result.as_ref().is_some_and(|told| told.contains("zoom-in: ")), "{idle:?}");
    let loud =
        broken("  fit();\n  // What a link", "  fit(); console.error('oh');\n  // What a link");
    assert!(!loud.is_green() && !loud.console.is_empty(), "{loud:?}");
    let dead = broken("'use strict';", "'use strict'; }");
    assert!(dead.result.is_none() && !dead.is_green(), "{dead:?}");
    let untested = broken("test('find', ", "test('no such control', ");
    assert!(
        untested.result.as_ref().is_some_and(|told| told.contains("find: has no test")),
        "{untested:?}"
    );
}

/// Goal: no value of a run can do anything to a page. Method: a bundle in which texts of every kind are markup,
/// control characters, or turn the order of letters, and one of which is very long.
#[test]
fn hostile_values_are_shown_and_nothing_more() {
    let (_, bundles) = campaign("report-hostile");
    let bundle = &bundles[0];
    let evil = "</script><script>console.error('ran')</script><img src=x onerror=console.error(1)>\
                \"'&amp;\u{202e}txt\u{0}\u{1b}[31m\u{2028}";
    let long = format!("{evil}{}", "x".repeat(3_000_000));
    let edit = |file: &str, change: &dyn Fn(&mut Value)| {
        let path = bundle.join(file);
        let old = text(&path);
        let lines = old.lines().map(|line| {
            let mut value: Value = serde_json::from_str(line).expect("a line of JSON");
            change(&mut value);
            format!("{value}\n")
        });
        fs::write(&path, lines.collect::<String>()).expect("a bundle can be written");
    };
    let outcome: Value = serde_json::from_str(&text(&bundle.join("outcome.json"))).expect("JSON");
    fs::write(bundle.join("outcome.json"), outcome.to_string()).expect("a bundle can be written");
    edit("outcome.json", &|outcome| {
        let found = &mut outcome["outcome"]["verdict"]["violated"];
        for name in ["subject", "expected", "place", "statement", "because"] {
            found[name] = json!(evil);
        }
        found["actual"] = json!(long);
        outcome["reproduce"] = json!(evil);
        outcome["signature"]["place"] = json!(evil);
    });
    edit("trace.jsonl", &|record| {
        for name in ["what", "label", "file", "effect", "ending"] {
            if record.get(name).is_some() {
                record[name] = json!(evil);
            }
        }
    });
    edit("crashes.json", &|crashes| {
        let tenants = crashes["end"]["state"]["tenants"].as_object_mut().expect("tenants");
        let mut tenant = tenants.remove("tenant-0").expect("the first tenant");
        let entities = tenant["entities"].as_object().cloned().unwrap_or_default();
        let renamed = entities.into_iter().map(|(name, entity)| (name + evil, entity));
        tenant["entities"] = Value::Object(renamed.collect());
        tenants.insert(evil.to_string(), tenant);
    });
    fs::write(bundle.join("story.txt"), format!("{evil}\n{long}\n"))
        .expect("a bundle can be written");
    report(bundle);
    let path = bundle.join("report.html");
    let page = text(&path);
    assert!(fs::metadata(&path).expect("a page").len() < PAGE_MAX);
    assert!(!page.contains("<script>") && !page.contains("<img"), "markup of a value");
    assert_eq!(page.matches("</script").count(), 2);
    let hidden = |letter: char| {
        letter.is_control() && letter != '\n' || ('\u{2028}'..='\u{202e}').contains(&letter)
    };
    assert_eq!(page.chars().find(|letter| hidden(*letter)), None);
    assert!(
        page.contains("\u{27e8}U+202E\u{27e9}txt\u{27e8}U+0000\u{27e9}"),
        "what is hidden is not told"
    );
    assert!(page.contains(&format!("({} bytes, xxh3 ", long.len())), "the long value is not told");
    let Some(browser) = browser() else { return };
    works(&browser, &path);
}

/// Goal: a long run has a page that can be opened. Method: a trace of many times the rows of a page.
#[test]
fn a_long_trace_is_thinned_and_says_so() {
    let (_, bundles) = campaign("report-long");
    let bundle = &bundles[0];
    let trace = text(&bundle.join("trace.jsonl"));
    let reads = trace.lines().find(|line| line.contains("\"read\"")).expect("something was read");
    let many = format!("{reads}\n").repeat(30_000);
    fs::write(bundle.join("trace.jsonl"), many + &trace).expect("a bundle can be written");
    let mut crashes: Value =
        serde_json::from_str(&text(&bundle.join("crashes.json"))).expect("JSON");
    let later = |count: &mut Value| *count = json!(count.as_u64().expect("a count") + 30_000);
    later(&mut crashes["record_count"]);
    for crash in crashes["crashes"].as_array_mut().expect("crashes") {
        later(&mut crash["record_count"]);
    }
    fs::write(bundle.join("crashes.json"), crashes.to_string()).expect("a bundle can be written");
    report(bundle);
    let path = bundle.join("report.html");
    assert!(fs::metadata(&path).expect("a page").len() < PAGE_MAX);
    assert!(text(&path).contains(" are left out, far from crashes and from the end"));
    let Some(browser) = browser() else { return };
    works(&browser, &path);
}

/// Goal: a damaged line is named by where it stands in its file.
#[test]
fn a_damaged_line_of_a_campaign_is_named() {
    let folder = folder("report-damaged");
    fs::create_dir_all(&folder).expect("the folder for tests can be written");
    let line = r#"{"seed":"0x1","scenario":"overflow","verdict":"passed","ops":1,"counts":{},"host_ms":1}"#;
    fs::write(folder.join("runs.jsonl"), format!("{line}\n{line}\n{{x\n"))
        .expect("the folder for tests can be written");
    let ran = stormglass(&["report", folder.to_str().expect("a path of plain letters")]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("runs.jsonl: line 3 column 2: key must be a string"), "{}", ran.err);
}

#[test]
fn a_folder_of_something_else_has_no_page() {
    let folder = folder("report-nothing");
    let ran = stormglass(&["report", folder.to_str().expect("a path of plain letters")]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("no folder of a campaign (runs.jsonl) or of a bundle (outcome.json)"),
        "{}",
        ran.err
    );
}
