"""Writes Tests/Fixtures/Tokenizers: small tokenizers, a text that is hard to tokenize, and its ids.

The tokenizers are trained on the spot with Hugging Face `tokenizers`, one per pipeline in use, on
Unicode sampled by rule and on a few sentences written for this file. `goldens.json` holds, per
tokenizer, the ids of every line and what decoding gives. Deterministic for one version of the
package. Usage: python Scripts/goldens/tokenizer_goldens.py
"""

import datetime
import json
import pathlib
import random

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

FOLDER = pathlib.Path(__file__).parents[2] / "Tests" / "Fixtures" / "Tokenizers"
GROUPED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

SENTENCES = """
The herd moved slowly over the hill, and the oldest animal led the way to the water.
They're sure it isn't ours; we'll ask who's been here, I'd say. WE'LL SEE, THEY'RE LATE.
def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n    return total / len(values)\n
for (int i = 0; i < 1024; ++i) {\n\tsum += x[i] * w[i];  // accumulate\n}\n
Prices rose from 1,299 to 13370 in 2024; that is 4.75% a year, or ½ of Ⅷ parts.
Der Fluß fließt über Österreich; l'été dernier, ça m'a plu. Señor Núñez comió piñas.
Привет, мир! Как дела? Γειά σου Κόσμε. שלום עולם. مرحبا بالعالم ١٢٣.
机器学习很有趣。日本語のテキストも、한국어 문장도 있습니다. ภาษาไทยไม่มีช่องว่าง
Emoji: 😀 👍🏽 👩‍👩‍👧‍👦 🇩🇪 and math: 𝔸 ∑ ∫ ≤ ≠ →.
""".strip().split("\n")

SPECIAL = ["<s>", "</s>", "<|begin_of_text|>", "<|eot_id|>", "<|im_start|>", "<lst>", "<rst>", "wor"]


def torture(seed=20):
    """Lines of random pieces that meet every branch of the split patterns."""
    draw = random.Random(seed)
    pools = [
        "abcdefgXYZ", "0123456789", " \t\n\r\v\f", "'stremvldSTREMVLD\u017f", "\u00a0\u2003\u3000\u2028\u0085",
        "\u200b\ufeff\u200d\ufe0f", "éèüßÅÅΩΩ", "e\u0301a\u0308\u0327\u0323", "中文字テスト한국어\u1100\u1161",
        "😀👩🇩🇪", "٣٤५६½Ⅷ²", "ǅʰªº", "<|>_▁ĠÃ", "!?.,;:-#$%&()[]{}@/\\\"`~^*+=", "\x00\x01\x1c\x7f",
        "\U0001d400\U000e0041\U0010ffff\ud7ff\ue000",
    ]
    words = [" ", "\n", "  ", "\n\n", " \n", "\r\n", "   ", "'s", "'LL", "'re", "'\u017f", "'S", "n't", "the", " herd"]
    lines = list(SENTENCES) + ["", " ", "\n", "a", "'", "\u0301", " " * 40, "a" * 500, "\n" * 20, "1" * 20]
    for _ in range(220):
        chosen = draw.sample(pools, draw.randint(1, 5))
        line = ""
        for _ in range(draw.randint(1, 24)):
            kind = draw.random()
            if kind < 0.06:
                line += draw.choice(SPECIAL)
            elif kind < 0.25:
                line += draw.choice(words)
            elif kind < 0.30:
                scalar = draw.randrange(0x110000)
                line += chr(scalar) if not 0xD800 <= scalar <= 0xDFFF else "a"
            else:
                line += draw.choice(draw.choice(chosen))
        lines.append(line)
    return lines


def split(number):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(GROUPED % number), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])


def byte_level(pre_tokenizer, normalizer=None, ignore_merges=False, tokens=(), bos=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.add_tokens(list(tokens))
    if bos:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


def sentencepiece(spelling, byte_fallback=True, fuse_unk=True):
    special = ["<unk>", "<s>", "</s>"]
    tokens = special + [f"<0x{b:02X}>" for b in range(256)] if byte_fallback else special
    tokenizer = Tokenizer(
        models.BPE(unk_token="<unk>", fuse_unk=fuse_unk, byte_fallback=byte_fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=tokens, limit_alphabet=70, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES * 3, trainer)
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    document = json.loads(tokenizer.to_str())
    document["added_tokens"] = [t for t in document["added_tokens"] if t["id"] < 3]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    if spelling == "normalizer":
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tokenizer.decoder = decoders.Sequence([
            decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
            decoders.Strip(" ", 1, 0)])
        document = json.loads(tokenizer.to_str())
        document["pre_tokenizer"] = None
        # The older spelling of merges.
        document["model"]["merges"] = [" ".join(m) for m in document["model"]["merges"]]
        return document
    scheme, pieces = spelling
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=pieces)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=pieces)
    return json.loads(tokenizer.to_str())


def special(content, **flags):
    return AddedToken(content, special=True, normalized=False, **flags)


def main():
    chat = [special("<|begin_of_text|>"), special("<|start_header_id|>"), special("<|end_header_id|>"), special("<|eot_id|>")]
    strange = [
        special("<|im_start|>"), AddedToken("wor", single_word=True), AddedToken("<lst>", lstrip=True),
        AddedToken("<rst>", rstrip=True), AddedToken("<|", normalized=False), AddedToken("é", normalized=True),
    ]
    made = {
        "gpt2": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
        "gpt2-added": byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), tokens=strange),
        "llama3": byte_level(
            split(r"\p{N}{1,3}"), ignore_merges=True, tokens=chat, bos="<|begin_of_text|>"),
        "qwen2": byte_level(
            split(r"\p{N}"), normalizer=normalizers.NFC(),
            tokens=[special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>")]),
        "llama2": sentencepiece("normalizer"),
        "llama2-metaspace": sentencepiece(("first", False)),
        "sentencepiece-unknown": sentencepiece(("always", True), byte_fallback=False),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    lines = torture()
    goldens = {
        "generator": "Scripts/goldens/tokenizer_goldens.py",
        "versions": {"tokenizers": tokenizers.__version__},
        "date": datetime.date.today().isoformat(),
        "lines": lines,
        "tokenizers": {},
    }
    for name, tokenizer in made.items():
        document = tokenizer if isinstance(tokenizer, dict) else json.loads(tokenizer.to_str())
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        reference = Tokenizer.from_str(text)
        draw = random.Random(7)
        size = reference.get_vocab_size()
        noise = [[draw.randrange(size) for _ in range(draw.randint(1, 10))] for _ in range(80)]
        goldens["tokenizers"][name] = {
            "ids": [reference.encode(line).ids for line in lines],
            "noise": noise,
            "decoded": [reference.decode(ids, skip_special_tokens=False) for ids in noise],
            "decodedWithoutSpecial": [reference.decode(ids) for ids in noise],
        }
    text = json.dumps(goldens, ensure_ascii=True, separators=(",", ":"))
    (FOLDER / "goldens.json").write_text(text + "\n", encoding="utf-8")


main()
