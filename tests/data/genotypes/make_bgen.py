"""Makes the BGEN fixtures of this folder: `pip install bgen numpy`, plink2 2.00a3 or later in the path; run here.

Each NAME.bgen has a NAME.expected.txt: a line of sample identifiers, then a line a variant and allele, of
`chromosome position ids allele dosage…` with NA where the genotype is missing. Expected dosages of plink2's files are
those that plink2 itself exports from its import of the BGEN file (`--export A-transpose`);
those of the other files follow from the probabilities that were given to the writer, rounded to its bits.
"""
import itertools
import subprocess
import warnings
from pathlib import Path

import numpy as np
from bgen import BgenReader, BgenWriter

warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)
SAMPLES = [f"S{i + 1}" for i in range(6)]


def combinations(alleles, ploidy):
    """Genotypes in colexicographic order."""
    return sorted(itertools.combinations_with_replacement(range(alleles), ploidy), key=lambda g: g[::-1])


def draw(parts, bits):
    """Probabilities that are whole multiples of 1 / (2^bits - 1)."""
    one = 2**bits - 1
    cuts = sorted(int(c) for c in rng.integers(0, one + 1, parts - 1))
    return np.diff([0, *cuts, one]).astype(float) / one


def expected_lines(name, rows):
    text = " ".join(SAMPLES) + "\n"
    for place, allele, values in rows:
        text += f"{place} {allele} " + " ".join("NA" if np.isnan(v) else repr(float(np.float32(v))) for v in values) + "\n"
    Path(f"{name}.expected.txt").write_text(text)


def written(name, compression, variants, layout=2):
    rows = []
    with BgenWriter(f"{name}.bgen", len(SAMPLES), SAMPLES, compression=compression, layout=layout) as out:
        for number, (alleles, bits, phased, ploidies, missing) in enumerate(variants):
            width = max(
                p * len(alleles) if phased else len(combinations(len(alleles), p)) for p in ploidies
            )
            probabilities = np.full((len(SAMPLES), width), np.nan)
            dosages = np.full((len(alleles), len(SAMPLES)), np.nan)
            for s, ploidy in enumerate(ploidies):
                if s in missing:
                    continue
                counts = np.zeros(len(alleles))
                if phased:
                    for h in range(ploidy):
                        p = draw(len(alleles), bits)
                        probabilities[s, h * len(alleles) : (h + 1) * len(alleles)] = p
                        counts += p
                else:
                    genotypes = combinations(len(alleles), ploidy)
                    p = draw(len(genotypes), bits)
                    probabilities[s, : len(genotypes)] = p
                    for weight, genotype in zip(p, genotypes):
                        for allele in genotype:
                            counts[allele] += weight
                dosages[:, s] = counts
            position, rsid = 1000 + number, f"rs{number + 1}"
            ploidy = ploidies[0] if len(set(ploidies)) == 1 else np.array(ploidies, dtype=np.uint8)
            out.add_variant(f"01:{position}", rsid, "01", position, alleles, probabilities, ploidy, phased, bits)
            for allele in range(len(alleles)):
                rows.append((f"chr1 {position} {rsid};01:{position}", allele, dosages[allele]))
    expected_lines(name, rows)


DIPLOID = [2] * 6
MIXED = [2, 1, 2, 1, 1, 2]
written("zlib", "zlib", [
    (["A", "G"], 8, False, DIPLOID, {2}),
    (["A", "G"], 16, False, DIPLOID, {0, 5}),
    (["A", "AT"], 8, True, DIPLOID, {1}),
    (["A", "G"], 8, False, MIXED, {3}),
    (["A", "G"], 8, True, MIXED, set()),
])
written("zstd", "zstd", [
    (["A", "G"], 8, False, DIPLOID, set()),
    (["C", "T"], 16, True, DIPLOID, {4}),
    (["A", "G", "T"], 8, False, DIPLOID, {1}),
    (["A", "G", "T", "C"], 11, True, DIPLOID, set()),
    (["A", "G", "T"], 13, False, MIXED, {0}),
])
written("plain", None, [(["A", "G"], bits, bits % 2 == 0, DIPLOID, {bits % 6}) for bits in (1, 3, 7, 10, 17, 24)])
try:
    written("layout1", "zlib", [(["A", "G"], 15, False, DIPLOID, {2})], layout=1)
except Exception as error:  # the writer may not have it
    print("layout1:", error)

# plink2: GT and DS in a VCF, exported as BGEN, then read back by plink2; its writer fails on very small blocks.
SAMPLES = [f"P{i + 1}" for i in range(60)]
head = '##fileformat=VCFv4.2\n##FORMAT=<ID=GT,Number=1,Type=String,Description="g">\n' \
    '##FORMAT=<ID=DS,Number=1,Type=Float,Description="d">\n##FORMAT=<ID=HDS,Number=2,Type=Float,Description="h">\n'
for chromosome in range(1, 3):
    head += f"##contig=<ID={chromosome},length=1000000>\n"
head += "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT ".replace(" ", "\t") + "\t".join(SAMPLES) + "\n"
body = ""
for number in range(4):
    cells = []
    for _ in SAMPLES:
        if rng.random() < 0.15:
            cells.append("./.:.:.")
        else:
            first, second = (round(float(x), 3) for x in rng.beta(0.3, 0.3, 2))
            cells.append(f"{round(first)}|{round(second)}:{first + second:.3f}:{first},{second}")
    body += "\t".join([str(1 + number // 3), str(500 + number), f"rs{number}", "A", "G", ".", ".", ".", "GT:DS:HDS", *cells]) + "\n"
Path("x.vcf").write_text(head + body)


def plink2(*words):
    subprocess.run(["plink2", "--silent", *words], check=True)


for name, field, export in [
    ("plink2_8bit", "DS", ["bgen-1.2", "bits=8", "ref-first"]),
    ("plink2_16bit", "DS", ["bgen-1.2", "bits=16", "ref-first"]),
    ("plink2_zstd", "DS", ["bgen-1.3", "bits=8", "ref-first"]),
    ("plink2_phased", "HDS", ["bgen-1.2", "bits=16", "ref-first"]),
    ("plink2_layout1", "DS", ["bgen-1.1", "ref-first"]),
]:
    plink2("--vcf", "x.vcf", f"dosage={field}", "--double-id", "--export", *export, "--out", name)
    # The oracle's import keeps 1/16384 of a dosage.
    plink2("--bgen", f"{name}.bgen", "ref-first", "--sample", f"{name}.sample", "--export", "A-transpose", "--out", "back")
    lines = [line.split("\t") for line in Path("back.traw").read_text().splitlines()]
    rows = []
    for line in lines[1:]:
        chromosome, rsid, _, position, counted, other, *values = line
        values = np.array([np.nan if v == "NA" else float(v) for v in values])
        assert {counted, other} == {"A", "G"}
        # The counted allele of this export is the reference allele unless said otherwise.
        rows.append((f"chr{chromosome} {position} {rsid}", 0 if counted == "A" else 1, values))
    expected_lines(name, rows)
for scrap in [*Path().glob("*.log"), *Path().glob("*.bgi"), *Path().glob("back.*"), Path("x.vcf")]:
    scrap.unlink(missing_ok=True)
# The third opinion: the reader of the bgen package.
for name in ("zlib", "zstd", "plain", "plink2_8bit", "plink2_16bit", "plink2_zstd", "plink2_phased"):
    with BgenReader(f"{name}.bgen", delay_parsing=True) as file:
        dosages = {v.pos: v.alt_dosage for v in file if len(v.alleles) == 2}
    for line in Path(f"{name}.expected.txt").read_text().splitlines()[1:]:
        _, position, _, allele, *values = line.split()
        if allele == "1" and int(position) in dosages:
            values = np.array([np.nan if v == "NA" else float(v) for v in values])
            worst = np.nanmax(np.abs(values - dosages[int(position)]))
            if not worst < 2e-4 or (np.isnan(values) != np.isnan(dosages[int(position)])).any():
                print(name, position, values, dosages[int(position)])
