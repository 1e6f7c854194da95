//! GCT 1.2 and 1.3: expression by gene and tissue, as GTEx publishes it.
//!
//! Imports `genome` only. Invariant: a value that is blank or `NA` is NaN; no value is negative or infinite; every
//! row has one value a tissue; the counts of line 2 hold.

use std::collections::HashSet;

use super::source::{Line, Problem, Quoted, Source, SourceError};
use crate::genome::{GeneId, Tissue};

/// One gene's row.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionRow {
    /// The identifier without version.
    pub id: GeneId,
    /// The identifier's version where the table gives one.
    pub version: Option<u32>,
    /// The description, which is the symbol in GTEx's tables; `None` where it says nothing beyond the identifier.
    pub description: Option<String>,
    /// One value a tissue; NaN where nothing was measured.
    pub values: Vec<f32>,
}

/// A table of expression.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionTable {
    /// The tissues in the order of the columns.
    pub tissues: Vec<Tissue>,
    /// The genes in the order of the rows.
    pub rows: Vec<ExpressionRow>,
    /// How many rows were left out because their gene has an earlier row.
    pub duplicates: usize,
}

/// What the first lines declare.
struct Header {
    rows: usize,
    row_metadata: usize,
    column_metadata: usize,
    description: Option<usize>,
    headings: Vec<String>,
    tissues: Vec<Tissue>,
}

/// Reads a GCT 1.2 or 1.3 table; the first row of a gene counts, later ones are counted as duplicates.
///
/// # Errors
/// The file cannot be read, or a line is malformed; the error names line and column.
pub fn read(mut source: Source) -> Result<ExpressionTable, SourceError> {
    let header = read_header(&mut source)?;
    for _ in 0..header.column_metadata {
        let line = required(&mut source, "the column metadata that line 2 declares")?;
        let _ = fields(&line, &header)?;
    }
    let mut table = ExpressionTable {
        // The declared count is only a claim until the rows have come.
        rows: Vec::with_capacity(header.rows.min(1 << 16)),
        tissues: Vec::new(),
        duplicates: 0,
    };
    let mut seen = HashSet::with_capacity(header.rows.min(1 << 16));
    let mut found = 0;
    let mut empty_line = None;
    while let Some(line) = source.next_line()? {
        if line.text().trim().is_empty() {
            empty_line.get_or_insert_with(|| line.wrong(Problem::EmptyLine));
            continue;
        }
        if let Some(error) = empty_line {
            return Err(error);
        }
        found += 1;
        if found > header.rows {
            return Err(line.wrong(Problem::RowCount { declared: header.rows, found }));
        }
        let row = read_row(&line, &header)?;
        if seen.insert(row.id.clone()) {
            table.rows.push(row);
        } else {
            table.duplicates += 1;
        }
    }
    if found < header.rows {
        return Err(source.malformed(Problem::RowCount { declared: header.rows, found }));
    }
    table.tissues = header.tissues;
    Ok(table)
}

fn required<'a>(source: &'a mut Source, what: &'static str) -> Result<Line<'a>, SourceError> {
    let ended = source.malformed(Problem::Ended(what));
    source.next_line()?.ok_or(ended)
}

fn read_header(source: &mut Source) -> Result<Header, SourceError> {
    let line = required(source, "its version line")?;
    let counts: &[&str] = match line.text().trim() {
        "#1.2" => &["rows", "columns"],
        "#1.3" => &["rows", "columns", "row metadata", "column metadata"],
        other => return Err(line.wrong_field(0, "version", Problem::GctVersion(Quoted::new(other)))),
    };
    let line = required(source, "its counts")?;
    let texts: Vec<&str> = line.text().trim_end().split('\t').collect();
    if texts.len() != counts.len() {
        return Err(line.wrong(Problem::FieldCount { found: texts.len(), expected: counts.len() }));
    }
    let mut numbers = [0_usize; 4];
    for (index, (text, name)) in texts.iter().zip(counts).enumerate() {
        let number = text.trim().parse::<u32>();
        numbers[index] = match number {
            Ok(number) => number as usize,
            Err(_) => return Err(line.wrong_field(index, name, Problem::NotAWholeNumber(Quoted::new(text)))),
        };
    }
    let [rows, columns, row_metadata, column_metadata] = numbers;
    // Version 1.2 has one fixed column of row metadata, the description.
    let row_metadata = if counts.len() == 2 { 1 } else { row_metadata };
    let line = required(source, "its column headings")?;
    let (headings, tissues, description) = read_headings(&line, columns, row_metadata, counts.len() == 2)?;
    Ok(Header { rows, row_metadata, column_metadata, description, headings, tissues })
}

type Headings = (Vec<String>, Vec<Tissue>, Option<usize>);

fn read_headings(line: &Line<'_>, columns: usize, row_metadata: usize, fixed: bool) -> Result<Headings, SourceError> {
    let headings: Vec<String> = line.text().split('\t').map(|heading| heading.trim().to_owned()).collect();
    let expected: &[(usize, &'static str)] = if fixed { &[(0, "Name"), (1, "Description")] } else { &[(0, "id")] };
    for (index, name) in expected {
        let found = headings.get(*index).map_or("", String::as_str);
        if !found.eq_ignore_ascii_case(name) {
            let problem = Problem::Heading { found: Quoted::new(found), expected: name };
            return Err(line.wrong_field(*index, name, problem));
        }
    }
    let found = headings.len().saturating_sub(1 + row_metadata);
    if found != columns || columns == 0 {
        return Err(line.wrong(Problem::TissueCount { declared: columns, found }));
    }
    let is_symbol = |heading: &String| {
        ["description", "symbol", "gene_symbol", "pr_gene_symbol"].iter().any(|name| heading.eq_ignore_ascii_case(name))
    };
    let description = headings[1..=row_metadata].iter().position(is_symbol).map(|index| index + 1);
    let mut tissues: Vec<Tissue> = Vec::with_capacity(columns);
    for (index, heading) in headings.iter().enumerate().skip(1 + row_metadata) {
        let tissue = Tissue::from_name(heading);
        if tissue.id().is_empty() {
            return Err(line.wrong_field(index, "tissue", Problem::EmptyField));
        }
        if let Some(first) = tissues.iter().position(|known| known.id() == tissue.id()) {
            let problem = Problem::DuplicateTissue { tissue: tissue.id().to_owned(), first: first + row_metadata + 2 };
            return Err(line.wrong_field(index, heading, problem));
        }
        tissues.push(tissue);
    }
    Ok((headings, tissues, description))
}

fn fields<'a>(line: &Line<'a>, header: &Header) -> Result<impl Iterator<Item = &'a str> + use<'a>, SourceError> {
    let found = line.text().bytes().filter(|byte| *byte == b'\t').count() + 1;
    if found == header.headings.len() {
        Ok(line.text().split('\t'))
    } else {
        Err(line.wrong(Problem::FieldCount { found, expected: header.headings.len() }))
    }
}

fn read_row(line: &Line<'_>, header: &Header) -> Result<ExpressionRow, SourceError> {
    let mut row = None;
    let mut description = None;
    let mut values = Vec::with_capacity(header.tissues.len());
    for (index, field) in fields(line, header)?.enumerate() {
        let field = field.trim();
        if index == 0 {
            row = Some(GeneId::parse(field).map_err(|error| line.wrong_field(0, &header.headings[0], error))?);
        } else if index > header.row_metadata {
            let value =
                expression(field).map_err(|problem| line.wrong_field(index, &header.headings[index], problem))?;
            values.push(value);
        } else if header.description == Some(index) && !is_missing(field) {
            description = Some(field);
        }
    }
    let Some((id, version)) = row else {
        return Err(line.wrong_field(0, "Name", Problem::EmptyField));
    };
    // Some tables repeat the identifier as the description, with or without its version.
    let description = description
        .filter(|text| GeneId::parse(text).map_or(true, |(described, _)| described != id))
        .map(str::to_owned);
    Ok(ExpressionRow { id, version, description, values })
}

fn is_missing(field: &str) -> bool {
    field.is_empty() || ["NA", "NaN", "N/A", "null", "."].iter().any(|word| field.eq_ignore_ascii_case(word))
}

/// Parses an expression value; NaN where nothing was measured.
fn expression(field: &str) -> Result<f32, Problem> {
    if is_missing(field) {
        return Ok(f32::NAN);
    }
    let Ok(value) = field.parse::<f32>() else {
        return Err(Problem::NotANumber(Quoted::new(field)));
    };
    if !value.is_finite() {
        Err(Problem::NotFinite(Quoted::new(field)))
    } else if value < 0.0 {
        Err(Problem::Negative(Quoted::new(field)))
    } else {
        // −0 is 0: the sign would make another digest of the same content.
        Ok(value.abs())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::source::tests::{bytes, text};

    const HEAD: &str = "#1.2\n2\t2\nName\tDescription\tLiver\tBrain - Cortex\n";

    #[test]
    fn version_1_2_as_gtex_publishes_it() {
        let body = "ENSG00000000003.14\tTSPAN6\t1.5\tNA\nENSG00000000005\tENSG00000000005.5\t\t-0\n\n";
        let table = read(text(&format!("{HEAD}{body}"))).unwrap();
        let tissues: Vec<_> = table.tissues.iter().map(Tissue::id).collect();
        assert_eq!(tissues, ["Liver", "Brain_Cortex"]);
        let [first, second] = &table.rows[..] else { panic!("two rows") };
        assert_eq!((first.id.as_str(), first.version), ("ENSG00000000003", Some(14)));
        assert_eq!((first.description.as_deref(), second.description.as_deref()), (Some("TSPAN6"), None));
        assert!(first.values[0].to_bits() == 1.5_f32.to_bits() && first.values[1].is_nan(), "{first:?}");
        assert!(second.values[0].is_nan() && second.values[1].to_bits() == 0, "{second:?}");
    }

    #[test]
    fn version_1_3_skips_the_metadata() {
        let file = "#1.3\n1\t2\t2\t1\nid\tchr\tsymbol\tLung\tLiver\nsex\tna\tna\tF\tM\ng1\tchr1\tABC\t1\t2\n";
        let table = read(text(file)).unwrap();
        assert_eq!(table.tissues.iter().map(Tissue::id).collect::<Vec<_>>(), ["Lung", "Liver"]);
        assert_eq!(table.rows[0].description.as_deref(), Some("ABC"));
        assert_eq!(table.rows[0].values, [1.0, 2.0]);
    }

    #[test]
    fn the_first_row_of_a_gene_counts() {
        let table = read(text(&format!("{HEAD}ENSG1.1\tA\t1\t2\nENSG1.2\tA\t3\t4\n"))).unwrap();
        assert_eq!((table.rows.len(), table.duplicates), (1, 1));
        assert_eq!(table.rows[0].values, [1.0, 2.0]);
    }

    #[test]
    fn malformed_lines_name_line_and_column() {
        let head = |rows: &str| format!("{HEAD}{rows}");
        let cases = [
            (String::new(), "line 0: the file ends before its version line"),
            ("#1.1\n".to_owned(), "line 1, column 1 (version): \"#1.1\" is not #1.2 or #1.3"),
            ("#1.2\n2\n".to_owned(), "line 2: 1 tab-separated fields where 2"),
            ("#1.2\n2\tx\n".to_owned(), "line 2, column 2 (columns): \"x\" is not a whole number"),
            ("#1.2\n1\t1\nid\tName\tLiver\n".to_owned(), "line 3, column 1 (Name): \"id\" where Name"),
            (
                "#1.2\n1\t2\nName\tDescription\tLiver\n".to_owned(),
                "line 3: line 2 declares 2 tissues, the header has 1",
            ),
            (
                "#1.2\n1\t2\nName\tDescription\tBrain - Cortex\tBrain_Cortex\n".to_owned(),
                "line 3, column 4 (Brain_Cortex): the tissue Brain_Cortex has column 3 already",
            ),
            ("#1.2\n1\t1\nName\tDescription\t \n".to_owned(), "line 3, column 3 (tissue): the field is empty"),
            (head("g\td\t1\t2\ng2\td\t1\n"), "line 5: 3 tab-separated fields where 4"),
            (head("g\td\tx1\t2\n"), "line 4, column 3 (Liver): \"x1\" is not a number"),
            (head("g\td\t1\t-2\n"), "line 4, column 4 (Brain - Cortex): \"-2\" is negative"),
            (head("g\td\t1\tinf\n"), "line 4, column 4 (Brain - Cortex): \"inf\" is not a finite"),
            (head("g\td\t1e60\t1\n"), "line 4, column 3 (Liver): \"1e60\" is not a finite"),
            (head("\td\t1\t1\n"), "line 4, column 1 (Name): '' is not a gene identifier"),
            (head("g\td\t1\t2\n\ng2\td\t1\t2\n"), "line 5: an empty line"),
            (head("g\td\t1\t2\n"), "line 4: line 2 declares 2 rows, the table has 1"),
            (head("a\td\t1\t2\nb\td\t1\t2\nc\td\t1\t2\n"), "line 6: line 2 declares 2 rows, the table has 3"),
        ];
        for (file, expected) in cases {
            let error = read(text(&file)).unwrap_err().to_string();
            assert!(error.starts_with("test, ") && error.contains(expected), "{error}\nwanted {expected}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(rows in 0_usize..4, body in "[a-z0-9.\\-\t\r\nNA#]{0,80}", junk in any::<Vec<u8>>()) {
            let _ = read(text(&format!("#1.2\n{rows}\t2\nName\tDescription\tLiver\tLung\n{body}")));
            let _ = read(text(&format!("#1.3\n{rows}\t1\t1\t1\nid\tsymbol\tLiver\n{body}")));
            let _ = read(bytes(&junk));
        }
    }
}
