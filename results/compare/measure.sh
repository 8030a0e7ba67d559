#!/usr/bin/env bash
# Pairs of equal runs, and pairs of which the second is slowed by 10 %: what is said of each?
# Usage: measure.sh PHOTOS OUT [PAIRS]. With 20 pairs it takes about 20 minutes.
set -euo pipefail
here=$(dirname "$0") photos=$1 out=$2 pairs=${3:-20}
options="--consumer drain --batch-size 32 --image-size 96 --blocks 10 --block-seconds 0.5"
options="$options --warm-up-seconds 1"

bench() { feedbench bench "$photos" --loader "$here/pipeline.py:photos" $options "$@" >> "$out/log"; }

mkdir -p "$out"
for pair in $(seq "$pairs"); do
  folder=$out/$pair
  SLOWED=0 bench --out "$folder/base"
  SLOWED=0 bench --out "$folder/equal"
  SLOWED=0.1 bench --out "$folder/slowed"
  for kind in equal slowed; do
    feedbench compare "$folder/base" "$folder/$kind" --json "$folder/$kind.json" >> "$out/log"
  done
  for kind in equal:0.0 slowed:0.1; do
    bench --set "photos.slowed=${kind#*:}" --against "$here/pipeline.py:photos" \
      --out "$folder/against-${kind%:*}"
    cp "$folder/against-${kind%:*}/compare.json" "$folder/against-${kind%:*}.json"
  done
  echo "pair $pair of $pairs"
done
python "$here/count.py" "$out"
