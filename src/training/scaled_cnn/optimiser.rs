//! `AdamW` with one second moment for each of a member's tensors, and soft thresholding of the scales.
//!
//! A second moment for each number would let a variant without any signal move as fast as the gene's best one; with one
//! for a whole tensor the step stays in the gradient's direction (the idea of Adam-mini, Zhang et al. 2024), so that
//! stopping early shrinks what has little signal, as ridge regression does.

use super::CnnSettings;
use crate::model::scaled_cnn::Layout;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.99;
const EPSILON: f32 = 1e-8;

/// The moments of all members of a batch.
pub(super) struct Optimiser {
    layout: Layout,
    first: Vec<f32>,
    /// One a member and tensor.
    second: Vec<f32>,
    /// Numbers that never move.
    frozen: Vec<bool>,
    steps: i32,
}

impl Optimiser {
    /// Starts with moments of zero for so many members.
    pub(super) fn new(layout: Layout, members: usize, frozen: Vec<bool>) -> Self {
        let second = vec![0.0; members * layout.tensors().len()];
        Self { layout, first: vec![0.0; members * layout.parameters()], second, frozen, steps: 0 }
    }

    /// Moves every number that may move.
    pub(super) fn step(&mut self, parameters: &mut [f32], gradient: &[f32], settings: &CnnSettings) {
        self.steps += 1;
        let (unbias1, unbias2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        let tensors = self.layout.tensors();
        let size = self.layout.parameters();
        let members = parameters.chunks_exact_mut(size).zip(gradient.chunks_exact(size));
        let moments = self.first.chunks_exact_mut(size).zip(self.second.chunks_exact_mut(tensors.len()));
        for (frozen, (own, moments)) in self.frozen.chunks_exact(size).zip(members.zip(moments)) {
            let ((parameters, gradient), (first, second)) = (own, moments);
            for (tensor, (range, second)) in tensors.iter().zip(second).enumerate() {
                let moving = |at: &usize| !frozen[*at];
                let count = range.clone().filter(moving).count().max(1);
                let square = range.clone().filter(moving).map(|at| gradient[at] * gradient[at]).sum::<f32>();
                *second = BETA2 * *second + (1.0 - BETA2) * square / count as f32;
                let size = (*second / unbias2).sqrt() + EPSILON;
                let (is_scale, is_encoder) = (tensor == 0, (2..7).contains(&tensor));
                let rate = if is_encoder { settings.encoder_rate } else { settings.learning_rate };
                let kept = if is_scale { 1.0 } else { 1.0 - rate * settings.weight_decay };
                for at in range.clone().filter(moving) {
                    first[at] = BETA1 * first[at] + (1.0 - BETA1) * gradient[at];
                    let moved = parameters[at] * kept - rate * first[at] / unbias1 / size;
                    let threshold = if is_scale { rate * settings.scale_penalty } else { 0.0 };
                    parameters[at] = moved.signum() * (moved.abs() - threshold).max(0.0);
                }
            }
        }
    }
}
