"""GGUF files that herd wrote, in llama.cpp (llama-cpp-python).

    gguf.py compare FOLDER FILE.gguf   the file's logits and greedy text beside those of FOLDER in
                                       stock transformers, float32 (keys and values too)
    gguf.py speed FILE.gguf...         tokens a second of decoding, files in turn, best of --repeats

Prints JSON lines. Needs llama-cpp-python and numpy; compare also torch and transformers.
"""

import argparse
import json
import time

import numpy as np
from llama_cpp import GGML_TYPE_F32, Llama

TEXT = (
    "<|start_header_id|>user<|end_header_id|>\n\nCan you tell me a short story about a dog?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)


def load(path, threads, context=512, logits_all=False):
    return Llama(
        path, n_ctx=context, n_threads=threads, n_threads_batch=threads, logits_all=logits_all,
        verbose=False, **({"type_k": GGML_TYPE_F32, "type_v": GGML_TYPE_F32} if logits_all else {}),
    )


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def compare(folder, path, threads, count):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(loading[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), loading
    expected_ids = tokenizer.encode(TEXT)
    llama = load(path, threads, logits_all=True)
    ids = llama.tokenize(TEXT.encode(), add_bos=True, special=True)
    with torch.no_grad():
        expected = model(torch.tensor([ids])).logits[0].numpy()
        greedy = model.generate(
            torch.tensor([ids]), max_new_tokens=count, do_sample=False, pad_token_id=0
        )[0, len(ids):].tolist()
    llama.eval(ids)
    given = np.array(llama.scores[: len(ids)], dtype=np.float32)
    p, q = softmax(expected.astype(np.float64)), softmax(given.astype(np.float64))
    llama.reset()
    own = []
    for token in llama.generate(ids, temp=0.0, top_k=1, repeat_penalty=1.0):
        own.append(int(token))
        if len(own) == len(greedy):
            break
    print(
        json.dumps(
            {
                "benchmark": "gguf-compare",
                "file": path,
                "same_token_ids": ids == expected_ids,
                "max_abs_logit_difference": float(np.abs(given - expected).max()),
                "max_abs_logit": float(np.abs(expected).max()),
                "mean_kl": float((p * (np.log(p) - np.log(q))).sum(-1).mean()),
                "argmax_agreement": float((given.argmax(-1) == expected.argmax(-1)).mean()),
                "same_greedy_tokens": own == greedy,
                "greedy_tokens": len(greedy),
                "text": llama.detokenize(own).decode(errors="replace"),
            }
        )
    )


def speed(paths, threads, count, repeats):
    best = {}
    for _ in range(repeats):
        for path in paths:
            llama = load(path, threads)
            llama.eval([1, 2, 3, 4])
            token, start = 5, time.perf_counter()
            for step in range(count):
                llama.eval([token + step % 7])
            best[path] = max(best.get(path, 0), count / (time.perf_counter() - start))
            llama.close()
    for path in paths:
        print(
            json.dumps(
                {
                    "benchmark": "gguf-decode",
                    "file": path,
                    "tokens_per_second": round(best[path], 2),
                    "over_first": round(best[path] / best[paths[0]], 2),
                }
            )
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["compare", "speed"])
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.what == "compare":
        compare(*arguments.paths, arguments.threads, arguments.tokens)
    else:
        speed(arguments.paths, arguments.threads, arguments.tokens, arguments.repeats)


if __name__ == "__main__":
    main()
