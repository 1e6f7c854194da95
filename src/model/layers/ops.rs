//! The kernels as candle operations with their own gradients, and the same in candle's own operations for other devices.
//!
//! candle's convolution, pooling and normalisation give wrong gradients without an error; see the tests of `layers`.

use candle_core::{CpuStorage, CustomOp1, CustomOp3, DType, Error, Layout, Result, Shape, Storage, Tensor, WithDType};

use super::kernels::{self, Convolution, Mask, Pooling, Real};

/// Runs a body with `T` as the float type.
macro_rules! with_float {
    ($dtype:expr, $name:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err(Error::UnsupportedDTypeForOp(other, $name)),
        }
    };
}
pub(super) use with_float;

/// Returns a contiguous tensor's elements.
pub(super) fn slice<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout, op: &'static str) -> Result<&'a [T]> {
    let (start, end) = layout.contiguous_offsets().ok_or(Error::RequiresContiguous { op })?;
    Ok(&T::cpu_storage_as_slice(storage)?[start..end])
}

/// Runs a body over the elements of a contiguous tensor on the CPU.
pub(super) fn with_slice<T: WithDType, R>(
    tensor: &Tensor,
    op: &'static str,
    body: impl FnOnce(&[T]) -> Result<R>,
) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => body(slice(storage, layout, op)?),
        _ => Err(Error::Msg(format!("{op} runs on the CPU only"))),
    }
}

/// Returns the element type of a storage.
pub(super) fn float_of(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage as _;
    storage.dtype()
}

impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = self.name();
        let shape = Shape::from((self.batch, self.length, self.outputs));
        with_float!(float_of(input), name, T => {
            let out = self.forward::<T>(
                slice(input, input_layout, name)?,
                slice(weight, weight_layout, name)?,
                slice(bias, bias_layout, name)?,
            );
            Ok((T::to_cpu_storage_owned(out), shape))
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (name, device, gradient) = (self.name(), input.device(), gradient.contiguous()?);
        with_float!(input.dtype(), name, T => with_slice::<T, _>(input, name, |x| {
            with_slice::<T, _>(weight, name, |w| {
                with_slice::<T, _>(out, name, |y| {
                    with_slice::<T, _>(&gradient, name, |dy| {
                        let gradients = self.backward(x, w, (y, dy), input.track_op());
                        let dx = gradients.input.map(|dx| Tensor::from_vec(dx, input.dims(), device)).transpose()?;
                        let dw = Tensor::from_vec(gradients.weight, weight.dims(), device)?;
                        Ok((dx, Some(dw), Some(Tensor::from_vec(gradients.bias, self.outputs, device)?)))
                    })
                })
            })
        }))
    }
}

/// Convolves `[batch, length, inputs]` with a kernel `[taps × inputs, outputs]`, 'same' padding, stride 1.
pub(super) fn convolve(input: &Tensor, weight: &Tensor, bias: &Tensor, taps: usize, relu: bool) -> Result<Tensor> {
    let (batch, length, inputs) = input.dims3()?;
    let (window, outputs) = weight.dims2()?;
    if window != taps * inputs || bias.dims() != [outputs] {
        candle_core::bail!("a kernel of {taps} taps over {inputs} channels has not the shape {:?}", weight.dims());
    }
    let op = Convolution { batch, length, inputs, outputs, kernel: taps, relu };
    if input.device().is_cpu() {
        input.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)
    } else {
        convolve_portable(input, weight, bias, op)
    }
}

/// The same by padding, narrowing and one matrix product.
pub(super) fn convolve_portable(input: &Tensor, weight: &Tensor, bias: &Tensor, op: Convolution) -> Result<Tensor> {
    let padded = input.contiguous()?.pad_with_zeros(1, op.left(), op.right())?;
    let taps = (0..op.kernel).map(|tap| padded.narrow(1, tap, op.length)).collect::<Result<Vec<_>>>()?;
    let windows = Tensor::cat(&taps, 2)?.reshape((op.batch * op.length, op.kernel * op.inputs))?;
    let out = windows.matmul(weight)?.broadcast_add(bias)?.reshape((op.batch, op.length, op.outputs))?;
    if op.relu { out.relu() } else { Ok(out) }
}

/// Batch normalisation by the batch's own moments, then dropout.
struct Normalisation {
    mean: Vec<f64>,
    variance: Vec<f64>,
    epsilon: f64,
    mask: Option<Mask>,
}

impl Normalisation {
    fn moments<T: Real>(&self) -> (Vec<T>, Vec<T>) {
        let inverse = self.variance.iter().map(|variance| T::from_wide(1.0 / (variance + self.epsilon).sqrt()));
        (self.mean.iter().map(|mean| T::from_wide(*mean)).collect(), inverse.collect())
    }
}

impl CustomOp3 for Normalisation {
    fn name(&self) -> &'static str {
        "batch-normalisation"
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
            let (mean, inverse) = self.moments::<T>();
            let gamma = slice::<T>(gamma, gamma_layout, name)?;
            let scale: Vec<T> = gamma.iter().zip(&inverse).map(|(gamma, inverse)| gamma * inverse).collect();
            let beta = slice::<T>(beta, beta_layout, name)?;
            let shift: Vec<T> = beta.iter().zip(mean.iter().zip(&scale)).map(|(b, (mean, s))| b - mean * s).collect();
            let out = kernels::affine(slice(input, layout, name)?, &scale, &shift, self.mask);
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
        let (name, device, gradient) = (self.name(), input.device(), gradient.contiguous()?);
        with_float!(input.dtype(), name, T => with_slice::<T, _>(input, name, |x| {
            with_slice::<T, _>(gamma, name, |g| {
                with_slice::<T, _>(&gradient, name, |dy| {
                    let (mean, inverse) = self.moments::<T>();
                    let (dx, dg, db) = kernels::normalise_backward(x, g, (&mean, &inverse), dy, self.mask);
                    let of = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.dims(), device);
                    Ok((Some(of(dx, input)?), Some(of(dg, gamma)?), Some(of(db, gamma)?)))
                })
            })
        }))
    }
}

/// What batch normalisation made of a batch: the output, and the batch's mean and biased variance by channel.
pub(super) struct Normalised {
    pub(super) out: Tensor,
    pub(super) mean: Tensor,
    pub(super) variance: Tensor,
}

/// Normalises `[.., channels]` by its own moments over all other axes, then drops by the mask.
pub(super) fn normalise(
    input: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    mask: Option<Mask>,
) -> Result<Normalised> {
    if !input.device().is_cpu() {
        return normalise_portable(input, gamma, beta, epsilon, mask);
    }
    let (input, channels) = (input.contiguous()?, gamma.elem_count());
    let (mean, variance) = with_float!(input.dtype(), "batch-normalisation", T => {
        with_slice::<T, _>(&input, "batch-normalisation", |x| Ok(kernels::moments(x, channels)))
    })?;
    let tensor = |values: &[f64]| Tensor::from_slice(values, channels, input.device())?.to_dtype(input.dtype());
    let (mean_tensor, variance_tensor) = (tensor(&mean)?, tensor(&variance)?);
    let op = Normalisation { mean, variance, epsilon, mask };
    let out = input.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?;
    Ok(Normalised { out, mean: mean_tensor, variance: variance_tensor })
}

/// The same in candle's own operations.
pub(super) fn normalise_portable(
    input: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    mask: Option<Mask>,
) -> Result<Normalised> {
    let rows = input.contiguous()?.reshape(((), gamma.elem_count()))?;
    let mean = rows.mean_keepdim(0)?;
    let centred = rows.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim(0)?;
    let normal = centred.broadcast_div(&(&variance + epsilon)?.sqrt()?)?;
    let out = normal.broadcast_mul(gamma)?.broadcast_add(beta)?.reshape(input.shape())?;
    let flat = |tensor: Tensor| tensor.flatten_all().map(|tensor| tensor.detach());
    Ok(Normalised { out: drop_by(&out, mask)?, mean: flat(mean)?, variance: flat(variance)? })
}

/// Multiplies by a mask of zeros and the survivors' scale.
pub(super) fn drop_by(input: &Tensor, mask: Option<Mask>) -> Result<Tensor> {
    let Some(mask) = mask else { return Ok(input.clone()) };
    let factors = with_float!(input.dtype(), "dropout", T => {
        let mut factors = vec![<T as Real>::from_wide(1.0); input.elem_count()];
        mask.apply(0, &mut factors);
        Tensor::from_vec(factors, input.dims(), input.device())
    })?;
    input * factors
}

impl CustomOp1 for Pooling {
    fn name(&self) -> &'static str {
        "max-pooling"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let name = self.name();
        let shape = Shape::from((layout.dims()[0], self.length / self.window, self.channels));
        with_float!(float_of(input), name, T => {
            Ok((T::to_cpu_storage_owned(self.forward::<T>(slice(input, layout, name)?)), shape))
        })
    }

    fn bwd(&self, input: &Tensor, out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (name, gradient) = (self.name(), gradient.contiguous()?);
        with_float!(input.dtype(), name, T => with_slice::<T, _>(input, name, |x| {
            with_slice::<T, _>(out, name, |y| {
                with_slice::<T, _>(&gradient, name, |dy| {
                    Tensor::from_vec(self.backward(x, y, dy), input.dims(), input.device()).map(Some)
                })
            })
        }))
    }
}

/// Takes the maximum over windows of `[batch, length, channels]` along the length; drops the remainder.
pub(super) fn max_pool(input: &Tensor, window: usize) -> Result<Tensor> {
    let (_, length, channels) = input.dims3()?;
    if window == 0 || window > length {
        candle_core::bail!("a pooling window of {window} does not fit a length of {length}");
    }
    if input.device().is_cpu() {
        input.contiguous()?.apply_op1(Pooling { length, channels, window })
    } else {
        max_pool_portable(input, window)
    }
}

/// The same by a reshape and candle's maximum over one axis.
pub(super) fn max_pool_portable(input: &Tensor, window: usize) -> Result<Tensor> {
    let (batch, length, channels) = input.dims3()?;
    let whole = input.narrow(1, 0, length / window * window)?.contiguous()?;
    whole.reshape((batch, length / window, window, channels))?.max(2)
}
