//! Gene annotation: GTF, BED12, or a table with a header; recognised by content, not by the file's name.
//!
//! Imports `genome` only. Invariant: every gene has a place, 1-based with both ends included, and its identifier is
//! there once.

use std::collections::{BTreeSet, HashSet};

use super::source::{Line, Problem, Quoted, Source, SourceError};
use crate::genome::{Biotype, Chromosome, Gene, GeneId, GeneSymbol, Locus, Position, Strand};

/// The genes of an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The genes in the order of the file; each has a locus.
    pub genes: Vec<Gene>,
    /// How many entries were left out because their identifier has an earlier entry.
    pub duplicates: usize,
    /// The identifiers of these: where identifiers are symbols (BED12), such a name does not tell one gene.
    pub repeated: BTreeSet<GeneId>,
}

/// Where a table has its columns.
struct Columns {
    headings: Vec<String>,
    id: usize,
    symbol: Option<usize>,
    biotype: Option<usize>,
    chromosome: usize,
    start: usize,
    end: usize,
    strand: usize,
    tss: Option<usize>,
}

enum Layout {
    Gtf,
    Bed,
    Table(Box<Columns>),
}

/// Reads an annotation; the first entry of an identifier counts, later ones are counted as duplicates.
///
/// GTF: the `gene` lines. BED12: 0-based starts become 1-based, the name is an identifier or a symbol. Table: a header
/// with `ensembl_id` (or `gene_id`), `chrom`, `start`, `end`, `strand`, and `name`, `biotype`, `tss` where it has them;
/// positions are 1-based.
///
/// # Errors
/// The file cannot be read, its format is not known, a line is malformed, or there is no gene in it.
pub fn read(mut source: Source) -> Result<Annotation, SourceError> {
    let mut annotation = Annotation { genes: Vec::new(), duplicates: 0, repeated: BTreeSet::new() };
    let mut seen = HashSet::new();
    let mut layout: Option<Layout> = None;
    while let Some(line) = source.next_line()? {
        if is_comment(line.text()) {
            continue;
        }
        let known = match &layout {
            Some(known) => known,
            None => match detect(&line)? {
                Layout::Table(columns) => {
                    layout = Some(Layout::Table(columns));
                    continue;
                }
                found => layout.insert(found),
            },
        };
        let gene = match known {
            Layout::Gtf => read_gtf(&line)?,
            Layout::Bed => Some(read_bed(&line)?),
            Layout::Table(columns) => Some(read_table(&line, columns)?),
        };
        let Some(gene) = gene else { continue };
        if seen.insert(gene.id.clone()) {
            annotation.genes.push(gene);
        } else {
            annotation.duplicates += 1;
            annotation.repeated.insert(gene.id);
        }
    }
    if annotation.genes.is_empty() {
        return Err(source.malformed(Problem::Ended("its first gene")));
    }
    Ok(annotation)
}

fn is_comment(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || text.starts_with('#') || text.starts_with("track ") || text.starts_with("browser ")
}

fn detect(line: &Line<'_>) -> Result<Layout, SourceError> {
    let fields: Vec<&str> = line.text().split('\t').collect();
    let whole = |index: usize| fields.get(index).is_some_and(|field| field.trim().parse::<u32>().is_ok());
    if fields.len() >= 8 && whole(3) && whole(4) {
        return Ok(Layout::Gtf);
    }
    if fields.len() >= 6 && whole(1) && whole(2) {
        return Ok(Layout::Bed);
    }
    let find = |names: &[&str]| {
        fields.iter().position(|field| names.iter().any(|name| field.trim().eq_ignore_ascii_case(name)))
    };
    let places = (
        find(&["ensembl_id", "gene_id", "id"]),
        find(&["chrom", "chromosome", "chr", "seqname"]),
        find(&["start"]),
        find(&["end"]),
        find(&["strand"]),
    );
    let (Some(id), Some(chromosome), Some(start), Some(end), Some(strand)) = places else {
        return Err(line.wrong(Problem::AnnotationLayout));
    };
    Ok(Layout::Table(Box::new(Columns {
        headings: fields.iter().map(|field| field.trim().to_owned()).collect(),
        id,
        symbol: find(&["name", "symbol", "gene_name"]),
        biotype: find(&["biotype", "gene_type", "gene_biotype"]),
        chromosome,
        start,
        end,
        strand,
        tss: find(&["tss"]),
    })))
}

/// A field with its place in the line.
struct Field<'l, 'a> {
    line: &'l Line<'a>,
    index: usize,
    name: &'l str,
    text: &'a str,
}

impl<'l, 'a> Field<'l, 'a> {
    fn new(line: &'l Line<'a>, fields: &[&'a str], index: usize, name: &'l str) -> Self {
        Self { line, index, name, text: fields[index].trim() }
    }

    fn wrong(&self, problem: impl Into<Problem>) -> SourceError {
        self.line.wrong_field(self.index, self.name, problem)
    }

    fn chromosome(&self) -> Result<Chromosome, SourceError> {
        Chromosome::parse(self.text).map_err(|error| self.wrong(error))
    }

    fn position(&self) -> Result<Position, SourceError> {
        Position::parse(self.text).map_err(|error| self.wrong(error))
    }

    /// Parses a start that counts from 0.
    fn position_from_zero(&self) -> Result<Position, SourceError> {
        let zero_based = self.text.parse::<u32>().ok();
        let position = zero_based.and_then(|base| base.checked_add(1)).and_then(Position::new);
        position.ok_or_else(|| self.wrong(Problem::NotAWholeNumber(Quoted::new(self.text))))
    }

    fn strand(&self) -> Result<Strand, SourceError> {
        Strand::parse(self.text).map_err(|error| self.wrong(error))
    }

    fn gene_id(&self) -> Result<(GeneId, Option<u32>), SourceError> {
        GeneId::parse(self.text).map_err(|error| self.wrong(error))
    }

    fn after(self, start: Position, end: Position) -> Result<(), SourceError> {
        if end < start {
            return Err(self.wrong(Problem::EndBeforeStart { start: start.get(), end: end.get() }));
        }
        Ok(())
    }
}

fn read_gtf(line: &Line<'_>) -> Result<Option<Gene>, SourceError> {
    let fields: Vec<&str> = line.text().trim_end().split('\t').collect();
    if fields.len() != 9 {
        return Err(line.wrong(Problem::FieldCount { found: fields.len(), expected: 9 }));
    }
    if fields[2] != "gene" {
        return Ok(None);
    }
    let field = |index, name| Field::new(line, &fields, index, name);
    let chromosome = field(0, "seqname").chromosome()?;
    let (start, end) = (field(3, "start").position()?, field(4, "end").position()?);
    field(4, "end").after(start, end)?;
    let strand = field(6, "strand").strand()?;
    let wrong = |problem: Problem| line.wrong_field(8, "attributes", problem);
    let mut attributes = Attributes::default();
    attributes.read(fields[8]).map_err(wrong)?;
    let id = attributes.id.ok_or_else(|| wrong(Problem::MissingAttribute("gene_id")))?;
    let (id, version) = GeneId::parse(id).map_err(|error| wrong(error.into()))?;
    Ok(Some(Gene {
        symbol: GeneSymbol::new(attributes.symbol.unwrap_or(id.as_str())),
        version: version.or_else(|| attributes.version.and_then(|version| version.parse().ok())),
        id,
        biotype: attributes.biotype.map(Biotype::new),
        locus: Some(Locus::new(chromosome, start, end, strand)),
    }))
}

/// The attributes of a GTF line that name a gene.
#[derive(Default)]
struct Attributes<'a> {
    id: Option<&'a str>,
    version: Option<&'a str>,
    symbol: Option<&'a str>,
    biotype: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    /// Reads `key "value"; key value; …`; a `;` between quotes belongs to the value.
    fn read(&mut self, text: &'a str) -> Result<(), Problem> {
        let mut rest = text.trim();
        while !rest.is_empty() {
            let key_end = rest.find([' ', ';', '=']).unwrap_or(rest.len());
            let (key, behind) = rest.split_at(key_end);
            if behind.starts_with('=') {
                return Err(Problem::Gff3);
            }
            let behind = behind.trim_start_matches(' ');
            let value = if let Some(quoted) = behind.strip_prefix('"') {
                let (value, behind) = quoted.split_once('"').ok_or(Problem::OpenQuotes)?;
                rest = behind;
                value
            } else {
                let (value, behind) = behind.split_at(behind.find(';').unwrap_or(behind.len()));
                rest = behind;
                value.trim()
            };
            rest = rest.trim_start_matches([' ', ';']);
            let slot = match key {
                "gene_id" => &mut self.id,
                "gene_version" => &mut self.version,
                "gene_name" => &mut self.symbol,
                "gene_type" | "gene_biotype" => &mut self.biotype,
                _ => continue,
            };
            if !value.is_empty() {
                slot.get_or_insert(value);
            }
        }
        Ok(())
    }
}

fn read_bed(line: &Line<'_>) -> Result<Gene, SourceError> {
    let fields: Vec<&str> = line.text().split('\t').collect();
    if fields.len() < 6 {
        return Err(line.wrong(Problem::FieldCount { found: fields.len(), expected: 12 }));
    }
    let field = |index, name| Field::new(line, &fields, index, name);
    let chromosome = field(0, "chrom").chromosome()?;
    let (start, end) = (field(1, "chromStart").position_from_zero()?, field(2, "chromEnd").position()?);
    field(2, "chromEnd").after(start, end)?;
    let (id, version) = field(3, "name").gene_id()?;
    let strand = field(5, "strand").strand()?;
    let symbol = GeneSymbol::new(id.as_str());
    Ok(Gene { id, version, symbol, biotype: None, locus: Some(Locus::new(chromosome, start, end, strand)) })
}

fn read_table(line: &Line<'_>, columns: &Columns) -> Result<Gene, SourceError> {
    let fields: Vec<&str> = line.text().split('\t').collect();
    if fields.len() != columns.headings.len() {
        return Err(line.wrong(Problem::FieldCount { found: fields.len(), expected: columns.headings.len() }));
    }
    let field = |index: usize| Field::new(line, &fields, index, &columns.headings[index]);
    let text = |index: Option<usize>| index.map(|index| fields[index].trim()).filter(|text| !text.is_empty());
    let (id, version) = field(columns.id).gene_id()?;
    let chromosome = field(columns.chromosome).chromosome()?;
    let (start, end) = (field(columns.start).position()?, field(columns.end).position()?);
    field(columns.end).after(start, end)?;
    let mut locus = Locus::new(chromosome, start, end, field(columns.strand).strand()?);
    if let Some(index) = columns.tss
        && text(Some(index)).is_some()
    {
        locus.tss = field(index).position()?;
    }
    Ok(Gene {
        symbol: GeneSymbol::new(text(columns.symbol).unwrap_or(id.as_str())),
        id,
        version,
        biotype: text(columns.biotype).map(Biotype::new),
        locus: Some(locus),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reference::source::tests::{bytes, text};

    fn gtf(attributes: &str) -> String {
        format!("chr1\tHAVANA\tgene\t11\t30\t.\t-\t.\t{attributes}\n")
    }

    #[test]
    fn gtf_gives_the_gene_lines() {
        let lines = [
            "#!genome-build GRCh38\n".to_owned(),
            gtf("gene_id \"ENSG1.4\"; gene_type \"lincRNA\"; gene_name \"A;B\"; level 2;"),
            "1\tx\ttranscript\t11\t30\t.\t-\t.\tgene_id \"ENSG1\";\n".to_owned(),
            "2\tensembl\tgene\t5\t5\t.\t+\t.\tgene_id \"ENSG2\"; gene_version \"7\"; gene_biotype \"miRNA\"\n"
                .to_owned(),
            gtf("gene_id \"ENSG1.5\""),
        ];
        let annotation = read(text(&lines.concat())).unwrap();
        let [first, second] = &annotation.genes[..] else { panic!("two genes: {annotation:?}") };
        assert_eq!((first.id.as_str(), first.version, first.symbol.as_str()), ("ENSG1", Some(4), "A;B"));
        assert_eq!(first.biotype.as_ref().map(Biotype::as_str), Some("lincRNA"));
        let locus = first.locus.as_ref().unwrap();
        assert_eq!((locus.start.get(), locus.end.get(), locus.tss.get()), (11, 30, 30));
        assert_eq!((second.version, second.symbol.as_str()), (Some(7), "ENSG2"));
        assert_eq!(second.locus.as_ref().unwrap().chromosome.as_str(), "chr2");
        assert_eq!((annotation.duplicates, annotation.repeated.len()), (1, 1));
    }

    #[test]
    fn bed_starts_become_one_based() {
        let line = "chr1\t10\t30\tDDX11L1\t0\t+\t30\t30\t0\t1\t20,\t0,\tDDX11L1\n";
        let annotation = read(text(&format!("track name=genes\n{line}"))).unwrap();
        let locus = annotation.genes[0].locus.as_ref().unwrap();
        assert_eq!((locus.start.get(), locus.end.get(), locus.tss.get()), (11, 30, 11));
        assert_eq!(annotation.genes[0].symbol.as_str(), "DDX11L1");
    }

    #[test]
    fn a_table_may_give_the_transcription_start() {
        let head = "ensembl_id\tname\tbiotype\tchrom\tstart\tend\tstrand\ttss\tensembl_canonical_tss\n";
        let annotation =
            read(text(&format!("{head}G1\tA\t\tchr1\t11\t30\t-\t28\t5\nG2\t\tx\t1\t1\t2\t-\t\t\n"))).unwrap();
        let starts: Vec<_> = annotation.genes.iter().map(|gene| gene.locus.as_ref().unwrap().tss.get()).collect();
        assert_eq!(starts, [28, 2]);
        assert_eq!((&annotation.genes[0].biotype, annotation.genes[1].symbol.as_str()), (&None, "G2"));
    }

    #[test]
    fn malformed_lines_name_line_and_column() {
        let table = "gene_id\tchrom\tstart\tend\tstrand\n";
        let cases = [
            ("# nothing\n".to_owned(), "line 1: the file ends before its first gene"),
            ("hello world\n".to_owned(), "line 1: neither GTF, BED12 nor a table"),
            (gtf("ID=gene1;Name=x"), "line 1, column 9 (attributes): the attributes are GFF3"),
            (gtf("gene_name \"x\""), "line 1, column 9 (attributes): the attribute gene_id is missing"),
            (gtf("gene_id \"x"), "line 1, column 9 (attributes): an attribute's quotes"),
            (gtf("gene_id \"x y\""), "line 1, column 9 (attributes): 'x y' is not a gene"),
            (gtf("gene_id \"x\"").replace("\t-\t", "\t.\t"), "line 1, column 7 (strand): '.' is not a strand"),
            (gtf("gene_id \"x\"").replace("\t30\t", "\t3\t"), "line 1, column 5 (end): the gene ends at 3, before"),
            (gtf("gene_id \"x\"").replace("\t11\t", "\t0\t"), "line 1, column 4 (start): '0' is not a position"),
            (gtf("gene_id \"x\"") + "chr1\tx\tgene\t1\n", "line 2: 4 tab-separated fields where 9"),
            ("chr1\t10\t10\tA\t0\t+\n".to_owned(), "line 1, column 3 (chromEnd): the gene ends at 10, before"),
            ("chr1\t1\t10\tA\t0\tx\n".to_owned(), "line 1, column 6 (strand): 'x' is not a strand"),
            ("chr1\t1\t10\tA\t0\t+\nchr1\tx\t10\tA\t0\t+\n".to_owned(), "line 2, column 2 (chromStart): \"x\""),
            (format!("{table}g\t1\t2\n"), "line 2: 3 tab-separated fields where 5"),
            (format!("{table}g\t1\tx\t2\t+\n"), "line 2, column 3 (start): 'x' is not a position"),
            (format!("{table}g\t1 1\t1\t2\t+\n"), "line 2, column 2 (chrom): '1 1' is not a chromosome"),
            (table.to_owned(), "line 1: the file ends before its first gene"),
        ];
        for (file, expected) in cases {
            let error = read(text(&file)).unwrap_err().to_string();
            assert!(error.starts_with("test, ") && error.contains(expected), "{error}\nwanted {expected}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(body in "[a-z0-9.+\\-\t\r\n\"; =]{0,80}", attributes in "[a-z_ \";=]{0,40}", junk in any::<Vec<u8>>()) {
            let _ = read(text(&format!("chr1\t1\t10\tA\t0\t+\n{body}")));
            let _ = read(text(&format!("gene_id\tchrom\tstart\tend\tstrand\n{body}")));
            let _ = read(text(&(gtf(&attributes) + &body)));
            let _ = read(bytes(&junk));
        }
    }
}
