"""PyTorch beside `herd-bench gpu`: the same shapes on the same GPU, bf16, medians by device events.

Usage: gpu.py [gemm] [mixture] [attention] [linear-attention] [train-32m] [train-1b]
Needs: torch with CUDA; transformers for the training rows; fla (flash-linear-attention) for its rows.
"""

import json
import sys

import torch
import torch.nn.functional as F

DEVICE = "cuda"


def milliseconds(body, rounds=7, count=5):
    for index in range(3):
        body(index)
    times = []
    for round_ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for index in range(count):
            body(round_ * count + index)
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / count)
    return sorted(times)[len(times) // 2]


def report(name, **figures):
    print(json.dumps({"peer": name, "torch": torch.__version__, **figures}), flush=True)


def random(*shape):
    return torch.rand(*shape, device=DEVICE, dtype=torch.bfloat16) * 2 - 1


def gemm():
    for m, n, k in ((16384, 4096, 4096), (16384, 14336, 4096), (8192, 8192, 8192)):
        sets = [(random(m, k), random(n, k)) for _ in range(3)]
        time = milliseconds(lambda i: F.linear(*sets[i % 3]))
        report(f"gemm {m}x{n}x{k}", milliseconds=time, tflops=2e-9 * m * n * k / time)


def mixture():
    for experts, width, top_k in ((8, 1792, 2), (32, 448, 8)):
        tokens, model = 16384, 4096
        inputs = [random(tokens, model).requires_grad_() for _ in range(2)]
        gate_up = (random(experts, model, 2 * width) * 0.02).requires_grad_()
        down = (random(experts, width, model) * 0.02).requires_grad_()
        scores = torch.rand(tokens, experts, device=DEVICE)
        weights, chosen = torch.topk(scores, top_k)
        weights = F.softmax(weights, -1).bfloat16().requires_grad_()
        order = torch.argsort(chosen.flatten(), stable=True)
        ends = torch.bincount(chosen.flatten(), minlength=experts).cumsum(0).int()

        def layer(x):
            rows = x[order // top_k]
            gate, up = torch._grouped_mm(rows, gate_up, ends).chunk(2, -1)
            out = torch._grouped_mm(F.silu(gate) * up, down, ends)
            out = out * weights.flatten()[order, None]
            return torch.zeros_like(x).index_add(0, order // top_k, out)

        def both(i):
            x = inputs[i % 2]
            layer(x).backward(inputs[(i + 1) % 2].detach())
            for tensor in (x, gate_up, down, weights):
                tensor.grad = None

        with torch.no_grad():
            forward = milliseconds(lambda i: layer(inputs[i % 2]))
        report(
            f"mixture {experts}x{width} top-{top_k}, grouped_mm",
            forward_ms=forward, forward_backward_ms=milliseconds(both),
        )


def attention():
    sets = [[random(4, 32, 2048, 128).requires_grad_() for _ in range(3)] for _ in range(2)]
    upstream = random(4, 32, 2048, 128)

    def both(i):
        F.scaled_dot_product_attention(*sets[i % 2], is_causal=True).backward(upstream)
        for tensor in sets[i % 2]:
            tensor.grad = None

    with torch.no_grad():
        forward = milliseconds(
            lambda i: F.scaled_dot_product_attention(*sets[i % 2], is_causal=True))
    report("attention 4x2048 H32 D128, SDPA", forward_ms=forward,
           forward_backward_ms=milliseconds(both))


def timed_attention(name, attend, inputs, upstream):
    def both(_):
        attend(*inputs).backward(upstream)
        for tensor in inputs:
            tensor.grad = None

    with torch.no_grad():
        forward = milliseconds(lambda _: attend(*inputs))
    report(name, forward_ms=forward, forward_backward_ms=milliseconds(both))


def linear_attention():
    try:
        import fla
        from fla.ops.gla import chunk_gla
        from fla.ops.simple_gla import chunk_simple_gla
    except ImportError:
        fla = None
    heads, dim = 32, 128
    slopes = 2.0 ** (-8 * torch.arange(1, heads + 1, device=DEVICE, dtype=torch.float32) / heads)
    for batch, length in ((4, 8192), (4, 2048), (4, 1024), (1, 65536)):
        name = f"linear-attention constant {batch}x{length} H{heads} D{dim}"
        if fla:
            inputs = [random(batch, length, heads, dim).requires_grad_() for _ in range(3)]
            timed_attention(
                f"{name}, fla {fla.__version__}",
                lambda q, k, v: chunk_simple_gla(q, k, v, g_gamma=-slopes)[0],
                inputs, random(batch, length, heads, dim))
        if length < 65536:
            inputs = [random(batch, heads, length, dim).requires_grad_() for _ in range(3)]
            timed_attention(
                f"{name}, SDPA",
                lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
                inputs, random(batch, heads, length, dim))
    if fla:
        inputs = [random(4, 4096, heads, dim).requires_grad_() for _ in range(3)]
        inputs.append((-0.2 * torch.rand(4, 4096, heads, dim, device=DEVICE)).requires_grad_())
        timed_attention(
            f"linear-attention vector 4x4096 H{heads} D{dim}, fla {fla.__version__}",
            lambda q, k, v, g: chunk_gla(q, k, v, g)[0], inputs, random(4, 4096, heads, dim))


def train(name, sequences, length, passes, **shape):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(max_position_embeddings=4096, tie_word_embeddings=True, **shape)
    model = LlamaForCausalLM(config).to(DEVICE, torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    compiled = torch.compile(model)
    ids = torch.randint(0, config.vocab_size, (sequences, length), device=DEVICE)

    def step(_):
        for _ in range(passes):
            (compiled(input_ids=ids, labels=ids).loss / passes).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    time = milliseconds(step, rounds=5, count=1)
    report(f"train {name}, torch.compile", tokens_per_second=sequences * length * passes / time * 1e3,
           peak_gb=torch.cuda.max_memory_allocated() / 1e9)


ROWS = {
    "gemm": gemm,
    "mixture": mixture,
    "attention": attention,
    "linear-attention": linear_attention,
    "train-32m": lambda: train(
        "dense-32m", 64, 1024, 4, hidden_size=512, num_hidden_layers=8, num_attention_heads=16,
        num_key_value_heads=8, intermediate_size=1792, vocab_size=8192),
    "train-1b": lambda: train(
        "1.107 B", 4, 4096, 1, hidden_size=2048, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, intermediate_size=8192, vocab_size=32768),
}

for row in sys.argv[1:] or ROWS:
    ROWS[row]()
