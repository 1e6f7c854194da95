#!/usr/bin/env bash
# Measures predictions: CPU seconds, wall seconds and memory of the whole command, on the generator's input.
#
#   benches/predict.sh GENERATOR FOLDER [SAMPLES…]
#
# GENERATOR is the script that writes model and genotypes (it needs Python with numpy); FOLDER keeps what it wrote, so
# that a second run measures only; SAMPLES are numbers of people, 1 and 500 where none is given (5000 writes 4 GB of
# VCF text). Wants a release build: cargo build --release.
set -euo pipefail
generator=$1 folder=$2
shift 2
people=("${@:-1}")
[ $# -gt 0 ] || people=(1 500)
binary=${TISSUECAST:-target/release/tissuecast}
mkdir -p "$folder"

measure() { # LABEL COMMAND…
    local label=$1
    shift
    /usr/bin/time -f "%U %S %e %M" -o "$folder/time" "$@" >/dev/null 2>"$folder/stderr" || { cat "$folder/stderr" >&2; exit 1; }
    awk -v label="$label" '{ printf "%-44s cpu %7.2f s  wall %7.2f s  memory %6.0f MB\n", label, $1 + $2, $3, $4 / 1024 }' "$folder/time"
}

for n in "${people[@]}"; do
    data=$folder/n$n
    [ -f "$data/truth.npz" ] || python3 "$generator" "$data" --genes 2000 --samples "$n" --seed 1 --no-score >/dev/null
    [ -d "$data/models/bench" ] || "$binary" models import --name bench --models-dir "$data/models" "$data/model.db" >/dev/null
    run=("$binary" predict --models-dir "$data/models" --model bench --preset predixcan --out "$folder/out.tsv")
    # The floor: decompression alone.
    measure "2,000 genes × $n people, zcat of the VCF" zcat "$data/geno.vcf.gz"
    measure "2,000 genes × $n people, VCF, DS" "${run[@]}" --vcf "$data/geno.vcf.gz"
    measure "2,000 genes × $n people, PLINK bed" "${run[@]}" --bfile "$data/geno"
    measure "2,000 genes × $n people, text dosages" "${run[@]}" --dosages "$data/geno.dosage.txt.gz" --dosage-samples "$data/samples.txt"
done

# Many models in one pass: 49 copies of the model under other names.
data=$folder/n500
if [ -d "$data/models/bench" ]; then
    for k in $(seq 1 49); do
        [ -d "$data/many/tissue$k" ] || "$binary" models import --name "tissue$k" --models-dir "$data/many" "$data/model.db" >/dev/null
    done
    measure "49 models × 2,000 genes × 500 people, VCF" "$binary" predict --models-dir "$data/many" --model all \
        --preset predixcan --vcf "$data/geno.vcf.gz" --out "$folder/out.parquet"
fi

# One person over HTTP, the model resident: the mean of 20 requests, one after the other.
data=$folder/n1
if [ -d "$data/models/bench" ]; then
    "$binary" serve --listen 127.0.0.1:18099 --models-dir "$data/models" --database-url "sqlite://$folder/store.sqlite" 2>/dev/null &
    server=$!
    trap 'kill $server 2>/dev/null || true' EXIT
    for _ in $(seq 100); do curl -sf http://127.0.0.1:18099/readyz >/dev/null && break || sleep 0.1; done
    ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }
    before=$(ticks)
    for _ in $(seq 20); do
        curl -sf -o "$folder/out.json" -w '%{time_total}\n' --data-binary "@$data/geno.vcf.gz" -H 'Content-Type: text/vcf' \
            'http://127.0.0.1:18099/v1/predictions?model=bench&preset=predixcan'
    done >"$folder/times"
    awk -v ticks=$(($(ticks) - before)) -v hertz="$(getconf CLK_TCK)" '{ wall += $1 }
        END { printf "%-44s cpu %7.3f s  wall %7.3f s\n", "2,000 genes × 1 person over HTTP, VCF", ticks / hertz / NR, wall / NR }' "$folder/times"
fi
