//! The people of a cohort: those that genotypes and expression share, their populations, and folds of them.
//!
//! Imports `genotype` and `reference`. Invariants: people keep the genotypes' order; folds depend on the people and the
//! seed alone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::CohortError;
use super::lines::{Table, TableProblem, is_missing};
use crate::genotype::{Samples, Sex};
use crate::reference::source::Quoted;

/// Fewer people in common than this are refused: nothing could be learned, and a mistake is likelier.
pub const FEWEST_PEOPLE: usize = 30;

/// A person with genotypes and expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The individual's identifier.
    pub id: Box<str>,
    /// The population, where the table of populations has the person.
    pub population: Option<Box<str>>,
    /// The sex, from the table of populations or from the genotypes.
    pub sex: Sex,
}

/// What a table of populations says of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Described {
    population: Option<Box<str>>,
    sex: Option<Sex>,
}

/// The people that all inputs share, and where each is in them.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) people: Vec<Person>,
    pub(super) in_genotypes: Vec<u32>,
    pub(super) in_expression: Vec<usize>,
}

/// Joins the samples of the inputs; people of whom only a part is known are left out and counted.
pub(super) fn join(
    (genotypes, expression): (&Samples, &[Box<str>]),
    covariates: Option<&HashSet<&str>>,
    described: Option<&HashMap<Box<str>, Described>>,
    notes: &mut Vec<String>,
) -> Result<Joined, CohortError> {
    let places: HashMap<&str, usize> = expression.iter().enumerate().map(|(at, id)| (&**id, at)).collect();
    let mut joined = Joined::default();
    let (mut both, mut without_population) = (0, 0);
    for (at, sample) in genotypes.iter().enumerate() {
        let Some(place) = places.get(&*sample.id) else { continue };
        both += 1;
        if covariates.is_some_and(|known| !known.contains(&*sample.id)) {
            continue;
        }
        let described = described.map(|described| described.get(&sample.id));
        without_population += usize::from(described == Some(None));
        let described = described.flatten();
        joined.people.push(Person {
            id: sample.id.clone(),
            population: described.and_then(|described| described.population.clone()),
            sex: described.and_then(|described| described.sex).unwrap_or(sample.sex),
        });
        joined.in_genotypes.push(at as u32);
        joined.in_expression.push(place.to_owned());
    }
    if joined.people.len() < FEWEST_PEOPLE {
        let ids: Vec<&str> = genotypes.iter().map(|sample| &*sample.id).collect();
        return Err(CohortError::FewPeople {
            common: joined.people.len(),
            genotypes: ids.len(),
            genotype_examples: examples(ids.into_iter()),
            expression: expression.len(),
            expression_examples: examples(expression.iter().map(|id| &**id)),
            covariates: covariates.map(|known| {
                let ordered: std::collections::BTreeSet<&str> = known.iter().copied().collect();
                (known.len(), examples(ordered.into_iter()))
            }),
        });
    }
    let mut note = |count: usize, what: &str| {
        if count > 0 {
            notes.push(format!("{count} {what}."));
        }
    };
    note(genotypes.len() - both, "people of the genotypes have no expression and were left out");
    note(expression.len() - both, "people of the expression table have no genotypes and were left out");
    note(both - joined.people.len(), "people have no covariates and were left out");
    note(without_population, "people are not in the table of populations; they are dealt into folds as one group");
    Ok(joined)
}

fn examples<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.take(3).collect::<Vec<_>>().join(", ")
}

/// Reads a table of populations: a header with `sample` (or `IID`, `id`) and `population` (or `pop`), `sex` optional.
pub(super) fn read_populations(path: &Path) -> Result<HashMap<Box<str>, Described>, CohortError> {
    let mut table = Table::open(path)?;
    let Some(header) = table.next()? else { return Err(table.wrong(TableProblem::Ended("its header")).into()) };
    let names: Vec<String> =
        header.fields().iter().map(|name| name.trim_start_matches('#').to_ascii_lowercase()).collect();
    let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
    let sample = find(&["sample", "iid", "sample_id", "id", "individual"]);
    let sample = sample.ok_or_else(|| header.wrong(TableProblem::NoHeading("column 'sample' (or 'IID')")))?;
    let population = find(&["population", "pop"]);
    let population =
        population.ok_or_else(|| header.wrong(TableProblem::NoHeading("column 'population' (or 'pop')")))?;
    let sex = find(&["sex", "gender"]);
    let mut people = HashMap::new();
    while let Some(row) = table.next()? {
        let fields = row.fields();
        if fields.is_empty() || row.text.is_empty() {
            continue;
        }
        if fields.len() != names.len() {
            let counts = TableProblem::FieldCount { found: fields.len(), expected: names.len() };
            return Err(row.wrong(counts).into());
        }
        let described = Described {
            population: (!is_missing(fields[population])).then(|| fields[population].into()),
            sex: sex.and_then(|sex| parse_sex(fields[sex])),
        };
        if people.insert(fields[sample].into(), described).is_some() {
            let twice = TableProblem::DuplicateSample(Quoted::new(fields[sample]));
            return Err(row.wrong_field((sample, &names[sample]), twice).into());
        }
    }
    Ok(people)
}

fn parse_sex(text: &str) -> Option<Sex> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "m" | "male" => Some(Sex::Male),
        "2" | "f" | "female" => Some(Sex::Female),
        _ => None,
    }
}

/// Returns the places of the people of each population; people without one are in none.
#[must_use]
pub fn populations(people: &[Person]) -> BTreeMap<Box<str>, Vec<usize>> {
    let mut populations: BTreeMap<Box<str>, Vec<usize>> = BTreeMap::new();
    for (at, person) in people.iter().enumerate() {
        if let Some(population) = &person.population {
            populations.entry(population.clone()).or_default().push(at);
        }
    }
    populations
}

/// Deals people into folds, each population evenly: the sizes of two folds differ by at most 1, overall and within a
/// population. Returns one fold's number, from 0, for each entry of `among`.
///
/// People without a population are a group of their own. At most 255 folds are made.
#[must_use]
pub fn balanced_folds(people: &[Person], among: &[usize], folds: usize, seed: u64) -> Vec<u8> {
    let mut groups: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (entry, person) in among.iter().enumerate() {
        let population = people.get(*person).and_then(|person| person.population.as_deref());
        groups.entry(population).or_default().push(entry);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let folds = folds.clamp(1, usize::from(u8::MAX));
    let mut fold_of = vec![0; among.len()];
    let mut dealt = 0;
    for entries in groups.values_mut() {
        entries.shuffle(&mut rng);
        // The next group goes on where this one ends: that keeps the overall sizes even too.
        for entry in entries {
            fold_of[*entry] = (dealt % folds) as u8;
            dealt += 1;
        }
    }
    fold_of
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::genotype::{ReadLimits, Sample};

    fn people(groups: &[(Option<&str>, usize)]) -> Vec<Person> {
        let mut people = Vec::new();
        for (population, count) in groups {
            for _ in 0..*count {
                let id = format!("p{}", people.len()).into();
                people.push(Person { id, population: population.map(Into::into), sex: Sex::Unknown });
            }
        }
        people
    }

    #[test]
    fn folds_are_even_overall_and_in_every_population() {
        let people = people(&[(Some("A"), 23), (Some("B"), 11), (None, 7), (Some("C"), 2)]);
        let among: Vec<usize> = (0..people.len()).filter(|at| at % 9 != 0).collect();
        let folds = balanced_folds(&people, &among, 5, 3);
        let spread = |wanted: &dyn Fn(&Person) -> bool| {
            let mut sizes = [0_usize; 5];
            for (entry, fold) in folds.iter().enumerate() {
                sizes[usize::from(*fold)] += usize::from(wanted(&people[among[entry]]));
            }
            sizes.iter().max().unwrap() - sizes.iter().min().unwrap()
        };
        assert!(spread(&|_| true) <= 1);
        for population in [Some("A"), Some("B"), Some("C"), None] {
            assert!(spread(&|person| person.population.as_deref() == population) <= 1, "{population:?}");
        }
        assert_eq!(folds, balanced_folds(&people, &among, 5, 3));
        assert_ne!(folds, balanced_folds(&people, &among, 5, 4));
        assert_eq!(populations(&people)["B"], (23..34).collect::<Vec<_>>());
    }

    #[test]
    fn people_keep_the_genotypes_order_and_the_rest_is_counted() {
        let named: Vec<String> = (0..40).rev().map(|at| format!("p{at}")).collect();
        let samples = named.iter().map(|id| Sample::named(id)).collect();
        let samples = Samples::new(samples, &ReadLimits::default()).unwrap();
        let expression: Vec<Box<str>> = (5..50).map(|at| format!("p{at}").into()).collect();
        let covariates: HashSet<&str> = named.iter().map(String::as_str).filter(|id| *id != "p7").collect();
        let mut notes = Vec::new();
        let joined = join((&samples, &expression), Some(&covariates), None, &mut notes).unwrap();
        assert_eq!((joined.people.len(), &*joined.people[0].id), (34, "p39"));
        assert_eq!((joined.in_genotypes[0], joined.in_expression[0]), (0, 34));
        let notes = notes.join("\n");
        for expected in ["5 people of the genotypes", "10 people of the expression", "1 people have no covariates"] {
            assert!(notes.contains(expected), "{notes}");
        }
    }

    #[test]
    fn ids_that_do_not_match_are_shown() {
        let samples = (0..40).map(|at| Sample::named(&format!("f_p{at}"))).collect();
        let samples = Samples::new(samples, &ReadLimits::default()).unwrap();
        let expression: Vec<Box<str>> = (0..50).map(|at| format!("p{at}").into()).collect();
        let error = join((&samples, &expression), None, None, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("only 0 people") && error.contains("f_p0, f_p1, f_p2"), "{error}");
        assert!(error.contains("50 (p0, p1, p2)"), "{error}");
    }

    #[test]
    fn populations_are_read_by_their_header() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "#FID IID pop sex\nf a GBR 2\nf b NA M").unwrap();
        let read = read_populations(file.path()).unwrap();
        assert_eq!(read["a"], Described { population: Some("GBR".into()), sex: Some(Sex::Female) });
        assert_eq!(read["b"], Described { population: None, sex: Some(Sex::Male) });
        writeln!(file, "f a GBR 2").unwrap();
        assert!(read_populations(file.path()).unwrap_err().to_string().contains("line 4, column 2 (iid)"));
    }
}
