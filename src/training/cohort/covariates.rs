//! Covariates, as the eQTL tools write them, and expression without them.
//!
//! Either covariates are rows (`FastQTL`, `tensorQTL`: the first row has the samples, the first column the names) or
//! people are (PLINK: `FID IID c1 c2 …`); which it is, the sample ids tell. Imports `reference`. Invariant: every
//! covariate has a finite number for every person of the cohort.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::CohortError;
use super::lines::{Table, TableError, TableProblem, is_missing, number};
use crate::reference::source::{Quoted, Source};

/// A column counts as explained by those before it where less of its length than this is left.
const RANK_TOLERANCE: f64 = 1e-7;

/// Covariates of a cohort's people.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Covariates {
    /// Their names; one of words is a name for each level but the first, such as `batch=b2`.
    pub names: Vec<String>,
    columns: Vec<Vec<f64>>,
}

impl Covariates {
    /// Takes columns, one number a person each.
    pub(super) fn new(names: Vec<String>, columns: Vec<Vec<f64>>) -> Self {
        Self { names, columns }
    }

    /// Returns the covariates' values, a column each, people in the cohort's order.
    #[must_use]
    pub fn columns(&self) -> &[Vec<f64>] {
        &self.columns
    }
}

/// A table of covariates as text.
#[derive(Debug)]
pub(super) struct CovariateTable {
    table: Vec<(u64, Vec<Box<str>>)>,
    people_are_rows: bool,
    /// Where the samples' ids are: the column (or row) of the ids, the first of values.
    id_at: usize,
    first_value: usize,
    file: Arc<str>,
}

/// Reads a table of covariates; `samples` are ids by which people are recognised.
pub(super) fn read(source: Source, samples: &[Box<str>]) -> Result<CovariateTable, CohortError> {
    let mut table = Table::new(source);
    let mut lines: Vec<(u64, Vec<Box<str>>)> = Vec::new();
    while let Some(row) = table.next()? {
        let fields: Vec<Box<str>> = row.fields().into_iter().map(Into::into).collect();
        if row.text.trim().is_empty() {
            continue;
        }
        if let Some((_, header)) = lines.first()
            && fields.len() != header.len()
        {
            let counts = TableProblem::FieldCount { found: fields.len(), expected: header.len() };
            return Err(row.wrong(counts).into());
        }
        lines.push((row.line, fields));
    }
    let Some((_, header)) = lines.first() else {
        return Err(table.wrong(TableProblem::Ended("its header")).into());
    };
    let known: HashSet<&str> = samples.iter().map(|id| &**id).collect();
    let in_header = header.iter().skip(1).filter(|id| known.contains(&***id)).count();
    let in_column = |column: usize| {
        lines.iter().skip(1).filter(|(_, row)| row.get(column).is_some_and(|id| known.contains(&**id))).count()
    };
    // PLINK's tables have the family in front of the individual.
    let is_family = header.first().is_some_and(|name| name.trim_start_matches('#').eq_ignore_ascii_case("FID"));
    let id_column = usize::from(is_family && header.len() > 1);
    let in_rows = in_column(id_column);
    if in_header == 0 && in_rows == 0 {
        let example = Quoted::new(samples.first().map_or("", |id| id));
        return Err(table.wrong(TableProblem::NoSamples(example)).into());
    }
    let people_are_rows = in_rows > in_header;
    let (id_at, first_value) = if people_are_rows { (id_column, id_column + 1) } else { (0, 1) };
    let read = CovariateTable { table: lines, people_are_rows, id_at, first_value, file: table.file() };
    read.check_unique()?;
    Ok(read)
}

impl CovariateTable {
    fn people(&self) -> usize {
        if self.people_are_rows {
            self.table.len() - 1
        } else {
            self.table.first().map_or(0, |(_, header)| header.len() - self.first_value)
        }
    }

    fn len(&self) -> usize {
        if self.people_are_rows {
            self.table.first().map_or(0, |(_, header)| header.len() - self.first_value)
        } else {
            self.table.len() - 1
        }
    }

    /// The line's index and the field's.
    fn cell(&self, covariate: usize, person: usize) -> (usize, usize) {
        if self.people_are_rows {
            (person + 1, covariate + self.first_value)
        } else {
            (covariate + 1, person + self.first_value)
        }
    }

    fn text(&self, (line, field): (usize, usize)) -> &str {
        self.table.get(line).and_then(|(_, fields)| fields.get(field)).map_or("", |text| text)
    }

    fn person(&self, person: usize) -> &str {
        self.text(if self.people_are_rows { (person + 1, self.id_at) } else { (0, person + self.first_value) })
    }

    fn name(&self, covariate: usize) -> &str {
        self.text(if self.people_are_rows { (0, covariate + self.first_value) } else { (covariate + 1, 0) })
    }

    /// Returns the ids of everybody in the table.
    pub(super) fn ids(&self) -> HashSet<&str> {
        (0..self.people()).map(|person| self.person(person)).collect()
    }

    fn wrong(&self, (line, field): (usize, usize), problem: TableProblem) -> CohortError {
        let number = self.table.get(line).map_or(0, |(number, _)| *number);
        let heading = self.text((0, field));
        let heading = if heading.is_empty() { "name" } else { heading };
        let column = Some((field + 1, heading.into()));
        TableError { file: Arc::clone(&self.file), line: number, column, problem }.into()
    }

    fn check_unique(&self) -> Result<(), CohortError> {
        let mut seen = HashSet::new();
        for person in 0..self.people() {
            if !seen.insert(self.person(person)) {
                let at = if self.people_are_rows { (person + 1, self.id_at) } else { (0, person + self.first_value) };
                return Err(self.wrong(at, TableProblem::DuplicateSample(Quoted::new(self.person(person)))));
            }
        }
        let mut seen = HashSet::new();
        for covariate in 0..self.len() {
            if !seen.insert(self.name(covariate)) {
                let at = if self.people_are_rows { (0, covariate + self.first_value) } else { (covariate + 1, 0) };
                return Err(self.wrong(at, TableProblem::DuplicateCovariate(Quoted::new(self.name(covariate)))));
            }
        }
        Ok(())
    }

    /// Returns the covariates of these people, who are all in the table.
    pub(super) fn of_people<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Result<Covariates, CohortError> {
        let places: HashMap<&str, usize> = (0..self.people()).map(|person| (self.person(person), person)).collect();
        let people: Vec<usize> = ids.filter_map(|id| places.get(id).copied()).collect();
        let mut covariates = Covariates::default();
        for covariate in 0..self.len() {
            self.add(covariate, &people, &mut covariates)?;
        }
        Ok(covariates)
    }

    fn add(&self, covariate: usize, people: &[usize], covariates: &mut Covariates) -> Result<(), CohortError> {
        let name = self.name(covariate);
        let mut words: BTreeSet<&str> = BTreeSet::new();
        let mut numbers = Vec::with_capacity(people.len());
        for person in people {
            let cell = self.cell(covariate, *person);
            let text = self.text(cell);
            if is_missing(text) {
                let sample = Quoted::new(self.person(*person));
                let covariate = Quoted::new(name);
                return Err(self.wrong(cell, TableProblem::MissingCovariate { covariate, sample }));
            }
            match number(text) {
                Some(value) => numbers.push((value, text)),
                None => _ = words.insert(text),
            }
            if let (Some(word), Some((_, number))) = (words.first(), numbers.first()) {
                let (word, number) = (Quoted::new(word), Quoted::new(number));
                let covariate = Quoted::new(name);
                return Err(self.wrong(cell, TableProblem::MixedCovariate { covariate, word, number }));
            }
        }
        if words.is_empty() {
            covariates.names.push(name.to_owned());
            covariates.columns.push(numbers.into_iter().map(|(value, _)| value).collect());
            return Ok(());
        }
        if 2 * words.len() > people.len() {
            let (covariate_name, levels) = (Quoted::new(name), words.len());
            let many = TableProblem::TooManyLevels { covariate: covariate_name, levels, people: people.len() };
            return Err(self.wrong(self.cell(covariate, people.first().copied().unwrap_or(0)), many));
        }
        for level in words.iter().skip(1) {
            let is_level = |person: &usize| f64::from(u8::from(self.text(self.cell(covariate, *person)) == *level));
            covariates.names.push(format!("{name}={level}"));
            covariates.columns.push(people.iter().map(is_level).collect());
        }
        Ok(())
    }
}

/// Expression without what the covariates explain.
#[derive(Debug, Clone, PartialEq)]
pub struct Residuals {
    /// One a person of the cohort; their mean over the people of training is 0.
    pub values: Vec<f64>,
    /// How many independent columns were taken out, the intercept included.
    pub rank: usize,
}

/// Covariates made orthogonal over the people of training, ready to be taken out of any number of genes.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjustment {
    /// The people of training, by their places.
    train: Vec<usize>,
    /// Columns over all people, of mean 0 and orthonormal over those of training.
    columns: Vec<Vec<f64>>,
}

impl Adjustment {
    /// Orthogonalises the covariates over the people `train`; columns that those before them explain are left out.
    #[must_use]
    pub fn fit(covariates: Option<&Covariates>, train: &[usize]) -> Self {
        let mut fitted = Self { train: train.to_vec(), columns: Vec::new() };
        for column in covariates.map_or(&[][..], |covariates| covariates.columns()) {
            let mut column = column.clone();
            fitted.centre(&mut column);
            let before = fitted.length(&column);
            // Twice: once leaves errors of the order of the rounding times the columns' collinearity.
            for _ in 0..2 {
                fitted.project_out(&mut column);
            }
            let after = fitted.length(&column);
            // A column of rounding errors alone has a length far below that of its values.
            if after > RANK_TOLERANCE * before && after > 0.0 && fitted.columns.len() + 1 < train.len() {
                for value in &mut column {
                    *value /= after;
                }
                fitted.columns.push(column);
            }
        }
        fitted
    }

    /// Returns what is left of `y` (one value a person of the cohort), fitted on the people of training alone.
    #[must_use]
    pub fn residuals(&self, y: &[f64]) -> Residuals {
        let mut values = y.to_vec();
        self.centre(&mut values);
        self.project_out(&mut values);
        // Takes out what rounding has left of the mean.
        self.centre(&mut values);
        Residuals { values, rank: self.columns.len() + 1 }
    }

    fn centre(&self, values: &mut [f64]) {
        let of_train = self.train.iter().filter_map(|person| values.get(*person));
        let mean = of_train.sum::<f64>() / self.train.len().max(1) as f64;
        for value in values {
            *value -= mean;
        }
    }

    fn product(&self, a: &[f64], b: &[f64]) -> f64 {
        self.train.iter().map(|person| a[*person] * b[*person]).sum()
    }

    fn length(&self, values: &[f64]) -> f64 {
        self.product(values, values).sqrt()
    }

    fn project_out(&self, values: &mut [f64]) {
        for column in &self.columns {
            let share = self.product(values, column);
            values.iter_mut().zip(column).for_each(|(value, part)| *value -= share * part);
        }
    }
}

/// Returns what is left of `y` (one value a person of the cohort) after least squares on the covariates and an
/// intercept, fitted on the people `train` alone; columns that those before them explain are left out.
///
/// Of many genes with the same people, [`Adjustment::fit`] is the faster way.
#[must_use]
pub fn residualise(covariates: Option<&Covariates>, y: &[f64], train: &[usize]) -> Residuals {
    Adjustment::fit(covariates, train).residuals(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::source::tests::text;

    fn ids(count: usize) -> Vec<Box<str>> {
        (0..count).map(|at| format!("s{at}").into()).collect()
    }

    #[test]
    fn both_layouts_give_the_same_covariates() {
        let rows = "id\ts0\ts1\ts2\ts3\ts9\nage\t30\t40\t50\t60\t1\nbatch\tb\ta\tb\ta\tc\n";
        let people = "#FID IID age batch\nf s0 30 b\nf s2 50 b\nf s1 40 a\nf s3 60 a\nf s9 1 c\n";
        for file in [rows, people] {
            let table = read(text(file), &ids(4)).unwrap();
            assert_eq!(table.ids().len(), 5);
            let covariates = table.of_people(["s1", "s0", "s2", "s3"].into_iter()).unwrap();
            // The level c is of nobody here.
            assert_eq!(covariates.names, ["age", "batch=b"]);
            assert_eq!(covariates.columns(), [vec![40.0, 30.0, 50.0, 60.0], vec![0.0, 1.0, 1.0, 0.0]]);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let of = |file: &str| {
            let samples = ids(4);
            read(text(file), &samples)
                .and_then(|table| table.of_people(samples.iter().map(|id| &**id)))
                .unwrap_err()
                .to_string()
        };
        let head = "id\ts0\ts1\ts2\ts3\n";
        let cases = [
            (format!("{head}age\t1\t2\tNA\t4\n"), "line 2, column 4 (s2): the covariate \"age\" is missing"),
            (format!("{head}age\t1\t2\tx\t4\n"), "line 2, column 4 (s2): the covariate \"age\" has words and numbers"),
            (format!("{head}age\ta\tb\tc\tb\n"), "has 3 different words for 4 people"),
            (format!("{head}age\t1\t2\t3\n"), "line 2: 4 fields where 5 are expected"),
            (format!("{head}age\t1\t2\t3\t4\nage\t1\t2\t3\t4\n"), "line 3, column 1 (id): the covariate \"age\""),
            ("id\ts0\ts0\ts2\ts3\nage\t1\t2\t3\t4\n".to_owned(), "column 3 (s0): the sample \"s0\" is there already"),
            ("id\tx\ty\nage\t1\t2\n".to_owned(), "such as \"s0\""),
            (String::new(), "the file ends before its header"),
        ];
        for (file, expected) in cases {
            let error = of(&file);
            assert!(error.contains(expected), "{error}\nwanted {expected}");
        }
    }

    #[test]
    fn residuals_are_those_of_least_squares_on_the_training_people() {
        let x: Vec<f64> = (0..12).map(f64::from).collect();
        let double: Vec<f64> = x.iter().map(|value| 2.0 * value + 1.0).collect();
        let constant = vec![5.0; 12];
        let covariates =
            Covariates::new(["x", "double", "constant"].map(str::to_owned).to_vec(), vec![x.clone(), double, constant]);
        // Exact on the line for the people of training, 3 above for one outside of it.
        let mut y: Vec<f64> = x.iter().map(|value| 4.0 - 0.5 * value).collect();
        y[11] += 3.0;
        let train: Vec<usize> = (0..10).collect();
        let left = residualise(Some(&covariates), &y, &train);
        assert_eq!(left.rank, 2);
        for (person, value) in left.values.iter().enumerate() {
            let expected = if person == 11 { 3.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-9, "{person}: {value}");
        }
        let centred = residualise(None, &x, &train);
        assert!((centred.values[0] + 4.5).abs() < 1e-12 && centred.rank == 1);
        assert!(train.iter().map(|person| centred.values[*person]).sum::<f64>().abs() < 1e-12);
    }
}
