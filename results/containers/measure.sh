#!/bin/sh
# Measure cold and warm rates of the same photographs in every form.
#   sh results/containers/measure.sh PHOTOS OUT
# PHOTOS has a folder `train` of class folders. OUT takes the six forms, each of the size of the
# photographs, and, under runs/, one folder of records per form and cache state.
set -eu
photos=$1 out=$2
here=$(dirname "$0")
mkdir -p "$out/forms" "$out/runs"
[ -e "$out/forms/folder" ] || python "$here/write_forms.py" "$photos" "$out/forms"
for state in warm cold; do
    for form in folder photos.zip tar tfrecord parquet parquet-snappy; do
        feedbench bench "$out/forms/$form" --loader turbo --loader tf_data --loader keras_pil \
            --set keras_pil.workers=2 --consumer drain --cache-state $state --batch-size 64 \
            --out "$out/runs/${form%.zip}-$state"
    done
done
# Reading alone, in the order of the shards and at random:
for form in folder tar; do
    feedbench diagnose "$out/forms/$form" --loader turbo --consumer emulated:a100 \
        --cache-state cold --out "$out/runs/$form-diagnosis"
done
