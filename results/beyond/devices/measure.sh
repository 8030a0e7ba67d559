#!/bin/sh
# One device against two logical ones of the CPU: the loss curves, and the rates.
# Usage: measure.sh PHOTOS OUT
set -eu
photos=$1 out=$2
mkdir -p "$out"
what="--loader turbo --batch-size 32 --image-size 64 --alpha 0.35 --no-tensorboard"
train() { feedbench train "$photos" $what --epochs 2 "$@"; }
train --devices cpu:1 --out "$out/cpu1"
train --devices cpu:2 --out "$out/cpu2"
# The same sums in another order: what a training makes of rounding alone.
TF_ENABLE_ONEDNN_OPTS=0 train --devices cpu:1 --out "$out/rounding"
feedbench bench "$photos" --devices cpu:2 $what --blocks 5 --out "$out/bench"
paste -d ' ' "$out/cpu1/history.csv" "$out/cpu2/history.csv" > "$out/curves.txt"
