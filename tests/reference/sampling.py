"""Random schedulers with every setting that their classes know, models for few steps, other autoencoders: for holdout.py."""

import inspect
import random
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

import models
import runner
import tiny
import xl_models

CLASSES = [
    "DDIM",
    "DDPM",
    "DEIS",
    "DPMSolverMultistep",
    "DPMSolverSDE",
    "DPMSolverSinglestep",
    "Euler",
    "EulerAncestral",
    "Heun",
    "KDPM2",
    "KDPM2Ancestral",
    "LCM",
    "LMS",
    "PNDM",
    "TCD",
    "UniPC",
]
# Option: how often it is set, and what it may be.
OPTIONS = {
    "timestep_spacing": (0.7, ["leading", "trailing", "linspace"]),
    "solver_order": (0.6, [1, 2, 3]),
    "final_sigmas_type": (0.3, ["zero", "sigma_min"]),
    "lower_order_final": (0.3, [True, False]),
    "euler_at_final": (0.3, [True, False]),
    "use_lu_lambdas": (0.15, [True]),
    "beta_schedule": (0.25, ["linear", "scaled_linear", "squaredcos_cap_v2"]),
    "steps_offset": (0.3, [0, 1]),
    "set_alpha_to_one": (0.3, [True, False]),
    "original_inference_steps": (0.3, [20, 40, 100]),
    "interpolation_type": (0.3, ["linear", "log_linear"]),
    "variance_type": (0.3, ["fixed_small", "fixed_small_log", "fixed_large"]),
    "predict_x0": (0.3, [True, False]),
    "disable_corrector": (0.2, [[0], [1, 2]]),
    "skip_prk_steps": (1.0, [True, True, False]),
    "noise_sampler_seed": (1.0, [0, 1, 7, 123456789, 2**40 + 5]),
}
SPREADS = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]
SOLVERS = {"DPMSolverMultistep": ["midpoint", "heun"], "DPMSolverSinglestep": ["midpoint", "heun"], "UniPC": ["bh1", "bh2"]}
ALGORITHMS = ["dpmsolver++", "dpmsolver++", "sde-dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver"]


def random_scheduler(rng: random.Random, prediction: str) -> tuple[str, dict]:
    """A class, and options that it knows."""
    name = rng.choice(CLASSES)
    known = inspect.signature(runner.scheduler_class(name).__init__).parameters
    options = {}
    for key, (often, values) in OPTIONS.items():
        if key in known and rng.random() < often:
            options[key] = rng.choice(values)
    if name != "DDPM":
        # There it only says what a network with a learned variance makes.
        options.pop("variance_type", None)
    spreads = [key for key in SPREADS if key in known]
    if spreads and rng.random() < 0.5:
        options[rng.choice(spreads)] = True
    if name in SOLVERS and rng.random() < 0.5:
        options["solver_type"] = rng.choice(SOLVERS[name])
    if name.startswith("DPMSolver") and "algorithm_type" in known:
        allowed = ALGORITHMS if name == "DPMSolverMultistep" else ALGORITHMS[:5]
        options["algorithm_type"] = rng.choice(allowed)
        if not options["algorithm_type"].endswith("++"):
            options["final_sigmas_type"] = "sigma_min"
    if "clip_sample" in known:
        # Clipping to the unit range multiplies rounding by hundreds on such models.
        options["clip_sample"] = False
    if prediction == "v_prediction" and "rescale_betas_zero_snr" in known and rng.random() < 0.7:
        options |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        options.pop("beta_schedule", None)
    return name, options


def with_scheduler(rng: random.Random, spec, settings: dict) -> dict:
    """Settings with another scheduler."""
    prediction = spec.scheduler[1].get("prediction_type", "epsilon")
    name, options = random_scheduler(rng, prediction)
    settings = {key: value for key, value in settings.items() if key not in ("scheduler-option", "eta")}
    settings |= {"scheduler": name, "scheduler-option": options}
    if name in ("DDIM", "TCD"):
        settings["eta"] = rng.choice([0.0, 0.3, 1.0])
    if settings["command"] == "generate" and rng.random() < 0.3:
        settings["guidance-rescale"] = round(rng.random(), 2)
    return settings


def few_steps(rng: random.Random, spec):
    """A model for few steps in place of `spec`."""
    base = xl_models.XL_SCHEDULER if isinstance(spec, xl_models.XlSpec) else models.SD_SCHEDULER
    base = {key: value for key, value in base.items() if key not in ("interpolation_type", "skip_prk_steps")}
    trailing = base | dict(timestep_spacing="trailing")
    kind = rng.choice(["lcm", "lcm", "merged", "turbo", "turbo-ancestral", "lightning", "one-step", "tcd", "hyper"])
    scheduler = {
        "lcm": ("LCMScheduler", base | dict(original_inference_steps=50)),
        "merged": ("LCMScheduler", base),
        "turbo": ("EulerDiscreteScheduler", trailing),
        "turbo-ancestral": ("EulerAncestralDiscreteScheduler", trailing),
        "lightning": ("EulerDiscreteScheduler", trailing),
        "one-step": ("EulerDiscreteScheduler", trailing | dict(prediction_type="sample")),
        "tcd": ("TCDScheduler", base),
        "hyper": ("DDIMScheduler", trailing | dict(clip_sample=False)),
    }[kind]
    embedded = kind == "lcm"
    unet = spec.unet | dict(time_cond_proj_dim=rng.choice([5, 12]) if embedded else None)
    return kind, replace(spec, scheduler=scheduler, unet=unet)


def in_few_steps(rng: random.Random, kind: str, settings: dict) -> dict:
    """Settings as such a model wants them."""
    out = ("scheduler", "scheduler-option", "eta", "guidance-rescale", "refiner", "refiner-start", "refiner-steps", "denoising-end")
    settings = {key: value for key, value in settings.items() if key not in out}
    steps = 1 if kind == "one-step" else rng.choice([1, 2, 4, 8])
    settings |= {"num-inference-steps": steps, "guidance-scale": rng.choice([0.0, 1.0])}
    if kind == "lcm":
        settings["guidance-scale"] = rng.choice([1.0, 1.5, 8.0, 8.5])
    if kind == "tcd":
        settings["eta"] = rng.choice([0.0, 0.3, 1.0])
    if "strength" in settings:
        settings["strength"] = rng.choice([1.0, 1.0, 0.75, 0.5]) if steps > 1 else 1.0
    return settings


@torch.no_grad()
def other_autoencoder(rng: random.Random, spec, folder: Path) -> str:
    """Another autoencoder beside the model, tiny or not, whose latents have the same shape."""
    generator = torch.Generator().manual_seed(rng.getrandbits(30))
    torch.manual_seed(rng.getrandbits(30))
    levels = len(spec.vae["block_out_channels"])
    if rng.random() < 0.5:
        width = rng.choice([4, 8])
        blocks = [rng.choice([1, 2]) for _ in range(levels)]
        config = dict(
            encoder_block_out_channels=[width] * levels,
            decoder_block_out_channels=[width] * levels,
            num_encoder_blocks=blocks,
            num_decoder_blocks=blocks[::-1],
        )
        vae = tiny.scaled(AutoencoderTiny(**config), generator)
    else:
        widths = [8 * rng.choice([1, 2]) for _ in range(levels)]
        settings = models.BASE_VAE | models.vae_blocks(widths) | dict(scaling_factor=rng.choice([0.18215, 0.4, 0.13025]))
        vae = AutoencoderKL(**settings)
        models.randomise(vae, generator)
        models.scale_vae(vae.eval(), generator)
    models.store_component(models.rounded(vae, "f16"), folder / "other-vae", rng.choice(["f16", "f32"]))
    return "other-vae"
