#!/usr/bin/env bash
# Images in S3, on a server on this machine, against the same files on the disk, cold and warm.
# measure.sh PHOTOS OUT; PHOTOS has one folder per class. It needs feedbench[beyond].
set -euo pipefail
photos=$1 out=$2 port=${PORT:-5123}
mkdir -p "$out"
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
export AWS_DEFAULT_REGION=us-east-1 FEEDBENCH_OBJECT_CACHE=$out/objects
answers() { (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; }
if answers; then
    echo "port $port is in use; set PORT to one that is free" >&2
    exit 1
fi
python -c 'import sys; from moto.server import main; main(sys.argv[1:])' -H 127.0.0.1 -p "$port" \
    > "$out/server.log" 2>&1 &
server=$!
trap 'kill $server' EXIT
until answers; do
    kill -0 $server  # else it has ended: server.log says why
    sleep 0.2
done
python - "$photos" << 'PYTHON'
import sys
from pathlib import Path

import botocore.session

client = botocore.session.get_session().create_client("s3")
client.create_bucket(Bucket="photos")
root = Path(sys.argv[1])
for path in root.rglob("*"):
    if path.is_file():
        client.put_object(Bucket="photos", Key=str(path.relative_to(root)), Body=path.read_bytes())
PYTHON
for state in cold warm; do
    for source in "$photos" s3://photos; do
        name=$state-$([[ $source == s3://* ]] && echo s3 || echo files)
        feedbench bench "$source" --loader turbo --loader tf_data --consumer drain \
            --batch-size 64 --blocks 5 --block-seconds 2 --warm-up-seconds 2 \
            --cache-state "$state" --out "$out/$name"
    done
done

python - "$out" << 'PYTHON' | tee "$out/table.md"
import json
import sys
from pathlib import Path


def rate(name, loader):
    summary = json.loads((Path(sys.argv[1]) / name / "summary.json").read_text())
    (trial,) = [one for one in summary["trials"] if one["loader"] == loader]
    images = trial["images_per_second"]
    return f"{images['median']:,.0f} [{images['low']:,.0f}, {images['high']:,.0f}]"


print("| | loader | files, images/s | S3, images/s |")
print("|---|---|---|---|")
for state in ("cold", "warm"):
    for loader in ("turbo", "tf_data"):
        print(f"| {state} | {loader} | {rate(f'{state}-files', loader)} "
              f"| {rate(f'{state}-s3', loader)} |")
PYTHON
