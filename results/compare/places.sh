#!/usr/bin/env bash
# Two equal trials in one run: is the first faster by its place, by a setting, or by its memory?
# Usage: places.sh PHOTOS OUT [REPEATS]. With 6 repeats it takes about half an hour.
set -euo pipefail
here=$(dirname "$0") photos=$1 out=$2 repeats=${3:-6}
options="--consumer drain --batch-size 32 --image-size 96 --blocks 10 --block-seconds 0.5"
options="$options --warm-up-seconds 1"

bench() { feedbench bench "$photos" $options "$@" >> "$out/log"; }

mkdir -p "$out/a" "$out/b"
cp "$here/pipeline.py" "$out/a"
cp "$here/pipeline.py" "$out/b"
a=$out/a/pipeline.py:photos b=$out/b/pipeline.py:photos
# The same choice with its default written out, to be the second trial of a run.
bench --loader "$b" --set photos.slowed=0.0 --blocks 1 --out "$out/given"
for repeat in $(seq "$repeats"); do
  run=$out/run-$repeat
  bench --loader "$a" --against "$b" --out "$run/as-they-are"
  bench --loader "$b" --against "$a" --out "$run/swapped"
  bench --loader "$a" --set photos.slowed=0.0 --against "$b" --out "$run/setting-of-first"
  bench --loader "$a" --against "$out/given/best.toml" --out "$run/setting-of-second"
  # Memory that is freed stays with the process: no page faults for the next batch.
  MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=1073741824 \
    bench --loader "$a" --set photos.slowed=0.0 --against "$b" --out "$run/memory-kept"
  echo "repeat $repeat of $repeats"
done
python "$here/places.py" "$out"
