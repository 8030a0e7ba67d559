#!/usr/bin/env bash
# Images in S3, on a server on this machine, against the same files on the disk, cold and warm.
# measure.sh PHOTOS OUT; PHOTOS has one folder per class. It needs feedbench[beyond].
set -euo pipefail
photos=$1 out=$2 port=${PORT:-5123}
mkdir -p "$out"
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
export AWS_DEFAULT_REGION=us-east-1 FEEDBENCH_OBJECT_CACHE=$out/objects
python -c 'import sys; from moto.server import main; main(sys.argv[1:])' -H 127.0.0.1 -p "$port" \
    > "$out/server.log" 2>&1 &
server=$!
trap 'kill $server' EXIT
sleep 5
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
