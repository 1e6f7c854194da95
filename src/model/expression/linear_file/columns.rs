//! Columns of a safetensors file: one-dimensional tensors, little-endian, each checked for its type and length.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{WEIGHTS_FILE, fault};
use crate::model::ModelError;

/// Makes the error of a column.
pub(super) fn wrong(name: &str, reason: impl Into<String>) -> ModelError {
    ModelError::Tensor { name: name.to_owned(), reason: reason.into() }
}

/// Texts end to end, with where each starts and the last one ends.
pub(super) struct Texts<'a> {
    offsets: Vec<u32>,
    bytes: std::borrow::Cow<'a, str>,
}

impl Texts<'_> {
    /// Puts texts end to end; they are ASCII or come from a `String`.
    pub(super) fn of(texts: impl Iterator<Item = Vec<u8>>) -> Result<Self, ModelError> {
        let (mut offsets, mut bytes) = (vec![0], Vec::new());
        for text in texts {
            bytes.extend_from_slice(&text);
            let end = u32::try_from(bytes.len()).map_err(|_| fault(WEIGHTS_FILE, "has more than 4 GiB of text"))?;
            offsets.push(end);
        }
        let bytes = String::from_utf8(bytes).map_err(|error| fault(WEIGHTS_FILE, error.to_string()))?;
        Ok(Self { offsets, bytes: bytes.into() })
    }

    /// Returns a text; the reader has checked the offsets.
    pub(super) fn get(&self, row: usize) -> &str {
        let (start, end) = (self.offsets.get(row).copied(), self.offsets.get(row + 1).copied());
        start.zip(end).and_then(|(start, end)| self.bytes.get(start as usize..end as usize)).unwrap_or_default()
    }
}

/// Gathers columns.
#[derive(Default)]
pub(super) struct Writer {
    columns: Vec<(String, Dtype, usize, Vec<u8>)>,
}

impl Writer {
    fn add(&mut self, name: &str, dtype: Dtype, length: usize, bytes: Vec<u8>) {
        self.columns.push((name.to_owned(), dtype, length, bytes));
    }

    pub(super) fn u8(&mut self, name: &str, values: Vec<u8>) {
        self.add(name, Dtype::U8, values.len(), values);
    }

    pub(super) fn u16(&mut self, name: &str, values: &[u16]) {
        self.add(name, Dtype::U16, values.len(), values.iter().flat_map(|x| x.to_le_bytes()).collect());
    }

    pub(super) fn u32(&mut self, name: &str, values: &[u32]) {
        self.add(name, Dtype::U32, values.len(), values.iter().flat_map(|x| x.to_le_bytes()).collect());
    }

    pub(super) fn f32(&mut self, name: &str, values: &[f32]) {
        self.add(name, Dtype::F32, values.len(), values.iter().flat_map(|x| x.to_le_bytes()).collect());
    }

    pub(super) fn f64(&mut self, name: &str, values: &[f64]) {
        self.add(name, Dtype::F64, values.len(), values.iter().flat_map(|x| x.to_le_bytes()).collect());
    }

    pub(super) fn texts(&mut self, name: &str, texts: Texts<'_>) {
        self.u32(&format!("{name}_offsets"), &texts.offsets);
        self.u8(&format!("{name}_bytes"), texts.bytes.into_owned().into_bytes());
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, ModelError> {
        let failed = |error: safetensors::SafeTensorError| fault(WEIGHTS_FILE, error.to_string());
        let mut views = Vec::with_capacity(self.columns.len());
        for (name, dtype, length, bytes) in &self.columns {
            views.push((name.as_str(), TensorView::new(*dtype, vec![*length], bytes).map_err(failed)?));
        }
        safetensors::serialize(views, None).map_err(failed)
    }
}

/// Reads columns.
pub(super) struct Reader<'a> {
    tensors: SafeTensors<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| fault(WEIGHTS_FILE, error.to_string()))?;
        Ok(Self { tensors })
    }

    fn column(&self, name: &str, dtype: Dtype, length: Option<usize>) -> Result<&'a [u8], ModelError> {
        let tensor = self.tensors.tensor(name).map_err(|_| wrong(name, "is missing"))?;
        if tensor.dtype() != dtype {
            return Err(wrong(name, format!("is of type {:?}, not {dtype:?}", tensor.dtype())));
        }
        match (tensor.shape(), length) {
            ([_], None) => Ok(tensor.data()),
            ([found], Some(length)) if *found == length => Ok(tensor.data()),
            (shape, _) => Err(wrong(name, format!("has shape {shape:?}, which does not fit the genes' rows"))),
        }
    }

    fn numbers<const N: usize, T>(
        &self,
        name: &str,
        (dtype, of): (Dtype, fn([u8; N]) -> T),
        length: Option<usize>,
    ) -> Result<Vec<T>, ModelError> {
        let (numbers, _) = self.column(name, dtype, length)?.as_chunks::<N>();
        Ok(numbers.iter().map(|bytes| of(*bytes)).collect())
    }

    pub(super) fn u8(&self, name: &str, length: Option<usize>) -> Result<&'a [u8], ModelError> {
        self.column(name, Dtype::U8, length)
    }

    pub(super) fn u16(&self, name: &str, length: usize) -> Result<Vec<u16>, ModelError> {
        self.numbers(name, (Dtype::U16, u16::from_le_bytes), Some(length))
    }

    pub(super) fn u32(&self, name: &str, length: Option<usize>) -> Result<Vec<u32>, ModelError> {
        self.numbers(name, (Dtype::U32, u32::from_le_bytes), length)
    }

    pub(super) fn f32(&self, name: &str, length: usize) -> Result<Vec<f32>, ModelError> {
        self.numbers(name, (Dtype::F32, f32::from_le_bytes), Some(length))
    }

    pub(super) fn f64(&self, name: &str, length: usize) -> Result<Vec<f64>, ModelError> {
        self.numbers(name, (Dtype::F64, f64::from_le_bytes), Some(length))
    }

    pub(super) fn texts(&self, name: &str, count: usize) -> Result<Texts<'a>, ModelError> {
        let (of_offsets, of_bytes) = (format!("{name}_offsets"), format!("{name}_bytes"));
        let rows = count.checked_add(1).ok_or_else(|| wrong(&of_offsets, "has too many rows"))?;
        let offsets = self.u32(&of_offsets, Some(rows))?;
        let bytes =
            std::str::from_utf8(self.u8(&of_bytes, None)?).map_err(|error| wrong(&of_bytes, error.to_string()))?;
        let fits = offsets.first() == Some(&0)
            && offsets.is_sorted()
            && offsets.last().is_some_and(|last| *last as usize == bytes.len())
            && offsets.iter().all(|offset| bytes.is_char_boundary(*offset as usize));
        if !fits {
            return Err(wrong(&of_offsets, format!("does not fit {of_bytes}")));
        }
        Ok(Texts { offsets, bytes: bytes.into() })
    }
}
