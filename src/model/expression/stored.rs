//! From the files of a genotype model's folder to the model, by the method that its card names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::golden::GenotypeGolden;
use super::linear::LINEAR;
use super::network::{ANNOTATED_CNN, ANNOTATED_ELASTIC_NET, ELASTIC_NET, SCALED_CNN, SELECTED};
use super::{GenotypeCard, GenotypeModel, linear_file, network_file};
use crate::model::ModelError;
use crate::model::golden::FILE as GOLDEN_FILE;

/// Builds the model, and checks it against its card and its golden sample.
///
/// # Errors
/// The method is not known, a file does not fit it, or the golden sample comes out otherwise.
pub fn build(card: &GenotypeCard, files: &BTreeMap<String, Vec<u8>>) -> Result<Arc<dyn GenotypeModel>, ModelError> {
    let fault = |file: &str, reason: String| ModelError::File { file: file.to_owned(), reason };
    let model: Arc<dyn GenotypeModel> = match card.method.as_str() {
        LINEAR => Arc::new(linear_file::load(files)?),
        ELASTIC_NET | ANNOTATED_ELASTIC_NET | SCALED_CNN | ANNOTATED_CNN | SELECTED => {
            Arc::new(network_file::load(files)?)
        }
        unknown => return Err(fault("manifest.json", format!("names the unknown method '{unknown}'"))),
    };
    let table = model.variants();
    let name = |assembly: Option<&crate::genome::Assembly>| assembly.map(|assembly| assembly.as_str().to_owned());
    let fits = card.genes == model.genes().len()
        && card.weights == table.rows.len()
        && card.has_frequencies == table.rows.iter().any(|row| row.frequency.is_some())
        && card.assembly == name(table.assembly.as_ref())
        && card.liftover.as_ref().map(|lifted| lifted.assembly.clone())
            == name(table.lifted.as_ref().map(|lifted| &lifted.assembly));
    if !fits {
        return Err(fault("manifest.json", "does not describe the weights beside it".to_owned()));
    }
    let golden = files.get(GOLDEN_FILE).ok_or_else(|| fault(GOLDEN_FILE, "is not in the manifest".to_owned()))?;
    let golden: GenotypeGolden =
        serde_json::from_slice(golden).map_err(|error| fault(GOLDEN_FILE, error.to_string()))?;
    golden.check(&*model)?;
    Ok(model)
}
