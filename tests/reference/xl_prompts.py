"""Writes tests/fixtures/families/prompts.json and its cases: weighted and long prompts and textual inversion with
Stable Diffusion 2 and XL, as `CompelForSDXL`, AUTOMATIC1111's rules and diffusers' textual inversion have them.

    python tests/reference/xl_prompts.py [--only CASE ...]
"""

import argparse
import json

import torch
from safetensors.torch import save_file

import families
import make_fixtures
from families import fill, generate, transform
from prompts import EMBEDDINGS, NO_MARKS, SENTENCES, WEIGHTED_SENTENCES

STONE = ["embeddings/stone.safetensors", None]
ASH = ["embeddings/ash.safetensors", "<ash>"]

CASES = {
    "sd2-compel": fill(
        "sd2-inpaint-v",
        prompt="wow! a red++ fox in the (deep snow!)0.4",
        negative_prompt='("fog--", "an old (wooden boat)1.3").and(1, 0.5)',
        prompt_syntax="compel",
    ),
    "sd2-inversion": fill("sd2-inpaint-v", prompt="a <ash> boat", embedding=[["embeddings/mist.safetensors", "<ash>"]]),
    "xl-compel": generate(
        prompt="a red++ fox in the (deep snow)0.4", negative_prompt="fog--, an old boat", prompt_syntax="compel"
    ),
    # Two texts of different lengths, and a negative one that is shorter than both.
    "xl-compel-second": generate(
        prompt="a red++ fox in the (deep snow)0.4",
        prompt_2='("an oil painting", "thick (brush strokes)1.3").and(1, 0.5)',
        negative_prompt="fog--",
        negative_prompt_2='("a photograph", "a drawing").blend(0.7, 0.3)',
        prompt_syntax="compel",
    ),
    "xl-compel-zeros": generate(prompt='("a red+ fox", "an old boat").and()', prompt_syntax="compel"),
    "xl-compel-long": fill(
        "xl-inpaint",
        prompt=WEIGHTED_SENTENCES,
        prompt_2="a (river)1.2",
        negative_prompt="fog, an (old boat)0.5",
        prompt_syntax="compel",
        long_prompts=True,
        strength=0.9,
    ),
    "xl-compel-skip": transform(
        "xl-base", prompt="a red++ fox (in snow)0.5", negative_prompt="fog", prompt_syntax="compel", clip_skip=1
    ),
    "xl-compel-batch": generate(
        prompt="a (red fox)1.4", negative_prompt="", prompt_syntax="compel", num_images_per_prompt=2
    ),
    "xl-a1111": generate(
        prompt="a (red) fox in the [deep] (snow:1.4) BREAK an old boat",
        prompt_2="(an oil painting:1.2)",
        negative_prompt="(fog:1.2)",
        prompt_syntax="a1111",
    ),
    "xl-a1111-long": generate(
        prompt=f"({NO_MARKS}:1.2) (blue hills)", negative_prompt="[fog]", prompt_syntax="a1111", long_prompts=True
    ),
    "xl-plain-long": generate(prompt=SENTENCES, negative_prompt="fog", long_prompts=True),
    "xl-inversion": generate(
        prompt="a stone boat, <ash> hills", prompt_2="STONE", negative_prompt="<ash>", embedding=[STONE, ASH]
    ),
    "xl-inversion-weighted": generate(
        prompt="a (stone boat)1.3 and <ash>--", negative_prompt="fog", prompt_syntax="compel", embedding=[STONE, ASH]
    ),
    "xl-inversion-refined": generate(
        prompt="a stone boat",
        negative_prompt="<ash>",
        embedding=[STONE, ASH],
        refiner="xl-refiner",
        refiner_start=0.6,
        num_inference_steps=5,
    ),
    "refiner-compel": transform(
        "xl-refiner", prompt="a red++ fox in (snow)0.5", negative_prompt="fog--", prompt_syntax="compel", strength=0.5
    ),
}


def write_inversions() -> None:
    """Vectors that lie where the vocabularies' do."""
    generator = torch.Generator().manual_seed(11)

    def vectors(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).half()

    save_file({"clip_l": vectors(2, 8), "clip_g": vectors(2, 12)}, EMBEDDINGS / "stone.safetensors")
    save_file({"clip_l": vectors(1, 8), "clip_g": vectors(1, 12)}, EMBEDDINGS / "ash.safetensors")
    save_file({"emb_params": vectors(2, 12)}, EMBEDDINGS / "mist.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(1)
    inputs = make_fixtures.FIXTURES / "inputs"
    make_fixtures.FIXTURES = families.FIXTURES
    write_inversions()
    index = families.FIXTURES / "prompts.json"
    kept = json.loads(index.read_text())["cases"] if options.only else []
    rows = {row["name"]: row for row in kept}
    for name, settings in CASES.items():
        if not options.only or name in options.only:
            rows[name] = make_fixtures.write_case(name, settings, inputs)
    table = {"provenance": make_fixtures.provenance("xl_prompts.py"), "cases": [rows[name] for name in CASES]}
    index.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
