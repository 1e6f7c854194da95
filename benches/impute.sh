#!/bin/sh
# Measures how fast a freshly started service imputes every gene of its dataset that has no whole profile, 500 at a time.
#
#   tissuecast serve &
#   benches/impute.sh [http://127.0.0.1:8080]
#
# The bar on 2 cores: at least 200 genes a second. A second run only reads what the first one kept.
set -eu
base=${1:-http://127.0.0.1:8080}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

page=0
while curl -sf "$base/v1/genes?missing=true&items_per_page=10000&page=$page&format=tsv" |
    awk -F '\t' 'NR > 1 { print $1 }' > "$work/page" && [ -s "$work/page" ]; do
    cat "$work/page" >> "$work/genes"
    page=$((page + 1))
done
total=$(wc -l < "$work/genes")
[ "$total" -gt 0 ] || { echo "no gene of the dataset is missing" >&2; exit 1; }
split -l 500 "$work/genes" "$work/batch."
start=$(date +%s.%N)
for batch in "$work"/batch.*; do
    awk 'BEGIN { printf "{\"genes\":[" } { printf("%s{\"gene\":\"%s\"}", (NR > 1 ? "," : ""), $1) } END { print "]}" }' "$batch" |
        curl -sf -H 'content-type: application/json' --data-binary @- -o "$work/answer" "$base/v1/profiles"
done
end=$(date +%s.%N)
awk -v n="$total" -v s="$start" -v e="$end" 'BEGIN { printf "%d genes in %.1f s: %.0f genes/s\n", n, e - s, n / (e - s) }'
