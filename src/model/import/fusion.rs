//! FUSION's weights as a table: `gene chr snp pos_hg19 a1_effect a2` and a column of weights a method, and the table of
//! models that may lie beside it: `gene … cv_r2_<method>`.

use std::collections::HashMap;

use super::draft::{Draft, Row, accuracy};
use super::table::Table;
use super::{Format, ImportError};
use crate::genome::Assembly;
use crate::model::expression::GeneAccuracy;
use crate::reference::source::Source;

/// The columns that are no weights.
const OWN: [&str; 8] = ["gene", "chr", "snp", "pos", "pos_hg19", "pos_hg38", "a1_effect", "a2"];
/// The column that is taken where none is asked for.
const PREFERRED: &str = "enet";

/// Reads a table of weights; `wanted` names the column of weights.
///
/// # Errors
/// The table cannot be read, columns are missing, or the column of weights is not clear.
pub fn read(source: Source, wanted: Option<&str>, models: Option<Source>) -> Result<Draft, ImportError> {
    let table = Table::open(source, |words| words.iter().any(|word| word.eq_ignore_ascii_case("a1_effect")))?;
    let [gene, chromosome, snp, effect, other] = table.require(["gene", "chr", "snp", "a1_effect", "a2"])?;
    let columns: Vec<String> =
        table.headings.iter().filter(|name| !OWN.contains(&name.to_ascii_lowercase().as_str())).cloned().collect();
    let chosen = choose(&columns, wanted)?;
    let weight = table.require([&chosen])?[0];
    let mut draft = Draft::new(Format::Fusion, false);
    let places = [("pos_hg19", Some("GRCh37")), ("pos_hg38", Some("GRCh38")), ("pos", None)];
    let mut position = None;
    for (name, assembly) in places {
        let Some(index) = table.find(&[name]) else { continue };
        position = Some(index);
        draft.assembly = assembly.and_then(|assembly| Assembly::parse(assembly).ok());
        break;
    }
    table.each(|row| {
        draft.add(Row {
            gene: row.text(gene),
            id: row.text(snp),
            place: position.map(|position| (row.text(chromosome), row.text(position))),
            other: row.text(other),
            effect: row.text(effect),
            weight: row.number(weight, &chosen)?,
            frequency: None,
        })
    })?;
    draft.note(format!("weights are those of the column {chosen}"));
    if let Some(models) = models {
        describe(&mut draft, models, &chosen)?;
    } else {
        draft.note("no table of models was given beside the weights: the genes have no accuracy".to_owned());
    }
    Ok(draft)
}

fn choose(columns: &[String], wanted: Option<&str>) -> Result<String, ImportError> {
    let find = |name: &str| columns.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned();
    match (wanted, columns) {
        (Some(wanted), _) => find(wanted)
            .ok_or_else(|| ImportError::NoSuchWeights { wanted: wanted.to_owned(), found: columns.to_vec() }),
        (None, [only]) => Ok(only.clone()),
        (None, _) => find(PREFERRED).ok_or_else(|| ImportError::SeveralWeights(columns.to_vec())),
    }
}

/// Reads the accuracy of the chosen method.
fn describe(draft: &mut Draft, models: Source, chosen: &str) -> Result<(), ImportError> {
    let table = Table::open(models, |words| words.contains(&"gene"))?;
    let [gene] = table.require(["gene"])?;
    let column = format!("cv_r2_{chosen}");
    let Some(r2) = table.find(&[&column]) else {
        draft.note(format!("the table of models has no column {column}: the genes have no accuracy"));
        return Ok(());
    };
    let mut accuracies: HashMap<String, Option<GeneAccuracy>> = HashMap::new();
    table.each(|row| {
        // Cross-validated R² is a little below 0 where the model predicts worse than the mean.
        let found = accuracy(row.number(r2, &column)?, -1.0, None, None, "cross-validation");
        accuracies.insert(row.text(gene).to_owned(), found);
        Ok(())
    })?;
    let listed = accuracies.len();
    let used = accuracies.into_iter().filter(|(name, found)| draft.describe(name, None, None, found.clone())).count();
    if used < listed {
        draft.note(format!("{} genes of the table of models have no weight in {chosen}", listed - used));
    }
    if used < draft.genes() {
        draft.note(format!("{} genes with weights are not in the table of models", draft.genes() - used));
    }
    Ok(())
}
