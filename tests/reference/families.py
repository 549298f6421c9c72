"""Writes tests/fixtures/families: Stable Diffusion 2 and XL with their refiner, whole runs as `make_fixtures.py` has
them for Stable Diffusion 1. Pictures and masks are those of tests/fixtures/parity.

    python tests/reference/families.py [--only CASE ...] [--skip-models]
"""

import argparse
import json

import torch

import make_fixtures
import models
import xl_models
from make_fixtures import provenance

FIXTURES = make_fixtures.FIXTURES.parent / "families"


def case(command: str, model: str, options: dict) -> dict:
    base = {
        "model": model,
        "command": command,
        "prompt": "a red fox in the snow",
        "seed": 42,
        "num-inference-steps": 4,
        "guidance-scale": 5.0,
    }
    if command != "generate":
        base["image"] = "square.png"
    if command == "fill":
        base["mask"] = "square-disc.png"
    if command != "transform":
        base |= {"width": 40, "height": 32}
    given = {key.replace("_", "-"): value for key, value in options.items()}
    return {key: value for key, value in (base | given).items() if value is not None}


def fill(model: str, **options) -> dict:
    return case("fill", model, options)


def generate(model: str = "xl-base", **options) -> dict:
    return case("generate", model, options)


def transform(model: str, **options) -> dict:
    return case("transform", model, {"image": "grey.png", "strength": 0.6} | options)


SIZES = {
    "original_size": "96x64",
    "crops_coords_top_left": "12,5",
    "target_size": "64x40",
}
NEGATIVE_SIZES = {
    "negative_original_size": "32x48",
    "negative_crops_coords_top_left": "3,9",
    "negative_target_size": "80x56",
}

CASES = {
    # Stable Diffusion 2.
    "sd2-fill": fill("sd2-inpaint-v"),
    "sd2-fill-part": fill("sd2-inpaint-v", strength=0.7, scheduler="DPMSolverMultistep", negative_prompt="fog"),
    "sd2-fill-epsilon": fill(
        "sd2-inpaint-v", scheduler="PNDM", scheduler_option={"prediction_type": "epsilon", "skip_prk_steps": True}
    ),
    "sd2-fill-default-size": fill("sd2-inpaint-v", width=None, height=None, prompt="wow!! a fox!"),
    # Stable Diffusion XL.
    "xl-text": generate(),
    "xl-text-default-size": generate(width=None, height=None, scheduler="DPMSolverMultistep"),
    "xl-text-negative": generate(negative_prompt="fog"),
    "xl-text-negative-empty": generate(negative_prompt=""),
    "xl-text-prompt-2": generate(prompt_2="an oil painting", negative_prompt="fog", negative_prompt_2="a photograph"),
    "xl-text-negative-2-alone": generate(negative_prompt_2="a photograph"),
    "xl-text-unguided": generate(guidance_scale=1.0, prompt_2="an oil painting"),
    "xl-text-sizes": generate(**SIZES),
    "xl-text-negative-sizes": generate(**SIZES, **NEGATIVE_SIZES),
    "xl-text-half-negative-sizes": generate(negative_original_size="32x48"),
    # One generator, and rows of numbers that alternate.
    "xl-text-batch-sizes": generate(**SIZES, **NEGATIVE_SIZES, num_images_per_prompt=2, scheduler="EulerAncestral"),
    "xl-text-rescale": generate(guidance_rescale=0.7, guidance_scale=8.0),
    "xl-text-clip-skip": generate(clip_skip=1, negative_prompt="fog"),
    "xl-text-end": generate(denoising_end=0.5),
    "xl-image": transform("xl-base", **SIZES, **NEGATIVE_SIZES),
    "xl-image-rescale": transform("xl-base", guidance_rescale=0.5, strength=0.3, num_inference_steps=8),
    "xl-fill4": fill("xl-base", strength=0.8),
    "xl-fill4-full": fill("xl-base", strength=1.0, scheduler="Heun", num_inference_steps=3),
    "xl-fill9": fill("xl-inpaint", strength=0.99, guidance_scale=8.0),
    "xl-fill9-full": fill("xl-inpaint", strength=1.0, **SIZES, **NEGATIVE_SIZES),
    "xl-fill9-batch": fill("xl-inpaint", strength=0.75, num_images_per_prompt=2, guidance_rescale=0.4),
    "xl-fill9-crop": fill("xl-inpaint", padding_mask_crop=1, strength=0.9),
    "xl-fill9-default-size": fill("xl-inpaint", width=None, height=None, mask_blur=2, overlay=None),
    # The refiner by itself, and after a base.
    "refiner-image": transform("xl-refiner", strength=0.5),
    "refiner-image-scores": transform(
        "xl-refiner", aesthetic_score=7.5, negative_aesthetic_score=1.0, negative_prompt="fog", **NEGATIVE_SIZES
    ),
    "refiner-fill": fill("xl-refiner", strength=0.6),
    "ensemble-text": generate(refiner="xl-refiner", refiner_start=0.6, num_inference_steps=5),
    "ensemble-text-heun": generate(
        refiner="xl-refiner", refiner_start=0.5, scheduler="Heun", num_inference_steps=4, num_images_per_prompt=2
    ),
    "ensemble-fill9": fill("xl-inpaint", refiner="xl-refiner", refiner_start=0.6, num_inference_steps=5),
    "ensemble-image": transform(
        "xl-base", refiner="xl-refiner", refiner_start=0.6, strength=0.8, num_inference_steps=6
    ),
    # The strength begins where the base's part of the run has ended: it only noises the picture.
    "ensemble-fill4-no-base-step": fill(
        "xl-base", refiner="xl-refiner", refiner_start=0.6, strength=0.4, num_inference_steps=5
    ),
    "refined-text": generate(refiner="xl-refiner", refiner_steps=7, scheduler="EulerAncestral", **SIZES),
    "refined-fill4": fill("xl-base", refiner="xl-refiner", refiner_steps=7, strength=0.8),
    "refined-other": generate(refiner="xl-refiner-other", refiner_steps=7),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--skip-models", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    inputs = make_fixtures.FIXTURES / "inputs"
    make_fixtures.FIXTURES = FIXTURES
    (FIXTURES / "cases").mkdir(parents=True, exist_ok=True)
    if not options.skip_models:
        for spec in xl_models.MODELS:
            xl_models.build(spec, FIXTURES / "models" / spec.name)
        sd2 = models.build(xl_models.SD2, FIXTURES / "models" / xl_models.SD2.name)
        xl_models.share(sd2, dict(text_encoder="xl-base/text_encoder_2", tokenizer="xl-base/tokenizer_2"))
    index = FIXTURES / "cases.json"
    kept = json.loads(index.read_text())["cases"] if options.only else []
    rows = {row["name"]: row for row in kept}
    for name, settings in CASES.items():
        if not options.only or name in options.only:
            rows[name] = make_fixtures.write_case(name, settings, inputs)
    table = {"provenance": provenance("families.py"), "cases": [rows[name] for name in CASES]}
    index.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
