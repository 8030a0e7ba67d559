#!/bin/sh
# One device against two logical ones of the CPU: the same loss curve, and the rates.
# Usage: measure.sh PHOTOS OUT
set -eu
photos=$1 out=$2
mkdir -p "$out"
what="--loader turbo --batch-size 32 --image-size 64 --alpha 0.35 --no-tensorboard"
for devices in cpu:1 cpu:2; do
    name=$(echo "$devices" | tr -d :)
    feedbench train "$photos" --devices "$devices" $what --epochs 2 --out "$out/$name"
done
feedbench bench "$photos" --devices cpu:2 $what --blocks 5 --out "$out/bench"
paste -d ' ' "$out/cpu1/history.csv" "$out/cpu2/history.csv" > "$out/curves.txt"
