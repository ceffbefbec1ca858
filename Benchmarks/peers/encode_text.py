"""Single-thread encoding speed of Hugging Face tokenizers: the peer of `herd-bench tokenizer`.

Usage: encode_text.py tokenizer.json TEXT_FILE [--rounds 3]

Encodes the file line by line. Prints one JSON object with megabytes per second (best round).
"""

import argparse
import json
import os
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tokenizer")
    parser.add_argument("text")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    tokenizer = tokenizers.Tokenizer.from_file(arguments.tokenizer)
    data = open(arguments.text, encoding="utf-8", newline="\n").read()
    lines = data.split("\n")
    best = 0.0
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        count = sum(len(tokenizer.encode(line, add_special_tokens=False).ids) for line in lines)
        best = max(best, len(data.encode()) / (time.perf_counter() - start) / 1e6)
    print(json.dumps({"tokenizers": tokenizers.__version__, "tokens": count, "megabytes_per_second": best}))


if __name__ == "__main__":
    main()
