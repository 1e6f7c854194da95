//! How models of both kinds are listed: a table a kind for people, one array for programs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::expression::ServedGenotypeModel;
use crate::model::registry::{Loaded, LoadedModel};
use crate::model::shelf::label;

/// Lists models as JSON: digest, card, and whether the name alone means the version; a genotype model's card says so by
/// its `kind`.
///
/// # Errors
/// A card cannot be written as JSON.
pub(super) fn json(models: &[Loaded], defaults: &BTreeSet<String>) -> serde_json::Result<String> {
    let is_default = |name: &str, version: &str| defaults.contains(&label(name, version));
    let one = |model: &Loaded| match model {
        Loaded::Profile(LoadedModel { card, digest, .. }) => {
            let is_default = is_default(&card.name, &card.version);
            serde_json::json!({"digest": digest, "is_default": is_default, "card": card})
        }
        Loaded::Genotype(ServedGenotypeModel { card, digest, .. }) => {
            let is_default = is_default(&card.name, &card.version);
            serde_json::json!({"digest": digest, "is_default": is_default, "card": card})
        }
    };
    serde_json::to_string_pretty(&models.iter().map(one).collect::<Vec<_>>())
}

/// Lists models as aligned columns; a star stands behind the versions that names alone mean.
pub(super) fn text(models: &[Loaded], defaults: &BTreeSet<String>) -> String {
    let mut text = String::new();
    let (mut profiles, mut genotypes) = (Vec::new(), Vec::new());
    for model in models {
        match model {
            Loaded::Profile(model) => profiles.push(model),
            Loaded::Genotype(model) => genotypes.push(model),
        }
    }
    let name = |models: &[&str]| models.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(24);
    let width = name(&genotypes.iter().map(|model| model.card.name.as_str()).collect::<Vec<_>>());
    let written = match (profiles.is_empty(), genotypes.is_empty()) {
        (false, true) => write_profiles(&mut text, &profiles, defaults),
        (true, false) => write_genotypes(&mut text, &genotypes, width, defaults),
        (true, true) => Ok(()),
        (false, false) => write_profiles(&mut text, &profiles, defaults)
            .and_then(|()| text.write_char('\n'))
            .and_then(|()| write_genotypes(&mut text, &genotypes, width, defaults)),
    };
    // Writing into a text cannot fail.
    debug_assert!(written.is_ok());
    text
}

/// The version as a table shows it.
fn shown(name: &str, version: &str, defaults: &BTreeSet<String>) -> String {
    let mark = if defaults.contains(&label(name, version)) { "*" } else { " " };
    format!("{version}{mark}")
}

fn write_profiles(text: &mut String, models: &[&LoadedModel], defaults: &BTreeSet<String>) -> std::fmt::Result {
    writeln!(text, "{:<24} {:>7}  {:<28} {:>7} {:>12}  digest", "name", "version", "method", "tissues", "mean 1 - r")?;
    for LoadedModel { card, digest, .. } in models {
        let own = card.accuracy.iter().find(|a| a.method == card.method && a.scale == card.scale);
        let error = own.map_or_else(|| "-".to_owned(), |a| format!("{:.3}", a.mean_error));
        let (name, method, tissues) = (&card.name, &card.method, card.tissues.len());
        let version = shown(name, &card.version, defaults);
        writeln!(text, "{name:<24} {version:>8} {method:<28} {tissues:>7} {error:>12}  {digest}")?;
    }
    Ok(())
}

fn write_genotypes(
    text: &mut String,
    models: &[&ServedGenotypeModel],
    width: usize,
    defaults: &BTreeSet<String>,
) -> std::fmt::Result {
    writeln!(
        text,
        "{:<width$} {:>7}  {:<10} {:>7} {:>8}  {:<28} {:<18} digest",
        "name", "version", "method", "genes", "weights", "tissue", "assembly"
    )?;
    for ServedGenotypeModel { card, digest, .. } in models {
        let lifted = card.liftover.as_ref().map(|lifted| format!(" + {}", lifted.assembly)).unwrap_or_default();
        let assembly = format!("{}{lifted}", card.assembly.as_deref().unwrap_or("-"));
        writeln!(
            text,
            "{:<width$} {:>8} {:<10} {:>7} {:>8}  {:<28} {assembly:<18} {digest}",
            card.name,
            shown(&card.name, &card.version, defaults),
            card.method,
            card.genes,
            card.weights,
            card.tissue.as_deref().unwrap_or("-"),
        )?;
    }
    Ok(())
}
