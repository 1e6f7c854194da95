//! The files of a model of networks: those of its additive part, and `networks.safetensors.gz` with the encoders.
//!
//! Encoders are kept in half precision, gene after gene. Invariant: what loads is what was stored, for numbers that
//! half precision holds; a file that was altered is an error and never a panic.

use std::collections::BTreeMap;

use half::f16;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::GenotypeModel;
use super::linear_file::{self, pack, packed, unpacked};
use super::network::{Encoder, GenotypeNetwork};
use crate::model::ModelError;
use crate::model::scaled_cnn::Layout;

/// The file of the encoders.
pub const NETWORKS_FILE: &str = "networks.safetensors.gz";

fn fault(reason: impl Into<String>) -> ModelError {
    ModelError::File { file: NETWORKS_FILE.to_owned(), reason: reason.into() }
}

/// Writes a model as the files of its folder.
///
/// # Errors
/// The additive part cannot be written, or the library fails.
pub fn store(model: &GenotypeNetwork) -> Result<BTreeMap<String, Vec<u8>>, ModelError> {
    let mut files = pack(linear_file::store(model.additive())?)?;
    let (mut members, mut numbers, mut deviations, mut units) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for encoder in model.encoders() {
        members.push(encoder.as_ref().map_or(0, |encoder| encoder.members as u8));
        let Some(encoder) = encoder else { continue };
        numbers.extend(encoder.parameters.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
        units.extend(encoder.unit.to_le_bytes());
        deviations.extend(encoder.deviations.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()));
    }
    let view =
        |dtype, length: usize, bytes| TensorView::new(dtype, vec![length], bytes).map_err(|e| fault(e.to_string()));
    let tensors = [
        ("deviation", view(Dtype::F16, deviations.len() / 2, &deviations)?),
        ("members", view(Dtype::U8, members.len(), &members)?),
        ("numbers", view(Dtype::F16, numbers.len() / 2, &numbers)?),
        ("unit", view(Dtype::F32, units.len() / 4, &units)?),
    ];
    let bytes = safetensors::serialize(tensors, None).map_err(|error| fault(error.to_string()))?;
    files.insert(NETWORKS_FILE.to_owned(), packed(&bytes, NETWORKS_FILE)?);
    Ok(files)
}

/// Reads a model from the files of its folder.
///
/// # Errors
/// A file is missing, or anything in it is not what [`store`] writes.
pub fn load(files: &BTreeMap<String, Vec<u8>>) -> Result<GenotypeNetwork, ModelError> {
    let additive = linear_file::load(files)?;
    let bytes = unpacked(files, NETWORKS_FILE)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| fault(error.to_string()))?;
    let tensor = |name: &str, dtype: Dtype| {
        let tensor = tensors.tensor(name).map_err(|error| fault(error.to_string()))?;
        if tensor.dtype() == dtype && tensor.shape().len() == 1 {
            Ok(tensor.data())
        } else {
            Err(fault(format!("tensor '{name}' has another type or shape")))
        }
    };
    let halves = |name: &str| -> Result<Vec<f32>, ModelError> {
        let bytes = tensor(name, Dtype::F16)?;
        Ok(bytes.chunks_exact(2).map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32()).collect())
    };
    let members = tensor("members", Dtype::U8)?;
    let (numbers, deviations) = (halves("numbers")?, halves("deviation")?);
    let (mut numbers, mut deviations) = (numbers.as_slice(), deviations.as_slice());
    let units = tensor("unit", Dtype::F32)?;
    let mut units = units.chunks_exact(4).map(|own| f32::from_le_bytes([own[0], own[1], own[2], own[3]]));
    let mut encoders = Vec::with_capacity(members.len());
    for (gene, members) in additive.genes().iter().zip(members) {
        if *members == 0 {
            encoders.push(None);
            continue;
        }
        let members = usize::from(*members);
        let size = members * Layout::of_variants(gene.rows.len()).parameters();
        let short = || fault(format!("ends before gene {}", gene.name));
        let (own, rest) = numbers.split_at_checked(size).ok_or_else(short)?;
        let (own_deviations, rest_deviations) = deviations.split_at_checked(gene.rows.len()).ok_or_else(short)?;
        let unit = units.next().ok_or_else(short)?;
        encoders.push(Some(Encoder { parameters: own.to_vec(), members, deviations: own_deviations.to_vec(), unit }));
        (numbers, deviations) = (rest, rest_deviations);
    }
    if !numbers.is_empty() || !deviations.is_empty() || units.next().is_some() {
        return Err(fault("has more numbers than the genes"));
    }
    GenotypeNetwork::new(additive, encoders)
}
