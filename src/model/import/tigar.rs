//! TIGAR's weights: `CHROM POS REF ALT TargetID ES`, and `MAF`, `CVR2`, `GeneName` where they are there. ES counts ALT,
//! and so does MAF in spite of its name: TIGAR takes the mean dosage of ALT by 2.

use super::draft::{Draft, Row, accuracy};
use super::table::Table;
use super::{Format, ImportError};
use crate::reference::source::Source;

/// Reads a table of weights.
///
/// # Errors
/// The table cannot be read, or columns are missing.
pub fn read(source: Source) -> Result<Draft, ImportError> {
    let table = Table::open(source, |words| words.iter().any(|word| word.eq_ignore_ascii_case("TargetID")))?;
    let [chromosome, position, other, effect, gene, weight] =
        table.require(["CHROM", "POS", "REF", "ALT", "TargetID", "ES"])?;
    let id = table.find(&["snpID", "rsID", "ID"]);
    let (frequency, r2) = (table.find(&["MAF"]), table.find(&["CVR2"]));
    let symbol = table.find(&["GeneName"]);
    let mut draft = Draft::new(Format::Tigar, true);
    let mut last = String::new();
    table.each(|row| {
        draft.add(Row {
            gene: row.text(gene),
            id: row.maybe(id).unwrap_or_default(),
            place: Some((row.text(chromosome), row.text(position))),
            other: row.text(other),
            effect: row.text(effect),
            weight: row.number(weight, "ES")?,
            frequency: frequency.map(|index| row.number(index, "MAF")).transpose()?.flatten(),
        })?;
        // Rows of a gene lie together: describing it once is enough.
        if last != row.text(gene) && (r2.is_some() || symbol.is_some()) {
            let r2 = r2.map(|index| row.number(index, "CVR2")).transpose()?.flatten();
            let found = accuracy(r2, -1.0, None, None, "cross-validation");
            if draft.describe(row.text(gene), row.maybe(symbol), None, found) {
                row.text(gene).clone_into(&mut last);
            }
        }
        Ok(())
    })?;
    Ok(draft)
}
