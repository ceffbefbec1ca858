#!/usr/bin/env bash
# Prints the GPU table of docs/performance.md as JSON lines: herd, then PyTorch on the same GPU.
#
#   Benchmarks/gpu.sh [HERD_BENCH_PROGRAM [HERD_PROGRAM]]
#
# PEER_PYTHON names a Python with torch for CUDA and transformers; without it the peers are left out.
# Programs are built unless given, as on a machine without a Swift toolchain. ROWS="attention decode"
# leaves out other rows; convert, the last, needs HERD_REAL_DIR with dense-32m/ (for its tokenizer) and
# data/; CONVERT_LAYERS (default 32, 16 GB) sizes it, 0 leaves it out.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bench="${1:-}"
if [ -z "$bench" ]; then
  cd "$here"
  swift build -c release --product herd-bench >/dev/null
  bench="$(swift build -c release --show-bin-path)/herd-bench"
fi
rows="${ROWS:-gemm mixture attention linear-attention train-32m train-1b train-8b train-385m-tnl train-1b-tnl decode construct convert}"
for row in $rows; do
  case "$row" in
  convert) ;;
  construct)
    "$bench" construct --cuda
    "$bench" construct --cuda --experts 28 --shared 4 --top-k 4
    ;;
  *)
    "$bench" gpu "$row" --longest 1048576
    case "$row" in train-8b | *-tnl | decode) continue ;; esac
    if [ -n "${PEER_PYTHON:-}" ]; then "$PEER_PYTHON" "$here/peers/gpu.py" "$row"; fi
    ;;
  esac
done
case " $rows " in *" convert "*) ;; *) exit 0 ;; esac

layers="${CONVERT_LAYERS:-32}"
if [ -n "${HERD_REAL_DIR:-}" ] && [ "$layers" -gt 0 ]; then
  herd="${2:-}"
  if [ -z "$herd" ]; then
    cd "$here/.."
    swift build -c release --product herd >/dev/null
    herd="$(swift build -c release --show-bin-path)/herd"
  fi
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  "$bench" generate "$work/dense" --layers "$layers" --tokenizer "$HERD_REAL_DIR/dense-32m"
  # What a conversion cannot avoid: every byte read once and written once.
  begun=$(date +%s.%N)
  cat "$work"/dense/*.safetensors >/dev/null
  read=$(date +%s.%N)
  cp -r "$work/dense" "$work/copy" && sync "$work/copy"
  copied=$(date +%s.%N)
  rm -rf "$work/copy"
  start=$(date +%s.%N)
  "$herd" convert "$work/dense" "$work/moe" --strategy activation --router regressed \
    --experts 8 --top-k 2 --shared 0 --device cuda --quiet \
    --data "$HERD_REAL_DIR"/data/*.train.jsonl.zst >/dev/null
  end=$(date +%s.%N)
  awk -v a="$begun" -v b="$read" -v c="$copied" -v d="$start" -v e="$end" -v l="$layers" 'BEGIN {
    printf "{\"benchmark\": \"gpu-convert\", \"layers\": %d, \"seconds\": %.1f, \"read_seconds\": %.1f, \"write_seconds\": %.1f, \"other_seconds\": %.1f}\n", l, e-d, b-a, c-b, (e-d)-(c-a) }'
fi
