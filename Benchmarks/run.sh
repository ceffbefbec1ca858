#!/usr/bin/env bash
# Prints every row of docs/performance.md as JSON lines.
#
#   Benchmarks/run.sh [TOKENIZER_FOLDER TEXT_FILE]
#
# PEER_PYTHON names a Python with torch, transformers and tokenizers; without it the peers are left
# out. CONVERT_LAYERS (default 32, 16 GB) sizes the conversion row, 0 leaves it out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python="${PEER_PYTHON:-}"
layers="${CONVERT_LAYERS:-32}"
swift build -c release --product herd-bench >/dev/null
(cd .. && swift build -c release --product herd >/dev/null)
bench="$(swift build -c release --show-bin-path)/herd-bench"
herd="$(cd .. && swift build -c release --show-bin-path)/herd"

"$bench" gemm
for kind in dense mixture; do
  "$bench" train $([ "$kind" = mixture ] && echo --mixture)
  [ -z "$python" ] || "$python" peers/train_step.py "$kind"
done
"$bench" decode
"$bench" load
if [ $# -ge 2 ]; then
  "$bench" encode "$1" "$2"
  [ -z "$python" ] || "$python" peers/encode_text.py "$1/tokenizer.json" "$2"
fi
if [ "$layers" -gt 0 ]; then
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  "$bench" generate "$work/dense" --layers "$layers"
  cat "$work"/dense/*.safetensors >/dev/null
  start=$(date +%s.%N)
  cp -r "$work/dense" "$work/copy" && sync "$work/copy"
  copied=$(date +%s.%N)
  rm -rf "$work/copy"
  begun=$(date +%s.%N)
  memory=$(/usr/bin/env time -f %M "$herd" convert "$work/dense" "$work/moe" --strategy random \
    --router random --experts 7 --top-k 1 --shared 1 --quiet 2>&1 >/dev/null | tail -n 1)
  ended=$(date +%s.%N)
  awk -v a="$start" -v b="$copied" -v c="$begun" -v d="$ended" -v m="$memory" -v l="$layers" 'BEGIN {
    printf "{\"benchmark\": \"convert\", \"layers\": %d, \"copy_seconds\": %.1f, \"convert_seconds\": %.1f, \"ratio\": %.2f, \"peak_rss_mb\": %.0f}\n", l, b-a, d-c, (d-c)/(b-a), m/1024 }'
fi
