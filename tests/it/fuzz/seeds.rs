//! What the mutations start from: the committed fixtures and a few files made here.

use std::io::Write as _;
use std::path::Path;

use noodles::vcf::variant::io::Write as _;

pub const VCF: &str = "##fileformat=VCFv4.3\n\
    ##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n\
    ##FORMAT=<ID=DS,Number=A,Type=Float,Description=\"Dosage\">\n\
    ##FORMAT=<ID=GP,Number=G,Type=Float,Description=\"Probabilities\">\n\
    ##FORMAT=<ID=DP,Number=1,Type=Integer,Description=\"Depth\">\n\
    ##contig=<ID=chr12,length=133275309,assembly=GRCh38>\n##contig=<ID=chrX,length=156040895>\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\tS3\n\
    chr12\t100\trs1\tA\tG\t.\tPASS\t.\tGT\t0|0\t0/1\t1|1\n\
    chr12\t200\trs2;rs22\tT\tC,TA\t50\tPASS\t.\tGT:DS:DP\t0/0:0.1,0:3\t0/1:1,0.5:4\t1/2:.:5\n\
    chr12\t300\trs3\tA\tT\t.\tPASS\t.\tGP:DP\t1,0,0:1\t0.1,0.8,0.1:2\t0,0,1:3\n\
    chr12\t400\trs4\tT\tC\t.\tPASS\t.\tGT\t0/0\t0/1\t1/1\n\
    chr12\t500\trs5\tTAAC\tT\t.\tPASS\t.\tDP:GT\t1:0/0\t2:./1\t.:.\n\
    chrX\t900\t.\tT\tC\t.\tPASS\t.\tGT:DS\t0:0\t0/1:1.25\t1:1\n";

/// What the other library can write as BCF.
pub const PLAIN_VCF: &str = "##fileformat=VCFv4.3\n\
    ##FORMAT=<ID=GT,Number=1,Type=String,Description=\"Genotype\">\n\
    ##FORMAT=<ID=DS,Number=A,Type=Float,Description=\"Dosage\">\n\
    ##FORMAT=<ID=GP,Number=G,Type=Float,Description=\"Probabilities\">\n\
    ##contig=<ID=chr12,length=133275309>\n##contig=<ID=chrX>\n\
    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\tS3\n\
    chr12\t100\trs1\tA\tG\t.\t.\t.\tGT\t0|0\t0|1\t1|1\n\
    chr12\t200\trs2\tT\tC,TA\t50\t.\t.\tGT:DS\t0|0:0.1,0\t0|1:1,0.5\t1|2:1,1\n\
    chr12\t300\trs3\tA\tT\t.\t.\t.\tGP\t1,0,0\t0.1,0.8,0.1\t0,0,1\n\
    chr12\t400\trs4\tT\tC\t.\t.\t.\tGT\t0|0\t0|1\t1|1\n\
    chrX\t900\t.\tT\tC\t.\t.\t.\tGT:DS\t0|0:0\t0|1:1.25\t1:1\n";

/// A file of tests/data.
pub fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)).unwrap()
}

/// A fixture that is stored as gzip.
pub fn inflated(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = fixture(path);
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(packed.as_slice()), &mut bytes).unwrap();
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Several small blocks and the end mark.
pub fn bgzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = noodles::bgzf::io::Writer::new(Vec::new());
    for piece in bytes.chunks(300) {
        writer.write_all(piece).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap()
}

/// A VCF as BCF without compression, so that mutations reach what is inside.
pub fn bcf(text: &str) -> Vec<u8> {
    let mut reader = noodles::vcf::io::Reader::new(text.as_bytes());
    let header = reader.read_header().unwrap();
    let mut writer = noodles::bcf::io::Writer::from(Vec::new());
    writer.write_header(&header).unwrap();
    for record in reader.record_bufs(&header) {
        writer.write_variant_record(&header, &record.unwrap()).unwrap();
    }
    writer.into_inner()
}

/// The same three people as PLINK 1: bed, bim and fam.
pub fn plink() -> Vec<Vec<u8>> {
    let bed = [&[0x6c, 0x1b, 0x01][..], &[0b00_10_11; 5]].concat();
    let bim = "12 rs1 0 100 G A\n12 rs2 0 200 C T\n12 rs3 0 300 T A\n12 rs4 0 400 C T\n12 rs9 0 900 C T\n";
    let fam = "F1 S1 0 0 1 -9\nF2 S2 0 0 2 -9\nF3 S3 0 0 0 -9\n";
    vec![bed, bim.into(), fam.into()]
}

/// The same three people as text dosages: dosages and samples.
pub fn dosages() -> Vec<Vec<u8>> {
    let rows = "12 rs1 100 A G 0.5 0 1 2\n12 rs2 200 T C 0.5 0 1 2\n12 rs3 300 A T 0.5 0 NA 2\n12 rs4 400 T C 0.5 0 1 2\nchrX rs9 900 T C 0.5 0 1.5 2\n";
    vec![rows.into(), "F1 S1\nF2 S2\nF3 S3\n".into()]
}

pub fn json() -> Vec<u8> {
    let text = r#"{"assembly": "GRCh38", "samples": ["S1", {"id": "S2", "sex": "female"}, "S3"], "variants": [
        {"id": "rs1", "chromosome": "12", "position": 100, "ref": "A", "alt": "G", "dosages": [0, 1.02, null]},
        {"chromosome": "chr12", "position": 200, "ref": "T", "alt": "C", "dosages": [0, 1, 2]},
        {"id": "rs4", "ref": "T", "alt": "C", "dosages": [0, 1, 2e0]},
        {"id": "rs5", "ref": "TAAC", "alt": "T", "dosages": [0, 1, 2]}]}"#;
    text.into()
}
