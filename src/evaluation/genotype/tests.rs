use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::scores::GeneScores;
use super::summary::{GeneSet, Score};
use super::*;

/// Two folds of three people: the first is predicted perfectly but ten too high, the second not at all.
fn by_hand() -> (GeneTruth, Vec<f64>, Vec<Vec<usize>>) {
    let gene = GeneTruth {
        name: "g".to_owned(),
        symbol: None,
        measured: vec![1.0, 2.0, 3.0, -1.0, 0.0, 1.0],
        null: vec![0.0; 6],
        heritable: vec![true, false],
    };
    (gene, vec![11.0, 12.0, 13.0, 0.1, 0.1, 0.1], vec![vec![0, 1, 2], vec![3, 4, 5]])
}

fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
}

/// A method's name, its control, and how much of the genes' signal it sees.
type Method = (&'static str, Option<&'static str>, f64);

/// People, genes of which every third is heritable, and methods of known quality.
fn world(genes: usize, people: usize, folds: &[&str], methods: &[Method]) -> CrossPredictions {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut normal = move || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
    let fold_of_person: Vec<u8> = (0..people).map(|person| (person % folds.len()) as u8).collect();
    let mut truths = Vec::new();
    let mut predicted = vec![Vec::new(); methods.len()];
    for gene in 0..genes {
        let heritable = gene % 3 == 0;
        let signal: Vec<f64> = (0..people).map(|_| if heritable { normal() } else { 0.0 }).collect();
        let measured: Vec<f64> = signal.iter().map(|signal| 0.6 * signal + normal()).collect();
        let training_mean = |fold: u8| {
            let others = measured.iter().zip(&fold_of_person).filter(|(_, own)| **own != fold).map(|(m, _)| *m);
            crate::evaluation::metrics::mean(&others.collect::<Vec<_>>())
        };
        let null: Vec<f64> = fold_of_person.iter().map(|fold| training_mean(*fold)).collect();
        for ((_, control, quality), predicted) in methods.iter().zip(&mut predicted) {
            let of = |person: usize, noise: f64| match (heritable, control) {
                (_, Some(_)) => null[person] + 0.1 * noise,
                (true, None) => null[person] + 0.3 * (quality * signal[person] + (1.0 - quality) * noise),
                (false, None) => null[person],
            };
            predicted.push((0..people).map(|person| of(person, normal())).collect::<Vec<f64>>());
        }
        truths.push(GeneTruth {
            name: format!("ENSG{gene:05}"),
            symbol: (gene % 2 == 0).then(|| format!("SYM{gene}")),
            measured,
            null,
            heritable: (0..folds.len()).map(|fold| heritable && (fold + gene) % 4 != 0).collect(),
        });
    }
    let method = |((name, control, _), predicted): (&Method, Vec<Vec<f64>>)| MethodPredictions {
        name: (*name).to_owned(),
        control: control.map(str::to_owned),
        predicted,
        seconds: 61.25,
    };
    CrossPredictions {
        split: "5-fold".to_owned(),
        fold_names: folds.iter().map(|name| (*name).to_owned()).collect(),
        fold_of_person,
        genes: truths,
        methods: methods.iter().zip(predicted).map(method).collect(),
    }
}

const FIVE: [&str; 5] = ["1", "2", "3", "4", "5"];
/// All methods and controls, the annotated network best.
const METHODS: [Method; 8] = [
    ("selected", None, 0.65),
    ("annotated-cnn", Some("permuted annotations"), 0.6),
    ("annotated-cnn", None, 0.75),
    ("scaled-cnn", None, 0.6),
    ("elastic-net", Some("permuted expression"), 0.0),
    ("elastic-net", None, 0.6),
    ("elastic-net-bagged", None, 0.61),
    ("annotated-elastic-net", None, 0.6),
];

#[test]
fn scores_are_those_computed_by_hand() {
    let (gene, predicted, people) = by_hand();
    let scores = GeneScores::new(&gene, &predicted, &people);
    assert_close(scores.r_by_fold[0].unwrap(), 1.0);
    assert_eq!(scores.r_by_fold[1], Some(0.0), "a constant prediction counts as 0");
    assert_close(scores.all.r, 0.5);
    // Products within folds: 2 of 2 × 4.
    assert_close(scores.all.pooled_r, 2.0 / 8.0f64.sqrt());
    assert_close(scores.all.r2, 0.5);
    let residual = 3.0 * 100.0 + 1.1f64.powi(2) + 0.1f64.powi(2) + 0.9f64.powi(2);
    assert_close(scores.all.rsq, 1.0 - residual / 16.0);
    assert!(!scores.constant);
    let perfect = GeneScores::new(&gene, &gene.measured, &people).all;
    assert_close(perfect.r, 1.0);
    assert_close(perfect.rsq, 1.0);
}

#[test]
fn only_heritable_folds_enter_the_scores_of_heritable_genes() {
    let (gene, predicted, people) = by_hand();
    let scores = GeneScores::new(&gene, &predicted, &people);
    let heritable = scores.heritable.unwrap();
    assert_eq!(scores.heritable_folds, 1);
    assert_close(heritable.r, 1.0);
    assert_close(heritable.r2, 1.0);
    assert_close(heritable.rsq, 1.0 - 300.0 / 14.0);
    let never = GeneTruth { heritable: vec![false; 2], ..gene };
    assert_eq!(GeneScores::new(&never, &predicted, &people).heritable, None);
}

#[test]
fn a_negative_correlation_keeps_its_sign_and_explains_nothing() {
    let (gene, _, people) = by_hand();
    let turned: Vec<f64> = gene.measured.iter().map(|measured| -measured).collect();
    let scores = GeneScores::new(&gene, &turned, &people).all;
    assert_close(scores.pooled_r, -1.0);
    assert_close(scores.r2, 0.0);
    assert_close(scores.r, -1.0);
}

#[test]
fn people_without_a_measurement_are_left_out() {
    let (mut gene, mut predicted, people) = by_hand();
    gene.measured.push(f64::NAN);
    gene.null.push(f64::NAN);
    predicted.push(f64::NAN);
    let with_hole = GeneScores::new(&gene, &predicted, &[people[0].clone(), vec![3, 4, 5, 6]]);
    assert_close(with_hole.all.r, 0.5);
    gene.measured[3] = f64::NAN;
    let fewer = GeneScores::new(&gene, &predicted, &[people[0].clone(), vec![3, 4, 5, 6]]);
    assert_eq!(fewer.r_by_fold[1], None, "two people make no correlation");
    assert_close(fewer.all.r, 1.0);
}

#[test]
fn the_null_model_scores_zero_and_noise_nearly_so() {
    let mut input = world(300, 100, &FIVE, &[("noise", Some("noise"), 0.0), ("elastic-net", None, 0.9)]);
    let null = MethodPredictions {
        name: "null".to_owned(),
        control: None,
        predicted: input.genes.iter().map(|gene| gene.null.clone()).collect(),
        seconds: 0.0,
    };
    input.methods.push(null);
    let report = Report::try_new(&input, 200, 3).unwrap();
    let by_name = |name: &str| report.methods.iter().find(|method| method.method == name).unwrap();
    let null = by_name("null");
    assert_eq!(null.constant, 300);
    assert!(null.all.mean_r.abs() < 1e-15 && null.all.mean_rsq.abs() < 1e-15, "{null:?}");
    let noise = &by_name("noise").all;
    assert!(noise.mean_r.abs() < 0.02 && noise.mean_r_interval[0] < 0.0 && noise.mean_r_interval[1] > 0.0, "{noise:?}");
    assert!(noise.mean_rsq < 0.0, "noise is worse than the training mean");
    let good = by_name("elastic-net");
    assert!(good.heritable.as_ref().unwrap().mean_r > 0.4 && good.all.mean_r < 0.25, "{good:?}");
    assert_eq!(good.constant, 200, "genes without signal are predicted by the training mean");
}

#[test]
fn counts_and_groups_hold_the_genes_that_they_name() {
    let input = world(120, 60, &FIVE, &METHODS);
    let report = Report::try_new(&input, 50, 3).unwrap();
    assert_eq!((report.genes, report.heritable_genes), (120, 40));
    for method in &report.methods {
        let scores = report.gene_scores(&method.method, method.control.as_deref()).unwrap();
        assert!(scores.is_sorted_by_key(|gene| &gene.gene) && scores.len() == 120);
        let over = |above: f64| scores.iter().filter(|gene| gene.all.r > above).count();
        for count in &method.all.r_above {
            assert_eq!(count.genes, over(count.above));
        }
        assert_eq!(method.by_heritable_folds.iter().map(|row| row.genes).sum::<usize>(), 120);
        let [low, high] = method.all.median_r_interval;
        assert!(low <= method.all.median_r && method.all.median_r <= high);
        // With equal folds the mean over folds of the means over genes is the mean of the genes' r.
        let folds: Vec<f64> = method.by_fold.iter().map(|fold| fold.mean_r.unwrap()).collect();
        assert!((folds.iter().sum::<f64>() / 5.0 - method.all.mean_r).abs() < 1e-12);
    }
    assert_eq!(report.to_tsv().lines().count(), 1 + 8 * 120);
    assert!(report.to_tsv().lines().all(|line| line.split('\t').count() == 13));
    assert_eq!(report.scatters().len(), 5);
}

#[test]
fn pairs_and_controls_answer_what_they_are_asked() {
    let report = Report::try_new(&world(300, 80, &FIVE, &METHODS), 200, 3).unwrap();
    let pair = |method: &str, control: Option<&str>, against: &str| {
        let own = |pair: &&report::Pair| {
            (pair.method.as_str(), pair.control.as_deref(), pair.against.as_str()) == (method, control, against)
                && (pair.set, pair.score) == (GeneSet::Heritable, Score::R)
        };
        &report.pairs.iter().find(own).unwrap().difference
    };
    for against in ["elastic-net", "annotated-elastic-net", "scaled-cnn"] {
        let gain = pair("annotated-cnn", None, against);
        assert!(gain.interval[0] > 0.0 && gain.p < 1e-6 && gain.wins > gain.losses, "{against} {gain:?}");
        assert_eq!(gain.wins + gain.losses + gain.ties, 100);
    }
    assert!(pair("scaled-cnn", None, "elastic-net").p > 1e-3);
    let control = pair("annotated-cnn", Some("permuted annotations"), "annotated-cnn");
    assert!(control.interval[1] < 0.0 && control.rank_effect < -0.9, "{control:?}");
    // Seven methods to compare and two more partners of the annotated network; two sets and two scores.
    assert_eq!(report.pairs.len(), (5 + 2 + 2) * 4);
    let effect = report.annotation.iter().find(|e| (e.set, e.score) == (GeneSet::Heritable, Score::R)).unwrap();
    assert_close(effect.network_minus_elastic_net.mean, effect.network.mean - effect.elastic_net.mean);
    assert!(effect.network_minus_elastic_net.p < 1e-4 && effect.network_minus_elastic_net.interval[0] > 0.0);
    assert!(report.text().contains("heritable genes, r: yes\n"));
}

#[test]
fn a_report_does_not_depend_on_the_order_of_its_input_and_reads_back() {
    let input = world(40, 40, &FIVE, &METHODS);
    let report = Report::try_new(&input, 40, 3).unwrap();
    let mut turned = input.clone();
    turned.genes.reverse();
    turned.methods.reverse();
    turned.methods.iter_mut().for_each(|method| method.predicted.reverse());
    let again = Report::try_new(&turned, 40, 3).unwrap();
    assert_eq!(report, again);
    let json = report.to_json();
    assert_eq!(json, again.to_json());
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(read.to_json(), json);
    assert_eq!(read.text(), report.text());
    assert!(read.gene_scores("elastic-net", None).is_none() && read.scatters().is_empty());
    assert!(serde_json::from_str::<Report>(&json.replacen("\"schema\"", "\"else\": 1, \"schema\"", 1)).is_err());
    assert_ne!(Report::try_new(&input, 40, 4).unwrap().to_json(), json);
}

#[test]
fn no_line_of_the_text_is_too_wide() {
    let populations = CrossPredictions {
        split: LEAVE_ONE_POPULATION_OUT.to_owned(),
        ..world(1_000, 20, &["CEU", "FIN", "GBR", "TSI", "YRI"], &METHODS)
    };
    let report = Report::try_new(&populations, 20, 3).unwrap();
    let text = report.text();
    assert!(text.contains("mean r by population left out"));
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
    }
    let many: Vec<String> = (0..30).map(|fold| format!("population {fold}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    let report = Report::try_new(&world(20, 120, &names, &METHODS[..3]), 20, 3).unwrap();
    assert!(report.text().lines().all(|line| line.chars().count() <= 120));
}

#[test]
fn the_text_reads_as_follows() {
    let methods = [METHODS[3], METHODS[4], METHODS[5]];
    let report = Report::try_new(&world(60, 45, &["1", "2", "3"], &methods), 100, 7).unwrap();
    insta::assert_snapshot!(report.text(), @r"
    5-fold: 45 people in 3 folds, 60 genes, 20 of them heritable in at least one fold's training people
    r: mean over folds of Pearson's r within the fold; r2: squared correlation of all people, centred within folds;
    rsq: 1 - RSS/TSS around the training mean; heritable genes are scored on the folds in which they are so
    [ ]: 95 % bootstrap interval over genes, 100 resamples, seed 7; p: Wilcoxon's signed-rank test, two-sided
    better, worse: p < 0.05 and the interval of the mean difference on the same side of 0; otherwise unclear

                           r                               r2     rsq             genes: r >   genes: r2 >
    method                  mean           [95 %]  median   mean    mean  median  0.1 0.2 0.3  0.05 0.1 0.2 0.3 0.5
    all genes (n = 60)
    elastic-net            0.145 [ 0.095,  0.202]   0.000  0.066   0.041   0.000   20  19  17    18  16  12   2   0
      permuted expression  0.009 [-0.026,  0.042]   0.002  0.013  -0.006  -0.007   14   5   2     5   1   0   0   0
    scaled-cnn             0.149 [ 0.095,  0.207]   0.000  0.070   0.044   0.000   20  19  17    19  17  12   3   0
    heritable genes (n = 20)
    elastic-net            0.440 [ 0.382,  0.496]   0.473  0.208   0.129   0.126   20  19  17    18  16  12   5   0
      permuted expression  0.034 [-0.023,  0.101]   0.021  0.016   0.001  -0.003    6   1   1     1   1   0   0   0
    scaled-cnn             0.483 [ 0.451,  0.522]   0.501  0.238   0.148   0.147   20  20  18    20  19  13   5   0

    mean r by fold; constant: genes with one prediction for everyone in each fold, their r counts as 0
    method                      1       2      3  constant  time
    all genes
      genes                    60      60     60
    elastic-net             0.137   0.145  0.152        40  61 s
      permuted expression  -0.016  -0.007  0.050         0  61 s
    scaled-cnn              0.149   0.162  0.137        40  61 s
    heritable genes
      genes                    15      15     15
    elastic-net             0.397   0.461  0.465
      permuted expression   0.031   0.072  0.015
    scaled-cnn              0.482   0.511  0.450

    mean r over all folds, genes by the number of folds in which they are heritable
    folds                      0       2      3
    genes                     40      15      5
    elastic-net            0.000   0.431  0.447
      permuted expression  0.011  -0.019  0.082
    scaled-cnn             0.000   0.444  0.461

    scaled-cnn: against elastic-net
      all genes, r           +0.0043 [-0.0072, +0.0168]    10 better,   10 worse,   40 equal  p 0.674     unclear
      all genes, rsq         +0.0028 [-0.0020, +0.0090]    11 better,    9 worse,   40 equal  p 0.498     unclear
      heritable genes, r     +0.0434 [+0.0029, +0.0958]    12 better,    8 worse,    0 equal  p 0.083     unclear
      heritable genes, rsq   +0.0192 [+0.0033, +0.0406]    13 better,    7 worse,    0 equal  p 0.033     better

    elastic-net: permuted expression against the same method without
      all genes, r           -0.1359 [-0.2131, -0.0793]    19 better,   41 worse,    0 equal  p 0.001     worse
      all genes, rsq         -0.0474 [-0.0670, -0.0336]    15 better,   45 worse,    0 equal  p 5.3e-6    worse
      heritable genes, r     -0.4063 [-0.4770, -0.3391]     0 better,   20 worse,    0 equal  p 1.9e-6    worse
      heritable genes, rsq   -0.1275 [-0.1481, -0.1101]     0 better,   20 worse,    0 equal  p 1.9e-6    worse
    ");
}

#[test]
fn nothing_heritable_is_nothing_reported() {
    let mut input = world(10, 30, &FIVE, &METHODS);
    input.genes.iter_mut().for_each(|gene| gene.heritable.fill(false));
    let report = Report::try_new(&input, 10, 3).unwrap();
    assert!(report.methods.iter().all(|method| method.heritable.is_none()));
    assert!(report.pairs.iter().all(|pair| pair.set == GeneSet::All));
    assert!(!report.to_json().contains("NaN") && !report.text().contains("NaN"));
}

#[test]
fn predictions_that_do_not_fit_are_refused_with_what_is_wrong() {
    type Break = fn(&mut CrossPredictions);
    let cases: [(Break, &str); 9] = [
        (|input| input.methods.clear(), "no method to score: a split needs folds, people, genes and methods"),
        (|input| input.fold_of_person[2] = 9, "person 2 is in fold 9, counted from 0, and only 5 folds have a name"),
        (|input| input.fold_names[1] = "1".to_owned(), "fold 1 is given twice: give it once"),
        (|input| input.genes[1].name = "ENSG00000".to_owned(), "gene ENSG00000 is given twice: give it once"),
        (
            |input| input.genes[1].heritable.truncate(2),
            "heritability of ENSG00001 has 2 entries, not 5: give one for each fold",
        ),
        (
            |input| input.methods[2].predicted[0].truncate(29),
            "the prediction of ENSG00000 by annotated-cnn has 29 entries, not 30: give one for each person",
        ),
        (
            |input| input.methods[1].predicted[3][7] = f64::NAN,
            "the prediction of ENSG00003 by annotated-cnn, permuted annotations for person 7 is not a finite number: \
             leave the gene or the method out",
        ),
        (
            |input| input.genes[0].measured[4] = f64::INFINITY,
            "measured expression of ENSG00000 for person 4 is not a finite number: leave the gene or the method out",
        ),
        (
            |input| input.methods[5].seconds = f64::NAN,
            "the time of elastic-net is not a finite number: give its seconds",
        ),
    ];
    let input = world(6, 30, &FIVE, &METHODS);
    for (break_it, message) in cases {
        let mut broken = input.clone();
        break_it(&mut broken);
        assert_eq!(Report::try_new(&broken, 10, 1).unwrap_err().to_string(), message);
    }
}

/// Reads the tags of an SVG and fails unless each is closed in turn and no text holds a bare sign.
fn assert_well_formed(svg: &str) {
    let (mut open, mut rest) = (Vec::new(), svg.trim_end());
    while let Some(at) = rest.find('<') {
        let (text, tag) = (&rest[..at], &rest[at + 1..]);
        assert!(!text.contains('>'), "{text}");
        for entity in text.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)), "{entity}");
        }
        let end = tag.find('>').unwrap();
        let inner = &tag[..end];
        if let Some(name) = inner.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !inner.ends_with('/') {
            open.push(inner.split(' ').next().unwrap());
        }
        assert!(inner.matches('"').count().is_multiple_of(2), "{inner}");
        rest = &tag[end + 1..];
    }
    assert!(open.is_empty() && rest.is_empty(), "{open:?} {rest}");
}

#[test]
fn the_scatter_plot_is_well_formed_and_counts_both_sides() {
    let names = ["A<B&C", "\"quoted\"", "plain", "hole", "even"];
    let (x, y) = ([0.1, 0.5, -0.3, f64::NAN, 0.25], [0.2, 0.4, 0.1, 0.3, 0.25]);
    let svg = scatter_svg(("elastic-net", &x), ("a <new> method", &y), &names);
    assert_well_formed(&svg);
    assert!(svg.contains("<title>A&lt;B&amp;C: 0.100, 0.200</title>"));
    assert!(svg.contains("4 genes: 2 above the diagonal, 1 below, 1 on it"));
    assert!(svg.contains("a &lt;new&gt; method") && !svg.contains("script"));
    assert_eq!(svg.matches("<circle").count(), 4);
    assert_well_formed(&scatter_svg(("a", &[]), ("b", &[]), &[] as &[&str]));
    let many: Vec<f64> = (0..3_001).map(|at| f64::from(at) / 3_001.0).collect();
    let names: Vec<String> = many.iter().map(f64::to_string).collect();
    let svg = scatter_svg(("a", &many), ("b", &many), &names);
    assert_eq!(svg.matches("<title>").count(), 1, "no name a point");
    assert_well_formed(&svg);
}
