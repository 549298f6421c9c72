"""The full-pipeline cases.  Option names are those of the command line."""

LONG_PROMPT = "a very long walk through the old town at dusk with lanterns " * 9


def fill(model: str, **options) -> dict:
    """Inpainting of the square picture unless the options say otherwise."""
    base = {"image": "square.png", "mask": "square-disc.png", "width": 64, "height": 64}
    return _case("fill", model, base, options)


def generate(model: str, **options) -> dict:
    """Text to image."""
    return _case("generate", model, {"width": 64, "height": 64}, options)


def transform(model: str, **options) -> dict:
    """Image to image."""
    return _case("transform", model, {"image": "square.png", "strength": 0.6}, options)


def _case(command: str, model: str, base: dict, options: dict) -> dict:
    common = {
        "model": model,
        "command": command,
        "prompt": "a red fox in the snow",
        "seed": 42,
        "num-inference-steps": 5,
        "guidance-scale": 5.0,
    }
    given = {key.replace("_", "-"): value for key, value in options.items()}
    settings = {**common, **base, **given}
    return {key: value for key, value in settings.items() if value is not None}


SCHEDULERS = {
    # Over a file that does not say clip_sample, DDIM clips; on such models that multiplies rounding by hundreds.
    "ddim": ("DDIM", {"clip_sample": False}),
    "pndm": ("PNDM", {}),
    "euler": ("Euler", {}),
    "euler-a": ("EulerAncestral", {}),
    "dpmpp-2m": ("DPMSolverMultistep", {}),
    "dpmpp-2m-karras": ("DPMSolverMultistep", {"use_karras_sigmas": True}),
    "unipc": ("UniPC", {}),
    "heun": ("Heun", {}),
    "lcm": ("LCM", {}),
}

CASES: dict[str, dict] = {}

for label, (scheduler, extra) in SCHEDULERS.items():
    chosen = {"scheduler": scheduler}
    if extra:
        chosen["scheduler_option"] = extra
    CASES[f"fill9-{label}"] = fill("inpaint-pndm", **chosen, seed=len(CASES) + 1)
    CASES[f"text-{label}"] = generate("base-sharded", **chosen, seed=len(CASES) + 1)
    CASES[f"img2img-{label}"] = transform("base-sharded", **chosen, seed=len(CASES) + 1)
    if label == "pndm":
        # Runge-Kutta steps from the middle of a schedule are covered with the better behaved models.
        chosen_part = chosen | {"scheduler_option": {"skip_prk_steps": True}}
    else:
        chosen_part = chosen
    CASES[f"fill9-part-{label}"] = fill("inpaint-fp16", **chosen_part, strength=0.7, num_inference_steps=6, seed=7)
    CASES[f"fill4-{label}"] = fill("base-sharded", **chosen, seed=8, strength=0.8)

CASES |= {
    # The models' own schedulers and everything unusual about their configurations.
    "own-inpaint-pndm": fill("inpaint-pndm"),
    "own-inpaint-fp16": fill("inpaint-fp16"),
    "own-base-v": generate("base-v", width=64, height=48),
    "own-base-sharded": generate("base-sharded"),
    "own-base-v-fill4": fill("base-v", strength=1.0),
    "own-base-v-img2img": transform("base-v", strength=0.75, num_inference_steps=7),
    # Sizes: Lanczos both ways, no multiple of 64, odd latents, the default size.
    "size-wide": fill("inpaint-pndm", image="wide.png", mask="wide-disc.png", width=104, height=72),
    "size-tall-up": fill("inpaint-fp16", image="tall.png", mask="tall-corner.png", width=84, height=132),
    "size-mask-differs": fill("inpaint-pndm", image="wide.png", mask="other-size-levels.png", width=88, height=56),
    "size-default": fill("inpaint-pndm", image="tall.png", mask="tall-corner.png", width=None, height=None),
    "size-img2img-own": transform("base-sharded", image="wide.png"),
    "size-text-odd": generate("base-v", width=56, height=72),
    "picture-grey": fill("inpaint-pndm", image="grey.png"),
    "picture-alpha": fill("inpaint-pndm", image="alpha.png"),
    # Masks.
    "mask-levels": fill("inpaint-pndm", mask="square-levels.png"),
    "mask-noise": fill("inpaint-fp16", mask="square-noise.png"),
    "mask-coloured": fill("inpaint-pndm", mask="square-coloured.png"),
    "mask-blur": fill("inpaint-pndm", mask="square-levels.png", mask_blur=6),
    "mask-blur-4channel": fill("base-sharded", mask="square-levels.png", mask_blur=3),
    # Strength.
    "strength-truncates": fill(
        "inpaint-pndm",
        strength=0.58,
        num_inference_steps=10,
        scheduler="DDIM",
        scheduler_option={"clip_sample": False},
    ),
    "strength-high": fill("inpaint-pndm", strength=0.99, num_inference_steps=4),
    "strength-one-4channel": fill("base-sharded", strength=1.0),
    "strength-low-heun": fill("inpaint-fp16", strength=0.4, num_inference_steps=6, scheduler="Heun"),
    "strength-low-img2img": transform("base-sharded", strength=0.25, num_inference_steps=8),
    # Guidance and prompts.
    "guidance-off": fill("inpaint-pndm", guidance_scale=1.0),
    "guidance-below-one": generate("base-sharded", guidance_scale=0.5),
    "guidance-barely": generate("base-sharded", guidance_scale=1.01),
    "guidance-high": fill("inpaint-fp16", guidance_scale=12.5),
    "prompt-empty": fill("inpaint-pndm", prompt=""),
    "prompt-long": generate("base-sharded", prompt=LONG_PROMPT),
    "prompt-long-trimmed": fill("inpaint-pndm", prompt=LONG_PROMPT, negative_prompt=LONG_PROMPT[::-1]),
    "prompt-unicode": generate("base-sharded", prompt="Café  ÜBER\tstraße 東京 🦊 it's 1990's"),
    "prompt-padding-is-exclamation": generate("base-v", prompt="wow!! great! a fox!"),
    "negative": fill("inpaint-pndm", negative_prompt="blurry, low quality"),
    "negative-only": generate("base-sharded", prompt="", negative_prompt="fog"),
    "clip-skip-1": generate("base-v", clip_skip=1, negative_prompt="fog"),
    "clip-skip-2": fill("inpaint-pndm", clip_skip=2),
    "clip-skip-0": generate("base-sharded", clip_skip=0),
    "rescale": generate("base-v", guidance_rescale=0.7, guidance_scale=8.0),
    "rescale-full": generate("base-sharded", guidance_rescale=1.0, guidance_scale=4.0),
    # Batches: one generator draws them all.
    "batch-fill": fill("inpaint-pndm", num_images_per_prompt=2, strength=0.7, scheduler="EulerAncestral"),
    "batch-fill-full": fill("inpaint-pndm", num_images_per_prompt=3),
    "batch-text": generate("base-sharded", num_images_per_prompt=2, scheduler="LCM"),
    "batch-4channel": fill("base-sharded", num_images_per_prompt=2, strength=0.6),
    "batch-img2img": transform("base-sharded", num_images_per_prompt=2),
    # The crop around the mask, and the overlay.
    "crop": fill(
        "inpaint-pndm", image="wide.png", mask="wide-small.png", padding_mask_crop=8, width=64, height=64
    ),
    "crop-wide": fill(
        "inpaint-fp16", image="tall.png", mask="tall-small.png", padding_mask_crop=3, width=96, height=64
    ),
    "crop-corner": fill(
        "inpaint-pndm", image="tall.png", mask="tall-corner.png", padding_mask_crop=0, width=72, height=56
    ),
    "crop-blurred": fill(
        "inpaint-pndm",
        image="wide.png",
        mask="wide-small.png",
        padding_mask_crop=16,
        mask_blur=4,
        width=64,
        height=96,
    ),
    "crop-4channel": fill(
        "base-sharded", image="wide.png", mask="wide-small.png", padding_mask_crop=10, strength=0.8
    ),
    "overlay": fill("inpaint-pndm", overlay=True),
    "overlay-blurred": fill("base-sharded", mask="square-levels.png", overlay=True, mask_blur=5),
    # Scheduler settings.
    "eta": fill("inpaint-fp16", scheduler="DDIM", eta=0.7),
    "eta-full": generate("base-v", eta=1.0),
    "spacing-ddim-trailing": generate(
        "base-v", scheduler_option={"timestep_spacing": "trailing"}, num_inference_steps=6
    ),
    "spacing-ddim-linspace": generate("base-v", scheduler_option={"timestep_spacing": "linspace"}),
    "spacing-euler-trailing": generate("base-sharded", scheduler_option={"timestep_spacing": "trailing"}),
    "spacing-euler-linspace": generate("base-sharded", scheduler_option={"timestep_spacing": "linspace"}),
    "spacing-pndm-trailing": fill("inpaint-pndm", scheduler_option={"timestep_spacing": "trailing"}),
    "spacing-heun-trailing": fill(
        "inpaint-pndm", scheduler="Heun", scheduler_option={"timestep_spacing": "trailing"}
    ),
    "spacing-dpmpp-leading": fill(
        "inpaint-pndm", scheduler="DPMSolverMultistep", scheduler_option={"timestep_spacing": "leading"}
    ),
    "spacing-unipc-trailing": fill(
        "inpaint-pndm", scheduler="UniPC", scheduler_option={"timestep_spacing": "trailing"}
    ),
    "offset-zero": fill(
        "inpaint-pndm", scheduler="DDIM", scheduler_option={"steps_offset": 0, "clip_sample": False}
    ),
    "offset-large": fill("inpaint-pndm", scheduler="Euler", scheduler_option={"steps_offset": 9}),
    "karras-euler": generate("base-sharded", scheduler_option={"use_karras_sigmas": True}),
    "karras-heun": generate("base-sharded", scheduler="Heun", scheduler_option={"use_karras_sigmas": True}),
    "karras-unipc": fill("inpaint-pndm", scheduler="UniPC", scheduler_option={"use_karras_sigmas": True}),
    "dpmpp-order3": fill(
        "inpaint-pndm", scheduler="DPMSolverMultistep", scheduler_option={"solver_order": 3}, num_inference_steps=7
    ),
    "dpmpp-heun-type": fill(
        "inpaint-pndm", scheduler="DPMSolverMultistep", scheduler_option={"solver_type": "heun"}
    ),
    "dpmsolver-plain": fill(
        "inpaint-pndm",
        scheduler="DPMSolverMultistep",
        scheduler_option={"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"},
    ),
    "dpmpp-many-steps": fill("inpaint-fp16", scheduler="DPMSolverMultistep", num_inference_steps=16),
    "dpmpp-v": generate("base-v", scheduler="DPMSolverMultistep"),
    "euler-v": generate("base-v", scheduler="Euler"),
    "euler-a-v": generate("base-v", scheduler="EulerAncestral"),
    "unipc-v": generate("base-v", scheduler="UniPC"),
    "heun-v": generate("base-v", scheduler="Heun"),
    "lcm-v": generate("base-v", scheduler="LCM"),
    "pndm-v": generate("base-v", scheduler="PNDM"),
    "sample-ddim": generate("base-sharded", scheduler="DDIM", scheduler_option={"prediction_type": "sample"}),
    "sample-dpmpp": generate(
        "base-sharded", scheduler="DPMSolverMultistep", scheduler_option={"prediction_type": "sample"}
    ),
    "zero-snr-ddim": generate(
        "base-v", scheduler_option={"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    ),
    "zero-snr-euler": generate(
        "base-v",
        scheduler="Euler",
        scheduler_option={"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    ),
    "threshold-ddim": generate(
        "base-sharded",
        scheduler="DDIM",
        scheduler_option={"thresholding": True, "sample_max_value": 1.5, "dynamic_thresholding_ratio": 0.9},
    ),
    "clip-sample-ddim": generate(
        "base-v", scheduler="DDIM", scheduler_option={"clip_sample": True, "clip_sample_range": 0.8}
    ),
    # The less used classes.
    "kdpm2-karras": fill("inpaint-pndm", scheduler="KDPM2", scheduler_option={"use_karras_sigmas": True}),
    "kdpm2-part": transform("base-sharded", scheduler="KDPM2"),
    "kdpm2-a-v": generate(
        "base-v", scheduler="KDPM2Ancestral", scheduler_option={"timestep_spacing": "trailing"}
    ),
    "kdpm2-a-part": fill("base-sharded", scheduler="KDPM2Ancestral", strength=0.7, num_inference_steps=6),
    "lms-v": generate("base-v", scheduler="LMS", num_inference_steps=7),
    "lms-part-karras": transform(
        "base-sharded", scheduler="LMS", num_inference_steps=9, scheduler_option={"use_karras_sigmas": True}
    ),
    "ddpm": fill("inpaint-pndm", scheduler="DDPM", scheduler_option={"clip_sample": False}),
    "ddpm-large": generate(
        "base-v",
        scheduler="DDPM",
        scheduler_option={"variance_type": "fixed_large", "timestep_spacing": "trailing", "clip_sample": False},
    ),
    # The scheduler file of inpaint-fp16 says steps_offset 0, which the pipeline corrects to 1.
    "from-config-offset": fill("inpaint-fp16", scheduler="Euler"),
    # Over another model's file PNDM falls back on its own default, which runs Runge-Kutta steps first.
    "pndm-no-prk": generate("base-sharded", scheduler="PNDM", scheduler_option={"skip_prk_steps": True}),
    "one-step": fill("inpaint-pndm", num_inference_steps=1),
    "two-steps-unipc": fill("inpaint-pndm", scheduler="UniPC", num_inference_steps=2),
    "many-steps-pndm": generate("base-sharded", scheduler="PNDM", num_inference_steps=12),
    "seed-large": generate("base-sharded", seed=123456789012),
    "seed-zero": fill("inpaint-pndm", seed=0),
}
