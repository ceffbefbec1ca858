"""Per-domain loss of a checkpoint in stock transformers (no remote code), by herd's protocol.

Usage: transformers_loss.py CHECKPOINT DATA.jsonl[.zst]... [--window 1024] [--windows 48]

Prints the same JSON shape as `herd evaluate --json`. Needs: torch, transformers, zstandard.
LLaMA-3 chat format; loss on assistant content and the end-of-turn token.
"""

import argparse
import io
import json
import os

import torch
import zstandard
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM


def records(path):
    raw = open(path, "rb")
    stream = zstandard.ZstdDecompressor().stream_reader(raw) if path.endswith(".zst") else raw
    for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n"):
        if line.strip():
            yield json.loads(line)["messages"]


def render(tokenizer, messages):
    ids, mask = [tokenizer.token_to_id("<|begin_of_text|>")], [0]

    def add(new, counts):
        ids.extend(new)
        mask.extend([counts] * len(new))

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    for message in messages:
        header = f"<|start_header_id|>{message['role']}<|end_header_id|>\n\n"
        add(encode(header), 0)
        spoken = int(message["role"] == "assistant")
        add(encode(message["content"].strip()), spoken)
        add([tokenizer.token_to_id("<|eot_id|>")], spoken)
    return ids, mask


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("data", nargs="+")
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--windows", type=int, default=48)
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(os.path.join(arguments.checkpoint, "tokenizer.json"))
    model, loading = AutoModelForCausalLM.from_pretrained(
        arguments.checkpoint, dtype=torch.float32, output_loading_info=True
    )
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not loading[kind], f"{kind}: {loading[kind]}"
    domains = {}
    for path in arguments.data:
        ids, mask = [], []
        for messages in records(path):
            more_ids, more_mask = render(tokenizer, messages)
            ids.extend(more_ids)
            mask.extend(more_mask)
            if len(ids) > arguments.window * arguments.windows + 1:
                break
        total, tokens = 0.0, 0
        for index in range(min(arguments.windows, (len(ids) - 1) // arguments.window)):
            start = index * arguments.window
            window = torch.tensor(ids[start : start + arguments.window + 1])
            counted = torch.tensor(mask[start + 1 : start + arguments.window + 1], dtype=torch.float64)
            logits = model(window[None, :-1]).logits[0].double()
            losses = torch.nn.functional.cross_entropy(logits, window[1:], reduction="none")
            total += float((losses * counted).sum())
            tokens += int(counted.sum())
        name = os.path.basename(path).split(".")[0]
        domains[name] = {"loss": total / tokens, "tokens": tokens}
    mean = sum(domain["loss"] for domain in domains.values()) / len(domains)
    print(json.dumps({"domains": domains, "mean": mean}))


if __name__ == "__main__":
    main()
