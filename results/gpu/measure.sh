#!/usr/bin/env bash
# Measures on this machine's GPU: self-test, the rate of the GPU, five loaders that feed it, what a
# diagnosis says, a training with the winner, and how well an emulation of this GPU imitates it.
# Usage: measure.sh PHOTOS [NAME]; writes results/gpu-NAME, by default after the GPU. About an hour.
# REHEARSAL=1 does the same on the CPU at tiny sizes: it shows that the script works, nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
photos=${1:?usage: measure.sh PHOTOS [NAME]}
feedbench=${FEEDBENCH:-feedbench} python=${PYTHON:-python}

gpu() {
  "$python" - <<'PY' 2> /dev/null
from feedbench.bench.consumers.device import training_device
print(training_device())
PY
}

device=$(gpu)
if [ "$device" = CPU ] && [ -z "${REHEARSAL:-}" ]; then
  echo 'measure.sh: TensorFlow finds no GPU; install tensorflow[and-cuda], or try REHEARSAL=1' >&2
  exit 2
fi
name=${2:-$(echo "$device" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9.-')}
out=$(dirname "$here")/gpu-$name
[ -z "${REHEARSAL:-}" ] || out=${2:?REHEARSAL=1 needs a folder: measure.sh PHOTOS FOLDER}
[ ! -e "$out" ] || { echo "measure.sh: $out exists; name another" >&2; exit 2; }
mkdir -p "$out"
export FEEDBENCH_CONFIG=$out/config TF_CPP_MIN_LOG_LEVEL=2
packed=$(mktemp -d)
trap 'rm -rf "$packed"' EXIT

if [ -n "${REHEARSAL:-}" ]; then
  batches="--batch-size 8 --image-size 32" network="alpha = 0.35" selftest=--short
  blocks="--blocks 3 --block-seconds 0.1" warm_up="--warm-up-seconds 0.1" seconds=1
else
  batches="--batch-size 192 --image-size 224" network="alpha = 1.0" selftest=
  blocks="--blocks 9 --block-seconds 4" warm_up="--warm-up-seconds 5" seconds=240
fi
printf '%s\nepochs = 3\n' "$network" > "$out/fp32.toml"
printf '%s\nepochs = 3\nmixed_precision = "float16"\n' "$network" > "$out/mixed.toml"
images="${batches#* * }"
loaders="--loader keras_pil --loader tf_data --loader turbo --set turbo.cache=none,decoded"
loaders="$loaders --loader packed --set packed.pack=$packed/arrays"

failed=
step() { # NAME COMMAND…: runs it and keeps what it prints; a step that fails does not end the others
  echo "measure.sh: $1" >&2
  "${@:2}" > "$out/$1.txt" 2> "$out/$1.log" || { failed="$failed $1"; tail -3 "$out/$1.log" >&2; }
}
quiet="--no-tensorboard"

! command -v nvidia-smi > /dev/null || step nvidia-smi nvidia-smi -q
step selftest "$feedbench" selftest $selftest --json "$out/selftest.json"
step pack "$feedbench" pack "$photos" "$packed/arrays" --as arrays $images
for precision in fp32 mixed; do
  step "calibrate-$precision" "$feedbench" calibrate "gpu-$precision" $batches $blocks \
    --recipe "$out/$precision.toml" --out "$out/calibration-$precision"
  step "bench-$precision" "$feedbench" bench "$photos" $loaders $batches $blocks $warm_up $quiet \
    --recipe "$out/$precision.toml" --out "$out/bench-$precision/record"
  step "emulated-$precision" "$feedbench" bench "$photos" $loaders $batches $blocks $warm_up $quiet \
    --consumer "emulated:gpu-$precision" --out "$out/emulated-$precision/record"
done
best=$out/bench-fp32/record/best.toml
[ -e "$best" ] || best=turbo
step diagnosis "$feedbench" diagnose "$photos" --loader "$best" --recipe "$out/fp32.toml" $batches \
  --seconds $seconds $quiet --out "$out/diagnosis-record"
step training "$feedbench" train "$photos" --loader "$best" --recipe "$out/fp32.toml" $batches \
  $quiet --out "$out/training-record"
rm -f "$out"/training-record/*.npz "$out"/training-record/*.keras
"$python" "$here/summary.py" "$out" "$device" "${REHEARSAL:+rehearsal}" "$failed"
[ -z "$failed" ] || { echo "measure.sh: failed:$failed; see NAME.txt and NAME.log of each in $out" >&2; exit 1; }
