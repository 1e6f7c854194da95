//! Who may name whom: reads the sources and fails on a name that a layer must not know.

use std::fs;
use std::path::{Path, PathBuf};

/// Layer (file or folder under `src`) and the crates that it must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("access", &["axum", "sqlx", "tokio", "candle_core", "candle_nn"]),
    ("genome", &["axum", "sqlx", "tokio", "candle_core", "candle_nn"]),
    ("genotype", &["axum", "sqlx", "tokio", "candle_core", "candle_nn"]),
    ("reference", &["axum", "sqlx", "tokio", "candle_core", "candle_nn"]),
    ("prediction", &["axum", "sqlx", "tokio", "candle_core", "candle_nn"]),
    ("completion", &["axum", "sqlx", "tokio", "candle_core", "candle_nn"]),
    ("simulate", &["axum", "sqlx", "tokio", "candle_core", "candle_nn"]),
    ("model", &["axum", "sqlx", "tokio"]),
    ("training", &["axum", "sqlx", "tokio"]),
    ("evaluation", &["axum", "sqlx", "tokio"]),
    ("inference", &["axum", "sqlx", "candle_core", "candle_nn"]),
    ("store", &["axum", "candle_core", "candle_nn"]),
    ("http", &["sqlx", "candle_core", "candle_nn"]),
    ("web", &["sqlx", "candle_core", "candle_nn"]),
];

/// Layer and the crate's own modules that it must not name: arrows point one way only.
const UPWARD: &[(&str, &[&str])] = &[
    (
        "access",
        &["genome", "genotype", "reference", "model", "prediction", "training", "store", "inference", "http", "serve"],
    ),
    (
        "genome",
        &[
            "genotype",
            "reference",
            "model",
            "prediction",
            "training",
            "evaluation",
            "store",
            "inference",
            "completion",
            "http",
            "web",
            "serve",
            "cli",
        ],
    ),
    (
        "genotype",
        &[
            "reference",
            "model",
            "prediction",
            "training",
            "evaluation",
            "store",
            "inference",
            "completion",
            "http",
            "web",
            "serve",
            "cli",
        ],
    ),
    (
        "reference",
        &[
            "genotype",
            "model",
            "prediction",
            "training",
            "evaluation",
            "store",
            "inference",
            "completion",
            "http",
            "web",
            "serve",
            "cli",
        ],
    ),
    ("store", &["completion", "prediction", "training", "evaluation", "inference", "http", "web", "serve", "cli"]),
    (
        "model",
        &["completion", "prediction", "training", "evaluation", "store", "inference", "http", "web", "serve", "cli"],
    ),
    (
        "prediction",
        &["completion", "reference", "training", "evaluation", "store", "inference", "http", "web", "serve", "cli"],
    ),
    ("training", &["completion", "prediction", "store", "inference", "http", "web", "serve", "cli"]),
    ("evaluation", &["completion", "prediction", "store", "inference", "http", "web", "serve", "cli"]),
    ("inference", &["completion", "prediction", "training", "evaluation", "store", "http", "web", "serve", "cli"]),
    ("completion", &["prediction", "training", "evaluation", "store", "inference", "http", "web", "serve", "cli"]),
    ("http", &["store", "training", "serve", "cli"]),
    ("web", &["store", "training", "serve", "cli"]),
];

/// The only files that may call candle's convolutions, norms, pools, softmax and dropout.
const TRAPS: &[&str] = &["conv1d(", "softmax_last_dim", "max_pool2d", "avg_pool2d", "conv_transpose1d"];

fn sources(layer: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join(format!("{layer}.rs"))];
    let mut folders = vec![src.join(layer)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The lines that are code: comments and documentation may speak of anything.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.to_owned()));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).collect()
}

/// Whether `line` uses the path `name::` or imports `name`.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = &line[at + name.len()..];
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_') && (after.starts_with("::") || after.starts_with(';'))
    })
}

#[test]
fn no_layer_names_what_it_must_not_know() {
    let mut faults = Vec::new();
    for (layer, crates) in FORBIDDEN {
        let files = sources(layer);
        assert!(!files.is_empty(), "layer {layer} has no source: mend this test's table");
        for file in files {
            for (number, line) in code(&file) {
                for name in crates.iter().filter(|name| names(&line, name)) {
                    faults.push(format!("{}:{number} names {name}", file.display()));
                }
            }
        }
    }
    for (layer, modules) in UPWARD {
        // A file of tests may set its layer up with what stands above it.
        for file in sources(layer).into_iter().filter(|file| !file.ends_with("tests.rs")) {
            for (number, line) in code(&file) {
                for module in modules.iter().filter(|module| line.contains(&format!("crate::{module}"))) {
                    let exact = names(&line, &format!("crate::{module}"));
                    if exact {
                        faults.push(format!("{}:{number} names crate::{module}", file.display()));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_layers_module_calls_candles_traps() {
    let mut faults = Vec::new();
    for layer in ["model", "training", "evaluation"] {
        for file in sources(layer) {
            let path = file.display().to_string();
            if path.ends_with("layers.rs") || path.contains("/layers/") {
                continue;
            }
            for (number, line) in code(&file) {
                for trap in TRAPS.iter().filter(|trap| line.contains(**trap)) {
                    faults.push(format!("{path}:{number} calls {trap}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn names_are_whole_words() {
    assert!(names("use sqlx::AnyPool;", "sqlx"));
    assert!(names("use crate::http::Problem;", "crate::http"));
    assert!(!names("let my_sqlx::x", "sqlx"));
    assert!(!names("use crate::httpd::x", "crate::http"));
}
