//! Tests of the text dosages.

use proptest::prelude::*;

use super::*;
use crate::genotype::Sample;

fn input(name: &str, text: &[u8]) -> Input {
    Input::new(name, std::io::Cursor::new(text.to_vec()), &ReadLimits::default()).unwrap()
}

fn open(files: &[(&str, &str)], people: &str) -> Result<DosageTextSource, GenotypeError> {
    let files = files.iter().map(|(name, text)| input(name, text.as_bytes())).collect();
    DosageTextSource::open(files, input("people", people.as_bytes()), &ReadLimits::default())
}

/// A site in one word, and the dosages of both alleles.
type Row = (String, Vec<f32>, Vec<f32>);

/// Reads everything: the site in one word, and the dosages of both alleles.
fn read(mut source: DosageTextSource) -> Result<Vec<Row>, GenotypeError> {
    let (mut all, mut reference, mut alternative) = (Vec::new(), DosageRow::default(), DosageRow::default());
    while let Some(site) = source.next_site()? {
        let position = site.position.map_or(0, Position::get);
        let chromosome = site.chromosome.unwrap();
        let word = format!("{chromosome}:{position}:{}:{}:{}", site.ids, site.reference, site.alternatives);
        source.dosages(0, &mut reference)?;
        source.dosages(1, &mut alternative)?;
        assert_eq!(reference.missing, alternative.values.iter().filter(|value| value.is_nan()).count());
        all.push((word, reference.values.clone(), alternative.values.clone()));
    }
    assert!(source.next_site()?.is_none());
    Ok(all)
}

const PEOPLE: &str = "F1 S1\nF1 S2\nF2 S3\n";

#[test]
fn dosages_count_a1_and_files_follow_the_chromosomes() {
    let files = [
        ("chr10.txt", "chr10 rs3 7 a g 0.1 0 0 0\n"),
        ("chrX.txt", "X\t.\t9\tA\tG\tNA\t0\t1\t2\r\n"),
        ("chr2.txt", "\n2  rs1 5 A AT 0.5 0 1.25 NA \nchr2 rs2 NA C T . . 2.0005 0.123\n\n"),
    ];
    let source = open(&files, PEOPLE).unwrap();
    assert_eq!(source.samples().iter().map(|Sample { id, .. }| &**id).collect::<Vec<_>>(), ["S1", "S2", "S3"]);
    let rows = read(source).unwrap();
    let words: Vec<_> = rows.iter().map(|(word, ..)| word.as_str()).collect();
    assert_eq!(words, ["chr2:5:rs1:A:AT", "chr2:0:rs2:C:T", "chr10:7:rs3:a:g", "chrX:9::A:G"]);
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&rows[0].2), bits(&[0.0, 1.25, f32::NAN]));
    assert_eq!(bits(&rows[0].1[..2]), bits(&[2.0, 0.75]));
    assert_eq!(bits(&rows[1].2), bits(&[f32::NAN, 2.0, 0.123]));
}

#[test]
fn faults_say_file_line_and_what() {
    for (text, expected) in [
        ("1 rs1 5 A G 0.5 0 1\n", "line 1: the line has 2 dosages, the list of samples has 3 people"),
        ("1 rs1 5 A G 0.5 0 1 2 0\n", "line 1: the line has 4 dosages, the list of samples has 3 people"),
        ("1 rs1 5 A G 0.5 0 1 2\n\n1 rs1 5 A G 0.5 0 1\n", "line 3: the line has 2 dosages"),
        ("1 rs1 5 A G 0.5 0 1 2\n1 rs1 5 A G 0.5 0 1 2 0 1\n", "line 2: the line has 5 dosages"),
        ("1 rs1 5 A G\n", "line 1: the line ends before its column 6 (freq)"),
        ("chr id pos a0 a1 freq S1 S2 S3\n", "line 1: pos: 'pos' is not a position"),
        ("chr id pos a0 a1 freq S1 S2 S3\n", "the files have no header line"),
        ("1 rs1 5 A G 0.5 0 2.7 2\n", "line 1: d2: 2.7 is no dosage"),
        ("1 rs1 5 A G 0.5 0 1 -1\n", "line 1: d3: -1 is no dosage"),
        ("1 rs1 5 A G 0.5 0 1 0/1\n", "line 1: d3: '0/1' is no dosage"),
        ("1 rs1 5 A G 0.5 0 1 inf\n", "line 1: d3: 'inf' is no dosage"),
    ] {
        let error = read(open(&[("chr1.txt", text)], PEOPLE).unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("chr1.txt, ") && error.contains(expected), "{error}\nwanted {expected}");
    }
    assert!(open(&[], PEOPLE).err().unwrap().to_string().contains("at least one"));
    assert!(open(&[("a", "")], "").err().unwrap().to_string().contains("people: it has no samples"));
}

#[test]
fn limits_hold() {
    let limits = ReadLimits { records: 1, ..ReadLimits::default() };
    let text = b"1 rs1 5 A G 0.5 0\n1 rs2 6 A G 0.5 0\n";
    let mut source = DosageTextSource::open(vec![input("d", text)], input("people", b"F S\n"), &limits).unwrap();
    assert!(source.next_site().unwrap().is_some());
    assert!(source.dosages(2, &mut DosageRow::default()).unwrap_err().to_string().contains("no allele 2"));
    assert!(source.next_site().unwrap_err().to_string().contains("more than 1 records"));
}

#[test]
fn numbers_in_names_count_as_numbers() {
    let mut names = ["chrX", "chr10_b", "CHR2", "chr010_a", "chr1", "chr", "x1chr3", "x1chr12"];
    names.sort_by(|a, b| natural_order(a, b));
    assert_eq!(names, ["chr", "chr1", "CHR2", "chr010_a", "chr10_b", "chrX", "x1chr3", "x1chr12"]);
}

proptest! {
    #[test]
    fn never_panics(bytes in any::<Vec<u8>>(), text in "(1 rs1 5 A G 0.5 )?[0-9a-z. \t\r\n]{0,60}") {
        for text in [bytes.as_slice(), text.as_bytes()] {
            let mut source = DosageTextSource::open(
                vec![input("d", text)], input("people", PEOPLE.as_bytes()), &ReadLimits::default()).unwrap();
            while let Ok(Some(_)) = source.next_site() {
                let _ = source.dosages(0, &mut DosageRow::default());
            }
        }
    }

    #[test]
    fn what_is_written_is_read(values in proptest::collection::vec(proptest::option::of(0.0_f32..=2.0), 3)) {
        let written: Vec<String> = values.iter().map(|v| v.map_or("NA".to_owned(), |v| v.to_string())).collect();
        let rows = read(open(&[("d", &format!("1 rs1 5 A G 0.5 {}\n", written.join(" ")))], PEOPLE).unwrap()).unwrap();
        for (read, value) in rows[0].2.iter().zip(&values) {
            prop_assert_eq!(read.to_bits(), value.unwrap_or(f32::NAN).to_bits());
        }
    }
}
