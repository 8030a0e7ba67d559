#!/usr/bin/env bash
# One process against two workers on this machine: the same curve, and the rates.
#   results/beyond/workers/measure.sh PHOTOS OUT
set -euo pipefail
photos=$1 out=$2
mkdir -p "$out"
cat > "$out/recipe.toml" <<'TOML'
network = "MobileNetV2"
alpha = 0.35
epochs = 3
base_learning_rate = 0.02
TOML
cat > "$out/hosts.toml" <<'TOML'
workers = ["127.0.0.1:4711", "127.0.0.1:4712"]
TOML
train() {
    feedbench train "$photos" --recipe "$out/recipe.toml" --batch-size 64 --image-size 96 \
        --loader turbo --set turbo.num_threads=1 --no-tensorboard "$@"
}
train --out "$out/one"
# The same sums in another order: what a training makes of rounding alone.
TF_ENABLE_ONEDNN_OPTS=0 train --out "$out/rounding"
train --cluster "$out/hosts.toml" --worker 1 --out "$out/two" > "$out/worker-1.txt" 2>&1 &
train --cluster "$out/hosts.toml" --worker 0 --out "$out/two"
wait
for run in one two rounding; do
    echo "$run:"
    cut -d, -f1-4,6,8,9 "$out/$run/history.csv"
done
