#!/bin/sh
# Measures a running service with wrk: known genes, one gene at a time and many in turn, and one new gene,
# without any known tissue and with three.
#
#   tissuecast serve --database-url sqlite://demo.db &
#   benches/serve.sh [http://127.0.0.1:8080] [seconds]
#
# The bar on 2 cores shared with wrk: known genes at least 8,000 answers/s at 64 connections with p99 at most 20 ms;
# one new gene, or one that is known in three tissues, p50 at most 20 ms.
set -eu
base=${1:-http://127.0.0.1:8080}
seconds=${2:-10}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

curl -sf "$base/readyz" > /dev/null || { echo "$base is not ready" >&2; exit 1; }
curl -sf "$base/v1/genes?items_per_page=4000&format=tsv" | cut -f 1,10 |
    awk -F '\t' 'NR > 1 && $2 == "NA" { print $1 }' > "$work/genes"
first=$(head -n 1 "$work/genes")
[ -n "$first" ] || { echo "the dataset has no measured gene" >&2; exit 1; }

echo "== one known gene, 64 connections"
wrk -t 1 -c 64 -d "${seconds}s" --latency "$base/v1/genes/$first/profile"

cat > "$work/many.lua" <<LUA
local paths, at = {}, 0
for id in io.lines("$work/genes") do paths[#paths + 1] = "/v1/genes/" .. id .. "/profile" end
request = function() at = at % #paths + 1; return wrk.format("GET", paths[at]) end
LUA
echo "== $(wc -l < "$work/genes") known genes in turn, 64 connections"
wrk -t 1 -c 64 -d "${seconds}s" --latency -s "$work/many.lua" "$base"

place=$(curl -sf "$base/v1/genes/$first?format=tsv" | awk -F '\t' 'NR == 2 { print $4 " " $8 " " $7 }')
set -- $place
observed=$(curl -sf "$base/v1/tissues" | grep -o '"tissue":"[^"]*"' | head -n 3 | sed 's/"tissue"://; s/$/:2.5/' | paste -sd , -)
new_gene() {
    cat > "$work/new.lua" <<LUA
local at = $2
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
math.randomseed(1)
local letters = { "A", "C", "G", "T" }
request = function()
  at = at + 1
  local bases = {}
  for i = 1, 1501 do bases[i] = letters[math.random(4)] end
  local promoter = table.concat(bases)
  return wrk.format(nil, "/v1/profiles", nil, '{"genes":[{"chromosome":"$1","tss":' .. at .. ',"strand":"$3","promoter":"' .. promoter .. '"$4}]}')
end
LUA
    wrk -t 1 -c 1 -d "${seconds}s" --latency -s "$work/new.lua" "$base"
}
echo "== one new gene at a time, 1 connection"
new_gene "$@" ""
echo "== one new gene at a time that is known in three tissues, 1 connection"
new_gene "$@" ",\"observed\":{$observed}"
