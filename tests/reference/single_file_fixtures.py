"""Writes tests/fixtures/single-files: checkpoints in the original layout, and what diffusers makes with the folders
they were converted from.

    python tests/reference/single_file_fixtures.py

The models have the proportions of the published ones (heads, groups, activations), so that a header alone says
everything. The files are described as `described.py` describes folders: a row of models.json is a tensor of a file, how
it is made, and of which tensors of the folder (each the seed and name of its numbers, its shape, mean and deviation).
What was fitted lies in NAME.safetensors, under the file's own names.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import described
import make_fixtures
import models
import runner
import single_files
import store

FIXTURES = make_fixtures.FIXTURES.parent / "single-files"
INPUTS = make_fixtures.FIXTURES / "inputs"
VOCABULARY = models.CLIP_VOCABULARY_SIZE
TEXT = dict(
    vocab_size=VOCABULARY,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=1,
    hidden_act="quick_gelu",
    eos_token_id=2,
    projection_dim=64,
)
TEXT_2 = TEXT | dict(hidden_act="gelu", num_hidden_layers=3, projection_dim=32)
VAE = models.vae_blocks([32, 32, 32, 64]) | dict(latent_channels=4, layers_per_block=1, norm_num_groups=32)
UNET = dict(
    sample_size=64,
    layers_per_block=1,
    norm_num_groups=32,
    down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
    cross_attention_dim=64,
)
LINEAR = dict(block_out_channels=[64, 128], attention_head_dim=[1, 2], use_linear_projection=True)
XL = LINEAR | dict(
    down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
    up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"],
    addition_embed_type="text_time",
    addition_time_embed_dim=8,
)
PRUNED = dict(
    layers_per_block=2,
    transformer_layers_per_block=[1, [2, 1]],
    reverse_transformer_layers_per_block=[[1, 3, 2], 1],
    mid_block_type="UNetMidBlock2D",
)
DDIM = models.SD_SCHEDULER | dict(_class_name="DDIMScheduler", clip_sample=False, set_alpha_to_one=False)
PNDM = models.SD_SCHEDULER | dict(
    _class_name="PNDMScheduler", skip_prk_steps=True, set_alpha_to_one=False, clip_sample=False
)
EULER = models.SD_SCHEDULER | dict(
    _class_name="EulerDiscreteScheduler", interpolation_type="linear", timestep_spacing="leading"
)
V = dict(prediction_type="v_prediction")

# Family, U-Net, scheduler, and what the file has besides: the mark of a velocity model.
MODELS = {
    "sd1": ("sd1", UNET | dict(block_out_channels=[32, 64], attention_head_dim=8), PNDM, []),
    "sd1-inpaint": ("sd1", UNET | dict(block_out_channels=[32, 64], attention_head_dim=8, in_channels=9), DDIM, []),
    "sd2-v": ("sd2", UNET | LINEAR, DDIM | V, ["v_pred"]),
    "xl": ("xl", UNET | XL | dict(transformer_layers_per_block=[1, 2], cross_attention_dim=128), EULER, []),
    "refiner": ("refiner", UNET | XL, EULER, []),
    # Pruned as SSD-1B and Vega are: depths that differ from layer to layer, a middle without attention.
    "xl-pruned": ("xl", UNET | XL | PRUNED | dict(cross_attention_dim=128), EULER, []),
    # And as KOALA is: no middle at all.
    "xl-no-middle": (
        "xl",
        UNET | XL | dict(transformer_layers_per_block=[1, 2], mid_block_type=None, cross_attention_dim=128),
        EULER,
        [],
    ),
}


def case(command: str, model: str, **options) -> dict:
    base = {"command": command, "model": model, "prompt": "a red fox in the snow", "negative-prompt": "fog", "seed": 42}
    base |= {"num-inference-steps": 3, "guidance-scale": 5.0}
    if command != "generate":
        base["image"] = "grey.png" if command == "transform" else "square.png"
    if command == "fill":
        base["mask"] = "square-disc.png"
    if command != "transform":
        base |= {"width": 48, "height": 40}
    return base | {key.replace("_", "-"): value for key, value in options.items()}


CASES = {
    "sd1-text": case("generate", "sd1"),
    "sd1-fill4": case("fill", "sd1", strength=0.8, num_inference_steps=4),
    "sd1-fill9": case("fill", "sd1-inpaint"),
    "sd2-text": case("generate", "sd2-v"),
    "xl-text": case("generate", "xl"),
    "refiner-image": case("transform", "refiner", strength=0.6, num_inference_steps=5),
    "xl-pruned-text": case("generate", "xl-pruned"),
    "xl-no-middle-text": case("generate", "xl-no-middle", num_inference_steps=2),
}


def modules(family: str, unet: dict) -> dict:
    """The networks of a model, their numbers by name: those of one kind are alike in all models."""
    xl = family in ("xl", "refiner")
    first = TEXT if family in ("sd1", "xl") else TEXT_2
    parts = {}
    if family != "refiner":
        parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**first))
    if xl:
        parts["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**TEXT_2))
        numbers = 5 if family == "refiner" else 6
        inputs = TEXT_2["projection_dim"] + numbers * unet["addition_time_embed_dim"]
        unet = unet | dict(projection_class_embeddings_input_dim=inputs)
    parts["unet"] = UNet2DConditionModel(**unet)
    parts["vae"] = AutoencoderKL(**VAE, scaling_factor=0.13025 if xl else 0.18215)
    return {part: described.rounded(described.fill(module, part)) for part, module in parts.items()}


def build(name: str, folder: Path) -> tuple[dict, dict]:
    """The model as a folder; its networks, and the tensors of the file that it is converted to."""
    family, unet, scheduler, marks = MODELS[name]
    parts = modules(family, unet)
    generator = torch.Generator().manual_seed(len(name))
    numbers = 5 if family == "refiner" else 6

    def added(count: int) -> dict:
        ids = torch.randint(0, 100, (count, numbers), generator=generator).float()
        return dict(text_embeds=torch.randn(count, TEXT_2["projection_dim"], generator=generator), time_ids=ids)

    prediction = scheduler.get("prediction_type", "epsilon")
    told = added if family in ("xl", "refiner") else lambda count: None
    models.fit_unet_head(parts["unet"], prediction, generator, told)
    models.scale_vae(parts["vae"], torch.Generator().manual_seed(7))
    for part, module in parts.items():
        models.store_component(models.rounded(module, "f16"), folder / part, "f16")
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    flags = dict(force_zeros_for_empty_prompt=family != "refiner", requires_aesthetics_score=family == "refiner")
    (folder / "model_index.json").write_text(json.dumps(flags))
    for part in ("text_encoder", "text_encoder_2"):
        if part in parts:
            second = part == "text_encoder_2" or family == "sd2"
            spec = models.Spec(name, 0, {}, {}, {}, ("", {}), None, pad_token="!" if second else "<|endoftext|>")
            models.make_tokenizer(spec, folder, part.replace("text_encoder", "tokenizer"))
    tensors = single_files.to_original(folder, family)
    single_files.reads_back(tensors, folder, family)
    return parts, tensors | {mark: torch.zeros(0) for mark in marks}


def describe(name: str, family: str, parts: dict, tensors: dict, rows: list) -> list[int]:
    """Adds to the rows those of this model that are not among them, writes NAME.safetensors with what no row makes,
    and gives the places of the model's rows."""
    kept, places = {}, []
    sources = sources_of(family, parts)
    for key, tensor in tensors.items():
        made = sources.get(key)
        if made is None or not torch.equal(put_together(made), tensor):
            kept[key] = tensor.contiguous()
            continue
        how, pieces = made
        row = [key, how, [[seed, *list(row.values())] for seed, row in pieces]]
        if row not in rows:
            rows.append(row)
        places.append(rows.index(row))
    save_file(kept, FIXTURES / f"{name}.safetensors", metadata={"format": "pt"})
    print(f"{name}: {len(places)} tensors described; kept: {sorted(kept)}")
    return places


def put_together(made: tuple) -> torch.Tensor:
    how, pieces = made
    tensor = torch.cat([described.tensor(row, seed) for seed, row in pieces])
    if how == "convolution":
        return tensor[:, :, None, None]
    return tensor.T if how == "transposed" else tensor


def sources_of(family: str, parts: dict) -> dict:
    """For each name of the file, the tensors of the folder: found by converting numbers that say which they are."""
    rows, marks = {}, {}
    for part, module in parts.items():
        for name, parameter in module.named_parameters():
            number = float(len(rows) + 1)
            rows[number] = (part, described.rule(name, parameter))
            marks.setdefault(part, {})[name] = torch.full(parameter.shape, number)
    with tempfile.TemporaryDirectory() as scratch:
        for part, tensors in marks.items():
            folder = Path(scratch) / part
            folder.mkdir()
            save_file(tensors, folder / "model.safetensors")
            config = parts[part].config
            config = config.to_dict() if hasattr(config, "to_dict") else dict(config)
            (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k[0] != "_"}))
        converted = single_files.to_original(Path(scratch), family)
    found = {}
    for key, tensor in converted.items():
        numbers = list(dict.fromkeys(tensor.flatten().tolist())) if tensor.is_floating_point() else []
        if numbers and all(number in rows for number in numbers) and len(numbers) in (1, 3):
            how = "transposed" if key.endswith("text_projection") else "joined"
            if tensor.ndim == 4 and len(rows[numbers[0]][1]["shape"]) == 2:
                how = "convolution"
            found[key] = (how, [rows[number] for number in numbers])
    return found


def write_case(name: str, settings: dict, folder: Path) -> dict:
    result = runner.run(folder, settings, INPUTS)
    clamped = (result.decoded.abs() > 1).float().mean().item()
    spread = result.pictures[0].astype(float).std()
    print(f"{name:16} latents std {result.latents[-1].std():.3f}  clamped {clamped:.1%}  spread {spread:.1f}")
    return store.save_run(FIXTURES / "cases", name, result, settings)


def write_controlnet_names() -> None:
    """For ControlNets of the other fixtures: what each tensor is called in the original, by diffusers' name."""
    found = {}
    for controlnet in ("plain", "xl"):
        folder = make_fixtures.FIXTURES / "controlnets" / controlnet
        config = json.loads((folder / "config.json").read_text())
        rows = json.loads((folder / "weights.json").read_text())["tensors"]
        numbered = {row[0]: torch.full((1,), float(number)) for number, row in enumerate(rows)}
        names = {number.item(): name for name, number in numbered.items()}
        originals = single_files.controlnet(numbered, config)
        found[controlnet] = {names[number.item()]: key for key, number in originals.items()}
    (FIXTURES / "controlnet-names.json").write_text(json.dumps(found, indent=0) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    (FIXTURES / "cases").mkdir(parents=True, exist_ok=True)
    write_controlnet_names()
    cases, rows, places = [], [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (family, *_) in MODELS.items():
            folder = Path(scratch) / name
            parts, tensors = build(name, folder)
            if name == "xl-pruned":
                shutil.copy(folder / "unet/config.json", FIXTURES / f"{name}-unet.json")
            places[name] = describe(name, family, parts, tensors, rows)
            cases += [write_case(case, settings, folder) for case, settings in CASES.items() if settings["model"] == name]
    table = {"provenance": make_fixtures.provenance("single_file_fixtures.py"), "cases": cases}
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    models_of = json.dumps(places, separators=(",", ":"))
    (FIXTURES / "models.json").write_text(f'{{"tensors": [\n{lines}\n],\n"models": {models_of}}}\n')
    (FIXTURES / "cases.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
