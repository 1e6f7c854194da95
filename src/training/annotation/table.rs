//! Annotations in a table by variant: a header, a row a variant, and every column of numbers.
//!
//! Variants are found by position (and alleles, in either order, where the table has them) or by their identifier.
//! Imports `genome` and the cohort. Invariant: the first row of a variant counts; what the table does not have is NaN.

use rustc_hash::FxHashMap;

use super::AnnotationError;
use crate::genome::{Allele, Chromosome, PlacedName, Position, VariantId};
use crate::reference::source::Quoted;
use crate::training::cohort::{Cohort, Row, Table, TableProblem, is_missing, number};

/// The cohort's variants by place and by identifier.
pub(super) struct VariantIndex<'a> {
    cohort: &'a Cohort,
    /// The first variant at a place; others there follow it.
    by_place: FxHashMap<(&'a Chromosome, Position), usize>,
    by_id: FxHashMap<&'a VariantId, usize>,
}

impl<'a> VariantIndex<'a> {
    pub(super) fn new(cohort: &'a Cohort) -> Self {
        let (mut by_place, mut by_id) = (FxHashMap::default(), FxHashMap::default());
        for (at, variant) in cohort.variants.iter().enumerate() {
            by_place.entry((&variant.chromosome, variant.position)).or_insert(at);
            if let Some(id) = &variant.id {
                by_id.entry(id).or_insert(at);
            }
        }
        Self { cohort, by_place, by_id }
    }

    fn at(&self, chromosome: &Chromosome, position: Position, alleles: Option<&(Allele, Allele)>) -> Option<usize> {
        let first = *self.by_place.get(&(chromosome, position))?;
        let here = self.cohort.variants[first..]
            .iter()
            .take_while(|variant| variant.position == position && variant.chromosome == *chromosome);
        here.enumerate().find(|(at, _)| self.has(first + at, alleles)).map(|(at, _)| first + at)
    }

    fn has(&self, variant: usize, alleles: Option<&(Allele, Allele)>) -> bool {
        let variant = &self.cohort.variants[variant];
        alleles.is_none_or(|(one, two)| {
            (&variant.other, &variant.effect) == (one, two) || (&variant.effect, &variant.other) == (one, two)
        })
    }
}

/// The header of a table by variant.
pub(super) struct Header {
    names: Vec<String>,
    id: Option<usize>,
    place: Option<(usize, usize)>,
    alleles: Option<(usize, usize)>,
    values: Vec<usize>,
}

impl Header {
    /// Returns the header; `None` where the line names no variants.
    pub(super) fn parse(row: &Row<'_>) -> Option<Self> {
        let names: Vec<String> = row.fields().iter().map(|name| name.trim_start_matches('#').to_owned()).collect();
        let find = |wanted: &[&str]| {
            names.iter().position(|name| wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)))
        };
        let id = find(&["SNP", "ID", "rsid", "rs", "variant_id", "variant", "varID", "MarkerName"]);
        let place = find(&["CHR", "CHROM", "chromosome"]).zip(find(&["BP", "POS", "position"]));
        let alleles = find(&["A1", "ALT", "effect_allele", "allele1"]).zip(find(&[
            "A2",
            "REF",
            "A0",
            "other_allele",
            "allele2",
            "non_effect_allele",
        ]));
        if id.is_none() && place.is_none() {
            return None;
        }
        // Genetic position is a place, not a property.
        let keys = [id, place.map(|at| at.0), place.map(|at| at.1), alleles.map(|at| at.0), alleles.map(|at| at.1)];
        let is_key = |at: usize| keys.contains(&Some(at)) || find(&["CM"]) == Some(at);
        let values = (0..names.len()).filter(|at| !is_key(*at)).collect();
        Some(Self { names, id, place, alleles, values })
    }

    fn variant(
        &self,
        row: &Row<'_>,
        fields: &[&str],
        index: &VariantIndex<'_>,
    ) -> Result<Option<usize>, AnnotationError> {
        let alleles = self
            .alleles
            .and_then(|(one, two)| Some((Allele::parse(fields[one]).ok()?, Allele::parse(fields[two]).ok()?)));
        if let Some((chromosome, position)) = self.place
            && !is_missing(fields[position])
        {
            let place = row.chromosome((chromosome, &self.names[chromosome]), fields[chromosome])?;
            let wrong = |error| row.wrong_field((position, &self.names[position]), TableProblem::Genome(error));
            let position = Position::parse(fields[position]).map_err(wrong)?;
            if let Some(found) = index.at(&place, position, alleles.as_ref()) {
                return Ok(Some(found));
            }
        }
        let Some(id) = self.id.map(|at| fields[at]) else { return Ok(None) };
        if self.place.is_none()
            && let Some(placed) = PlacedName::parse(id)
        {
            return Ok(index.at(&placed.chromosome, placed.position, placed.alleles.as_ref()));
        }
        let found = VariantId::parse(id).and_then(|id| index.by_id.get(&id).copied());
        Ok(found.filter(|variant| index.has(*variant, alleles.as_ref())))
    }
}

/// The columns of numbers of a table.
#[derive(Debug, Default)]
pub(super) struct TableColumns {
    /// Names and values by variant of the cohort; NaN where the table has none.
    pub(super) columns: Vec<(String, Vec<f32>)>,
    /// How many of the cohort's variants the table has.
    pub(super) matched: usize,
    /// Columns that are no numbers.
    pub(super) words: Vec<String>,
}

/// Reads the rows behind the header.
pub(super) fn read(
    mut table: Table,
    header: &Header,
    index: &VariantIndex<'_>,
) -> Result<TableColumns, AnnotationError> {
    let count = index.cohort.variants.len();
    let mut taken = vec![false; count];
    let mut columns: Vec<Option<Vec<f32>>> = header.values.iter().map(|_| Some(vec![f32::NAN; count])).collect();
    let mut read = TableColumns::default();
    while let Some(row) = table.next()? {
        if row.text.trim().is_empty() {
            continue;
        }
        let fields = row.fields();
        if fields.len() != header.names.len() {
            let counts = TableProblem::FieldCount { found: fields.len(), expected: header.names.len() };
            return Err(row.wrong(counts).into());
        }
        let Some(variant) = header.variant(&row, &fields, index)? else { continue };
        if std::mem::replace(&mut taken[variant], true) {
            continue;
        }
        read.matched += 1;
        for (slot, at) in columns.iter_mut().zip(&header.values) {
            let Some(column) = slot else { continue };
            let text = fields[*at];
            match number(text) {
                Some(value) => column[variant] = value as f32,
                None if is_missing(text) => {}
                // One word makes it a column of words, unless numbers came before: then it is a mistake.
                None if column.iter().all(|value| value.is_nan()) => *slot = None,
                None => {
                    let wrong = TableProblem::NotANumber(Quoted::new(text));
                    return Err(row.wrong_field((*at, &header.names[*at]), wrong).into());
                }
            }
        }
    }
    for (column, at) in columns.into_iter().zip(&header.values) {
        let name = header.names[*at].clone();
        match column {
            Some(column) => read.columns.push((name, column)),
            None => read.words.push(name),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::source::tests::text;
    use crate::training::cohort::simulated::simulate;

    fn columns(file: &str, cohort: &Cohort) -> Result<TableColumns, AnnotationError> {
        let mut table = Table::new(text(file));
        let header = Header::parse(&table.next()?.unwrap()).unwrap();
        read(table, &header, &VariantIndex::new(cohort))
    }

    #[test]
    fn variants_are_found_by_place_and_alleles_or_by_name() {
        let cohort = simulate(1, 4, 40, 0.1, 2);
        let [first, second, third, fourth] = &cohort.variants[..] else { panic!("four variants") };
        let placed = format!(
            "#SNP\tCHR\tBP\tA1\tA2\tscore\tclass\n\
             x\t1\t{}\t{}\t{}\t1.5\tcoding\n\
             x\t1\t{}\tN\tN\t7\tcoding\n\
             rs3\t1\t1\t{}\t{}\t2\tx\n\
             rs3\t1\t1\t{}\t{}\t3\tx\n\
             rs9\t2\t5\tA\tC\t3\tx\n",
            first.position,
            first.other,
            first.effect,
            second.position,
            third.effect,
            third.other,
            third.effect,
            third.other
        );
        let read = columns(&placed, &cohort).unwrap();
        assert_eq!((read.matched, read.words), (2, vec!["class".to_owned()]));
        let (name, values) = &read.columns[0];
        assert_eq!(name, "score");
        assert!((values[0] - 1.5).abs() < 1e-6 && (values[2] - 2.0).abs() < 1e-6, "{values:?}");
        assert!(values[1].is_nan() && values[3].is_nan());

        let named =
            format!("variant_id score\nchr1_{}_{}_{} 4\nrs2 NA\n", fourth.position, fourth.other, fourth.effect);
        let read = columns(&named, &cohort).unwrap();
        assert!((read.columns[0].1[3] - 4.0).abs() < 1e-6 && read.columns[0].1[1].is_nan() && read.matched == 2);

        let error = columns("ID score\nrs1 5\nrs2 five\n", &cohort).unwrap_err().to_string();
        assert!(error.contains("line 3, column 2 (score): \"five\" is not a finite number"), "{error}");
    }
}
