//! Features of a promoter's sequence: words of both strands and base composition.

use std::sync::OnceLock;

/// What is computed for each bin of a promoter.
pub(super) const COMPOSITION: [&str; 4] = ["gc", "cpg_observed_over_expected", "cpg", "gc_skew"];

/// Largest ratio of observed to expected `CpG` that is told apart: bins with few G and C give wild ones.
const CPG_RATIO_LIMIT: f32 = 2.0;

/// Word code → column, where a word and its reverse complement share one; for k = 0 to 6.
static COLUMNS: [OnceLock<Vec<u16>>; 7] = [const { OnceLock::new() }; 7];

fn columns(k: usize) -> &'static [u16] {
    COLUMNS[k].get_or_init(|| {
        let mut next = 0;
        let mut columns = vec![0; 1 << (2 * k)];
        for code in 0..columns.len() {
            let mirror = reverse_complement(code, k);
            if mirror < code {
                columns[code] = columns[mirror];
            } else {
                columns[code] = next;
                next += 1;
            }
        }
        columns
    })
}

fn reverse_complement(code: usize, k: usize) -> usize {
    (0..k).fold(0, |mirror, at| mirror << 2 | (3 - (code >> (2 * at) & 3)))
}

/// Returns how many columns the words of length `k` have.
pub(super) fn words(k: usize) -> usize {
    let all = 1 << (2 * k);
    if k.is_multiple_of(2) { usize::midpoint(all, 1 << k) } else { all / 2 }
}

/// Returns the words of length `k`, each the alphabetically first of it and its reverse complement.
pub(super) fn word_names(k: usize) -> Vec<String> {
    (0..1 << (2 * k)).filter(|&code| reverse_complement(code, k) >= code).map(|code| spell(code, k)).collect()
}

/// Returns every word of length `k` in alphabetical order.
pub(super) fn stranded_word_names(k: usize) -> Vec<String> {
    (0..1 << (2 * k)).map(|code| spell(code, k)).collect()
}

fn spell(code: usize, k: usize) -> String {
    (0..k).rev().map(|at| char::from(b"ACGT"[code >> (2 * at) & 3])).collect()
}

/// Cuts a window out of a promoter; one that reaches beyond it is cut short.
pub(super) fn cut(bases: &[u8], window: Option<[usize; 2]>) -> &[u8] {
    let [start, end] = window.unwrap_or([0, bases.len()]);
    let end = end.min(bases.len());
    &bases[start.min(end)..end]
}

/// Writes square roots of the counts of words, both strands together; leaves `out` as it is where no word is known.
pub(super) fn count_words(k: usize, bases: &[u8], out: &mut [f32]) {
    let columns = columns(k);
    count(k, bases, out, |code| usize::from(columns[code]));
}

/// Writes the same of words as they lie; leaves `out` as it is where no word is known.
pub(super) fn count_stranded_words(k: usize, bases: &[u8], out: &mut [f32]) {
    count(k, bases, out, |code| code);
}

fn count(k: usize, bases: &[u8], out: &mut [f32], column: impl Fn(usize) -> usize) {
    let mask = (1 << (2 * k)) - 1;
    let (mut code, mut known, mut any) = (0, 0, false);
    for base in bases {
        let digit = match base {
            b'A' => 0,
            b'C' => 1,
            b'G' => 2,
            b'T' => 3,
            _ => {
                known = 0;
                continue;
            }
        };
        code = (code << 2 | digit) & mask;
        known += 1;
        if known >= k {
            if !any {
                out.fill(0.0);
                any = true;
            }
            out[column(code)] += 1.0;
        }
    }
    if any {
        for count in out {
            *count = count.sqrt();
        }
    }
}

/// Writes the composition by bin; leaves a bin without known bases as it is.
pub(super) fn composition(bases: &[u8], bin: usize, out: &mut [f32]) {
    for (at, out) in out.chunks_exact_mut(COMPOSITION.len()).enumerate() {
        let start = (at * bin).min(bases.len());
        // One base more, so that a CpG across the border counts with the bin that it starts in.
        let window = &bases[start..(start + bin + 1).min(bases.len())];
        let own = &window[..window.len().min(bin)];
        let count = |letter| memchr::memchr_iter(letter, own).count() as f32;
        let (c, g) = (count(b'C'), count(b'G'));
        let known = own.len() as f32 - count(b'N');
        if known < 1.0 {
            continue;
        }
        let cpg = window.windows(2).filter(|pair| pair == b"CG").count() as f32;
        let expected = f32::midpoint(c, g).powi(2).max(1.0);
        out.copy_from_slice(&[
            (c + g) / known,
            (cpg * known / expected).min(CPG_RATIO_LIMIT),
            cpg / known,
            (g - c) / known,
        ]);
    }
}
