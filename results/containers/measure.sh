#!/bin/sh
# Measure cold and warm rates of the same photographs in every form.
#   sh results/containers/measure.sh PHOTOS OUT [STEP...]
# PHOTOS has a folder `train` of class folders. OUT takes the six forms, each of the size of the
# photographs, and, under runs/, one folder of records per form and cache state. A STEP is `forms`,
# which writes them; `warm` or `cold`, which take five minutes each on two cores; or `reads`, which
# diagnoses reading alone. Without one, all are done. A run that is there already is not repeated.
set -eu
photos=$1 out=$2
shift 2
here=$(dirname "$0")
[ $# -gt 0 ] || set -- forms warm cold reads
mkdir -p "$out/forms" "$out/runs"

rates() {
    for form in folder photos.zip tar tfrecord parquet parquet-snappy; do
        run=$out/runs/${form%.zip}-$1
        [ -e "$run/summary.json" ] || feedbench bench "$out/forms/$form" --loader turbo \
            --loader tf_data --loader keras_pil --set keras_pil.workers=2 --consumer drain \
            --cache-state "$1" --batch-size 64 --blocks 5 --block-seconds 1.5 --out "$run"
    done
}

for step in "$@"; do
    case $step in
    forms) [ -e "$out/forms/folder" ] || python "$here/write_forms.py" "$photos" "$out/forms" ;;
    warm | cold) rates "$step" ;;
    reads) # In the order of the shards and at random:
        for form in folder tar; do
            feedbench diagnose "$out/forms/$form" --loader turbo --consumer emulated:a100 \
                --cache-state cold --out "$out/runs/$form-diagnosis"
        done ;;
    *) echo "$step: must be forms, warm, cold or reads" >&2; exit 2 ;;
    esac
done
python "$here/table.py" "$out/runs"
