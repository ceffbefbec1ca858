#!/usr/bin/env bash
# Prints every row of docs/performance.md as JSON lines.
#
#   Benchmarks/run.sh [TOKENIZER_FOLDER TEXT_FILE]
#
# ONLY=convert leaves out all rows but the conversions.
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

if [ "${ONLY:-}" != convert ]; then
  "$bench" gemm
  for kind in dense mixture; do
    "$bench" train $([ "$kind" = mixture ] && echo --mixture)
    [ -z "$python" ] || "$python" peers/train_step.py "$kind"
  done
  "$bench" linear-attention
  [ -z "$python" ] || "$python" peers/sdpa.py
  "$bench" solve
  "$bench" decode
  "$bench" long-decode
  "$bench" load
  if [ $# -ge 2 ]; then
    "$bench" encode "$1" "$2"
    [ -z "$python" ] || "$python" peers/encode_text.py "$1/tokenizer.json" "$2"
  fi
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
  "$herd" convert "$work/dense" "$work/moe" --device cpu --strategy random --router random \
    --experts 7 --top-k 1 --shared 1 --quiet >/dev/null &
  memory=0
  while kill -0 $! 2>/dev/null; do
    now="$(awk '/VmHWM/ {print $2}' "/proc/$!/status" 2>/dev/null || true)"
    memory="${now:-$memory}"
    sleep 0.2
  done
  wait $!
  ended=$(date +%s.%N)
  awk -v a="$start" -v b="$copied" -v c="$begun" -v d="$ended" -v m="$memory" -v l="$layers" 'BEGIN {
    printf "{\"benchmark\": \"convert\", \"layers\": %d, \"copy_seconds\": %.1f, \"convert_seconds\": %.1f, \"ratio\": %.2f, \"peak_rss_mb\": %.0f}\n", l, b-a, d-c, (d-c)/(b-a), m/1024 }'
fi

# The activation row needs a real model: HERD_REAL_DIR with dense-32m/ (any dense LLaMA) and data/.
if [ -n "${HERD_REAL_DIR:-}" ]; then
  target="$(mktemp -d)"
  start=$(date +%s.%N)
  "$herd" convert "$HERD_REAL_DIR/dense-32m" "$target/moe" --device cpu --strategy activation \
    --router regressed --experts 7 --top-k 1 --shared 1 --quiet \
    --data "$HERD_REAL_DIR"/data/*.train.jsonl.zst >/dev/null
  awk -v a="$start" -v b="$(date +%s.%N)" \
    'BEGIN { printf "{\"benchmark\": \"convert-activation\", \"seconds\": %.1f}\n", b-a }'
  rm -rf "$target"
fi
