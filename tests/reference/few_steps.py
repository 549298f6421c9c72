"""Writes the cases of models for few steps: LCM (its guidance embedded), Turbo, Lightning, Hyper and TCD.

They lie beside the cases of make_fixtures.py, in an index of their own, few-steps.json, with one more model.

    python tests/reference/few_steps.py
"""

import json
import shutil
from pathlib import Path

import torch

import cases
import models
from make_fixtures import FIXTURES, provenance, write_case

# An LCM as published: the U-Net takes the guidance scale as an embedding.
LCM_MODEL = models.Spec(
    name="few-lcm",
    seed=808,
    unet=models.BASE_UNET
    | dict(block_out_channels=[8, 8], cross_attention_dim=8, norm_num_groups=4, time_cond_proj_dim=12),
    vae=models.BASE_VAE | models.vae_blocks([8, 8, 8]) | dict(scaling_factor=0.4, norm_num_groups=2),
    text=models.BASE_TEXT | dict(hidden_size=8, intermediate_size=16, num_hidden_layers=2),
    scheduler=("LCMScheduler", models.SD_SCHEDULER | dict(original_inference_steps=50, clip_sample=False)),
    merges=120,
)
# The same, published for the pipelines of latent consistency models.
OWN_PIPELINE = "few-lcm-own"
TRAILING = {"timestep_spacing": "trailing"}
SMALL = {"width": 32, "height": 32}


def plain(steps: int, scheduler: str, **options) -> dict:
    """Text to image without guidance, with a model that knows nothing of few steps."""
    settings = SMALL | {"guidance_scale": 1.0, "num_inference_steps": steps, "scheduler": scheduler} | options
    return cases.generate("base-sharded", seed=50 + steps, **settings)


CASES = {
    **{
        f"few-lcm-{steps}": cases.generate(
            "few-lcm", num_inference_steps=steps, guidance_scale=8.0, seed=30 + steps, **SMALL
        )
        for steps in (1, 2, 4, 8)
    },
    "few-lcm-guidance": cases.generate("few-lcm", num_inference_steps=2, guidance_scale=1.5, seed=31, **SMALL),
    "few-lcm-original": cases.generate(
        "few-lcm",
        num_inference_steps=4,
        guidance_scale=8.0,
        seed=34,
        scheduler_option={"original_inference_steps": 100, "timestep_scaling": 5.0},
        **SMALL,
    ),
    "few-lcm-own-text": cases.generate(OWN_PIPELINE, num_inference_steps=3, guidance_scale=6.0, seed=37, **SMALL),
    "few-lcm-own-transform": cases.transform(
        OWN_PIPELINE, num_inference_steps=4, guidance_scale=8.0, strength=0.6, seed=38
    ),
    "few-lcm-own-fill": cases.fill(
        OWN_PIPELINE, num_inference_steps=4, guidance_scale=8.0, strength=0.6, seed=39, **SMALL
    ),
    "few-lcm-transform": cases.transform("few-lcm", num_inference_steps=4, guidance_scale=8.0, seed=35),
    "few-lcm-fill": cases.fill(
        "few-lcm", num_inference_steps=4, guidance_scale=8.0, strength=0.8, seed=36, **SMALL
    ),
    **{f"few-turbo-{steps}": plain(steps, "Euler", scheduler_option=TRAILING) for steps in (1, 2, 4, 8)},
    "few-turbo-ancestral": plain(4, "EulerAncestral", scheduler_option=TRAILING),
    "few-turbo-transform": cases.transform(
        "base-sharded",
        scheduler="Euler",
        scheduler_option=TRAILING,
        num_inference_steps=2,
        strength=0.5,
        guidance_scale=0.0,
        seed=57,
    ),
    "few-lightning-sample": plain(1, "Euler", scheduler_option=TRAILING | {"prediction_type": "sample"}),
    "few-hyper-ddim": plain(2, "DDIM", scheduler_option=TRAILING | {"clip_sample": False}),
    **{f"few-tcd-{steps}": plain(steps, "TCD", eta=0.3) for steps in (1, 2, 4, 8)},
    "few-tcd-still": plain(4, "TCD", eta=0.0),
    "few-tcd-lively": plain(4, "TCD", eta=1.0),
    "few-tcd-fill": cases.fill(
        "inpaint-fp16",
        scheduler="TCD",
        num_inference_steps=4,
        strength=0.8,
        eta=0.3,
        guidance_scale=1.0,
        seed=61,
        **SMALL,
    ),
    "few-deis-fill": cases.fill("inpaint-fp16", scheduler="DEIS", strength=0.8, seed=62, **SMALL),
    "few-singlestep": cases.transform(
        "base-sharded",
        scheduler="DPMSolverSinglestep",
        scheduler_option={"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
        num_inference_steps=7,
        seed=63,
    ),
}


def name_own_pipeline(model: Path, folder: Path) -> None:
    """A folder of links to the model's parts that names another pipeline."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for part in sorted(path for path in model.iterdir() if path.is_dir()):
        (folder / part.name).symlink_to(Path("..") / model.name / part.name)
    index = json.loads((model / "model_index.json").read_text()) | {"_class_name": "LatentConsistencyModelPipeline"}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    model = models.build(LCM_MODEL, FIXTURES / "models" / LCM_MODEL.name)
    name_own_pipeline(model, FIXTURES / "models" / OWN_PIPELINE)
    rows = [write_case(name, settings) for name, settings in CASES.items()]
    table = {"provenance": provenance("few_steps.py"), "cases": rows}
    (FIXTURES / "few-steps.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
