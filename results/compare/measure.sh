#!/usr/bin/env bash
# How often compare, compare --relative-to, or bench --against, is right: pairs of equal runs, and
# pairs of which the second is slowed by 10 %. The runs of `relative` are also compared without it.
# Usage: measure.sh PHOTOS OUT compare|relative|against [PAIRS] [BLOCKS]. Run again with the same
# OUT, it resumes. The table of what is done is printed at the end, and when the script is stopped.
set -euo pipefail
here=$(dirname "$0") photos=$1 out=$2 way=$3 pairs=${4:-20} blocks=${5:-25}
options="--consumer drain --batch-size 32 --image-size 96 --blocks $blocks --fresh-processes"
options="$options --block-seconds 0.5 --warm-up-seconds 0.3 --no-early-stopping --no-tensorboard"

for name in base equal slowed; do
  mkdir -p "$out/$name"
  cp "$here/pipeline.py" "$out/$name/"
done
sed -i 's/^SLOWED = .*/SLOWED = 0.1/' "$out/slowed/pipeline.py"
trap 'python "$here/count.py" "$out"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bench() {  # NAME FOLDER OPTIONS: unless it is done already
  [ -e "$2/done" ] && return
  rm -rf "$2"
  feedbench bench "$photos" --loader "$out/$1/pipeline.py:photos" --out "$2" $options "${@:3}" \
    >> "$out/log" 2>&1
  touch "$2/done"
}

compare() {  # KIND BASE RUN
  feedbench compare "$2" "$3" --json "$out/$1.json" >> "$out/log"
}

judge() {  # KIND BASE RUN
  [ "$way" = relative ] || { compare "$@"; return; }
  feedbench compare "$2" "$3" --relative-to turbo --json "$out/relative, $1.json" >> "$out/log"
  compare "beside turbo, $1" "$2" "$3"
}

begin=$SECONDS runs=$out/runs
if [ "$way" = relative ]; then
  runs=$out/relative options="$options --loader turbo --set turbo.num_threads=1"
fi
[ "$way" = against ] || bench base "$runs/0"
for pair in $(seq "$pairs"); do
  if [ "$way" = against ]; then
    run=$out/against/$pair
    bench equal "$run" --loader "$out/slowed/pipeline.py:photos" \
      --against "$out/base/pipeline.py:photos"
    cp "$run/compare.json" "$out/against-$pair.json"
  else  # each equal run is the base of the next pair
    last=$runs/$((pair - 1))
    bench slowed "$runs/$pair-slowed"
    judge "slowed-$pair" "$last" "$runs/$pair-slowed"
    bench equal "$runs/$pair"
    judge "equal-$pair" "$last" "$runs/$pair"
  fi
  echo "pair $pair of $pairs, after $(((SECONDS - begin) / 60)) minutes; about" \
    "$(((SECONDS - begin) * (pairs - pair) / pair / 60)) more"
done
