"""Training throughput of stock transformers on the CPU: the peer of `herd-bench train`.

Usage: train_step.py {dense|mixture} [--steps 5] [--threads 2]

A LLaMA of 8 layers, hidden 512, MLP 1536, vocabulary 8192 (29.4 M parameters), 4 x 256 tokens a
step, AdamW, float32; `mixture` is the same split into 8 experts of 192, top-2, run through
transformers' grouped_mm. Prints one JSON object with tokens per second (median over steps).
"""

import argparse
import json
import statistics
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

SHAPE = dict(
    hidden_size=512, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=8,
    vocab_size=8192, max_position_embeddings=1024, tie_word_embeddings=True,
)


def build(kind):
    torch.manual_seed(1)
    if kind == "dense":
        return LlamaForCausalLM(LlamaConfig(intermediate_size=1536, **SHAPE))
    config = MixtralConfig(
        intermediate_size=192, num_local_experts=8, num_experts_per_tok=2, sliding_window=None, **SHAPE
    )
    config._experts_implementation = "grouped_mm"
    return MixtralForCausalLM(config)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["dense", "mixture"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = build(arguments.kind)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    times = []
    for step in range(arguments.steps + 1):
        tokens = torch.randint(0, 8192, (4, 256))
        start = time.perf_counter()
        loss = model(tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step:
            times.append(time.perf_counter() - start)
    print(json.dumps({
        "kind": arguments.kind, "torch": torch.__version__,
        "experts": getattr(model.config, "_experts_implementation", None),
        "tokens_per_second": 1024 / statistics.median(times),
    }))


if __name__ == "__main__":
    main()
