//! Lists of people that come beside a matrix: `FID IID` lines, and the Oxford `.sample` file of BGEN and UK Biobank.
//!
//! An Oxford file has two header lines, the columns' names (`ID_1 ID_2 missing …`) and their types (`0 0 0 …`); of its
//! further columns only `sex` is read. Imports `genome` alone.

use super::input::{Input, Lines};
use super::{Fault, GenotypeError, Limit, ReadLimits, Sample, Samples, Sex};

/// The columns of a list, by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    family: Option<usize>,
    id: usize,
    sex: Option<usize>,
    /// A type line has to follow the names.
    typed: bool,
}

impl Columns {
    /// Returns what a list has without a line of names; a list of one word a line gives the identifiers alone.
    const fn bare(width: usize) -> Self {
        let families = width > 1;
        Self { family: if families { Some(0) } else { None }, id: families as usize, sex: None, typed: false }
    }
}

/// Reads a list of people: `FID IID` without a header, or with the header of an Oxford `.sample` file.
///
/// # Errors
/// A line has too few columns, a sex is none, the type line is missing, or as [`Samples::new`].
pub(super) fn read(input: Input, limits: &ReadLimits) -> Result<Samples, GenotypeError> {
    let name: Box<str> = input.name().into();
    let mut lines = Lines::new(input, limits);
    let mut columns = None;
    let mut samples = Vec::new();
    while lines.advance()? {
        let line = std::str::from_utf8(lines.current())
            .map_err(|_| lines.fault(Fault::Malformed("the line is not UTF-8 text".to_owned())))?;
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if lines.number() == 1
            && let Some(named) = header(&fields)
        {
            columns = Some(named);
        } else if lines.number() == 2 && columns.is_some_and(|columns| columns.typed) {
            types(&fields).map_err(|what| lines.fault(Fault::Malformed(what)))?;
        } else if !fields.is_empty() {
            if samples.len() >= limits.samples {
                return Err(GenotypeError::limit(Limit::Samples, limits.samples as u64).in_file(&name));
            }
            let columns = columns.get_or_insert(Columns::bare(fields.len()));
            samples.push(person(&fields, *columns).map_err(|fault| lines.fault(fault))?);
        }
    }
    Samples::new(samples, limits).map_err(|error| error.in_file(&name))
}

/// Returns the columns that a first line names; `None` where it is a person already.
fn header(fields: &[&str]) -> Option<Columns> {
    let is = |at: usize, names: &[&str]| {
        fields.get(at).is_some_and(|field| names.iter().any(|name| field.eq_ignore_ascii_case(name)))
    };
    let sex = fields.iter().position(|field| field.eq_ignore_ascii_case("sex"));
    let named = |family, id, typed| Some(Columns { family, id, sex, typed });
    if is(0, &["ID_1"]) && is(1, &["ID_2"]) {
        named(Some(0), 1, true)
    } else if is(0, &["ID"]) {
        named(None, 0, true)
    } else if is(0, &["FID", "#FID"]) && is(1, &["IID"]) {
        named(Some(0), 1, false)
    } else if is(0, &["IID", "#IID"]) {
        named(None, 0, false)
    } else {
        None
    }
}

/// Checks an Oxford file's second line: the identifiers' columns have type 0, the others a letter.
fn types(fields: &[&str]) -> Result<(), String> {
    let typed = |field: &&str| matches!(*field, "0" | "D" | "C" | "P" | "B");
    if fields.first() == Some(&"0") && fields.iter().all(typed) {
        Ok(())
    } else {
        Err("an Oxford sample file has the columns' types in its second line, such as '0 0 0 D'".to_owned())
    }
}

fn person(fields: &[&str], columns: Columns) -> Result<Sample, Fault> {
    let Some(id) = fields.get(columns.id) else {
        let reason = format!("the line has {} columns, the identifier is in column {}", fields.len(), columns.id + 1);
        return Err(Fault::Malformed(reason));
    };
    let family = columns.family.and_then(|at| fields.get(at)).filter(|family| **family != "0");
    let sex = match columns.sex {
        None => Sex::Unknown,
        Some(at) => sex(fields.get(at).copied().unwrap_or("NA"))?,
    };
    Ok(Sample { id: (*id).into(), family: family.map(|family| (*family).into()), sex })
}

fn sex(text: &str) -> Result<Sex, Fault> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "m" | "male" => Ok(Sex::Male),
        "2" | "f" | "female" => Ok(Sex::Female),
        "0" | "na" | "-9" | "." | "u" | "unknown" => Ok(Sex::Unknown),
        _ => Err(Fault::Field {
            field: "sex".to_owned(),
            reason: format!("'{text}' is no sex: write 1 or M, 2 or F, 0 or NA"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &[u8]) -> Result<Samples, GenotypeError> {
        let limits = ReadLimits { samples: 3, ..ReadLimits::default() };
        read(Input::new("people", std::io::Cursor::new(text.to_vec()), &limits)?, &limits)
    }

    #[test]
    fn every_kind_of_list() {
        let person = |family: &str, id: &str, sex| Sample {
            id: id.into(),
            family: (!family.is_empty()).then(|| family.into()),
            sex,
        };
        let plain = [person("F1", "I1", Sex::Unknown), person("", "I2", Sex::Unknown)];
        let sexed = [person("F1", "I1", Sex::Male), person("", "I2", Sex::Unknown)];
        let alone = [person("", "I1", Sex::Unknown), person("", "I2", Sex::Unknown)];
        let cases: [(&str, &[Sample]); 7] = [
            ("F1 I1\n0 I2\n", &plain),
            ("F1\tI1\t9\r\n\n0\tI2", &plain),
            ("#FID IID SEX\nF1 I1 1\n0 I2 0\n", &sexed),
            ("ID_1 ID_2 missing\n0 0 0\nF1 I1 0\n0 I2 0\n", &plain),
            ("ID_1 ID_2 missing sex\n0 0 0 D\nF1 I1 0 M\n0 I2 0 NA\n", &sexed),
            ("I1\nI2\n", &alone),
            ("#IID\nI1\nI2\n", &alone),
        ];
        for (text, expected) in cases {
            let samples = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(samples.iter().cloned().collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, expected) in [
            ("", "people: it has no samples"),
            ("ID_1 ID_2 missing\n0 0 0\n", "no samples"),
            ("ID_1 ID_2 missing\nF1 I1 0\n", "line 2: an Oxford sample file"),
            ("ID_1 ID_2 missing sex\n0 0 0 D\nF1 I1 0 3\n", "line 3: sex: '3' is no sex"),
            ("F I\nF I\n", "samples 1 and 2"),
            ("F1 I1\nF1 I2\nF1 I3\nF1 I4\n", "more than 3 samples"),
            ("F1 I1\nI2\n", "line 2: the line has 1 columns, the identifier is in column 2"),
            ("#FID IID\nF1\n", "line 2: the line has 1 columns"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("people") && error.contains(expected), "{error}\nwanted {expected}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in any::<Vec<u8>>(), text in "(ID_1 ID_2 missing sex\n|0 0 0 D\n|[0-9A-Z #\n]{0,9}){0,6}") {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}
