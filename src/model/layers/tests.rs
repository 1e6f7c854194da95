//! Every layer against finite differences, hand-computed values, and its other forms.

use candle_core::{DType, Device};
use rand::{RngExt, SeedableRng};

use super::kernels::Convolution;
use super::token_kernels::Attention;
use super::*;

/// Returns a variable of uniform numbers from −1 to 1.
pub(in crate::model) fn noise(seed: u64, shape: &[usize]) -> Var {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| generator.random_range(-1.0..1.0)).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Asserts that `backward` agrees with central differences along two random directions of every variable, in f64.
pub(in crate::model) fn assert_gradients(variables: &[(&str, &Var)], mut output: impl FnMut() -> Tensor) {
    let first = output();
    let weights = noise(99, first.dims()).as_tensor().detach();
    let mut loss = || (output() * &weights).unwrap().sum_all().unwrap();
    let number = |tensor: Tensor| tensor.sum_all().unwrap().to_scalar::<f64>().unwrap();
    let gradients = loss().backward().unwrap();
    for (name, var) in variables {
        let gradient = gradients.get(var).unwrap_or_else(|| panic!("no gradient reaches {name}"));
        let start = var.as_tensor().detach().copy().unwrap();
        for seed in [7, 8] {
            let direction = noise(seed, var.dims()).as_tensor().detach();
            let step = 1e-6;
            let mut at = |shift: f64| {
                var.set(&(&start + (&direction * shift).unwrap()).unwrap()).unwrap();
                number(loss())
            };
            let numeric = (at(step) - at(-step)) / (2.0 * step);
            at(0.0);
            let exact = number((gradient * &direction).unwrap());
            assert!(numeric.abs() > 1e-7, "{name} has no influence at all");
            assert!((numeric - exact).abs() < 1e-5 * numeric.abs() + 1e-7, "{name}: {exact}, by differences {numeric}");
        }
    }
}

fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64) {
    assert_eq!(a.dims(), b.dims());
    let flat = |tensor: &Tensor| -> Vec<f64> {
        tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    for (a, b) in flat(a).iter().zip(flat(b)) {
        assert!((a - b).abs() < tolerance, "{a} is not {b}");
    }
}

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

/// Asserts that two ways of computing agree in value and in the gradient of every variable.
fn assert_same(variables: &[&Var], one: impl Fn() -> Tensor, other: impl Fn() -> Tensor) {
    assert_close(&one(), &other(), 1e-12);
    let weights = noise(98, one().dims());
    let gradients = |out: Tensor| (out * weights.as_tensor().detach()).unwrap().sum_all().unwrap().backward().unwrap();
    let (a, b) = (gradients(one()), gradients(other()));
    for var in variables {
        assert_close(a.get(var).unwrap(), b.get(var).unwrap(), 1e-10);
    }
}

#[test]
fn even_kernels_are_padded_as_keras_does() {
    // Four taps: one zero before, two behind. Input 1, 2, 3; the kernel weighs its taps 1, 10, 100, 1000.
    let out = ops::convolve(
        &tensor(&[1.0, 2.0, 3.0], &[1, 3, 1]),
        &tensor(&[1.0, 10.0, 100.0, 1000.0], &[4, 1]),
        &tensor(&[0.5], &[1]),
        4,
        false,
    );
    assert_close(&out.unwrap(), &tensor(&[3210.5, 321.5, 32.5], &[1, 3, 1]), 1e-9);
}

#[test]
fn convolution_has_right_gradients() {
    for (batch, length, inputs, outputs, taps, relu) in
        [(2, 5, 2, 3, 4, false), (1, 3, 1, 1, 8, true), (19, 11, 6, 7, 3, true), (3, 9, 7, 6, 1, false)]
    {
        let input = noise(1, &[batch, length, inputs]);
        let (weight, bias) = (noise(2, &[taps * inputs, outputs]), noise(3, &[outputs]));
        let run = || ops::convolve(&input, &weight, &bias, taps, relu).unwrap();
        assert_gradients(&[("input", &input), ("weight", &weight), ("bias", &bias)], run);
        let op = Convolution { batch, length, inputs, outputs, kernel: taps, relu };
        assert_same(&[&input, &weight, &bias], run, || ops::convolve_portable(&input, &weight, &bias, op).unwrap());
    }
}

#[test]
fn residual_convolution_takes_in_an_affine_map() {
    let layer =
        Conv1d { weight: noise(1, &[3, 3]).as_tensor().clone(), bias: noise(2, &[3]).as_tensor().clone(), taps: 1 };
    let (input, scale, shift) = (noise(3, &[2, 4, 3]), noise(4, &[3]), noise(5, &[3]));
    let mapped = input.broadcast_mul(&scale).unwrap().broadcast_add(&shift).unwrap();
    let expected = (layer.forward(&mapped).unwrap() + &mapped).unwrap();
    assert_close(&layer.forward_residual(&mapped, None).unwrap(), &expected, 1e-12);
    let affine = (scale.as_tensor().clone(), shift.as_tensor().clone());
    assert_close(&layer.forward_residual(&input, Some(&affine)).unwrap(), &expected, 1e-12);
}

#[test]
fn batch_norm_has_right_gradients_with_dropout() {
    let (input, gamma, beta) = (noise(1, &[5, 70, 3]), noise(2, &[3]), noise(3, &[3]));
    for mask in [None, Some(Mask::new(11, 0.4))] {
        let run = || ops::normalise(&input, &gamma, &beta, 1e-3, mask).unwrap().out;
        assert_gradients(&[("input", &input), ("gamma", &gamma), ("beta", &beta)], run);
        assert_same(&[&input, &gamma, &beta], run, || {
            ops::normalise_portable(&input, &gamma, &beta, 1e-3, mask).unwrap().out
        });
    }
}

#[test]
fn batch_norm_moves_its_statistics_and_answers_by_them() {
    let var = |values: &[f64]| Var::from_tensor(&tensor(values, &[values.len()])).unwrap();
    let (gamma, beta) = (tensor(&[2.0], &[1]), tensor(&[1.0], &[1]));
    let norm = BatchNorm { gamma, beta, mean: var(&[0.0]), variance: var(&[1.0]) };
    // Mean 3, biased variance 4.
    let out = norm.forward_train(&tensor(&[1.0, 5.0], &[2, 1, 1]), None, 0.99).unwrap();
    let high = 1.0 + 2.0 * 2.0 / 4.001f64.sqrt();
    assert_close(&out, &tensor(&[2.0 - high, high], &[2, 1, 1]), 1e-12);
    assert_close(norm.mean.as_tensor(), &tensor(&[0.03], &[1]), 1e-12);
    assert_close(norm.variance.as_tensor(), &tensor(&[0.99 + 0.04], &[1]), 1e-12);
    let (scale, shift) = norm.affine().unwrap();
    let expected = 2.0 / 1.031f64.sqrt();
    assert_close(&scale, &tensor(&[expected], &[1]), 1e-12);
    assert_close(&shift, &tensor(&[1.0 - 0.03 * expected], &[1]), 1e-12);
}

#[test]
fn max_pool_drops_the_remainder_and_has_right_gradients() {
    let out = max_pool(&tensor(&[1.0, 4.0, 3.0, 2.0, 9.0], &[1, 5, 1]), 2).unwrap();
    assert_close(&out, &tensor(&[4.0, 3.0], &[1, 2, 1]), 1e-12);
    let input = noise(1, &[3, 11, 2]);
    assert_gradients(&[("input", &input)], || max_pool(&input, 4).unwrap());
    assert_same(&[&input], || max_pool(&input, 4).unwrap(), || ops::max_pool_portable(&input, 4).unwrap());
    assert!(max_pool(&input, 12).is_err());
}

#[test]
fn a_tie_in_a_window_has_one_gradient() {
    let input = Var::from_tensor(&tensor(&[7.0, 7.0], &[1, 2, 1])).unwrap();
    let gradients = max_pool(&input, 2).unwrap().sum_all().unwrap().backward().unwrap();
    assert_close(gradients.get(&input).unwrap(), &tensor(&[1.0, 0.0], &[1, 2, 1]), 1e-12);
}

#[test]
fn dense_layer_norm_and_pooling_have_right_gradients() {
    let (input, gamma, beta) = (noise(1, &[2, 3, 4]), noise(2, &[4]), noise(3, &[4]));
    let norm = LayerNorm { gamma: gamma.as_tensor().clone(), beta: beta.as_tensor().clone() };
    let all = [("input", &input), ("gamma", &gamma), ("beta", &beta)];
    assert_gradients(&all, || norm.forward(&input).unwrap());
    let (weight, bias) = (noise(4, &[4, 5]), noise(5, &[5]));
    let dense = Linear { weight: weight.as_tensor().clone(), bias: bias.as_tensor().clone() };
    let all = [("input", &input), ("weight", &weight), ("bias", &bias)];
    assert_gradients(&all, || dense.forward(&input).unwrap());
    assert_gradients(&[("input", &input)], || average_pool(&input).unwrap());
    assert_gradients(&[("input", &input)], || softmax(&input).unwrap());
    assert_gradients(&[("input", &input)], || softplus(&input).unwrap());
    let mask = Some(Mask::new(3, 0.5));
    assert_gradients(&[("input", &input)], || ops::drop_by(&input, mask).unwrap());
    let (a, b) = (noise(6, &[3, 4]), noise(7, &[3, 4]));
    assert_gradients(&[("a", &a), ("b", &b)], || cosine_similarity(&a, &b).unwrap());
}

#[test]
fn attention_and_layer_norm_have_right_gradients() {
    for (batch, tokens, width, heads) in [(2, 3, 4, 2), (3, 7, 24, 3), (1, 9, 7, 1)] {
        let input = noise(1, &[batch, tokens, 3 * width]);
        assert_gradients(&[("input", &input)], || attend(&input, heads).unwrap());
        let op = Attention { tokens, width, heads };
        assert_same(&[&input], || attend(&input, heads).unwrap(), || token_ops::attend_portable(&input, op).unwrap());
    }
    let (input, gamma, beta) = (noise(1, &[3, 100, 4]), noise(2, &[4]), noise(3, &[4]));
    assert_same(
        &[&input, &gamma, &beta],
        || token_ops::layer_norm(&input, &gamma, &beta, 1e-6).unwrap(),
        || token_ops::layer_norm_portable(&input, &gamma, &beta, 1e-6).unwrap(),
    );
}

#[test]
fn attention_by_hand() {
    // One head of width 1: queries 0 and ln 3, keys 0 and 1, values 8 and 4.
    let input = tensor(&[0.0, 0.0, 8.0, 3f64.ln(), 1.0, 4.0], &[1, 2, 3]);
    // The first token looks at both alike; the second gives 1/4 and 3/4.
    assert_close(&attend(&input, 1).unwrap(), &tensor(&[6.0, 5.0], &[1, 2, 1]), 1e-12);
    assert!(attend(&input, 2).is_err());
}

#[test]
fn hand_computed_values() {
    let norm = LayerNorm { gamma: tensor(&[2.0, 2.0], &[2]), beta: tensor(&[1.0, 1.0], &[2]) };
    let high = 2.0 / 1.000_001f64.sqrt();
    let out = norm.forward(&tensor(&[1.0, 3.0], &[1, 2])).unwrap();
    assert_close(&out, &tensor(&[1.0 - high, 1.0 + high], &[1, 2]), 1e-12);
    let half = softmax(&tensor(&[0.0, 3f64.ln()], &[1, 2])).unwrap();
    assert_close(&half, &tensor(&[0.25, 0.75], &[1, 2]), 1e-12);
    let extremes = softplus(&tensor(&[-800.0, 0.0, 800.0], &[3])).unwrap();
    assert_close(&extremes, &tensor(&[0.0, 2f64.ln(), 800.0], &[3]), 1e-12);
    let zero = Var::from_tensor(&tensor(&[0.0], &[1])).unwrap();
    let gradients = softplus(&zero).unwrap().backward().unwrap();
    assert_close(gradients.get(&zero).unwrap(), &tensor(&[0.5], &[1]), 1e-12);
    let cosine = cosine_similarity(&tensor(&[3.0, 4.0, 0.0, 0.0], &[2, 2]), &tensor(&[4.0, 3.0, 1.0, 1.0], &[2, 2]));
    assert_close(&cosine.unwrap(), &tensor(&[0.96, 0.0], &[2, 1]), 1e-6);
}

type Layer<'a> = Box<dyn Fn(&Tensor) -> Computed<Tensor> + 'a>;

#[test]
fn strided_inputs_give_what_contiguous_ones_give() {
    let wide = noise(1, &[3, 8, 6]);
    let strided = wide.transpose(1, 2).unwrap().narrow(1, 1, 4).unwrap();
    let whole = strided.contiguous().unwrap();
    let dense = Linear { weight: noise(2, &[8, 5]).as_tensor().clone(), bias: noise(3, &[5]).as_tensor().clone() };
    let norm = LayerNorm { gamma: noise(4, &[8]).as_tensor().clone(), beta: noise(5, &[8]).as_tensor().clone() };
    let conv =
        Conv1d { weight: noise(6, &[24, 5]).as_tensor().clone(), bias: noise(7, &[5]).as_tensor().clone(), taps: 3 };
    let layers: [(&str, Layer<'_>); 9] = [
        ("dense", Box::new(|x| dense.forward(x))),
        ("layer norm", Box::new(|x| norm.forward(x))),
        ("convolution", Box::new(|x| conv.forward_relu(x))),
        ("max pool", Box::new(|x| max_pool(x, 2))),
        ("average pool", Box::new(average_pool)),
        ("softmax", Box::new(softmax)),
        ("batch norm", Box::new(|x| Ok(ops::normalise(x, &norm.gamma, &norm.beta, 1e-3, None)?.out))),
        ("attention", Box::new(|x| attend(&x.narrow(2, 0, 6)?, 2))),
        ("dropout", Box::new(|x| ops::drop_by(x, Some(Mask::new(1, 0.5))))),
    ];
    for (name, layer) in layers {
        let (a, b) = (layer(&strided).unwrap(), layer(&whole).unwrap());
        let off = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f64>().unwrap();
        assert!(off < 1e-12, "{name} is off by {off}");
    }
}

#[test]
fn masks_drop_their_share_and_keep_the_mean() {
    let mut values = vec![1f32; 40_000];
    Mask::new(5, 0.4).apply(0, &mut values);
    let kept = values.iter().filter(|value| **value > 0.0).count();
    assert!((23_600..24_400).contains(&kept), "{kept} of 40,000 kept");
    assert!(values.iter().all(|value| *value == 0.0 || (value - 1.0 / 0.6).abs() < 1e-4));
    // A part of the mask is the same as the whole's part, and another seed is another mask.
    let (mut part, mut other) = (vec![1f32; 100], vec![1f32; 100]);
    Mask::new(5, 0.4).apply(400, &mut part);
    assert_eq!(part, values[400..500]);
    Mask::new(6, 0.4).apply(400, &mut other);
    assert_ne!(part, other);
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    assert!(Pass::Infer.mask(0.4).is_none());
    let mut pass = Pass::Train(&mut generator);
    assert_ne!(pass.mask(0.4), pass.mask(0.4));
}
