#!/usr/bin/env bash
# Measures on this machine's GPU: self-test, the rate of the GPU, five loaders that feed it, what a
# diagnosis says, a training with the winner, and how well an emulation of this GPU imitates it.
# Usage: measure.sh PHOTOS [NAME]; writes results/gpu-NAME, by default after the GPU. About an hour.
# It runs unattended: a step that fails, or takes longer than STEP_LIMIT seconds (3600), does not
# end the others, and the page in the folder always shows what there is so far.
# REHEARSAL=1 does the same on the CPU at tiny sizes: it shows that the script works, nothing else.
set -euo pipefail
trap '' HUP # the terminal may be closed
here=$(cd "$(dirname "$0")" && pwd)
photos=${1:?usage: measure.sh PHOTOS [NAME]}
feedbench=${FEEDBENCH:-feedbench} python=${PYTHON:-python} limit=${STEP_LIMIT:-3600}
fail() { echo "measure.sh: $1" >&2; exit 2; }

[ -d "$photos" ] || fail "$photos is no folder; name one with one folder of photographs per class"
command -v "$feedbench" > /dev/null || fail "there is no command $feedbench; set FEEDBENCH"
errors=$(mktemp)
device=$("$python" - 2> "$errors" <<'PY'
from feedbench.bench.consumers.device import training_device
print(training_device())
PY
) || fail "$python cannot say on which device it trains: $(tail -n 1 "$errors")"
rm "$errors"
if [ "$device" = CPU ] && [ -z "${REHEARSAL:-}" ]; then
  fail 'TensorFlow finds no GPU; install tensorflow[and-cuda], or try REHEARSAL=1'
fi
name=${2:-$(echo "$device" | tr '[:upper:] ' '[:lower:]-' | tr -cd 'a-z0-9.-')}
out=$(dirname "$here")/gpu-$name
[ -z "${REHEARSAL:-}" ] || out=${2:?REHEARSAL=1 needs a folder: measure.sh PHOTOS FOLDER}
[ ! -e "$out" ] || fail "$out exists; name another"
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

failed=
note() { # NAME SECONDS CODE: of a step; then the page with all that there is
  echo "$1,$2,$3" >> "$out/steps.csv"
  "$python" "$here/summary.py" "$out" "$device" "${REHEARSAL:+rehearsal}" ||
    echo 'measure.sh: the page cannot be written' >&2
}
step() { # NAME COMMAND…: runs it and keeps what it prints; a step that fails does not end the others
  local begin=$SECONDS code=0
  echo "measure.sh: $1" >&2
  note "$1" '' running
  timeout --foreground --kill-after 60 "$limit" "${@:2}" > "$out/$1.txt" 2> "$out/$1.log" || code=$?
  note "$1" $((SECONDS - begin)) "$code"
  [ "$code" != 130 ] || exit 130 # Ctrl-C
  [ "$code" = 0 ] || { failed="$failed $1"; tail -n 3 "$out/$1.log" >&2; }
  return "$code"
}
quiet="--no-tensorboard"

! command -v nvidia-smi > /dev/null || step nvidia-smi nvidia-smi -q || true
step selftest "$feedbench" selftest $selftest --json "$out/selftest.json" || true
if step pack "$feedbench" pack "$photos" "$packed/arrays" --as arrays $images; then
  loaders="$loaders --loader packed --set packed.pack=$packed/arrays"
fi
for precision in fp32 mixed; do
  step "bench-$precision" "$feedbench" bench "$photos" $loaders $batches $blocks $warm_up $quiet \
    --recipe "$out/$precision.toml" --out "$out/bench-$precision/record" || true
  step "calibrate-$precision" "$feedbench" calibrate "gpu-$precision" $batches $blocks \
    --recipe "$out/$precision.toml" --out "$out/calibration-$precision" || continue
  step "emulated-$precision" "$feedbench" bench "$photos" $loaders $batches $blocks $warm_up $quiet \
    --consumer "emulated:gpu-$precision" --out "$out/emulated-$precision/record" || true
done
best=$out/bench-fp32/record/best.toml
[ -e "$best" ] || best=turbo
step diagnosis "$feedbench" diagnose "$photos" --loader "$best" --recipe "$out/fp32.toml" $batches \
  --seconds $seconds $quiet --out "$out/diagnosis-record" || true
step training "$feedbench" train "$photos" --loader "$best" --recipe "$out/fp32.toml" $batches \
  $quiet --out "$out/training-record" || true
rm -f "$out"/training-record/*.npz "$out"/training-record/*.keras
[ -z "$failed" ] || { echo "measure.sh: failed:$failed; $out/README.md says why" >&2; exit 1; }
