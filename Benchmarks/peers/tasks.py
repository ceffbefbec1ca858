"""Scores of a checkpoint on task files in stock transformers, by lm-evaluation-harness's rules.

Usage: tasks.py CHECKPOINT TASK.jsonl[.zst]... [--limit N] [--samples FILE]

Prints the same JSON shape as `herd evaluate --tasks ... --json`. The rules are those of the harness
(version 0.4.9 and later), written here anew: white space at a context's end belongs to the
continuation, both are tokenised together, the tokenizer adds its beginning, long inputs lose their
beginning. In float32, several requests at a time. Needs: torch, transformers, zstandard.
"""

import argparse
import io
import json
import math
import os
import re
import statistics

import torch
import zstandard
from transformers import AutoModelForCausalLM, AutoTokenizer

STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
IGNORED = [",", r"\$", r"(?s).*#### ", r"\.$"]


class Model:
    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.positions = self.model.config.max_position_embeddings

    def encode(self, text):
        bos = self.tokenizer.bos_token
        special = {"add_special_tokens": False} if bos and text.startswith(bos) else {}
        return self.tokenizer.encode(text, **special)

    def pair(self, context, continuation):
        if context == "":
            tokens = self.tokenizer.encode(continuation, add_special_tokens=False)
            bos = self.tokenizer.bos_token_id
            return ([bos], tokens) if tokens[0] != bos else (tokens[:1], tokens[1:])
        stripped = context.rstrip()
        continuation = context[len(stripped) :] + continuation
        whole, alone = self.encode(stripped + continuation), self.encode(stripped)
        return alone, whole[len(alone) :]

    def rate(self, pairs):
        """Per pair the log-likelihood of the continuation's tokens, and whether each ranks first.

        Inputs are padded behind their end, which a causal model does not see."""
        encoded = [self.pair(context, continuation) for context, continuation in pairs]
        order = sorted(range(len(pairs)), key=lambda i: len(encoded[i][0]) + len(encoded[i][1]))
        rated = [None] * len(pairs)
        for start in range(0, len(order), 16):
            chosen = order[start : start + 16]
            inputs = [sum(encoded[i], [])[-(self.positions + 1) :][:-1] for i in chosen]
            width = max(map(len, inputs))
            batch = torch.tensor([tokens + [0] * (width - len(tokens)) for tokens in inputs])
            logits = self.model(batch).logits
            for row, index in enumerate(chosen):
                targets = torch.tensor(encoded[index][1])
                end = len(inputs[row])
                logs = torch.log_softmax(logits[row, end - len(targets) : end], -1)
                greedy = bool((logs.argmax(-1) == targets).all())
                rated[index] = (float(logs.gather(-1, targets[:, None]).sum()), greedy)
        return rated

    def generate(self, prompt, stops=("Question:", "</s>", "<|im_end|>"), new=256):
        tokens = torch.tensor([self.encode(prompt)[-(self.positions - new) :]])
        output = self.model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            max_new_tokens=new,
            do_sample=False,
            pad_token_id=self.tokenizer.eos_token_id,
        )
        text = self.tokenizer.decode(output[0, tokens.shape[1] :], skip_special_tokens=True)
        for stop in stops:
            text = text.split(stop)[0]
        return text


def extract(pattern, pick, text):
    found = pattern.findall(text)
    if not found:
        return "[invalid]"
    match = found[pick]
    if isinstance(match, tuple):
        match = next((part for part in match if part), "[invalid]")
    return match.strip()


def bare(text):
    for pattern in IGNORED:
        text = re.sub(pattern, "", text)
    return text.lower()


def first_largest(values):
    return max(range(len(values)), key=lambda index: values[index])


def pairs(sample):
    """The requests of a sample, and by metric what their log-likelihoods are divided by."""
    if "choices" in sample:
        texts = sample["choices"]
        return [(sample["query"], " " + text) for text in texts], {
            "acc": [1] * len(texts),
            "acc_norm": [len(text) for text in texts],
            "acc_bytes": [len(text.encode()) for text in texts],
        }
    if "context_options" in sample:
        options = sample["context_options"]
        return [(option, " " + sample["continuation"]) for option in options], {
            "acc": [1] * len(options)
        }
    return [(sample["context"], " " + sample["continuation"])], {}


def rated(model, samples):
    """Records of samples whose requests are rated."""
    requests = [pairs(sample) for sample in samples]
    rates = iter(model.rate([pair for sample, _ in requests for pair in sample]))
    records = []
    for sample, (own, lengths) in zip(samples, requests):
        scores = [next(rates) for _ in own]
        record = {"resps": scores}
        for name, divisors in lengths.items():
            best = first_largest([score[0] / d for score, d in zip(scores, divisors)])
            record[name] = int(best == sample["gold"])
        if not lengths:
            record["perplexity"], record["acc"] = scores[0][0], int(scores[0][1])
        records.append(record)
    return records


def generated(model, sample):
    """The record of a question whose solution is written."""
    context = sample["context"]
    prompt = context if context.endswith("Answer:") else f"Question: {context}\nAnswer:"
    text = model.generate(prompt)
    record = {"resps": [[text]]}
    for name, pattern, pick in [("strict-match", STRICT, 0), ("flexible-extract", FLEXIBLE, -1)]:
        answer = extract(pattern, pick, text)
        record[f"exact_match,{name}"] = int(bare(answer) == bare(sample["answer"]))
    return record


def summary(records):
    result = {"samples": len(records)}
    for name in records[0]:
        if name == "resps":
            continue
        values = [record[name] for record in records]
        mean = sum(values) / len(values)
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
        head, comma, tail = name.partition(",")
        if name == "perplexity":
            mean = math.exp(-mean)
            error = error and error * mean
        result[name] = mean
        result[head + "_stderr" + comma + tail] = error
    return result


def samples(path, limit):
    raw = open(path, "rb")
    stream = zstandard.ZstdDecompressor().stream_reader(raw) if path.endswith(".zst") else raw
    count = 0
    for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n"):
        if line.strip() and (limit is None or count < limit):
            count += 1
            yield json.loads(line)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--samples")
    arguments = parser.parse_args()
    model = Model(arguments.checkpoint)
    results = {}
    lines = []
    for path in arguments.tasks:
        name = os.path.basename(path).split(".")[0]
        found = list(samples(path, arguments.limit))
        if "answer" in found[0] and "continuation" not in found[0]:
            records = [generated(model, sample) for sample in found]
        else:
            records = rated(model, found)
        results[name] = summary(records)
        lines += [
            json.dumps({"task": name, "doc_id": index, **record})
            for index, record in enumerate(records)
        ]
    if arguments.samples:
        with open(arguments.samples, "w") as file:
            file.write("\n".join(lines) + "\n")
    print(json.dumps({"tasks": results}, indent=2))


main()
