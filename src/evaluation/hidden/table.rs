//! The report on hidden tissues as aligned tables of plain text.

use super::super::metrics::median;
use super::super::report::GroupKind;
use super::super::table::push_table;
use super::report::{Coverage, HiddenReport, HiddenRow, SchemeTable, StratumCoverage};
use crate::model::manifest::Hiding;
use crate::reference::Unit;

impl HiddenReport {
    /// Appends the report as text.
    pub(in crate::evaluation) fn push_text(&self, text: &mut String, unit: Unit) {
        text.push_str(&self.introduction(unit));
        for table in &self.schemes {
            let header =
                ["method", "rmse", "r", "genes with r", "r2 by tissue", "lowest", "highest"].map(str::to_owned);
            let cells: Vec<_> = std::iter::once(header).chain(table.rows.iter().map(scheme_cells)).collect();
            let title = format!("{} (n = {}, {} values)", table.scheme.label(), table.genes, table.values);
            push_table(text, &title, &cells);
        }
        if let Some(table) = self.scheme(Hiding::OneTissue) {
            push_table(text, "one tissue hidden, by tissue: r2 over genes, rmse", &tissue_cells(table));
        }
        for scheme in Hiding::ALL {
            let cells = self.group_cells(scheme);
            if cells.len() > 1 {
                push_table(text, &format!("{}, by group of genes: rmse", scheme.label()), &cells);
            }
        }
        for table in &self.controls {
            let cells: Vec<_> = std::iter::once(["method", "rmse", "r"].map(str::to_owned))
                .chain(table.rows.iter().map(|row| [row.method.clone(), rmse(row), r(row)]))
                .collect();
            push_table(text, &format!("{}, control: {}", table.scheme.label(), table.control.as_str()), &cells);
        }
        if !self.coverage.is_empty() {
            let header = ["method", "known", "coverage", "within 2 %", "lowest tissue", "highest tissue", "within 5 %"];
            let header = header.into_iter().chain(["median width"]).map(str::to_owned).collect();
            let lines = self.coverage.iter().flat_map(|method| method.strata.iter().map(|s| coverage_cells(method, s)));
            let cells: Vec<Vec<String>> = std::iter::once(header).chain(lines).collect();
            let title = "intervals on held-out genes, by how many of the gene's own tissues are known; width in log2";
            push_table(text, title, &cells);
            push_table(text, "coverage of the intervals by group of genes", &self.group_coverage_cells());
        }
    }

    fn introduction(&self, unit: Unit) -> String {
        let asked = if self.every_tissue { "each tissue in turn" } else { "a random third of the tissues in turn" };
        format!(
            "\nhidden tissues of genes that are known in part\n\
             rmse in log2(1 + {unit}) over hidden values [95 % bootstrap interval over genes]; r = mean over genes of \
             Pearson r over hidden tissues;\nr2 by tissue = squared Pearson r over genes, median over tissues, lowest and \
             highest. The same tissues are hidden from every method.\nWhere one tissue is hidden in all scored genes, \
             each gene is asked for {asked}; neighbours and training genes still have that tissue,\nwhich those of a \
             laboratory that never measured it would not.\n"
        )
    }

    /// One line a group, one column a method.
    fn group_cells(&self, scheme: Hiding) -> Vec<Vec<String>> {
        let groups: Vec<_> = self.groups.iter().filter(|group| group.scheme == scheme).collect();
        let methods = groups.first().map_or(&[][..], |group| &group.rows).iter().map(|row| row.method.clone());
        let header = ["group".to_owned(), "genes".to_owned()].into_iter().chain(methods).collect();
        let line = |kind: &GroupKind, genes: usize, rows: &[HiddenRow]| {
            [kind.label(), genes.to_string()].into_iter().chain(rows.iter().map(rmse)).collect::<Vec<_>>()
        };
        let lines = groups.iter().map(|group| line(&group.kind, group.genes, &group.rows));
        std::iter::once(header).chain(lines).collect()
    }

    /// One line a group, one column a method and case.
    fn group_coverage_cells(&self) -> Vec<Vec<String>> {
        let strata: Vec<(&Coverage, &StratumCoverage)> = self
            .coverage
            .iter()
            .flat_map(|method| method.strata.iter().map(move |stratum| (method, stratum)))
            .collect();
        let names = strata.iter().map(|(method, stratum)| format!("{}: {}", method.method, stratum.known.as_str()));
        let mut cells: Vec<Vec<String>> =
            vec![["group".to_owned(), "genes".to_owned()].into_iter().chain(names).collect()];
        for (at, group) in strata.first().map_or(&[][..], |(_, stratum)| &stratum.groups).iter().enumerate() {
            let share = |(_, stratum): &(&Coverage, &StratumCoverage)| {
                let own = stratum.groups.get(at).filter(|own| own.kind == group.kind);
                own.map_or_else(|| "-".to_owned(), |own| percent(own.coverage))
            };
            let line = [group.kind.label(), group.genes.to_string()].into_iter().chain(strata.iter().map(share));
            cells.push(line.collect());
        }
        cells
    }
}

fn scheme_cells(row: &HiddenRow) -> [String; 7] {
    let r2: Vec<f64> = row.tissues.iter().filter_map(|tissue| tissue.r2).collect();
    let fold = |start: f64, pick: fn(f64, f64) -> f64| r2.iter().copied().fold(start, pick);
    let show = |value: f64| if r2.is_empty() { "-".to_owned() } else { format!("{value:.3}") };
    [
        row.method.clone(),
        rmse(row),
        r(row),
        row.genes_with_r.to_string(),
        show(median(&r2)),
        show(fold(f64::INFINITY, f64::min)),
        show(fold(f64::NEG_INFINITY, f64::max)),
    ]
}

/// One line a tissue, one column a method.
fn tissue_cells(table: &SchemeTable) -> Vec<Vec<String>> {
    let header = std::iter::once("tissue".to_owned()).chain(table.rows.iter().map(|row| row.method.clone())).collect();
    let mut cells: Vec<Vec<String>> = vec![header];
    for (at, tissue) in table.rows.first().map_or(&[][..], |row| &row.tissues).iter().enumerate() {
        let cell = |row: &HiddenRow| {
            let own = row.tissues.get(at).filter(|own| own.tissue == tissue.tissue);
            let r2 = own.and_then(|own| own.r2).map_or_else(|| "-".to_owned(), |r2| format!("{r2:.3}"));
            own.map_or_else(|| "-".to_owned(), |own| format!("{r2}, {:.3}", own.rmse))
        };
        cells.push(std::iter::once(tissue.tissue.clone()).chain(table.rows.iter().map(cell)).collect());
    }
    cells
}

fn coverage_cells(method: &Coverage, stratum: &StratumCoverage) -> Vec<String> {
    let met = |met: bool| if met { "met" } else { "not met" }.to_owned();
    vec![
        method.method.clone(),
        stratum.known.as_str().to_owned(),
        percent(stratum.coverage),
        met(stratum.overall_met),
        format!("{} {}", percent(stratum.lowest.coverage), stratum.lowest.tissue),
        format!("{} {}", percent(stratum.highest.coverage), stratum.highest.tissue),
        met(stratum.tissues_met),
        format!("{:.2}", stratum.median_width),
    ]
}

fn rmse(row: &HiddenRow) -> String {
    format!("{:.3} [{:.3}, {:.3}]", row.rmse, row.rmse_interval[0], row.rmse_interval[1])
}

fn r(row: &HiddenRow) -> String {
    row.mean_r.map_or_else(|| "-".to_owned(), |r| format!("{r:.3}"))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
