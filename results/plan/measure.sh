#!/usr/bin/env bash
# What plan predicts for two processes on this machine and what they reach, once with shared cores,
# once with one core each, like two hosts. About 5 minutes.
# Usage: measure.sh PHOTOS OUT, a new folder
set -euo pipefail
"${PYTHON:-python}" "$(dirname "$0")/two.py" "$1" "$2"
