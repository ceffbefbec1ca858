"""Prints, per val file of the real input, what Tests/DataTests/RealInputTests.swift expects.

Records are rendered and tokenized by Hugging Face `transformers` with the chat template of
dense-32m, its assistant part marked for the mask. Usage:
python Scripts/goldens/val_streams.py REAL_FOLDER   (needs the zstd command)
"""

import json
import subprocess
import sys

import tokenizers
import transformers

TEMPLATE = (
    "{{- bos_token }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{%- if message['role'] == 'assistant' %}{% generation %}"
    "{{- message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}"
    "{%- else %}{{- message['content'] | trim + '<|eot_id|>' }}{%- endif %}{%- endfor %}"
)


def fnv(values):
    """FNV-1a, 64 bits, over 32-bit words instead of bytes."""
    checksum = 0xCBF29CE484222325
    for value in values:
        checksum = ((checksum ^ value) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return checksum


real = sys.argv[1]
tokenizer = transformers.AutoTokenizer.from_pretrained(f"{real}/dense-32m")
print(f"// transformers {transformers.__version__}, tokenizers {tokenizers.__version__}")
for domain in ["conversation", "code", "math"]:
    path = f"{real}/data/{domain}.val.jsonl.zst"
    ids, mask = [], []
    for line in subprocess.run(["zstd", "-dc", path], capture_output=True).stdout.splitlines():
        chat = tokenizer.apply_chat_template(
            json.loads(line)["messages"], chat_template=TEMPLATE, tokenize=True, return_dict=True,
            return_assistant_tokens_mask=True)
        ids += chat["input_ids"]
        mask += chat["assistant_masks"]
    windows = sum(mask[1 : 48 * 1024 + 1])
    print(f'("{domain}", {len(ids)}, {fnv(ids):#x}, {fnv(mask):#x}, {windows}),')
