"""PyTorch's causal attention on the CPU beside `herd-bench linear-attention`: f32, forward and backward.

Usage: sdpa.py [HEADS [DIM [LENGTH]]]
Needs: torch.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F


def main():
    heads, dim, length = ([int(x) for x in sys.argv[1:]] + [8, 64, 4096][len(sys.argv) - 1 :])[:3]
    torch.manual_seed(1)
    inputs = [torch.rand(1, heads, length, dim, requires_grad=True) for _ in range(3)]
    upstream = torch.rand(1, heads, length, dim)

    def step():
        F.scaled_dot_product_attention(*inputs, is_causal=True).backward(upstream)
        for x in inputs:
            x.grad = None

    step()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    name = f"sdpa {length} H{heads} D{dim}"
    speed = length / sorted(times)[len(times) // 2]
    print(json.dumps({"peer": name, "torch": torch.__version__, "tokens_per_second": speed}))


main()
