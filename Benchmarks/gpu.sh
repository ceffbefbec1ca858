#!/usr/bin/env bash
# Prints the GPU table of docs/performance.md as JSON lines: herd, then PyTorch on the same GPU.
#
#   Benchmarks/gpu.sh [HERD_BENCH_PROGRAM]
#
# PEER_PYTHON names a Python with torch for CUDA and transformers; without it the peers are left out.
# The program is built unless one is given, as on a machine without a Swift toolchain.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bench="${1:-}"
if [ -z "$bench" ]; then
  cd "$here"
  swift build -c release --product herd-bench >/dev/null
  bench="$(swift build -c release --show-bin-path)/herd-bench"
fi
for row in gemm mixture attention train-32m train-1b train-8b decode; do
  "$bench" gpu "$row"
  if [ -n "${PEER_PYTHON:-}" ] && [ "$row" != decode ] && [ "$row" != train-8b ]; then
    "$PEER_PYTHON" "$here/peers/gpu.py" "$row"
  fi
done
