"""Writes tests/fixtures/prompts: how Compel reads prompts, and the embeddings that Compel, AUTOMATIC1111's rules and
diffusers' textual inversion make of them.

    python tests/reference/prompts.py [--fuzz N FILE]

`--fuzz` writes N random prompts as Compel reads them to FILE, for a wider search than the stored one.
"""

import argparse
import json
import random
import warnings
from pathlib import Path

import torch
from compel.prompt_parser import Blend, FlattenedPrompt, PromptParser
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

import cases
import make_fixtures
import runner
import weighting

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
PROMPTS = FIXTURES / "prompts"
MODELS = FIXTURES / "parity" / "models"
EMBEDDINGS = FIXTURES / "parity" / "inputs" / "embeddings"
# Settings by the command line's names.
NAMES = {"syntax": "prompt-syntax", "long": "long-prompts", "clip_skip": "clip-skip", "embeddings": "embedding"}


def is_stored(position: int) -> bool:
    """Of each row of 77 tokens: the first ones, and every seventh of the others."""
    return position % 77 < 12 or position % 7 == 0


warnings.filterwarnings("ignore")

SYNTAX = [
    "",
    "   ",
    "a cat",
    "a red++ cat",
    "a red-- cat---",
    "(a red cat)++ in the (deep snow)0.4",
    "(a red cat)1.3,dog",
    "(cat)2 dog (bird)-0.5 (fish)-.5 (worm)+1.5 (ant)1.",
    "(cat) 1.5 dog ++ -- bird",
    '"a red, cat"++ and "a dog"',
    '"a \\"quoted\\" word"1.4 end',
    '"an open quote (with brackets)++',
    "((nested)+ words)+ ((a)1.5 (b)0.5)-",
    "((((deep))))+",
    "cat.attend(1.4) dog.attend(--) (a b).attend( ++ ) bird .attend(0.5)",
    "cat.attend(x) (dog).attend(1.4",
    "\\(escaped\\) c\\+\\+ \\\\(twice\\\\) \\\"q\\\"",
    "(a \\(b\\) c)++ a\\,b",
    "soft-light mid-1990s x- -x - + ++x 1-2 a-.5 b+(c)",
    "one,two, three ,four,,five , (six,seven)++",
    "e.g. 8.5 (e.g. this)+ end.",
    "key=value (key=value)++ (a = b)",
    "(unclosed ++ words",
    "closed) words++ ((half)",
    '"" ""++ (),a',
    "a(b) c(d)++ e++f (g)h",
    "(a - b)++ \"a - b\"++",
    "größe++ 東京-- (ÜBER café)1.2 🦊+",
    "tab\there  two   spaces\nnew line++",
    '("a cat", "a dog").and()',
    '("a cat++", "a (dog)0.5, wet").and(1, 0.5)',
    "(a, b, c).and(1,2,3)",
    "(a b, c).and()",
    '("a - b", "c = d").and(0.5, -1)',
    '("a cat", "a dog").and(1, 0.5) what follows',
    '("a cat", "a dog").add(2, 1)',
    '("a cat",).and()',
    '("a cat" "a dog").and()',
    '("a cat", "a dog").and(1)',
    '("", "a dog").and(1, 0.5)',
    '( "a cat" , (a dog) ) .and ( 1 , 0.5 )',
    '("a cat", "a dog").blend(0.7, 0.3)',
    '("a cat++", (a dog), bird).blend(1, -0.4, 1.5, no_normalize)',
    '("a cat", "a dog").blend()',
    '("a cat", "a dog").blend(1)',
    '("a cat", "a dog").blend(1, word)',
    '("a cat", "a dog").blend(1, 2) more',
    'x ("a cat", "a dog").blend(1, 2)',
    "a cat.swap(dog)",
    "a cat withLora(name, 0.5)",
    "withLora(name) a cat",
    "withLora (x",
    "swap this.swap me",
    "BREAK {a|b} [c] <d>",
]

PIECES = [
    *"aaabbbccc  ++--()()()\"\"..,,",
    *["(", ")", "++", "--", "+", "-", "1.3", "0.5", "2", "-1", " ", " ", " ", "\\(", "\\)", '\\"', "\\", "="],
    *[" cat", " dog", "fox ", ".attend(", ".and(", ").and()", ").blend(1,2)", '("', '", "', '")', ", ", "é", "\n"],
]


def parsed(text: str) -> dict | None:
    """What Compel reads, or None where it refuses."""
    try:
        conjunction = PromptParser().parse_conjunction(text)
    except Exception:  # noqa: BLE001: it has no one error
        return None
    parts = []
    for prompt, weight in zip(conjunction.prompts, conjunction.weights, strict=True):
        if isinstance(prompt, Blend):
            content = dict(
                blend=dict(
                    texts=[fragments(text) for text in prompt.prompts],
                    weights=prompt.weights,
                    normalize=prompt.normalize_weights,
                )
            )
        else:
            content = dict(text=fragments(prompt))
        parts.append(dict(weight=weight, content=content))
    if conjunction.lora_weights or any(part["content"].get("text", 0) is None for part in parts):
        return None
    return dict(parts=parts)


def fragments(prompt: FlattenedPrompt) -> list[dict] | None:
    if prompt.wants_cross_attention_control:
        return None
    return [dict(text=fragment.text, weight=fragment.weight) for fragment in prompt.children]


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 14)))


def syntax_rows(texts: list[str]) -> list[dict]:
    """Without those of which nothing is left, such as `()`: Compel reads them, and cannot encode them."""
    rows = [dict(text=text, prompt=parsed(text)) for text in texts]
    return [row for row in rows if row["prompt"] is None or row["prompt"]["parts"]]


def write_syntax() -> None:
    rng = random.Random(5)
    texts = SYNTAX + [random_text(rng) for _ in range(250)]
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in syntax_rows(texts))
    (PROMPTS / "syntax.json").write_text(f"[\n{rows}\n]\n")


SENTENCES = (
    "A wooden boat on a quiet river at dusk, soft light. Lanterns hang over the water; an old bridge of grey stone, "
    "covered in moss and snow, crosses it: people walk home in long coats. Far away the hills are blue."
)
WEIGHTED_SENTENCES = (
    "A wooden boat++ on a quiet river at dusk, soft light. (Lanterns hang over the water; an old bridge of grey stone, "
    "covered in moss and snow)0.6 crosses it, people walk home in (long coats)1.3. Far away-- the hills are blue."
)
NO_MARKS = "a walk through the old town at dusk with lanterns and snow " * 4

# (name, model, settings)
ROWS = [
    *[
        (f"compel-{index}", model, dict(syntax="compel", prompt=prompt))
        for index, prompt in enumerate(
            [
                "a red fox in the snow",
                "a red++ fox in the snow",
                "a red-- fox in the (deep snow)0.4",
                "(a red fox)1.4 (in the)0.7 --snow++",
                "(a red fox)0 in the (snow)-0.5",
                '("a red fox", "an old boat--").and(1, 0.6)',
                '("a red fox", "an old boat").blend(0.7, 0.3)',
                '("a red fox++", "an old boat").blend(1, -0.4, no_normalize)',
                "",
            ]
        )
        for model in ["inpaint-pndm" if index % 2 else "base-v"]
    ],
    ("compel-skip", "inpaint-pndm", dict(syntax="compel", prompt="a red++ fox (in snow)0.5", clip_skip=1)),
    ("compel-cut", "inpaint-pndm", dict(syntax="compel", prompt=WEIGHTED_SENTENCES)),
    ("compel-cut-fragment", "inpaint-pndm", dict(syntax="compel", prompt=f"A (river)0.5 ({SENTENCES})0.5 (blue)0.4")),
    ("compel-long", "inpaint-pndm", dict(syntax="compel", prompt=WEIGHTED_SENTENCES, long=True)),
    ("compel-long-pad", "base-v", dict(syntax="compel", prompt=WEIGHTED_SENTENCES, long=True)),
    ("compel-long-words", "base-v", dict(syntax="compel", prompt=f"{NO_MARKS} (blue hills)1.3", long=True)),
    ("compel-long-skip", "base-v", dict(syntax="compel", prompt=WEIGHTED_SENTENCES, long=True, clip_skip=1)),
    (
        "compel-long-and",
        "inpaint-pndm",
        dict(syntax="compel", prompt=f'("{SENTENCES}", "an old boat").and(1, 0.5)', long=True),
    ),
    (
        "compel-long-blend",
        "inpaint-pndm",
        dict(syntax="compel", prompt=f'("{SENTENCES}", "an old boat").blend(1, 0.5)', long=True),
    ),
    ("plain-long", "inpaint-pndm", dict(syntax="plain", prompt=SENTENCES, long=True)),
    ("plain-cut", "inpaint-pndm", dict(syntax="plain", prompt=WEIGHTED_SENTENCES)),
    *[
        (f"a1111-{index}", model, dict(syntax="a1111", prompt=prompt))
        for index, prompt in enumerate(
            [
                "a red fox in the snow",
                "a (red) fox in the ((snow))",
                "a [red] fox (in the:0.4) \\(deep\\) (snow:1.4)",
                "a (red fox:-0.5) BREAK (an old boat:1.3) BREAK",
                "",
            ]
        )
        for model in ["inpaint-pndm" if index % 2 else "base-v"]
    ],
    ("a1111-skip", "inpaint-pndm", dict(syntax="a1111", prompt="a (red) fox [in snow]", clip_skip=1)),
    ("a1111-cut", "inpaint-pndm", dict(syntax="a1111", prompt=f"({SENTENCES}:1.2) BREAK ({SENTENCES}:0.8)")),
    ("a1111-long", "base-v", dict(syntax="a1111", prompt=f"({SENTENCES}:1.2) BREAK [{SENTENCES}]", long=True)),
    ("a1111-long-words", "inpaint-pndm", dict(syntax="a1111", prompt=f"{NO_MARKS} (blue hills)", long=True)),
    # Textual inversion, as diffusers loads it.
    (
        "inversion",
        "inpaint-pndm",
        dict(syntax="plain", prompt="a <Moss-Stone> boat, <moss-stone>", embeddings=[["moss.safetensors", None]]),
    ),
    (
        "inversion-several",
        "inpaint-pndm",
        dict(
            syntax="plain",
            prompt="a river-light boat and <moss-stone>, river-light",
            embeddings=[["light.safetensors", "river-light"], ["moss.safetensors", None]],
        ),
    ),
    (
        "inversion-renamed",
        "base-v",
        dict(syntax="plain", prompt="an old <<fog>> river", embeddings=[["fog.safetensors", "<<fog>>"]]),
    ),
    (
        "inversion-weighted",
        "inpaint-pndm",
        dict(
            syntax="compel",
            prompt="a (river-light boat)1.3 and fog--",
            embeddings=[["light.safetensors", "river-light"]],
        ),
    ),
]


def pipeline(model: str) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline(**runner.load_parts(MODELS / model))
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def embeddings(model: str, settings: dict) -> torch.Tensor:
    """What the U-Net of a model is given for a prompt."""
    pipe = pipeline(model)
    weighting.load_inversions(pipe, settings.get("embeddings", []), EMBEDDINGS)
    if settings["syntax"] == "plain" and not settings.get("long"):
        return pipe.encode_prompt(settings["prompt"], "cpu", 1, False, clip_skip=settings.get("clip_skip"))[0]
    named = {NAMES[key]: value for key, value in settings.items() if key in NAMES}
    return weighting.Reader(pipe, "", named).states(settings["prompt"])


# Whole runs; options by the command line's names.
CASES = {
    "prompt-compel": cases.fill(
        "inpaint-pndm",
        width=48,
        height=40,
        prompt="a red++ fox in the (deep snow)0.4",
        negative_prompt='("fog--", "an old (wooden boat)1.3").and(1, 0.5)',
        prompt_syntax="compel",
    ),
    "prompt-compel-long": cases.generate(
        "base-v",
        prompt=WEIGHTED_SENTENCES,
        negative_prompt="fog, an (old boat)0.5",
        prompt_syntax="compel",
        long_prompts=True,
        width=48,
        height=48,
        num_inference_steps=3,
    ),
    "prompt-compel-skip": cases.generate(
        "base-v",
        prompt="a red++ fox in the (snow)0.6",
        negative_prompt="fog, an old boat",
        prompt_syntax="compel",
        clip_skip=1,
        width=48,
        height=48,
        num_inference_steps=3,
    ),
    "prompt-a1111": cases.fill(
        "inpaint-pndm",
        width=48,
        height=40,
        prompt="a (red) fox in the [deep] (snow:1.4)",
        negative_prompt="(fog:1.2) BREAK an old boat",
        prompt_syntax="a1111",
        seed=7,
    ),
    "prompt-plain-long": cases.generate(
        "base-sharded", prompt=SENTENCES + SENTENCES, negative_prompt="fog", long_prompts=True, width=48, height=48
    ),
    "prompt-inversion": cases.fill(
        "inpaint-pndm",
        width=48,
        height=40,
        prompt="a <moss-stone> boat, river-light",
        negative_prompt="river-light",
        embedding=[["embeddings/moss.safetensors", None], ["embeddings/light.safetensors", "river-light"]],
    ),
}


def write_cases() -> None:
    rows = [make_fixtures.write_case(name, settings) for name, settings in CASES.items()]
    table = {"provenance": make_fixtures.provenance("prompts.py"), "cases": rows}
    (FIXTURES / "parity" / "prompts.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


def write_inversions() -> None:
    """Vectors that lie where the vocabulary's do."""
    folder = EMBEDDINGS
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(9)

    def vectors(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).half()

    save_file({"<moss-stone>": vectors(16)}, folder / "moss.safetensors")
    save_file({"emb_params": vectors(3, 16)}, folder / "light.safetensors")
    save_file({"emb_params": vectors(1, 24)}, folder / "fog.safetensors")


def write_embeddings() -> None:
    tensors, rows = {}, []
    for name, model, settings in ROWS:
        states = embeddings(model, settings)
        tensors[name] = states[:, [position for position in range(states.shape[1]) if is_stored(position)]]
        rows.append(dict(name=name, model=model, positions=states.shape[1], **settings))
        print(f"{name:24} {list(states.shape)} mean {states.mean():7.3f} deviation {states.std():7.3f}")
    save_file(tensors, PROMPTS / "embeddings.safetensors")
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (PROMPTS / "embeddings.json").write_text(f"[\n{text}\n]\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzz", nargs=2, metavar=("N", "FILE"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.fuzz:
        rng = random.Random(int(options.fuzz[0]))
        texts = [random_text(rng) for _ in range(int(options.fuzz[0]))]
        Path(options.fuzz[1]).write_text(json.dumps(syntax_rows(texts)))
        return
    PROMPTS.mkdir(parents=True, exist_ok=True)
    write_syntax()
    write_inversions()
    write_embeddings()
    write_cases()


if __name__ == "__main__":
    main()
