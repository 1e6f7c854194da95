use super::super::compare::{EvaluationSettings, Method, evaluate};
use super::*;
use crate::model::baseline::BaselineKind;
use crate::model::method::StoredModel;
use crate::simulate::{Simulated, Simulation};
use crate::training::baselines::{BaselineSettings, fit_baseline};
use crate::training::folds::parse_chromosomes;

fn report(seed: u64) -> Report {
    let Simulated { dataset, tissues, records } = Simulation { genes: 240, chromosomes: 4, seed: 2 }.run().unwrap();
    let reference = Reference::new(dataset, tissues, records);
    let list = |text| parse_chromosomes(text).unwrap();
    let split = Split::by_chromosome(&reference, &list("1,3"), &list("4")).unwrap();
    let fit = |kind, scale| fit_baseline(kind, &reference, &split.train, scale, BaselineSettings::default()).unwrap();
    let models: Vec<Box<dyn StoredModel>> = [Scale::MinMax, Scale::Log2]
        .into_iter()
        .flat_map(|scale| [BaselineKind::CopyNearest, BaselineKind::MeanProfile].map(|kind| fit(kind, scale)))
        .collect();
    let methods: Vec<Method<'_>> = models
        .iter()
        .map(|model| Method {
            name: model.method(),
            model: model.as_ref(),
            controls: model.method() == BaselineKind::CopyNearest.as_str(),
            calibration: None,
        })
        .collect();
    let settings = EvaluationSettings { resamples: 50, seed, smallest_group: 10, ..EvaluationSettings::default() };
    let last = std::cell::Cell::new((0, 0));
    let report = evaluate(&reference, &split, &methods, &settings, &|step| last.set((step.done, step.total))).unwrap();
    assert_eq!(last.get().0, last.get().1, "progress ends at its total");
    report
}

#[test]
fn groups_hold_the_genes_that_they_name() {
    let report = report(1);
    let genes = |wanted: &dyn Fn(&GroupKind) -> bool| {
        report.groups.iter().filter(|group| wanted(&group.kind)).map(|group| group.genes).collect::<Vec<_>>()
    };
    let sum = |wanted: &dyn Fn(&GroupKind) -> bool| genes(wanted).iter().sum::<usize>();
    assert_eq!(report.groups[0].kind, GroupKind::All);
    assert_eq!(report.groups[0].genes, report.genes);
    assert_eq!(sum(&|kind| matches!(kind, GroupKind::Level { .. })), report.genes);
    assert!(sum(&|kind| matches!(kind, GroupKind::Promoter { known: true })) > report.genes / 2);
    let thresholds = genes(&|kind| matches!(kind, GroupKind::Threshold { .. }));
    assert!(thresholds.is_sorted() && !thresholds.is_empty(), "a wider reach needs fewer references: {thresholds:?}");
    assert!(report.groups.iter().all(|group| group.genes >= 10));
}

#[test]
fn rows_say_what_each_scale_can_say() {
    let report = report(1);
    for row in &report.overall().unwrap().rows {
        assert_eq!(row.log.is_none(), row.scale == Scale::MinMax);
        let [low, high] = row.scaled.interval;
        assert!(low < row.scaled.mean && row.scaled.mean < high, "{row:?}");
        assert_eq!(row.constant, 0);
    }
    let accuracy = report.accuracy();
    assert_eq!(accuracy.len(), 4);
    assert!((accuracy[3].mean_error - report.groups[0].rows[3].log.unwrap().mean).abs() < 1e-12);
}

#[test]
fn a_control_takes_away_what_a_method_lives_on() {
    let report = report(1);
    let group = |control| report.groups.iter().find(|group| group.kind == GroupKind::Control { control }).unwrap();
    let plain = &report.overall().unwrap().rows;
    let references = &group(Control::ShuffledReferences).rows;
    assert_eq!(references.iter().map(|row| row.method.as_str()).collect::<Vec<_>>(), ["copy-nearest"; 2]);
    assert!(references[0].scaled.mean > plain[0].scaled.mean + 0.1, "copying random genes is worse");
    let promoters = &group(Control::ShuffledPromoters).rows;
    assert!((promoters[0].scaled.mean - plain[0].scaled.mean).abs() < 1e-12, "copying reads no promoter");
}

#[test]
fn pairs_are_counted_gene_by_gene() {
    let report = report(1);
    assert_eq!(report.pairs.len(), 3, "one scaled for min-max; scaled and log for log2");
    for pair in &report.pairs {
        assert_eq!((pair.method.as_str(), pair.against.as_str()), ("mean-profile", "copy-nearest"));
        assert_eq!(pair.wins + pair.losses + pair.ties, report.genes);
        assert!(pair.interval[0] <= pair.difference && pair.difference <= pair.interval[1]);
        assert_eq!(pair.difference > 0.0, pair.error_ratio > 1.0);
    }
}

#[test]
fn the_same_seed_gives_the_same_report_in_every_form() {
    let (first, again, other) = (report(1), report(1), report(2));
    assert_eq!(first.to_text(), again.to_text());
    assert_ne!(first.to_text(), other.to_text());
    let json = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), first);
    assert!(!json.contains("null,null"), "no number is missing");
}

#[test]
fn text_and_plot_name_every_method() {
    let report = report(1);
    let (text, svg) = (report.to_text(), report.to_svg());
    for word in ["copy-nearest", "mean-profile", "shuffled references"] {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(svg.matches("<circle").count(), 6, "four methods scaled, two in log");
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    let empty = Report { groups: Vec::new(), ..report };
    assert!(empty.to_svg().ends_with("</svg>\n"));
}
