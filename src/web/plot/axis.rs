//! What the bars are as long as, and the axis that they stand on.

use crate::http::answer::{ProfileAnswer, TissueAnswer};
use crate::web::round_step;

/// On a linear axis an interval longer than this many times the highest value is cut, or the bars would vanish.
const LONGEST_INTERVAL: f32 = 1.6;

/// What the bars are as long as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Values in the dataset's unit.
    Value,
    /// The relative shape, where some tissue has no level.
    Relative,
}

impl Quantity {
    pub(super) fn of(profile: &ProfileAnswer) -> Self {
        let shape_only = |one: &TissueAnswer| one.value.is_none() && one.relative.is_some();
        if profile.tissues.iter().any(shape_only) { Self::Relative } else { Self::Value }
    }

    pub(super) fn length(self, one: &TissueAnswer) -> Option<f32> {
        match self {
            Self::Value => one.value,
            Self::Relative => one.relative,
        }
    }

    pub(super) fn interval(self, one: &TissueAnswer) -> Option<(f32, f32)> {
        if self == Self::Value { one.lower.zip(one.upper) } else { None }
    }
}

/// The axis: from 0 to a round number, linear or by the logarithm of 1 + x.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) end: f32,
    ticks: Vec<f32>,
    log: bool,
    /// Where it starts and ends in the picture.
    from: f32,
    to: f32,
}

impl Axis {
    /// Returns the axis for a profile; a relative shape is always on a linear one.
    pub(super) fn of(profile: &ProfileAnswer, quantity: Quantity, log: bool, (from, to): (f32, f32)) -> Self {
        let log = log && quantity == Quantity::Value;
        let highest = |lengths: &mut dyn Iterator<Item = f32>| lengths.fold(0.0_f32, f32::max);
        let value = highest(&mut profile.tissues.iter().filter_map(|one| quantity.length(one)));
        let upper =
            highest(&mut profile.tissues.iter().filter_map(|one| quantity.interval(one)).map(|(_, upper)| upper));
        let reach = value.max(if log { upper } else { upper.min(LONGEST_INTERVAL * value) });
        // Smaller ones are nothing, and their powers of ten would underflow.
        let reach = if reach > 1e-30 { reach } else { 1.0 };
        let (step, end) = linear(reach);
        if !log || reach <= 3.0 {
            // So near to 0 the logarithm of 1 + x is nearly a line, and round steps tell more.
            let ticks = (0..=u16::MAX).map(|n| f32::from(n) * step).take_while(|tick| *tick < end + step / 2.0);
            return Self { end, ticks: ticks.collect(), log, from, to };
        }
        let mut ticks = vec![0.0];
        let decades = (0..12).flat_map(|power| [1.0, 3.0].map(|digit| digit * 10.0_f32.powi(power)));
        // A tick beyond the reach closes the axis.
        for tick in decades {
            ticks.push(tick);
            if tick >= reach {
                break;
            }
        }
        if ticks.len() > 9 {
            ticks.retain(|tick| *tick < 1.0 || tick.log10().fract() < 0.1);
        }
        let end = ticks.iter().copied().fold(reach, f32::max);
        Self { end, ticks, log, from, to }
    }

    /// Returns where a value is, in the picture's units.
    pub(super) fn x(&self, value: f32) -> f32 {
        let share = if self.log { value.ln_1p() / self.end.ln_1p() } else { value / self.end };
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    pub(super) fn ticks(&self) -> impl Iterator<Item = f32> + '_ {
        self.ticks.iter().copied()
    }

    pub(super) const fn is_log(&self) -> bool {
        self.log
    }
}

/// Returns a step of 1, 2 or 5 times a power of ten that gives four to seven ticks, and the end behind the reach.
fn linear(reach: f32) -> (f32, f32) {
    let step = round_step(f64::from(reach) / 6.5) as f32;
    (step, step * (reach / step * 0.999).ceil())
}
