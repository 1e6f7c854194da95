//! The administrator's guide says what is true: every flag, default, metric, problem and test that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tissuecast::http::problem::Kind;

use crate::binary::succeed;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn guide() -> String {
    fs::read_to_string(root().join("docs/administration.md")).unwrap()
}

/// The texts between back quotes, outside of fenced code.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 0 {
            found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The flags that a text names, without their values.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2).map(str::to_owned).collect()
}

/// Every function that a test file or a unit test defines, and every script.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(path).unwrap();
                names.extend(text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()).map(str::to_owned));
            }
        }
    }
    names
}

#[test]
fn every_test_that_the_guide_names_is_there() {
    let functions = functions();
    let mut named = 0;
    for bracket in
        guide().split('[').skip(1).filter_map(|rest| rest.split(']').next()).filter(|text| text.starts_with('`'))
    {
        for name in quoted(bracket) {
            named += 1;
            let is_script = name.starts_with("tests/") && Path::new(&root().join(&name)).is_file();
            assert!(is_script || functions.contains(&name), "the guide names {name}, which is not there");
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn every_flag_of_the_guide_exists_and_every_limit_is_in_its_table() {
    let folder = tempfile::tempdir().unwrap();
    let help = succeed(folder.path(), &["serve", "--help"]);
    let keys = succeed(folder.path(), &["keys", "create", "--help"]);
    let models = succeed(folder.path(), &["models", "--help"]);
    let known: BTreeSet<String> = [&help, &keys, &models].into_iter().flat_map(|text| flags(text)).collect();
    let guide = guide();
    let own = |text: &&String| text.starts_with("--") || text.contains("tissuecast ") || text.starts_with("models ");
    for flag in quoted(&guide).iter().filter(own).flat_map(|text| flags(text)) {
        assert!(known.contains(&flag), "the guide names {flag}, which no command has");
    }
    let rows: Vec<Vec<&str>> = guide
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| flags(row[1])).collect();
    for row in &rows {
        let (flag, default) = (row[1].trim_matches('`'), row[2].split(' ').next().unwrap());
        let told = help.split(&format!("{flag} <")).nth(1).unwrap_or_else(|| panic!("{flag} takes no value"));
        let told = told.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
        assert_eq!(told, Some(default), "the default of {flag}");
    }
    // Whatever bounds something is in the table.
    let bounds = |flag: &&String| {
        let words = ["--max-", "--min-", "-seconds", "-per-minute", "-per-day", "-genes", "-mib", "predictions"];
        words.iter().any(|word| flag.contains(word)) && **flag != "--poll-seconds"
    };
    for flag in flags(&help).iter().filter(bounds) {
        assert!(listed.contains(flag), "{flag} is not in the guide's table of limits");
    }
}

#[test]
fn every_problem_and_metric_of_the_guide_exists() {
    let guide = guide();
    let problems: BTreeSet<&str> =
        Kind::ALL.iter().map(|kind| kind.describe().0.trim_start_matches("/problems/")).collect();
    let table = guide.lines().filter(|line| line.starts_with("| `--"));
    for problem in table.flat_map(|line| quoted(line.rsplit('|').nth(1).unwrap_or_default())) {
        let is_kind =
            problem.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !problem.starts_with('-');
        assert!(!is_kind || problems.contains(problem.as_str()), "the guide names the problem {problem}");
    }
    let metrics = fs::read_to_string(root().join("src/telemetry/metrics.rs")).unwrap();
    let mut named = 0;
    for name in quoted(&guide).iter().filter(|name| name.starts_with("tissuecast_") && name.len() > 11) {
        named += 1;
        let bare = name.split('{').next().unwrap();
        let stem = bare.trim_start_matches("tissuecast_");
        let suffixes = ["", "_total", "_seconds", "_bytes"];
        let known = suffixes.iter().any(|end| metrics.contains(&format!("\"{}\"", stem.trim_end_matches(end))));
        assert!(known || metrics.contains(&format!("\"{bare}\"")), "the guide names the metric {name}");
    }
    assert!(named > 10, "{named}");
}
