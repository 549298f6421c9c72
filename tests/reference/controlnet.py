"""ControlNets: tiny random ones, what they compute, and whole runs with them.  Writes controlnet.json, cases/control-*,
controlnets and units/controlnet.safetensors to tests/fixtures/parity, and those of Stable Diffusion XL to
tests/fixtures/families.

    python tests/reference/controlnet.py [--only CASE ...] [--skip-models]

The U-Nets and pictures are those of `make_fixtures.py` and `families.py`.  What the options mean, beyond `runner.py`:
* `controlnet` names folders in `controlnets`, `control-image` one picture each; several make a
  MultiControlNetModel.  `from-mask` (or no `control-image` at all) stands for what `make_inpaint_condition` of the
  reference's documentation makes of picture and mask.
* options that are left out are left to the pipeline, whose defaults differ: a conditioning scale of 1 for
  text-to-image, 0.8 for image-to-image and 0.5 for inpainting (1 with Stable Diffusion XL).
"""

import argparse
import inspect
import json
import shutil
import tempfile
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import ControlNetModel
from diffusers.utils import load_image
from PIL import Image
from safetensors.torch import save_file

import cases
import described
import families
import runner
import store

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "parity"
FAMILIES = FOLDER.parent / "families"
NETWORKS = FOLDER / "controlnets"
FROM_MASK = "from-mask"

PIPELINES = {
    "fill": diffusers.StableDiffusionControlNetInpaintPipeline,
    "generate": diffusers.StableDiffusionControlNetPipeline,
    "transform": diffusers.StableDiffusionControlNetImg2ImgPipeline,
}
XL_PIPELINES = {
    "fill": diffusers.StableDiffusionXLControlNetInpaintPipeline,
    "generate": diffusers.StableDiffusionXLControlNetPipeline,
    "transform": diffusers.StableDiffusionXLControlNetImg2ImgPipeline,
}
CALL_OPTIONS = [option for option in runner.CALL_OPTIONS if option != "guidance-rescale"] + [
    "controlnet-conditioning-scale",
    "control-guidance-start",
    "control-guidance-end",
    "guess-mode",
]

BASE = dict(
    block_out_channels=[16, 16],
    down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
    layers_per_block=1,
    attention_head_dim=8,
    norm_num_groups=8,
    cross_attention_dim=8,
    conditioning_embedding_out_channels=[4, 4, 8, 8],
)
CONTROLNETS = {
    # For base-sharded, as published ones are.
    "plain": BASE,
    # For inpaint-fp16: four channels in, whatever its U-Net takes; an autoencoder of factor 4.
    "inpaint": BASE
    | dict(
        block_out_channels=[8, 24, 16],
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
        attention_head_dim=[2, 3, 4],
        cross_attention_dim=12,
        conditioning_embedding_out_channels=[4, 8, 6],
    ),
    # For xl-base.
    "xl": BASE
    | dict(
        block_out_channels=[4, 8],
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        transformer_layers_per_block=[1, 2],
        attention_head_dim=[1, 2],
        norm_num_groups=2,
        cross_attention_dim=20,
        use_linear_projection=True,
        conditioning_embedding_out_channels=[2, 4, 4, 6],
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=34,
    ),
    # Everything else than usual, for the network alone.
    "unusual": BASE
    | dict(
        block_out_channels=[8, 12],
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        mid_block_type="UNetMidBlock2D",
        mid_block_scale_factor=1.3,
        layers_per_block=2,
        attention_head_dim=[2, 4],
        transformer_layers_per_block=[1, 2],
        only_cross_attention=[False, True],
        norm_num_groups=4,
        use_linear_projection=True,
        upcast_attention=True,
        act_fn="gelu",
        conditioning_channels=1,
        conditioning_embedding_out_channels=[4, 6],
        resnet_time_scale_shift="scale_shift",
        flip_sin_to_cos=False,
        freq_shift=1,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=30,
    ),
}
# The weights of `plain` under another configuration.
VARIANTS = {
    "bgr": dict(controlnet_conditioning_channel_order="bgr"),
    "pooled": dict(global_pool_conditions=True),
}


def rule(name: str, parameter: torch.Tensor, scale: float) -> dict:
    """As `described.rule`; residuals are about `scale`, and what is seen matters as much as the latents do."""
    row = described.rule(name, parameter)
    if name.startswith(("controlnet_down_blocks", "controlnet_mid_block")):
        row["deviation"] *= scale
    if name == "controlnet_cond_embedding.conv_out.weight":
        row["deviation"] *= 2
    return row | {"deviation": float(f"{row['deviation']:.4g}")}


@torch.no_grad()
def make(config: dict, seed: str, scale: float) -> tuple[ControlNetModel, list[dict]]:
    """A ControlNet, and the rows that describe its weights."""
    net = ControlNetModel(**config)
    rows = [rule(name, parameter, scale) for name, parameter in net.named_parameters()]
    for row, parameter in zip(rows, net.parameters(), strict=True):
        parameter.copy_(described.tensor(row, seed).float())
    return net.eval(), rows


def describe(config: dict, seed: str, folder: Path) -> None:
    net, rows = make(config, seed, 0.35)
    net.save_config(folder)
    lines = ",\n".join(json.dumps(list(row.values()), separators=(",", ":")) for row in rows)
    (folder / "weights.json").write_text(f'{{"seed": {json.dumps(seed)}, "tensors": [\n{lines}\n]}}\n')


def build_models() -> None:
    for name, config in CONTROLNETS.items():
        describe(config, name, NETWORKS / name)
    for name, change in VARIANTS.items():
        describe(BASE | change, "plain", NETWORKS / name)


@torch.no_grad()
def numbers() -> None:
    """Inputs and residuals of each network, with and without guess mode."""
    generator = torch.Generator().manual_seed(77)
    tensors = {}
    for name in ["plain", "inpaint", "unusual", *VARIANTS]:
        net = load(NETWORKS / name)
        config = net.config
        factor = 2 ** (len(config.conditioning_embedding_out_channels) - 1)
        batch, height, width = 2 if name == "unusual" else 1, 4, 6
        inputs = {
            "sample": torch.randn(batch, config.in_channels, height, width, generator=generator),
            "text": torch.randn(batch, 9, config.cross_attention_dim, generator=generator),
        }
        size = (batch, config.conditioning_channels, factor * height, factor * width)
        bytes_ = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
        tensors[f"{name}.bytes"] = bytes_
        added = None
        if config.addition_embed_type:
            inputs["pooled"] = torch.randn(2, 6, generator=generator)
            inputs["ids"] = torch.randint(0, 1024, (2, 6), generator=generator).float()
            added = dict(text_embeds=inputs["pooled"], time_ids=inputs["ids"])
        tensors |= {f"{name}.{part}": tensor for part, tensor in inputs.items()}
        for guess in (False, True) if name in CONTROLNETS else (False,):
            down, mid = net(
                inputs["sample"],
                417.25,
                inputs["text"],
                bytes_ / 255.0,
                conditioning_scale=0.7,
                guess_mode=guess,
                added_cond_kwargs=added,
                return_dict=False,
            )
            for index, tensor in enumerate([*down, mid]):
                tensors[f"{name}.{'guess' if guess else 'plain'}.{index}"] = tensor
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "units" / "controlnet.safetensors")


def load(folder: Path) -> ControlNetModel:
    """The ControlNet of a folder, stored or described, in f32."""
    if (folder / "weights.json").exists():
        with tempfile.TemporaryDirectory() as scratch:
            described.materialise(folder, Path(scratch), "diffusion_pytorch_model")
            return load(Path(scratch))
    variant = "fp16" if list(folder.glob("*.fp16.safetensors")) else None
    return ControlNetModel.from_pretrained(folder, variant=variant, torch_dtype=torch.float32).eval()


def make_inpaint_condition(image: Image.Image, mask: Image.Image) -> torch.Tensor:
    """As the documentation of StableDiffusionControlNetInpaintPipeline has it."""
    picture = np.array(image.convert("RGB")).astype(np.float32) / 255.0
    covered = np.array(mask.convert("L")).astype(np.float32) / 255.0
    picture[covered > 0.5] = -1.0
    return torch.from_numpy(picture[None].transpose(0, 3, 1, 2))


def make_pipeline(model: Path, controlnets: Path, settings: dict):
    """The pipeline of a command with the ControlNets and the scheduler of the settings."""
    nets = [load(controlnets / name) for name in settings["controlnet"]]
    parts = runner.load_parts(model) | dict(controlnet=nets[0] if len(nets) == 1 else nets)
    if runner.is_xl(model):
        if settings["command"] == "generate":
            parts.pop("requires_aesthetics_score", None)
        pipe = XL_PIPELINES[settings["command"]](**parts, add_watermarker=False)
    else:
        pipe = PIPELINES[settings["command"]](**parts)
    pipe.set_progress_bar_config(disable=True)
    options = settings.get("scheduler-option", {})
    if "scheduler" in settings or options:
        name = settings.get("scheduler")
        cls = runner.scheduler_class(name) if name else type(pipe.scheduler)
        pipe.scheduler = cls.from_config(pipe.scheduler.config, **options)
    return pipe


def run(model: Path, controlnets: Path, settings: dict, inputs: Path) -> runner.Result:
    """As `runner.run`, with ControlNets from `controlnets`."""
    pipe = make_pipeline(model, controlnets, settings)
    count = len(settings["controlnet"])
    arguments = {key.replace("-", "_"): settings[key] for key in CALL_OPTIONS if key in settings}
    for key in ("controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end"):
        if count == 1 and isinstance(arguments.get(key), list):
            arguments[key] = arguments[key][0]
    if runner.is_xl(model):
        arguments |= runner.added_arguments(settings, settings["command"])
        taken = inspect.signature(type(pipe).__call__).parameters
        for key in ("guidance-rescale", "denoising-end"):
            if key in settings and key.replace("-", "_") in taken:
                arguments[key.replace("-", "_")] = settings[key]
    arguments["generator"] = torch.Generator("cpu").manual_seed(settings["seed"])
    original = mask = None
    if settings["command"] in ("fill", "transform"):
        original = load_image(str(inputs / settings["image"]))
        arguments["image"] = original
    if settings["command"] == "fill":
        mask = load_image(str(inputs / settings["mask"]))
        if "mask-blur" in settings:
            mask = pipe.mask_processor.blur(mask, settings["mask-blur"])
        arguments["mask_image"] = mask

    def control(name: str):
        if name == FROM_MASK:
            return make_inpaint_condition(original, mask)
        return load_image(str(inputs / name))

    pictures = [control(name) for name in settings.get("control-image", [FROM_MASK] * count)]
    key = "image" if settings["command"] == "generate" else "control_image"
    arguments[key] = pictures[0] if count == 1 else pictures
    recorder = runner.Recorder([], [], [])
    images = recorder.run(pipe, **arguments)
    if settings.get("overlay"):
        images = [pipe.image_processor.apply_overlay(mask, original, image) for image in images]
    made = [np.asarray(image.convert("RGB")) for image in images]
    return runner.Result(recorder.latents, recorder.decoded[-1], made, recorder.timesteps)


def fill9(**options) -> dict:
    base = {"controlnet": ["inpaint"], "width": 40, "height": 40, "num_inference_steps": 3}
    return cases.fill("inpaint-fp16", **(base | options))


def fill4(**options) -> dict:
    base = {"controlnet": ["plain"], "width": 48, "height": 48, "num_inference_steps": 3}
    return cases.fill("base-sharded", **(base | options))


def generate(**options) -> dict:
    base = {"controlnet": ["plain"], "control_image": ["square.png"], "width": 48, "height": 48}
    return cases.generate("base-sharded", **(base | {"num_inference_steps": 4} | options))


def transform(**options) -> dict:
    base = {"controlnet": ["plain"], "control_image": ["square-levels.png"]}
    return cases.transform("base-sharded", **(base | options))


BOTH = dict(controlnet=["plain", "bgr"], control_image=["square.png", "square-levels.png"])

CASES = {
    "text": generate(),
    "text-scale": generate(controlnet_conditioning_scale=[0.45]),
    "text-part": generate(control_guidance_start=[0.2], control_guidance_end=[0.7], num_inference_steps=6),
    "text-bgr": generate(controlnet=["bgr"], scheduler="DDIM", scheduler_option={"clip_sample": False}),
    "text-own-size": generate(width=None, height=None, control_image=["tall.png"], num_inference_steps=2),
    "text-resized": generate(control_image=["alpha.png"], width=40, height=56),
    "text-guess": generate(guess_mode=True, guidance_scale=3.0),
    "text-guess-unguided": generate(guess_mode=True, guidance_scale=1.0),
    "text-pooled": generate(controlnet=["pooled"]),
    "text-pooled-second": generate(
        controlnet=["plain", "pooled"], control_image=["square.png", "square-disc.png"], guess_mode=True
    ),
    "text-two": generate(**BOTH, num_images_per_prompt=2),
    "text-two-each": generate(
        **BOTH,
        controlnet_conditioning_scale=[0.5, 1.2],
        control_guidance_start=[0.0, 0.4],
        control_guidance_end=[0.6, 1.0],
        scheduler="EulerAncestral",
    ),
    "text-heun-part": generate(scheduler="Heun", control_guidance_end=[0.5], num_inference_steps=3),
    # A scheduler's file that the plain pipeline would correct, and these do not.
    "text-uncorrected": generate(scheduler="Euler", scheduler_option={"steps_offset": 0}),
    "img2img": transform(),
    "img2img-two-guess": transform(**BOTH, guess_mode=True, controlnet_conditioning_scale=[1.0, 0.6]),
    "img2img-sized": transform(image="wide.png", width=48, height=56, control_guidance_start=[0.4]),
    "fill9": fill9(),
    "fill9-scale": fill9(controlnet_conditioning_scale=[1.0], negative_prompt="fog"),
    "fill9-picture": fill9(control_image=["square-noise.png"], controlnet_conditioning_scale=[0.9]),
    "fill9-part": fill9(
        strength=0.7, num_inference_steps=6, controlnet_conditioning_scale=[1.0], control_guidance_end=[0.6]
    ),
    "fill9-guess": fill9(guess_mode=True, controlnet_conditioning_scale=[1.0], scheduler="DPMSolverMultistep"),
    "fill9-resized": fill9(
        image="wide.png", mask="wide-disc.png", width=48, height=32, controlnet_conditioning_scale=[1.0]
    ),
    "fill9-own-size": fill9(
        image="tall.png", mask="tall-corner.png", width=None, height=None, num_inference_steps=1
    ),
    "fill9-blurred": fill9(mask="square-levels.png", mask_blur=4, controlnet_conditioning_scale=[1.0]),
    "fill4": fill4(controlnet_conditioning_scale=[1.0]),
    "fill4-batch": fill4(strength=0.8, num_images_per_prompt=2, controlnet_conditioning_scale=[0.8]),
    # The picture's crop is cut from the control picture too.
    "fill4-crop": fill4(
        image="wide.png",
        mask="wide-small.png",
        control_image=["wide-disc.png"],
        padding_mask_crop=10,
        controlnet_conditioning_scale=[1.0],
    ),
    "fill4-two": fill4(
        **(BOTH | dict(control_image=["from-mask", "square-levels.png"])), controlnet_conditioning_scale=[1.0, 0.5]
    ),
}


def xl(command: str, model: str = "xl-base", **options) -> dict:
    base = {"controlnet": ["xl"], "num_inference_steps": 3}
    if command != "fill":
        base["control_image"] = ["square-levels.png"]
    return families.case(command, model, base | options)


XL_CASES = {
    "xl-text": xl("generate", controlnet_conditioning_scale=[0.7]),
    "xl-text-guess": xl("generate", guess_mode=True, num_images_per_prompt=2, **families.SIZES, negative_prompt="fog"),
    "xl-text-own-size": xl("generate", width=None, height=None, num_inference_steps=1),
    # The steps that are left out at the end count, too.
    "xl-text-end": xl("generate", denoising_end=0.5, control_guidance_end=[0.3], num_inference_steps=7),
    "xl-image": xl(
        "transform", image="grey.png", width=40, height=32, **families.SIZES, **families.NEGATIVE_SIZES
    ),
    "xl-fill4": xl("fill", strength=0.8),
    "xl-fill9": xl("fill", "xl-inpaint", guidance_rescale=0.4),
    "xl-fill9-guess": xl("fill", "xl-inpaint", guess_mode=True, strength=0.9, control_image=["square.png"]),
}
# Where the picture itself is stored; latents tell everything but how it is put together.
WITH_PICTURE = ["text", "img2img-sized", "fill9"]


def write_case(folder: Path, name: str, settings: dict) -> dict:
    result = run(folder / "models" / settings["model"], NETWORKS, settings, FOLDER / "inputs")
    clamped = (result.decoded.abs() > 1).float().mean().item()
    print(
        f"{name:24} {len(result.latents):2} steps  latents std {result.latents[-1].std():6.3f}  "
        f"clamped {clamped:5.1%}  picture std {result.pictures[0].std():5.1f}"
    )
    return store.save_run(folder / "cases", f"control-{name}", result, settings, pictures=name in WITH_PICTURE)


def main() -> None:
    from make_fixtures import provenance

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--skip-models", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.skip_models:
        shutil.rmtree(NETWORKS, ignore_errors=True)
        build_models()
        numbers()
    for folder, cases_ in ((FOLDER, CASES), (FAMILIES, XL_CASES)):
        index = folder / "controlnet.json"
        rows = {}
        if options.only:
            rows = {row["name"].removeprefix("control-"): row for row in json.loads(index.read_text())["cases"]}
        for name, settings in cases_.items():
            if not options.only or name in options.only:
                rows[name] = write_case(folder, name, settings)
        table = {"provenance": provenance("controlnet.py"), "cases": [rows[name] for name in cases_]}
        index.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
