//! The fit on small simulated genes: it starts at what it is given, keeps that where there is nothing to learn, and learns
//! what is there.

use candle_core::Device;
use rand::RngExt;

use super::*;

const PEOPLE: usize = 120;
const VARIANTS: usize = 20;

fn settings() -> CnnSettings {
    CnnSettings { members: 3, variants: 12, ..CnnSettings::default() }
}

/// A gene whose expression is `effect` × its third variant and noise.
fn task(name: &str, effect: f32, gate: Option<Vec<f32>>) -> CnnTask {
    let settings = settings();
    let mut rng = generator(1, name);
    let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.7..1.7)).collect() };
    let dosages = draw(VARIANTS * PEOPLE);
    let noise = draw(PEOPLE);
    let signal = &dosages[2 * PEOPLE..3 * PEOPLE];
    let targets: Vec<f32> =
        noise.iter().zip(signal).map(|(noise, x)| effect * x + (1.0 - effect * effect).sqrt() * noise).collect();
    let held_out_by: Vec<u8> = (0..PEOPLE).map(|at| (at % settings.members) as u8).collect();
    let sample = Sample { dosages: &dosages, targets: &targets, held_out_by: &held_out_by };
    let reads = sample.screen(settings.all_members(), settings.variants, None);
    CnnTask {
        name: name.to_owned(),
        start: vec![0.0; settings.all_members() * VARIANTS],
        dosages,
        targets,
        held_out_by,
        reads,
        gate,
    }
}

fn error(task: &CnnTask, fitted: &FittedCnn) -> f32 {
    task.targets.iter().zip(&fitted.out_of_fold).map(|(y, p)| (y - p).powi(2)).sum::<f32>() / PEOPLE as f32
}

#[test]
fn it_learns_what_is_there() {
    let task = task("gene", 0.8, None);
    let null = task.targets.iter().map(|y| y * y).sum::<f32>() / PEOPLE as f32;
    let fitted = fit(vec![task.clone()], &settings(), &Device::Cpu).unwrap().remove(0);
    assert!(fitted.step > 5 && error(&task, &fitted) < 0.8 * null, "step {}, {}", fitted.step, error(&task, &fitted));
    // The variant that does it has the largest scale in every member.
    for own in fitted.parameters.chunks_exact(fitted.layout.parameters()) {
        let scales = &own[fitted.layout.scale()];
        let largest = (0..scales.len()).max_by(|a, b| scales[*a].abs().total_cmp(&scales[*b].abs())).unwrap();
        assert_eq!(largest, 2, "{scales:?}");
    }
}

#[test]
fn a_good_start_is_kept_as_it_is() {
    let mut task = task("start", 0.8, None);
    for own in task.start.chunks_exact_mut(VARIANTS) {
        own[2] = 0.8;
    }
    let patient = CnnSettings { steps: 0, ..settings() };
    let fitted = fit(vec![task.clone()], &patient, &Device::Cpu).unwrap().remove(0);
    assert_eq!(fitted.step, 0);
    for (person, predicted) in fitted.out_of_fold.iter().enumerate() {
        assert!((predicted - 0.8 * task.dosages[2 * PEOPLE + person]).abs() < 1e-5);
    }
}

#[test]
fn members_read_only_what_their_own_people_chose() {
    let task = task("noise", 0.0, None);
    let fitted = fit(vec![task.clone()], &settings(), &Device::Cpu).unwrap().remove(0);
    for (member, own) in fitted.parameters.chunks_exact(fitted.layout.parameters()).enumerate() {
        for (variant, scale) in own[fitted.layout.scale()].iter().take(VARIANTS).enumerate() {
            assert!(task.reads[member * VARIANTS + variant] || *scale == 0.0);
        }
    }
    let chosen = task.reads.chunks_exact(VARIANTS).map(|own| own.iter().filter(|read| **read).count());
    assert!(chosen.into_iter().all(|count| count == 12));
}

#[test]
fn gates_come_off_what_the_start_gives_and_give_a_gradient() {
    let gate: Vec<f32> = (0..VARIANTS).map(|at| if at == 2 { 4.0 } else { 0.5 }).collect();
    let mut gated = task("gate", 0.7, Some(gate));
    gated.start.chunks_exact_mut(VARIANTS).for_each(|own| own[2] = 0.3);
    let settings = settings();
    let mut fit = Fit::new(vec![gated.clone()], &settings, &Device::Cpu);
    let by_gate = fit.step().unwrap().unwrap();
    let by_variant = fit.by_variant(&by_gate, &[VARIANTS]);
    // More of the variant that matters would lower the loss.
    assert!(by_variant[2] < 0.0, "{by_variant:?}");
    let kept = CnnSettings { steps: 0, ..settings.clone() };
    let fitted = super::fit(vec![gated.clone()], &kept, &Device::Cpu).unwrap().remove(0);
    for (person, predicted) in fitted.out_of_fold.iter().enumerate() {
        assert!((predicted - 0.3 * gated.dosages[2 * PEOPLE + person]).abs() < 1e-5);
    }
}

#[test]
fn genes_together_are_what_they_are_alone() {
    let tasks: Vec<CnnTask> = ["a", "b", "c"].iter().map(|name| task(name, 0.6, None)).collect();
    let together = fit(tasks.clone(), &settings(), &Device::Cpu).unwrap();
    let again = fit(tasks.clone(), &settings(), &Device::Cpu).unwrap();
    assert_eq!(together, again);
    for (task, together) in tasks.into_iter().zip(together) {
        assert_eq!(fit(vec![task], &settings(), &Device::Cpu).unwrap()[0].out_of_fold, together.out_of_fold);
    }
}
