//! Which chromosome a variant is counted under in the report.

use super::*;
use crate::genotype::report::KindCounts;

#[test]
fn variants_are_counted_by_their_chromosome_or_by_that_of_their_records() {
    let rows = [
        row("placed", "rs1", 100, "A>G", 1.0),
        Row("elsewhere", "rs2", Some(("2", 50)), "A", "G", 1.0, None),
        row("named", "rs3", 0, "A>G", 1.0),
        row("named", "rs4", 0, "A>G", 1.0),
        row("nowhere", "rs5", 0, "A>G", 1.0),
    ];
    let records = vec![record(100, "rs1", "A>G"), record(300, "rs3", "G>A")];
    let (report, _) = run(&[model("m", &rows, None)], Memory::new(records), lenient()).unwrap();
    let by: Vec<_> = report.by_chromosome.iter().map(|(name, counts)| (name.as_str(), *counts)).collect();
    let names: Vec<_> = by.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["chr1", "chr2", "unknown"]);
    let of = |at: usize, kind| by[at].1.of(kind);
    assert_eq!((of(0, MatchKind::Exact), of(0, MatchKind::Swapped), of(0, MatchKind::Absent)), (1, 1, 1));
    assert_eq!((of(1, MatchKind::Absent), by[1].1.total(), of(2, MatchKind::Absent), by[2].1.total()), (1, 1, 1, 1));
    let mut sum = KindCounts::default();
    for (_, counts) in &by {
        sum.merge(counts);
    }
    assert_eq!(sum, report.by_kind);
}
