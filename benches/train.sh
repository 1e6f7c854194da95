#!/bin/sh
# Measures training and prediction of genotype models on a cohort of one's own.
#
#   benches/train.sh FOLDER TISSUECAST --genotypes F --expression F [more flags of 'train genotype']
#
# Trains every method with the given flags into FOLDER/models (finished genes are kept in FOLDER/work, so an empty FOLDER
# gives the time of a whole training), then predicts the same people with each model. The bars on 2 cores: elastic net over
# 1,893 genes x 280 people with 5 x 10 folds in 10 minutes, the scaled network with 5 folds in 60 minutes, a prediction of
# these people by a network in 10 s.
set -eu
folder=${1:?a folder for models and finished genes} program=${2:?the program}
shift 2
case $program in */*) program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program") ;; esac
mkdir -p "$folder"
genotypes= assembly=
previous=
for word in "$@"; do
    case $previous in --genotypes) genotypes=$word ;; --assembly) assembly="--assembly $word" ;; esac
    previous=$word
done
timed() {
    name=$1
    shift
    start=$(date +%s.%N)
    "$@" > "$folder/out" 2> "$folder/log" || { cat "$folder/log" >&2; exit 1; }
    end=$(date +%s.%N)
    awk -v n="$name" -v s="$start" -v e="$end" 'BEGIN { printf "%-44s %8.1f s\n", n, e - s }'
}
timed "elastic net, all folds and everybody" "$program" train genotype "$@" --method elastic-net \
    --work "$folder/work-elastic-net" --out "$folder/models/bench-net"
timed "scaled network and its elastic nets, the same" "$program" train genotype "$@" --method scaled-cnn \
    --work "$folder/work-scaled-cnn" --out "$folder/models/bench-cnn"
timed "every method, the same" "$program" train genotype "$@" --method all --work "$folder/work-all" \
    --out "$folder/models/bench"
case $genotypes in
*.vcf | *.vcf.gz | *.bcf) input="--vcf $genotypes" ;;
*.bed | *.bed.gz) input="--bfile ${genotypes%.bed*}" ;;
*) input="--bfile $genotypes" ;;
esac
for model in bench bench-elastic-net bench-annotated-elastic-net bench-scaled-cnn bench-annotated-cnn; do
    # shellcheck disable=SC2086
    timed "predict with $model" "$program" predict --models-dir "$folder/models" --model $model $input $assembly \
        --out "$folder/predicted.tsv"
done
