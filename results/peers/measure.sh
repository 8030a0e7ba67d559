#!/usr/bin/env bash
# Every library in one run, the limits, bare loops, shards and random-resized crops; 45 minutes on
# two cores, the most important first. feedbench and python are those of an environment with all
# libraries (make test-guests makes one).
# measure.sh PHOTOS OUT [BLOCKS IMAGES]: PHOTOS has one folder per class; BLOCKS per loader, instead
# of those in the suites; IMAGES to generate, 2000 by default.
# It may be stopped at any time, and continues with what is missing when it is started again.
set -uo pipefail
here=$(realpath "$(dirname "$0")")
photos=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
blocks=${3:+--blocks $3}
images=${4:-2000}
failed=()

tables() {
    python "$here/asked.py" "$out" > "$out/asked.md"
    for run in "$out"/*/trials.jsonl; do
        [[ -e $run ]] || continue
        run=$(basename "$(dirname "$run")")
        case $run in
            bare*) continue ;;
            *-shards | *-regions) references=("turbo decode=full") ;;
            *) references=(keras_directory "turbo decode=full") ;;
        esac
        printf '\n%s\n\n' "$run"
        python "$here/ratios.py" "$out/$run" "${references[@]}"
    done > "$out/ratios.md"
    python "$here/reproduced.py" $(ls -d "$out"/{bare,bare-ffcv,*-shards}/ 2> /dev/null) > "$out/reproduced.md"
    cat "$out/asked.md" "$out/reproduced.md" "$out/ratios.md"
}

end() {
    tables
    for step in "${failed[@]}"; do echo "FAILED: $step, see $out/logs/$step.log" >&2; done
    exit $((${#failed[@]} > 0))
}
trap end EXIT
trap 'exit 130' INT TERM

step() {  # NAME COMMAND…: unless it was done before
    [[ -e $out/logs/$1.done ]] && return
    echo "$(date +%T) $1" >&2
    rm -rf "${out:?}/$1"
    if "${@:2}" > "$out/logs/$1.log" 2>&1; then touch "$out/logs/$1.done"; else failed+=("$1"); fi
}

generate() {
    rm -rf "$out/data/imagenet/photos"
    feedbench make-data "$out/data/imagenet/photos" --images "$images" --preset imagenet
}

pack() {  # DATA FILTER: packs as the loader packed reads them, in a folder with all that suites name
    rm -rf "$out/data/$1/$2"
    mkdir -p "$out/data/$1/$2" && cd "$out/data/$1/$2" && cp "$here/bare.py" . &&
        feedbench pack "$out/data/$1/photos" arrays --interpolation "$2" &&
        feedbench pack "$out/data/$1/photos" jpeg --as jpeg --interpolation "$2"
}

shard() {  # DATA
    rm -rf "$out/data/$1/shards"
    feedbench pack "$out/data/$1/photos" "$out/data/$1/shards" --as webdataset --shards 8
}

measure() {  # COMMAND NAME DATA FILTER SUITE [SOURCE]: the run NAME, its files in the page cache
    local source=$out/data/$3/${6:-photos} options=()
    [[ $1 == limits ]] || options=(--no-early-stopping --no-tensorboard)
    cd "$out/data/$3/$4" && cat $(find -L "$source" -type f) > /dev/null &&
        feedbench "$1" "$source" --suite "$here/$5.toml" "${options[@]}" $blocks --out "$out/$2"
}

regions() {
    python -m pytest "$here/../../tests/micro/test_regions.py" -q -p no:cacheprovider \
        --benchmark-enable --benchmark-only --benchmark-json "$out/regions.json"
}

mkdir -p "$out/logs" "$out/data/clothing" "$out/data/imagenet"
python -m pip list --format freeze > "$out/versions.txt"
[[ -e $out/data/clothing/photos ]] || ln -s "$photos" "$out/data/clothing/photos"
step generated generate
for data in clothing imagenet; do
    step "packed-$data-bilinear" pack "$data" bilinear
    step "betons-$data" python "$here/prepare.py" "$out/data/$data/photos" "$out/data/$data/ffcv"
    step "$data-32" measure limits "$data-32" "$data" bilinear suite
done
step bare measure bench bare clothing bilinear bare
for data in clothing imagenet; do
    step "$data-regions" measure limits "$data-regions" "$data" bilinear regions
    step "sharded-$data" shard "$data"
    step "$data-shards" measure limits "$data-shards" "$data" bilinear shards shards
done
for data in clothing imagenet; do
    step "packed-$data-nearest" pack "$data" nearest
    step "$data-192" measure limits "$data-192" "$data" nearest fastest
done
step bare-ffcv measure bench bare-ffcv clothing bilinear bare-ffcv
step regions regions
