#!/bin/sh
# Is exported code as fast as the loader that it stands for?
#   sh results/export/measure.sh PHOTOS OUT [LOADER...]
# A minute per loader on two cores. OUT takes the exported files and, under runs/, a record per loader.
set -eu
photos=$1 out=$2
shift 2
[ $# -gt 0 ] || set -- tf_data keras_directory keras_pil turbo
mkdir -p "$out/runs"
for loader in "$@"; do
    code=$out/${loader}_pipeline.py
    [ -e "$code" ] || feedbench export "$loader" --out "$code"
    feedbench bench "$photos" --loader "$code:make_dataset" --loader "$loader" --consumer drain \
        --batch-size 64 --blocks 15 --block-seconds 1 --no-early-stopping --out "$out/runs/$loader"
done
