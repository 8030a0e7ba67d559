#!/usr/bin/env bash
# What plan predicts for two processes on this machine, and what they reach. About 3 minutes.
# Usage: measure.sh PHOTOS OUT
set -euo pipefail
"${PYTHON:-python}" "$(dirname "$0")/two.py" "$1" "$2"
