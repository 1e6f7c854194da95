use std::fmt::Write as _;
use std::io::Cursor;

use noodles::vcf;
use noodles::vcf::variant::record_buf::samples::sample::Value;
use noodles::vcf::variant::record_buf::samples::sample::value::Array;
use noodles::vcf::variant::record_buf::samples::sample::value::genotype::Allele;
use proptest::prelude::*;

use super::*;
use crate::genotype::bcf::BcfSource;
use crate::genotype::input::tests::{bgzip, gzip};

pub(crate) const HEADER: &str = "##fileformat=VCFv4.3\n\
    ##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n\
    ##FORMAT=<ID=DS,Number=A,Type=Float,Description=\"Dosage\">\n\
    ##FORMAT=<ID=GP,Number=G,Type=Float,Description=\"Probabilities\">\n\
    ##FORMAT=<ID=DP,Number=1,Type=Integer,Description=\"Depth\">\n\
    ##contig=<ID=chr1,length=248956422>\n##contig=<ID=chrX>\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n";

pub(crate) fn open(bytes: &[u8]) -> Result<Box<dyn GenotypeSource>, GenotypeError> {
    let limits = ReadLimits::default();
    let input = Input::new("test", Cursor::new(bytes.to_vec()), &limits)?;
    Ok(Box::new(VcfSource::open(input, &limits)?))
}

/// Every record's site and every allele's row, as text: NaN is equal to NaN there.
pub(crate) fn everything(source: &mut dyn GenotypeSource) -> Result<Vec<String>, GenotypeError> {
    let mut all = Vec::new();
    let mut row = DosageRow::default();
    while let Some(site) = source.next_site()? {
        let alleles = if site.alternatives == "." { 1 } else { site.alternatives.split(',').count() + 1 };
        all.push(format!("{site:?}"));
        for allele in 0..alleles {
            source.dosages(allele, &mut row)?;
            all.push(format!("{row:?}"));
        }
        assert!(source.dosages(alleles, &mut row).is_err());
    }
    Ok(all)
}

fn rows(record: &str) -> Result<Vec<DosageRow>, GenotypeError> {
    let mut source = open(format!("{HEADER}{record}\n").as_bytes())?;
    let alternatives = source.next_site()?.unwrap().alternatives.to_owned();
    let alleles = if alternatives == "." { 1 } else { alternatives.split(',').count() + 1 };
    let read = |allele| {
        let mut row = DosageRow::default();
        source.dosages(allele, &mut row).map(|()| row)
    };
    (0..alleles).map(read).collect()
}

/// ALT, FORMAT, cells, the values of every allele, the haploid samples.
type Case<'a> = (&'a str, &'a str, &'a str, &'a [[f32; 3]], &'a [u32]);

#[test]
fn every_form_of_a_cell_tells_its_dosage() {
    let nan = f32::NAN;
    let cases: &[Case<'_>] = &[
        ("G", "GT", "0|0\t0/1\t1|1", &[[2., 1., 0.], [0., 1., 2.]], &[]),
        ("G", "GT", "./.\t./1\t.", &[[nan; 3], [nan; 3]], &[]),
        ("G", "GT", "0\t1\t1|0", &[[1., 0., 1.], [0., 1., 1.]], &[0, 1]),
        ("G", "GT", "/0/1\t|1|1\t|1", &[[1., 0., 0.], [1., 2., 1.]], &[2]),
        ("G,T", "GT", "0|2\t1/2\t2/2", &[[1., 0., 0.], [0., 1., 0.], [1., 1., 2.]], &[]),
        (".", "GT", "0|0\t./.\t0", &[[2., nan, 1.]], &[2]),
        ("<DEL>,*", "GT", "0|2\t1/2\t2/2", &[[1., 0., 0.], [0., 1., 0.], [1., 1., 2.]], &[]),
        ("G", "GT:DS", "0|0:0.125\t0/1:1\t1|1:2.000", &[[1.875, 1., 0.], [0.125, 1., 2.]], &[]),
        ("G", "GT:DS", "0|1:.\t0/1\t.", &[[1., 1., nan], [1., 1., nan]], &[]),
        ("G", "GT:DS", "1:0.75\t./.:0.5\t0|1:1e0", &[[0.25, 1.5, 1.], [0.75, 0.5, 1.]], &[0]),
        ("G", "GT:DS", "0/1:2.0004\t0/1:-0.0004\t0/1:00001.5", &[[0., 2., 0.5], [2., 0., 1.5]], &[]),
        ("G", "DS:GT", "0.5:0/1\t0.5\t.:1/1", &[[1.5, 1.5, 0.], [0.5, 0.5, 2.]], &[]),
        ("G", "DS", "0.5\t.\t2", &[[1.5, nan, 0.], [0.5, nan, 2.]], &[]),
        ("G", "GT:DP:DS", "0|0:9:0.5\t0|1:.:1.5\t1|1:7", &[[1.5, 0.5, 0.], [0.5, 1.5, 2.]], &[]),
        ("G", "GT:DS:DP", "0|0:0.5:9\t0|1:1.5:.\t1|1:1.25", &[[1.5, 0.5, 0.75], [0.5, 1.5, 1.25]], &[]),
        ("G", "GT:DP", "0|0:9\t0|1\t1|1:7", &[[2., 1., 0.], [0., 1., 2.]], &[]),
        ("G", "GP", "0,0.5,0.5\t0.5,0.5\t.", &[[0.5, 0.5, nan], [1.5, 0.5, nan]], &[1]),
        ("G", "GT:GP", "0/0:0,0,1\t1/1:.\t0/1:0,0,0", &[[0., 0., 1.], [2., 2., 1.]], &[]),
        ("G", "GT:DS:GP", "0/0:.:0,0,1\t1/1:0.5:1,0,0\t0/1:.:.,.,.", &[[0., 1.5, 1.], [2., 0.5, 1.]], &[]),
        ("G,T", "GT:DS", "0/1:0.5,1\t0/2:.\t1/2:.,1", &[[0.5, 1., 0.], [0.5, 0., 1.], [1., 1., 1.]], &[]),
        (
            "G,T",
            "GP",
            "0,0,0,0,1,0\t0,0.5,0,0.5,0,0\t0.25,0.75,0",
            &[[0., 1., 0.25], [1., 0.5, 0.75], [1., 0.5, 0.]],
            &[2],
        ),
    ];
    for (alternatives, format, cells, expected, haploid) in cases {
        let record = format!("1\t5\trs1;rs2\tA\t{alternatives}\t.\tPASS\t.\t{format}\t{cells}");
        let found = rows(&record).unwrap();
        assert_eq!(found.len(), expected.len(), "{record}");
        for (row, expected) in found.iter().zip(*expected) {
            assert_eq!(format!("{:?}", row.values), format!("{expected:?}"), "{record}");
            assert_eq!(row.missing, expected.iter().filter(|value| value.is_nan()).count(), "{record}");
            assert_eq!(row.haploid, *haploid, "{record}");
        }
    }
}

#[test]
fn a_site_is_as_the_line_spells_it() {
    let text =
        format!("\u{feff}{HEADER}MT\t7\trs1;rs2\tac\tG,<DEL>\t.\t.\t.\tGT\t0|0\t0|0\t0|0\n\n").replace('\n', "\r\n");
    let mut source = open(text.as_bytes()).unwrap();
    assert_eq!(source.assembly().unwrap().as_str(), "GRCh38");
    let ids: Vec<_> = source.samples().iter().map(|sample| &*sample.id).collect();
    assert_eq!((source.format(), ids), ("vcf", vec!["a", "b", "c"]));
    let site = source.next_site().unwrap().unwrap();
    assert_eq!(site.chromosome.unwrap().as_str(), "chrM");
    assert_eq!(site.position.unwrap().get(), 7);
    assert_eq!((site.ids, site.reference, site.alternatives), ("rs1;rs2", "ac", "G,<DEL>"));
    assert_eq!(source.place(), Place::Line(9));
    assert!(source.next_site().unwrap().is_none());
}

#[test]
fn faults_of_records_name_line_field_and_sample() {
    let head = "1\t5\trs1\tA\tG\t.\t.\t.\t";
    let sites = [
        ("1\t0\t.\tA\tG\t.\t.\t.\tGT\t0|0\t0|0\t0|0", "POS: '0' is not a position"),
        ("1\t+5\t.\tA\tG\t.\t.\t.\tGT\t0|0\t0|0\t0|0", "POS: '+5' is not a position"),
        ("1\tx\t.\tA\tG\t.\t.\t.\tGT\t0|0\t0|0\t0|0", "POS: 'x' is not a position"),
        ("1\t5\t.\tA\tT,a\t.\t.\t.\tGT\t0|0\t0|0\t0|0", "ALT: 'a' is the same allele as REF"),
        ("1\t5\t.\t\tT\t.\t.\t.\tGT\t0|0\t0|0\t0|0", "REF: it is empty"),
        (" \t5\t.\tA\tT\t.\t.\t.\tGT\t0|0\t0|0\t0|0", "CHROM: ' ' is not a chromosome"),
        ("1 5 . A G . . . GT 0|0 0|0 0|0", "1 columns where the header has 12: it may be cut off"),
    ];
    let cells = [
        ("GT\t0|0\t0|0", "11 columns where the header has 12"),
        ("GT\t0|0\t0|0\t0|0\t0|0", "13 columns where the header has 12"),
        ("GT\t0|0\t0|0\t0|0\t", "13 columns where the header has 12"),
        ("GT:DS\t0|0:1\t0|0:1\t0|0:1\t", "13 columns where the header has 12"),
        ("GT", "9 columns where the header has 12"),
        ("AD:DP\t1:1\t1:1\t1:1", "FORMAT: 'AD:DP' has none of GT, DS and GP"),
        ("GT\t0|0\t0|2\t0|0", "GT of sample 2: allele 2 is not one"),
        ("GT\t0|0\t0|0\t0|0|1", "GT of sample 3: it has more than two alleles"),
        ("GT\tx\t0|0\t0|0", "GT of sample 1: 'x' is not a genotype"),
        ("GT\t\t0|0\t0|0", "GT of sample 1: '' is not a genotype"),
        ("GT\t0|0\t0|0:5\t0|0", "the entry of sample 2: it has 2 fields where FORMAT has 1"),
        ("GT:DS\t0|0:1\t0|0:2.7\t0|0:1", "DS of sample 2: 2.7 is no dosage"),
        ("GT:DS\t0|0:nan\t0|0:2.7\t0|0:1", "DS of sample 1: NaN is no dosage"),
        ("GT:DS\t0|0:1\t0|0:1\t0|0:inf", "DS of sample 3: inf is no dosage"),
        ("GT:DS\t0|0:1\t0|0:-1\t0|0:1", "DS of sample 2: -1 is no dosage"),
        ("GT:DS\t0|0:1\t0|0:1..5\t0|0:1", "DS of sample 2: '1..5' is not a number"),
        ("GT:DS\t0|0:1\t0|0:1,1\t0|0:1", "DS of sample 2: it has 2 values"),
        ("GT:DS\t0|0:1\t1:1.5\t0|0:1", "DS of sample 2: 1.5 is no dosage of a haploid"),
        ("GP\t0,0,1\t0,30,60\t0,0,1", "GP of sample 2: 30 is no probability"),
        ("GP\t0,0,1\t0,0.1,0\t0,0,1", "GP of sample 2: its values add up to"),
        ("GP\t0,0,1\t0,0,0,1\t0,0,1", "GP of sample 2: it has 4 values"),
    ];
    let sites = sites.iter().map(|(record, expected)| ((*record).to_owned(), expected));
    let cells = cells.iter().map(|(cells, expected)| (format!("{head}{cells}"), expected));
    for (record, expected) in sites.chain(cells) {
        let error = rows(&record).unwrap_err().to_string();
        assert!(error.starts_with("test, line 9") && error.contains(expected), "{error}\nwanted {expected}");
    }
    // Nobody wants this record, but the file is cut off.
    let error = open(format!("{HEADER}{head}GT\t0|0\t0|").as_bytes()).unwrap().next_site().unwrap_err().to_string();
    assert!(error.contains("line 9: 11 columns where the header has 12"), "{error}");
    let record = "1\t5\t\u{ff}\tA\tG\t.\t.\t.\tGT\t0|0\t0|0\t0|0\n";
    let bytes = [HEADER.as_bytes(), record.replace('\u{ff}', "#").as_bytes()].concat();
    for (field, at) in
        [("ID", HEADER.len() + 4), ("REF", HEADER.len() + 6), ("ALT", HEADER.len() + 8), ("CHROM", HEADER.len())]
    {
        let mut bytes = bytes.clone();
        bytes[at] = 0xff;
        let error = open(&bytes).unwrap().next_site().unwrap_err().to_string();
        assert!(error.contains(&format!("line 9: {field}: it is not UTF-8 text")), "{error}");
    }
}

#[test]
fn faults_of_headers_name_their_line() {
    let columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO";
    for (text, expected) in [
        (String::new(), "test: this is no VCF: it is empty"),
        ("chr1\t5\n".to_owned(), "test, line 1: this is no VCF: the first line has to be '##fileformat=VCF"),
        ("##fileformat=VCFv4.2\n##x\n".to_owned(), "test, line 2: it ends within the header"),
        ("##fileformat=VCFv4.2\n1\t5\n".to_owned(), "line 2: the header ends without its line of column names"),
        (format!("##fileformat=VCFv4.2\n{columns}\n"), "line 2: it has no samples: the line of column names ends"),
        (format!("##fileformat=VCFv4.2\n{columns}\tFORMAT\n"), "line 2: it has no samples"),
        (format!("##fileformat=VCFv4.2\n{columns}\tFORMAT\ta\tb\ta\n"), "samples 1 and 3 have the same identifier 'a'"),
        (format!("##fileformat=VCFv4.2\n{columns}\tFORMAT\ta\t\n"), "line 2: name of sample 2: it is empty"),
        ("##fileformat=VCFv4.2\n#CHROM POS\n".to_owned(), "column 1 of the column names is '#CHROM POS', it has to be"),
    ] {
        let error = open(text.as_bytes()).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}\nwanted {expected}");
    }
}

#[test]
fn limits_are_named() {
    let text = format!("{HEADER}{}", "1\t5\t.\tA\tG,C,T\t.\t.\t.\tGT\t0|0\t0|0\t0|0\n".repeat(3));
    let read = |limits: &ReadLimits| {
        let input = Input::new("test", Cursor::new(text.clone().into_bytes()), limits)?;
        everything(&mut VcfSource::open(input, limits)?)
    };
    let default = ReadLimits::default();
    assert!(read(&default).is_ok());
    for (limits, expected) in [
        (ReadLimits { records: 2, ..default.clone() }, "more than 2 records"),
        (ReadLimits { samples: 2, ..default.clone() }, "more than 2 samples"),
        (ReadLimits { alternatives: 2, ..default.clone() }, "more than 2 alternative alleles"),
        (ReadLimits { record_bytes: 40, ..default.clone() }, "more than 40 bytes of one record"),
        (ReadLimits { decompressed_bytes: text.len() as u64 - 1, ..default.clone() }, "bytes after decompression"),
    ] {
        let error = read(&limits).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// Records of three people in every layout, from a seed.
pub(crate) fn random_records(seed: u64, count: usize) -> String {
    let mut state = seed;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut text = HEADER.to_owned();
    for record in 0..count {
        let alternatives = next(4);
        let format = ["GT", "GT:DS", "GT:DS:GP", "GT:GP", "GT:DP:DS", "GT:DS:DP", "DS", "GP", "DS:GP"][next(9)];
        let alleles = ["C", "G", "<DEL>"][..alternatives].join(",");
        let alleles = if alternatives == 0 { "." } else { &alleles };
        write!(text, "chr1\t{}\trs{record}\tA\t{alleles}\t.\t.\t.\t{format}", record + 1).unwrap();
        for sample in 0..3 {
            let (haploid, allele) = (next(5) == 0, [next(alternatives + 1), next(alternatives + 1)]);
            let fields = format.split(':').map(|key| match key {
                // The other library cannot write a field that everybody lacks.
                _ if sample > 0 && next(8) == 0 => {
                    if key == "GT" { ["./.", "./0", "0|."][next(3)] } else { "." }.to_owned()
                }
                "GT" if haploid => allele[0].to_string(),
                "GT" => format!("{}{}{}", allele[0], ["|", "/"][next(2)], allele[1]),
                "DS" => {
                    let most = 1000 / alternatives.max(1);
                    let value = |_| {
                        let value = next(most) as f64 / 1000.0;
                        [format!("{value:.3}"), format!("{value}")][next(2)].clone()
                    };
                    (0..alternatives.max(1)).map(value).collect::<Vec<_>>().join(",")
                }
                "GP" => {
                    let ways = (alternatives + 1) * if haploid { 2 } else { alternatives + 2 } / 2;
                    let (first, second) = (next(ways), next(ways));
                    let value =
                        |way| f64::from(u8::from(way == first)) * 0.75 + f64::from(u8::from(way == second)) * 0.25;
                    (0..ways).map(|way| value(way).to_string()).collect::<Vec<_>>().join(",")
                }
                _ => "7".to_owned(),
            });
            text.push('\t');
            text.push_str(&fields.collect::<Vec<_>>().join(":"));
        }
        text.push('\n');
    }
    text
}

/// The same records by another library, as BCF.
pub(crate) fn to_bcf(text: &str) -> Vec<u8> {
    use vcf::variant::io::Write;
    let mut reader = vcf::io::Reader::new(text.as_bytes());
    let header = reader.read_header().unwrap();
    let mut writer = noodles::bcf::io::Writer::from(Vec::new());
    writer.write_header(&header).unwrap();
    for record in reader.record_bufs(&header) {
        writer.write_variant_record(&header, &record.unwrap()).unwrap();
    }
    writer.into_inner()
}

fn floats(value: &Value) -> Vec<Option<f32>> {
    match value {
        Value::Float(value) => vec![Some(*value)],
        Value::Array(Array::Float(values)) => values.clone(),
        other => panic!("{other:?}"),
    }
}

/// The dosage of an allele from another library's typed values.
fn oracle(sample: &vcf::variant::record_buf::samples::Sample<'_>, allele: usize, alleles: usize) -> f32 {
    let genotype: Option<Vec<Option<usize>>> = sample.get("GT").flatten().map(|value| match value {
        Value::Genotype(genotype) => genotype.as_ref().iter().map(Allele::position).collect(),
        other => panic!("{other:?}"),
    });
    let genotype: Option<Vec<usize>> = genotype.and_then(|alleles| alleles.into_iter().collect());
    let ploidy = if genotype.as_ref().is_some_and(|alleles| alleles.len() == 1) { 1.0 } else { 2.0 };
    let list = |key: &str| -> Option<Vec<f32>> { floats(sample.get(key).flatten()?).into_iter().collect() };
    if let Some(values) = list("DS") {
        return if allele == 0 { ploidy - values.iter().sum::<f32>() } else { values[allele - 1] };
    }
    if let Some(values) = list("GP") {
        let pairs = (0..alleles).flat_map(|k| (0..=k).map(move |j| vec![j, k])).collect::<Vec<_>>();
        let singles = (0..alleles).map(|k| vec![k]).collect();
        let ways = if values.len() == pairs.len() { pairs } else { singles };
        let copies = |way: &Vec<usize>| way.iter().filter(|other| **other == allele).count() as f32;
        return values.iter().zip(&ways).map(|(value, way)| value * copies(way)).sum();
    }
    genotype.map_or(f32::NAN, |alleles| alleles.iter().filter(|other| **other == allele).count() as f32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn values_agree_with_another_library(seed in any::<u64>()) {
        let text = random_records(seed, 12);
        let mut reader = vcf::io::Reader::new(text.as_bytes());
        let header = reader.read_header().unwrap();
        let mut source = open(text.as_bytes()).unwrap();
        let mut row = DosageRow::default();
        for record in reader.record_bufs(&header) {
            let record = record.unwrap();
            let position = source.next_site().unwrap().unwrap().position.unwrap().get();
            prop_assert_eq!(position as usize, usize::from(record.variant_start().unwrap()));
            let alleles = record.alternate_bases().as_ref().len() + 1;
            for allele in 0..alleles {
                source.dosages(allele, &mut row).unwrap();
                for (sample, value) in record.samples().values().zip(&row.values) {
                    let expected = oracle(&sample, allele, alleles);
                    let same = (expected - value).abs() < 1e-6 || (expected.is_nan() && value.is_nan());
                    prop_assert!(same, "{} allele {}: {} {}", position, allele, expected, value);
                }
            }
        }
        prop_assert!(source.next_site().unwrap().is_none());
    }

    #[test]
    fn every_container_gives_the_same(seed in any::<u64>()) {
        let text = random_records(seed, 20);
        let expected = everything(&mut *open(text.as_bytes()).unwrap()).unwrap();
        let (half, rest) = text.as_bytes().split_at(text.len() / 2);
        for bytes in [bgzip(text.as_bytes()), gzip(text.as_bytes()), [gzip(half), gzip(rest)].concat()] {
            prop_assert_eq!(&everything(&mut *open(&bytes).unwrap()).unwrap(), &expected);
        }
        let bcf = to_bcf(&text);
        let limits = ReadLimits::default();
        for bytes in [bgzip(&bcf), bcf] {
            let input = Input::new("test", Cursor::new(bytes), &limits).unwrap();
            let found = everything(&mut BcfSource::open(input, &limits).unwrap()).unwrap();
            prop_assert_eq!(&found, &expected);
        }
    }

    #[test]
    fn never_panics(body in "[0-9./|:,\tGTDSPA\n]{0,120}", record in "[0-9./|:,\t\n]{0,40}", junk in any::<Vec<u8>>()) {
        for text in [format!("{HEADER}{body}"), format!("{HEADER}1\t5\t.\tA\tG\t.\t.\t.\tGT:DS\t{record}")] {
            let _ = open(text.as_bytes()).and_then(|mut source| everything(&mut *source));
        }
        let _ = open(&junk).and_then(|mut source| everything(&mut *source));
    }
}
