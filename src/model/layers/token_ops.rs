//! Attention and layer normalisation as candle operations, and in candle's own operations for other devices.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, D, DType, Error, Layout, Result, Shape, Tensor, WithDType};

use super::ops::{float_of, slice, with_float, with_slice};
use super::token_kernels::{self, Attention};

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let name = self.name();
        let shape = Shape::from((layout.dims()[0], self.tokens, self.width));
        with_float!(float_of(input), name, T => {
            Ok((T::to_cpu_storage_owned(self.forward::<T>(slice(input, layout, name)?)), shape))
        })
    }

    fn bwd(&self, input: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (name, gradient) = (self.name(), gradient.contiguous()?);
        with_float!(input.dtype(), name, T => with_slice::<T, _>(input, name, |x| {
            with_slice::<T, _>(&gradient, name, |dy| {
                Tensor::from_vec(self.backward(x, dy), input.dims(), input.device()).map(Some)
            })
        }))
    }
}

/// Mixes values by attention: `[batch, tokens, 3 × width]` of queries, keys and values to `[batch, tokens, width]`.
pub(super) fn attend(input: &Tensor, heads: usize) -> Result<Tensor> {
    let (_, tokens, parts) = input.dims3()?;
    if heads == 0 || !parts.is_multiple_of(3 * heads) {
        candle_core::bail!("{heads} heads do not share {parts} columns of queries, keys and values evenly");
    }
    let op = Attention { tokens, width: parts / 3, heads };
    if input.device().is_cpu() { input.contiguous()?.apply_op1(op) } else { attend_portable(input, op) }
}

/// The same in candle's own operations.
pub(super) fn attend_portable(input: &Tensor, op: Attention) -> Result<Tensor> {
    let batch = input.dim(0)?;
    let parts = input.contiguous()?.reshape((batch, op.tokens, 3, op.heads, op.head()))?;
    let part = |index: usize| parts.narrow(2, index, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
    let scores = (part(0)? * op.scale())?.matmul(&part(1)?.transpose(2, 3)?.contiguous()?)?;
    let mixed = super::softmax(&scores)?.matmul(&part(2)?)?;
    mixed.transpose(1, 2)?.contiguous()?.reshape((batch, op.tokens, op.width))
}

struct Normalisation {
    epsilon: f64,
}

impl CustomOp3 for Normalisation {
    fn name(&self) -> &'static str {
        "layer-normalisation"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = self.name();
        with_float!(float_of(input), name, T => {
            let out = token_kernels::layer_norm::<T>(
                slice(input, layout, name)?,
                slice(gamma, gamma_layout, name)?,
                slice(beta, beta_layout, name)?,
                self.epsilon,
            );
            Ok((T::to_cpu_storage_owned(out), layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        gamma: &Tensor,
        _beta: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (name, gradient) = (self.name(), gradient.contiguous()?);
        with_float!(input.dtype(), name, T => with_slice::<T, _>(input, name, |x| {
            with_slice::<T, _>(gamma, name, |g| {
                with_slice::<T, _>(&gradient, name, |dy| {
                    let (dx, dg, db) = token_kernels::layer_norm_backward(x, g, dy, self.epsilon);
                    let of = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.dims(), input.device());
                    Ok((Some(of(dx, input)?), Some(of(dg, gamma)?), Some(of(db, gamma)?)))
                })
            })
        }))
    }
}

/// Normalises every vector along the last axis.
pub(super) fn layer_norm(input: &Tensor, gamma: &Tensor, beta: &Tensor, epsilon: f64) -> Result<Tensor> {
    if input.dim(D::Minus1)? != gamma.elem_count() {
        candle_core::bail!("vectors of {:?} have not the width {}", input.dims(), gamma.elem_count());
    }
    if input.device().is_cpu() {
        input.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, Normalisation { epsilon })
    } else {
        layer_norm_portable(input, gamma, beta, epsilon)
    }
}

/// The same in candle's own operations.
pub(super) fn layer_norm_portable(input: &Tensor, gamma: &Tensor, beta: &Tensor, epsilon: f64) -> Result<Tensor> {
    let centred = input.broadcast_sub(&input.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
    centred.broadcast_div(&deviation)?.broadcast_mul(gamma)?.broadcast_add(beta)
}
