#!/usr/bin/env bash
# Proves GGUF files in llama.cpp: logits beside stock transformers, and the speed of decoding an MoE
# of 1.2 B parameters (8 experts, top-2) beside the dense model it came from. Prints JSON lines.
#
#   PEER_PYTHON=python Benchmarks/gguf.sh CHECKPOINT
#
# CHECKPOINT is a dense LLaMA with a tokenizer. PEER_PYTHON names a Python with llama-cpp-python,
# numpy, torch and transformers. ONLY=compare or ONLY=speed does one half; the other needs 6 GB of
# disk. DTYPES (default "f32 bf16 q8_0") are compared, SPEED_DTYPE (default q8_0) is timed.
set -euo pipefail
checkpoint="$(cd "${1:?give a dense checkpoint folder}" && pwd)"
cd "$(dirname "${BASH_SOURCE[0]}")"
python="${PEER_PYTHON:?PEER_PYTHON must name a Python with llama-cpp-python, torch and transformers}"
(cd .. && swift build -c release --product herd >/dev/null)
herd="$(cd .. && swift build -c release --show-bin-path)/herd"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

convert() { # SOURCE OUT OPTIONS...
  "$herd" convert "$@" --device cpu --quiet >/dev/null
}
export_gguf() { # SOURCE OUT DTYPE
  "$herd" export "$1" "$2" --format gguf --dtype "$3" --quiet >/dev/null
}

if [ "${ONLY:-}" != speed ]; then
  # Routers with a meaning: random scores lie so close together that rounding chooses other experts.
  split=(--strategy cluster-weights --router centroid)
  convert "$checkpoint" "$work/plain" "${split[@]}" --experts 8 --top-k 2 --shared 0 \
    --combination renormalized_softmax
  convert "$checkpoint" "$work/shared" "${split[@]}" --experts 7 --top-k 2 --shared 1 \
    --combination renormalized_softmax
  convert "$checkpoint" "$work/whole" "${split[@]}" --experts 7 --top-k 2 --shared 1 \
    --combination gained
  convert "$checkpoint" "$work/sigmoid" "${split[@]}" --experts 7 --top-k 2 --shared 1 \
    --combination renormalized_sigmoid
  "$herd" export "$work/plain" "$work/plain-stock" --format mixtral --quiet >/dev/null
  "$herd" export "$work/shared" "$work/shared-stock" --format granitemoeshared --quiet >/dev/null
  "$herd" export "$work/whole" "$work/whole-stock" --format granitemoeshared --quiet >/dev/null
  "$herd" export "$work/sigmoid" "$work/sigmoid-stock" --format glm4_moe --quiet >/dev/null
  for dtype in ${DTYPES:-f32 bf16 q8_0}; do
    export_gguf "$checkpoint" "$work/dense-$dtype.gguf" "$dtype"
    "$python" peers/gguf.py compare "$checkpoint" "$work/dense-$dtype.gguf"
    for kind in plain shared whole sigmoid; do
      export_gguf "$work/$kind" "$work/$kind-$dtype.gguf" "$dtype"
      "$python" peers/gguf.py compare "$work/$kind-stock" "$work/$kind-$dtype.gguf"
    done
    rm -f "$work"/*.gguf
  done
fi

if [ "${ONLY:-}" != compare ]; then
  swift build -c release --product herd-bench >/dev/null
  bench="$(swift build -c release --show-bin-path)/herd-bench"
  dtype="${SPEED_DTYPE:-q8_0}"
  "$bench" generate "$work/big" --shape 1b
  export_gguf "$work/big" "$work/big-dense.gguf" "$dtype"
  convert "$work/big" "$work/big-moe" --strategy random --router random --experts 8 --top-k 2 \
    --shared 0
  rm -r "$work/big"
  export_gguf "$work/big-moe" "$work/big-moe.gguf" "$dtype"
  rm -r "$work/big-moe"
  "$python" peers/gguf.py speed "$work/big-dense.gguf" "$work/big-moe.gguf"
fi
