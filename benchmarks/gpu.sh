#!/bin/sh
# Measures training and extraction on a GPU, prints one JSON, and ends by itself within ten minutes.
# Needs this checkout and Python with torch, numpy and safetensors; PYTHON names another interpreter.
#   sh benchmarks/gpu.sh > benchmarks/results/gpu.json        (--cpu: a try at tiny sizes without a GPU)
cd "$(dirname "$0")/.." || exit 1
exec timeout -k 10 600 "${PYTHON:-python3}" -m benchmarks.common.gpu "$@"
