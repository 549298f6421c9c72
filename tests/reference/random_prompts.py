"""Random prompts with weights, and files of textual inversion for a model: for `holdout.py --prompts`."""

import json
import random
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

import pictures

WORDS = (
    "red fox snow bridge river café ÜBER 東京 storm! 1990 lantern don't soft-light portrait of an old boat mist, dawn. "
    "8k 🦊 glass it's golden hour a the in on with, stone; moss: light"
).split(" ")
TOKENS = ["<moss>", "fog-x", "<old-stone>", "riverlight", "EasyFog"]


def phrase(rng: random.Random, words: list[str], most: int) -> str:
    return " ".join(rng.choice(words) for _ in range(rng.randint(1, most)))


def number(rng: random.Random) -> str:
    return rng.choice(["0", "0.3", ".5", "0.75", "0.9", "1", "1.05", "1.3", "1.5", "2"])


def compel_text(rng: random.Random, words: list[str], count: int) -> str:
    """Words, some of them with weights."""
    pieces = []
    for _ in range(count):
        text = phrase(rng, words, 4)
        inner = text.replace("-", " ").replace("!", "").strip(",.:;")
        pieces.append(
            rng.choice(
                [
                    text,
                    text,
                    text,
                    f"({inner}){rng.choice(['+', '++', '-', '--', '---'])}",
                    f"({inner}){number(rng)}",
                    f"{rng.choice(['fox', 'snow', 'boat'])}{rng.choice(['++', '--', '+'])}",
                    f"(({inner})+ {phrase(rng, ['snow', 'old', 'glass'], 2)})--",
                ]
            )
        )
    return " ".join(pieces)


def compel_prompt(rng: random.Random, words: list[str], count: int) -> str:
    if rng.random() < 0.6:
        return compel_text(rng, words, count)
    texts = ", ".join(f'"{compel_text(rng, words, max(1, count // 2))}"' for _ in range(rng.choice([2, 3])))
    parts = texts.count('", "') + 1
    weights = ", ".join(number(rng) for _ in range(parts))
    return f"({texts})" + rng.choice([".and()", f".and({weights})", f".blend({weights})"])


def a1111_prompt(rng: random.Random, words: list[str], count: int) -> str:
    pieces = []
    for _ in range(count):
        text = phrase(rng, words, 4)
        pieces.append(
            rng.choice(
                [text, text, text, f"({text})", f"(({text}) {text}:{number(rng)})", f"[{text}]", f"\\({text}\\)", "BREAK"]
            )
        )
    return " ".join(pieces)


def prompt(rng: random.Random, syntax: str, words: list[str]) -> str:
    count = rng.choice([0, 1, 2, 4, 4, 8, 30])
    if count == 0:
        return ""
    kinds = dict(compel=compel_prompt, a1111=a1111_prompt)
    return kinds[syntax](rng, words, count) if syntax in kinds else phrase(rng, words, 4 * count)


def widths(model: Path) -> list[int | None]:
    """Of both text encoders, as far as they are there."""
    files = [model / part / "config.json" for part in ("text_encoder", "text_encoder_2")]
    return [json.loads(file.read_text())["hidden_size"] if file.exists() else None for file in files]


def inversions(rng: random.Random, model: Path, folder: Path) -> list:
    """One to three files that fit the model."""
    result = []
    generator = torch.Generator().manual_seed(rng.getrandbits(30))
    first, second = widths(model)
    for index, token in enumerate(rng.sample(TOKENS, rng.randint(1, 3))):
        count = rng.choice([1, 1, 2, 5])
        pair = {key: width for key, width in (("clip_l", first), ("clip_g", second)) if width}
        vectors = {key: torch.randn(count, width, generator=generator) for key, width in pair.items()}
        name = f"embedding-{index}.safetensors"
        if second is None:
            # In diffusers' form the word is in the file, and there is one vector.
            named = rng.random() < 0.5
            key = token if named else "emb_params"
            data = vectors["clip_l"]
            save_file({key: data[0].clone() if named and count == 1 else data}, folder / name)
            result.append([name, None if named else token])
        else:
            save_file(vectors, folder / name)
            result.append([name, token])
    return result


def settings(rng: random.Random, model: Path, folder: Path) -> dict:
    """A short run that shows what the prompts are, with embeddings that they use."""
    channels = json.loads((model / "unet" / "config.json").read_text())["in_channels"]
    refines = widths(model)[0] is None
    command = "fill" if channels == 9 else "transform" if refines else rng.choice(["generate", "transform"])
    made = {
        "command": command,
        "seed": rng.getrandbits(31),
        "num-inference-steps": 3,
        "guidance-scale": rng.choice([1.0, 4.0, 4.0, 4.0]),
        "num-images-per-prompt": rng.choice([1, 1, 1, 2]),
        "scheduler": "DDIM",
        "scheduler-option": {"clip_sample": False},
    }
    if command != "generate":
        pictures.picture(64, 64, rng.randrange(1000)).save(folder / "image.png")
        made |= {"image": "image.png", "strength": 1.0}
    if command == "fill":
        pictures.mask(64, 64, "disc", rng.randrange(1000)).save(folder / "mask.png")
        made["mask"] = "mask.png"
    if command != "transform":
        made |= {"width": 64, "height": 64}
    syntax = rng.choice(["plain", "compel", "compel", "compel", "a1111", "a1111"])
    words = list(WORDS)
    if rng.random() < 0.5:
        made["embedding"] = inversions(rng, model, folder)
        tokens = [token or word_in(folder / file) for file, token in made["embedding"]]
        words += [variant for token in tokens for variant in (token, token, token, token.lower(), token.upper())]
    if syntax != "plain":
        made["prompt-syntax"] = syntax
    if rng.random() < 0.4:
        made["long-prompts"] = True
    made["prompt"] = prompt(rng, syntax, words)
    if rng.random() < 0.7:
        made["negative-prompt"] = prompt(rng, syntax, words)
    if widths(model)[1] is not None:
        for key in ("prompt-2", "negative-prompt-2"):
            if rng.random() < 0.3:
                made[key] = prompt(rng, syntax, words)
    if rng.random() < 0.4:
        made["clip-skip"] = rng.choice([1, 1, 2])
    return made


def word_in(file: Path) -> str:
    with safe_open(file, "pt") as tensors:
        return next(iter(tensors.keys()))
