//! The layers of the networks, and the only caller of what is broken in candle 0.11.
//!
//! candle's convolution, layer normalisation, softmax over the last axis, pooling and products with transposed inputs
//! return `Ok` with wrong values or wrong gradients; a test here checks every layer against finite differences. Tensors
//! are channels-last: `[batch, length, channels]`, as in Keras. Invariant: random numbers come from the [`Pass`].

mod kernels;
mod ops;
#[cfg(test)]
pub(in crate::model) mod tests;
mod token_kernels;
mod token_ops;
mod variables;

use candle_core::{D, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub use self::kernels::Mask;
pub use self::variables::{Builder, Initial, Source, Variables};
use super::ModelError;

/// The result of a tensor computation.
pub type Computed<T> = candle_core::Result<T>;

/// Whether a network learns or answers.
#[derive(Debug)]
pub enum Pass<'a> {
    /// Answers: running statistics, no dropout.
    Infer,
    /// Learns: the batch's own statistics; dropout by this generator.
    Train(&'a mut ChaCha8Rng),
    /// Moves the running statistics and nothing else: the batch's own statistics, no dropout.
    Settle,
}

impl Pass<'_> {
    /// Draws the mask of one dropout; `None` where nothing is dropped.
    pub fn mask(&mut self, rate: f64) -> Option<Mask> {
        match self {
            Self::Train(generator) if rate > 0.0 => Some(Mask::new(generator.next_u64(), rate)),
            _ => None,
        }
    }
}

/// Drops a share of the elements while learning and scales the others up to the same mean.
///
/// # Errors
/// The numeric library failed.
pub fn dropout(input: &Tensor, rate: f64, pass: &mut Pass<'_>) -> Computed<Tensor> {
    ops::drop_by(input, pass.mask(rate))
}

/// Computes softmax over the last axis.
///
/// # Errors
/// The numeric library failed.
pub fn softmax(input: &Tensor) -> Computed<Tensor> {
    candle_nn::ops::softmax(input, D::Minus1)
}

/// Mixes tokens by attention: queries, keys and values side by side, `[batch, tokens, 3 × width]`, to
/// `[batch, tokens, width]`; the heads share the width evenly.
///
/// # Errors
/// The heads do not divide the width.
pub fn attend(projected: &Tensor, heads: usize) -> Computed<Tensor> {
    token_ops::attend(projected, heads)
}

/// Computes ln(1 + eˣ) without overflow; its derivative is right at 0 too.
///
/// # Errors
/// The numeric library failed.
pub fn softplus(input: &Tensor) -> Computed<Tensor> {
    let magnitude = input.abs()?;
    ((input + &magnitude)? * 0.5)? + (magnitude.neg()?.exp()? + 1.0)?.log()?
}

/// Takes the maximum over windows of `[batch, length, channels]` along the length; the remainder is dropped.
///
/// # Errors
/// The window is 0 or longer than the input.
pub fn max_pool(input: &Tensor, window: usize) -> Computed<Tensor> {
    ops::max_pool(input, window)
}

/// Computes the mean of `[batch, length, channels]` over the length.
///
/// # Errors
/// The input has another rank.
pub fn average_pool(input: &Tensor) -> Computed<Tensor> {
    input.mean(1)
}

/// Computes the cosine similarity of the rows of two `[batch, width]` tensors: `[batch, 1]`, 0 for a zero vector.
///
/// # Errors
/// The shapes differ.
pub fn cosine_similarity(a: &Tensor, b: &Tensor) -> Computed<Tensor> {
    let norm = |x: &Tensor| (x.sqr()?.sum_keepdim(D::Minus1)? + 1e-6)?.sqrt();
    (a * b)?.sum_keepdim(D::Minus1)? / (norm(a)? * norm(b)?)?
}

/// A dense layer over the last axis.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[inputs, outputs]`.
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Builds the layer from `name.weight` and `name.bias` with Keras's starting values.
    ///
    /// # Errors
    /// A variable is missing or has another shape.
    pub fn build(builder: &mut Builder<'_>, name: &str, inputs: usize, outputs: usize) -> Result<Self, ModelError> {
        Self::build_with(builder, name, [inputs, outputs], [inputs, outputs])
    }

    /// Builds the layer with other fans than its shape's.
    ///
    /// # Errors
    /// A variable is missing or has another shape.
    pub fn build_with(
        builder: &mut Builder<'_>,
        name: &str,
        shape: [usize; 2],
        [fan_in, fan_out]: [usize; 2],
    ) -> Result<Self, ModelError> {
        let initial = Initial::GlorotUniform { fan_in, fan_out };
        let weight = builder.learned(&format!("{name}.weight"), &shape, initial)?;
        Ok(Self { weight, bias: builder.learned(&format!("{name}.bias"), &[shape[1]], Initial::Zeros)? })
    }

    /// Computes `input · weight + bias` over the last axis.
    ///
    /// # Errors
    /// The last axis has another length.
    pub fn forward(&self, input: &Tensor) -> Computed<Tensor> {
        self.apply(input, false)
    }

    /// Computes the positive part of `input · weight + bias` over the last axis.
    ///
    /// # Errors
    /// The last axis has another length.
    pub fn forward_relu(&self, input: &Tensor) -> Computed<Tensor> {
        self.apply(input, true)
    }

    fn apply(&self, input: &Tensor, relu: bool) -> Computed<Tensor> {
        // A convolution of one tap: candle multiplies a batch of transposed views with a shared weight wrongly.
        if input.rank() == 3 {
            return ops::convolve(input, &self.weight, &self.bias, 1, relu);
        }
        let (inputs, outputs) = self.weight.dims2()?;
        let rows = input.contiguous()?.reshape((1, (), inputs))?;
        let mut shape = input.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = outputs;
        }
        ops::convolve(&rows, &self.weight, &self.bias, 1, relu)?.reshape(shape)
    }
}

/// A stride-1 convolution over the length with Keras's 'same' padding.
#[derive(Debug, Clone)]
pub struct Conv1d {
    /// `[taps × inputs, outputs]`.
    weight: Tensor,
    bias: Tensor,
    taps: usize,
}

impl Conv1d {
    /// Builds the layer from `name.weight` and `name.bias` with Keras's starting values.
    ///
    /// # Errors
    /// A variable is missing or has another shape.
    pub fn build(builder: &mut Builder<'_>, name: &str, channels: [usize; 2], taps: usize) -> Result<Self, ModelError> {
        let [inputs, outputs] = channels;
        let fans = [taps * inputs, taps * outputs];
        let Linear { weight, bias } = Linear::build_with(builder, name, [taps * inputs, outputs], fans)?;
        Ok(Self { weight, bias, taps })
    }

    /// Convolves `[batch, length, inputs]` to `[batch, length, outputs]`.
    ///
    /// # Errors
    /// The input has another number of channels.
    pub fn forward(&self, input: &Tensor) -> Computed<Tensor> {
        ops::convolve(input, &self.weight, &self.bias, self.taps, false)
    }

    /// Convolves, then takes the positive part.
    ///
    /// # Errors
    /// The input has another number of channels.
    pub fn forward_relu(&self, input: &Tensor) -> Computed<Tensor> {
        ops::convolve(input, &self.weight, &self.bias, self.taps, true)
    }

    /// For one tap and as many outputs as inputs: adds the convolution of `scale · input + shift` to that value
    /// itself; without `affine`, of the input.
    ///
    /// # Errors
    /// The layer has more than one tap or other channels.
    pub fn forward_residual(&self, input: &Tensor, affine: Option<&(Tensor, Tensor)>) -> Computed<Tensor> {
        // The sum is one convolution by the weight plus the identity, which also takes in the affine map.
        let identity = Tensor::eye(self.weight.dim(0)?, self.weight.dtype(), self.weight.device())?;
        let weight = (&self.weight + identity)?;
        let Some((scale, shift)) = affine else {
            return ops::convolve(input, &weight, &self.bias, self.taps, false);
        };
        let bias = (shift.unsqueeze(0)?.matmul(&weight)?.squeeze(0)? + &self.bias)?;
        ops::convolve(input, &weight.broadcast_mul(&scale.unsqueeze(1)?)?, &bias, self.taps, false)
    }
}

/// Normalisation over the last axis.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    gamma: Tensor,
    beta: Tensor,
}

impl LayerNorm {
    const EPSILON: f64 = 1e-6;

    /// Builds the layer from `name.gamma` and `name.beta`.
    ///
    /// # Errors
    /// A variable is missing or has another shape.
    pub fn build(builder: &mut Builder<'_>, name: &str, width: usize) -> Result<Self, ModelError> {
        let gamma = builder.learned(&format!("{name}.gamma"), &[width], Initial::Ones)?;
        Ok(Self { gamma, beta: builder.learned(&format!("{name}.beta"), &[width], Initial::Zeros)? })
    }

    /// Normalises every vector along the last axis.
    ///
    /// # Errors
    /// The last axis has another length.
    pub fn forward(&self, input: &Tensor) -> Computed<Tensor> {
        token_ops::layer_norm(input, &self.gamma, &self.beta, Self::EPSILON)
    }
}

/// Normalisation by channel, over the batch while learning and by running statistics afterwards.
#[derive(Debug, Clone)]
pub struct BatchNorm {
    gamma: Tensor,
    beta: Tensor,
    mean: Var,
    variance: Var,
}

impl BatchNorm {
    const EPSILON: f64 = 1e-3;

    /// Builds the layer from `name.gamma`, `name.beta`, `name.running_mean` and `name.running_variance`.
    ///
    /// # Errors
    /// A variable is missing or has another shape.
    pub fn build(builder: &mut Builder<'_>, name: &str, channels: usize) -> Result<Self, ModelError> {
        Ok(Self {
            gamma: builder.learned(&format!("{name}.gamma"), &[channels], Initial::Ones)?,
            beta: builder.learned(&format!("{name}.beta"), &[channels], Initial::Zeros)?,
            mean: builder.statistic(&format!("{name}.running_mean"), channels, Initial::Zeros)?,
            variance: builder.statistic(&format!("{name}.running_variance"), channels, Initial::Ones)?,
        })
    }

    /// Normalises `[.., channels]` by the batch's moments, drops by the mask, and moves the running statistics, of which
    /// the share `momentum` stays.
    ///
    /// # Errors
    /// The last axis has another length.
    pub fn forward_train(&self, input: &Tensor, mask: Option<Mask>, momentum: f64) -> Computed<Tensor> {
        let normalised = ops::normalise(input, &self.gamma, &self.beta, Self::EPSILON, mask)?;
        let moved =
            |old: &Var, new: &Tensor| old.set(&((old.as_tensor().detach() * momentum)? + (new * (1.0 - momentum))?)?);
        moved(&self.mean, &normalised.mean)?;
        moved(&self.variance, &normalised.variance)?;
        Ok(normalised.out)
    }

    /// Returns the scale and the shift by channel that normalisation by the running statistics comes down to.
    ///
    /// # Errors
    /// The numeric library failed.
    pub fn affine(&self) -> Computed<(Tensor, Tensor)> {
        let deviation = (self.variance.as_tensor().detach() + Self::EPSILON)?.sqrt()?;
        let scale = (&self.gamma / deviation)?;
        let shift = (&self.beta - (self.mean.as_tensor().detach() * &scale)?)?;
        Ok((scale, shift))
    }
}
