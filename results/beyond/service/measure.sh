#!/usr/bin/env bash
# tf.data service with 1 to 4 workers against loading on the trainer's own machine, over a link of
# 1 Gbit/s and 10 ms in each direction, between network namespaces (cable.py).
# measure.sh PHOTOS OUT; PHOTOS has one folder per class. It needs root and iproute2.
set -euo pipefail
photos=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
rate=${MBIT:-1000} delay=${DELAY_MS:-10} cores=${WORKER_CORES:-0.4} size=${SIZE:-96}
here=10.78.0.1 there=10.78.0.2 trainer=feedbench-$$-trainer servers=feedbench-$$-servers
pids=() groups=()

end() {
    # They have nothing to lose, and a worker without its dispatcher takes long to stop.
    ((${#pids[@]})) && kill -KILL "${pids[@]}" 2> /dev/null || true
    wait 2> /dev/null || true
    for group in "${groups[@]}"; do rmdir "$group" || true; done
    for name in "$trainer" "$servers"; do ip netns delete "$name" 2> /dev/null || true; done
}
trap end EXIT

for name in "$trainer" "$servers"; do
    ip netns add "$name"
    ip -n "$name" link set lo up
done
python "$(dirname "$0")/cable.py" "$trainer=$here" "$servers=$there" "$rate" "$delay" &
pids+=($!)
until ip -n "$servers" address show dev cable 2> /dev/null | grep -q "$there"; do sleep 0.1; done
ip netns exec "$servers" python "$(dirname "$0")/probe.py" serve "$there" &
ip netns exec "$trainer" python "$(dirname "$0")/probe.py" ask "$there" | tee "$out/link.txt"

serve() {  # LOG OPTIONS…: a server on the other host
    ip netns exec "$servers" feedbench serve "${@:2}" > "$out/$1.log" 2>&1 &
    pids+=($!)
}

limit() {  # PID NAME: this share of a core, as on a small machine of its own
    local quota group
    quota=$(awk "BEGIN { print int($cores * 100000) }")
    if [[ -d /sys/fs/cgroup/cpu ]]; then
        group=/sys/fs/cgroup/cpu/feedbench-$$-$2
        mkdir "$group"
        echo "$quota" > "$group/cpu.cfs_quota_us"
    else
        group=/sys/fs/cgroup/feedbench-$$-$2
        echo +cpu > /sys/fs/cgroup/cgroup.subtree_control
        mkdir "$group"
        echo "$quota 100000" > "$group/cpu.max"
    fi
    groups+=("$group")
    echo "$1" > "$group/cgroup.procs"
}

on_trainer() { ip netns exec "$trainer" feedbench "$@"; }

await_workers() {  # COUNT
    until on_trainer serve --check "$there:5050" 2> /dev/null | grep -q "registered workers: $1"; do
        sleep 0.5
    done
}

serve dispatcher --dispatcher "$there:5050"
batches=(--image-size "$size" --batch-size 32)
service=(--loader tf_data_service --set "tf_data_service.service=$there:5050")
for count in 1 2 3 4; do
    serve "worker-$count" --worker "$there:$((5050 + count))" --of "$there:5050"
    await_workers "$count"
    limit "${pids[-1]}" "$count"
    on_trainer bench "$photos" --loader tf_data "${service[@]}" "${batches[@]}" \
        --consumer drain --blocks 5 --block-seconds 1 --warm-up-seconds 1 --out "$out/$count"
done
on_trainer diagnose "$photos" "${service[@]}" "${batches[@]}" --consumer emulated:a100 \
    --seconds 30 --out "$out/diagnosis" || echo "The diagnosis has no verdict."

python - "$out" << 'PYTHON' | tee "$out/table.md"
import json
import sys
from pathlib import Path


def rate(one):
    return f"{one['median']:,.0f} [{one['low']:,.0f}, {one['high']:,.0f}]"


print("| workers | images/s | local, images/s | ÷ local | kB per image | MB/s |")
print("|---|---|---|---|---|---|")
for count in range(1, 5):
    summary = json.loads((Path(sys.argv[1]) / str(count) / "summary.json").read_text())
    trials = {trial["loader"]: trial for trial in summary["trials"]}
    local, remote = trials["tf_data"], trials["tf_data_service"]
    images, size = remote["images_per_second"], remote["received_bytes_per_image"]
    ratio = images["median"] / local["images_per_second"]["median"]
    print(
        f"| {count} | {rate(images)} | {rate(local['images_per_second'])} | {ratio:.2f} "
        f"| {size / 1e3:.1f} | {images['median'] * size / 1e6:.0f} |"
    )
PYTHON
