//! Named variables of a network: made by a seed or read from a safetensors buffer, never mixed up.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor, Var};

use crate::model::ModelError;

/// How a variable starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Uniform within ± sqrt(6 / (fan in + fan out)), as Keras does.
    GlorotUniform {
        /// Inputs of one output.
        fan_in: usize,
        /// Outputs of one input.
        fan_out: usize,
    },
}

/// Gives a new variable its first values: name, shape, rule.
pub type Source<'a> = dyn FnMut(&str, &[usize], Initial) -> Result<Tensor, ModelError> + 'a;

/// A network's variables by name.
#[derive(Debug, Clone)]
pub struct Variables {
    by_name: BTreeMap<String, Var>,
    /// Those that are measured during training instead of learned.
    statistics: BTreeSet<String>,
    device: Device,
    dtype: DType,
}

impl Variables {
    /// Builds an empty set.
    #[must_use]
    pub fn new(dtype: DType, device: &Device) -> Self {
        Self { by_name: BTreeMap::new(), statistics: BTreeSet::new(), device: device.clone(), dtype }
    }

    /// Reads a safetensors buffer; half-precision tensors are widened.
    ///
    /// # Errors
    /// The buffer is not safetensors.
    pub fn from_bytes(bytes: &[u8], dtype: DType, device: &Device) -> Result<Self, ModelError> {
        let mut variables = Self::new(dtype, device);
        for (name, tensor) in candle_core::safetensors::load_buffer(bytes, device)? {
            if !tensor.dtype().is_float() {
                return Err(broken(&name, format!("holds {:?}, not floats", tensor.dtype())));
            }
            variables.by_name.insert(name, Var::from_tensor(&tensor.to_dtype(dtype)?)?);
        }
        Ok(variables)
    }

    /// Writes a safetensors buffer in the given precision, `F32` or `F16`.
    ///
    /// # Errors
    /// A tensor cannot be converted, or the file format refuses it.
    pub fn to_bytes(&self, dtype: DType) -> Result<Vec<u8>, ModelError> {
        let convert = |(name, var): (&String, &Var)| -> Result<_, ModelError> {
            Ok((name.clone(), var.as_tensor().detach().to_dtype(dtype)?))
        };
        let tensors = self.by_name.iter().map(convert).collect::<Result<BTreeMap<_, _>, _>>()?;
        safetensors::serialize(&tensors, None).map_err(|source| ModelError::Numeric(source.into()))
    }

    /// Returns the learned variables by name.
    pub fn learned(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.by_name.iter().filter(|(name, _)| !self.statistics.contains(*name)).map(|(name, var)| (name.as_str(), var))
    }

    /// Returns every variable by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.by_name.iter().map(|(name, var)| (name.as_str(), var))
    }

    /// Checks that every number is finite.
    ///
    /// # Errors
    /// One is not; the error names its variable.
    pub fn require_finite(&self) -> Result<(), ModelError> {
        for (name, var) in &self.by_name {
            let values = var.as_tensor().detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
            if !values.iter().all(|value| value.is_finite()) {
                return Err(broken(name, "holds a number that is not finite"));
            }
        }
        Ok(())
    }

    /// Returns how many numbers the variables hold.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.by_name.values().map(|var| var.elem_count()).sum()
    }

    /// Returns the device of the variables.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the float type of the variables.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

fn broken(name: &str, reason: impl Into<String>) -> ModelError {
    ModelError::Tensor { name: name.to_owned(), reason: reason.into() }
}

/// Hands variables to the layers of a network that is being put together.
pub struct Builder<'a> {
    variables: Variables,
    /// Where new variables come from; `None` where all must be there already.
    source: Option<&'a mut Source<'a>>,
    used: BTreeSet<String>,
    tracked: bool,
}

impl<'a> Builder<'a> {
    /// Builds a network of new variables that gradients reach.
    pub fn new(dtype: DType, device: &Device, source: &'a mut Source<'a>) -> Self {
        Self { variables: Variables::new(dtype, device), source: Some(source), used: BTreeSet::new(), tracked: true }
    }

    /// Builds a network on existing variables; it shares their storage and keeps no graph of its operations.
    #[must_use]
    pub fn frozen(variables: Variables) -> Self {
        Self { variables, source: None, used: BTreeSet::new(), tracked: false }
    }

    /// Returns the learned variable of this name as a layer sees it.
    pub(in crate::model) fn learned(
        &mut self,
        name: &str,
        shape: &[usize],
        initial: Initial,
    ) -> Result<Tensor, ModelError> {
        let var = self.take(name, shape, initial)?;
        Ok(if self.tracked { var.as_tensor().clone() } else { var.as_tensor().detach() })
    }

    /// Returns the measured variable of this name.
    pub(in crate::model) fn statistic(&mut self, name: &str, size: usize, initial: Initial) -> Result<Var, ModelError> {
        self.variables.statistics.insert(name.to_owned());
        self.take(name, &[size], initial)
    }

    fn take(&mut self, name: &str, shape: &[usize], initial: Initial) -> Result<Var, ModelError> {
        if !self.used.insert(name.to_owned()) {
            return Err(broken(name, "is asked for twice"));
        }
        if let Some(source) = &mut self.source {
            let tensor = source(name, shape, initial)?.to_device(&self.variables.device)?;
            let var = Var::from_tensor(&tensor.to_dtype(self.variables.dtype)?)?;
            self.variables.by_name.insert(name.to_owned(), var);
        }
        let var = self.variables.by_name.get(name).ok_or_else(|| broken(name, "is missing"))?;
        if var.dims() == shape {
            Ok(var.clone())
        } else {
            Err(broken(name, format!("has the shape {:?}, not {shape:?}", var.dims())))
        }
    }

    /// Returns the variables.
    ///
    /// # Errors
    /// A variable belongs to no layer.
    pub fn finish(self) -> Result<Variables, ModelError> {
        match self.variables.by_name.keys().find(|name| !self.used.contains(*name)) {
            Some(name) => Err(broken(name, "belongs to no layer of this network")),
            None => Ok(self.variables),
        }
    }
}
