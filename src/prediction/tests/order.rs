//! In which order genes are answered, and that what lies behind a gene changes nothing.

use super::*;

#[test]
fn genes_leave_in_the_order_of_the_input_and_unsorted_input_is_refused() {
    let mut rows = vec![row("late", ".", 900, "A>G", 1.0), row("early", ".", 100, "A>G", 1.0)];
    rows.push(Row("other", ".", Some(("2", 50)), "A", "G", 1.0, None));
    rows.push(Row("elsewhere", ".", Some(("3", 50)), "A", "G", 1.0, None));
    let model = model("m", &rows, None);
    let on = |chromosome, position| Record(chromosome, position, ".", "A", "G", COPIES.to_vec());
    let records = vec![on("2", 50), on("1", 100), on("1", 900)];
    let (_, genes) = run(std::slice::from_ref(&model), Memory::new(records.clone()), lenient()).unwrap();
    let names: Vec<_> = genes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["m/other", "m/early", "m/late", "m/elsewhere"]);
    for unsorted in [vec![on("1", 900), on("1", 100)], vec![on("1", 100), on("2", 50), on("1", 900)]] {
        let error = run(std::slice::from_ref(&model), Memory::new(unsorted.clone()), lenient()).unwrap_err();
        assert!(error.to_string().contains("not sorted") && error.to_string().contains("bcftools sort"), "{error}");
        let mut any_order = Memory::new(unsorted);
        any_order.in_order = false;
        assert!(run(std::slice::from_ref(&model), any_order, lenient()).is_ok());
    }
}

#[test]
fn an_identifier_behind_its_gene_is_used_near_and_not_used_far_whatever_lies_between() {
    let rows = [
        row("g", "rs1", 100, "A>G", 1.0),
        row("g", "rs2", 200, "A>G", 10.0),
        row("h", "rs3", 5_000, "A>G", 1.0),
        row("h", "rs4", 90_000, "A>G", 1.0),
    ];
    let model = model("m", &rows, None);
    let named = Policies { assembly: Assembly::parse("GRCh38").ok(), ..lenient() };
    let values = |moved: u32, between: bool| {
        let mut records = vec![record(100, "rs1", "A>G")];
        if between {
            records.push(record(250, "rs9", "C>T"));
        }
        records.push(record(moved, "rs2", "A>G"));
        records.push(record(90_000, "rs4", "A>G"));
        let (report, genes) = run(std::slice::from_ref(&model), Memory::new(records), named.clone()).unwrap();
        (genes[0].1.values.clone(), genes[0].1.by_kind.used(), report.notes.len())
    };
    for between in [false, true] {
        assert_eq!(values(260, between), (vec![0.0, 11.0, 22.0], 2, 0));
        let (far, used, notes) = values(60_000, between);
        assert_eq!((far, used, notes), (vec![0.0, 1.0, 2.0], 1, 1));
    }
}

#[test]
fn a_chromosome_stays_in_one_piece_and_strange_assemblies_are_refused() {
    let mut rows = vec![row("a", ".", 100, "A>G", 1.0), row("b", ".", 9_000, "A>G", 1.0)];
    rows.push(Row("c", "rs7", None, "A", "G", 1.0, None));
    rows.push(Row("d", ".", Some(("3", 50)), "A", "G", 1.0, None));
    rows.push(Row("e", ".", Some(("X", 50)), "A", "G", 1.0, None));
    let model = model("m", &rows, None);
    let on = |chromosome, position| Record(chromosome, position, ".", "A", "G", COPIES.to_vec());
    let named = |name| Policies { assembly: Assembly::parse(name).ok(), ..lenient() };
    let records = || Memory::new(vec![on("3", 50), on("X", 50)]);
    let (_, genes) = run(std::slice::from_ref(&model), records(), named("hg38")).unwrap();
    let names: Vec<_> = genes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["m/d", "m/e", "m/a", "m/b", "m/c"]);
    let error = run(&[model], records(), named("hg99")).unwrap_err().to_string();
    assert!(error.contains("'hg99'") && error.contains("GRCh37, GRCh38"), "{error}");
}
