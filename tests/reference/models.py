"""Small random models in the diffusers folder layout, made sensitive enough for a comparison to mean something.

A network with default random weights answers almost the same to everything.  Here attention is sharpened, norms are
made uneven, and the last layer of the UNet is fitted (ridge regression on its own features) to predict what its
scheduler asks for, so that latents stay near unit scale and the picture stays mid-range.
`MODELS` names the ones that the fixtures use; `random_spec` invents others for the holdout.
"""

import json
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers import schedulers as scheduler_classes
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate, unfold
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import clip_vocabulary

CLIP_VOCABULARY_SIZE = 49408


@dataclass
class Spec:
    """Everything a model folder is made from."""

    name: str
    seed: int
    unet: dict
    vae: dict
    text: dict
    scheduler: tuple[str, dict]
    merges: int | None = 500  # None: the whole CLIP vocabulary, and no tokenizer folder
    tokenizer: str = "files"  # files: vocab.json + merges.txt; json: tokenizer.json; none: embedded in the app
    pad_token: str = "<|endoftext|>"
    store: dict = field(default_factory=dict)  # component -> f32 | f16 | bf16 | fp16-variant | sharded
    old_vae_names: bool = False
    text_prefix: bool = False
    words_in_f8: bool = False


BASE_UNET = dict(
    sample_size=8,
    in_channels=4,
    out_channels=4,
    block_out_channels=[16, 32],
    down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
    layers_per_block=1,
    attention_head_dim=4,
    norm_num_groups=8,
    cross_attention_dim=16,
)
BASE_VAE = dict(
    block_out_channels=[8, 8, 16, 16],
    down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4,
    latent_channels=4,
    layers_per_block=1,
    norm_num_groups=4,
    sample_size=64,
    scaling_factor=0.18215,
)
BASE_TEXT = dict(
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=3,
    num_attention_heads=2,
    max_position_embeddings=77,
    hidden_act="quick_gelu",
    projection_dim=16,
)
SD_SCHEDULER = dict(
    num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
)


def vae_blocks(channels: list[int]) -> dict:
    """The block lists of an autoencoder with these widths."""
    return dict(
        block_out_channels=channels,
        down_block_types=["DownEncoderBlock2D"] * len(channels),
        up_block_types=["UpDecoderBlock2D"] * len(channels),
    )


MODELS = [
    # The shape of stable-diffusion-inpainting: nine channels, PNDM, vocab.json + merges.txt.
    Spec(
        name="inpaint-pndm",
        seed=101,
        unet=BASE_UNET | dict(in_channels=9, layers_per_block=2, block_out_channels=[16, 24]),
        vae=BASE_VAE,
        text=BASE_TEXT,
        scheduler=("PNDMScheduler", SD_SCHEDULER | dict(skip_prk_steps=True, set_alpha_to_one=False)),
        store=dict(unet="f16", vae="f16", text_encoder="f16"),
        text_prefix=True,
    ),
    # Everything else than usual: three levels, lists, linear projections, v-prediction, bf16, factor 4.
    Spec(
        name="base-v",
        seed=202,
        unet=BASE_UNET
        | dict(
            sample_size=16,
            block_out_channels=[8, 16, 16],
            down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
            up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
            layers_per_block=[1, 2, 1],
            attention_head_dim=[2, 4, 1],
            transformer_layers_per_block=[1, 2, 1],
            only_cross_attention=[False, True, False],
            norm_num_groups=4,
            norm_eps=1e-6,
            cross_attention_dim=24,
            use_linear_projection=True,
            upcast_attention=True,
            flip_sin_to_cos=False,
            freq_shift=1,
            center_input_sample=True,
            act_fn="gelu",
        ),
        vae=BASE_VAE
        | vae_blocks([8, 16, 16])
        | dict(
            scaling_factor=0.5,
            use_quant_conv=False,
            use_post_quant_conv=False,
            mid_block_add_attention=False,
            layers_per_block=2,
            norm_num_groups=8,
        ),
        text=BASE_TEXT | dict(hidden_size=24, num_attention_heads=3, hidden_act="gelu", num_hidden_layers=4),
        scheduler=("DDIMScheduler", SD_SCHEDULER | dict(prediction_type="v_prediction", set_alpha_to_one=False)),
        merges=800,
        tokenizer="json",
        pad_token="!",
        store=dict(unet="bf16", vae="bf16", text_encoder="bf16"),
    ),
    # Four channels, plain; the whole CLIP vocabulary, no tokenizer folder; old attention names; sharded weights.
    Spec(
        name="base-sharded",
        seed=303,
        unet=BASE_UNET | dict(cross_attention_dim=8, attention_head_dim=8, block_out_channels=[16, 16]),
        vae=BASE_VAE | dict(block_out_channels=[8, 8, 8, 16]),
        text=BASE_TEXT | dict(hidden_size=8, num_hidden_layers=2, eos_token_id=2),
        scheduler=("EulerDiscreteScheduler", SD_SCHEDULER | dict(timestep_spacing="leading")),
        merges=None,
        tokenizer="none",
        store=dict(unet="sharded", vae="f16", text_encoder="f16"),
        old_vae_names=True,
        words_in_f8=True,
    ),
    # Nine channels again, other widths, an autoencoder of factor 4 with force_upcast, .fp16. files only.
    Spec(
        name="inpaint-fp16",
        seed=404,
        unet=BASE_UNET
        | dict(
            in_channels=9,
            sample_size=24,
            block_out_channels=[8, 24, 16],
            down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
            up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
            attention_head_dim=[2, 3, 4],
            cross_attention_dim=12,
        ),
        vae=BASE_VAE | vae_blocks([8, 16, 16]) | dict(scaling_factor=0.3, force_upcast=True, norm_num_groups=2),
        text=BASE_TEXT | dict(hidden_size=12, num_attention_heads=3, num_hidden_layers=2),
        scheduler=("DDIMScheduler", SD_SCHEDULER | dict(clip_sample=False, steps_offset=0)),
        merges=300,
        store=dict(unet="fp16-variant", vae="fp16-variant", text_encoder="fp16-variant"),
    ),
]


def random_spec(seed: int) -> Spec:
    """A model nobody has seen: every choice that a configuration file allows is drawn anew."""
    rng = random.Random(seed)
    levels = rng.choice([2, 2, 3])
    groups = rng.choice([2, 4])
    crossed = [rng.random() < 0.7 for _ in range(levels)]
    crossed[rng.randrange(levels)] = True
    heads = [rng.choice([1, 2, 4]) for _ in range(levels)]
    channels = [8 * rng.choice([1, 2, 3, 4]) for _ in range(levels)]
    hidden = rng.choice([8, 12, 16, 24])
    down = ["CrossAttnDownBlock2D" if cross else "DownBlock2D" for cross in crossed]
    up = ["CrossAttnUpBlock2D" if cross else "UpBlock2D" for cross in reversed(crossed)]
    prediction = rng.choice(["epsilon", "epsilon", "v_prediction"])
    family = rng.choice(["PNDMScheduler", "DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"])
    factor_levels = rng.choice([3, 4])
    vae_channels = [8 * rng.choice([1, 2]) for _ in range(factor_levels)]
    same_heads = rng.random() < 0.5
    dtype = rng.choice(["f32", "f16", "bf16", "fp16-variant", "sharded"])
    return Spec(
        name=f"holdout-{seed}",
        seed=seed,
        unet=dict(
            sample_size=rng.choice([8, 16]),
            in_channels=rng.choice([4, 9]),
            out_channels=4,
            block_out_channels=channels,
            down_block_types=down,
            up_block_types=up,
            layers_per_block=rng.choice([1, 2, [rng.choice([1, 2]) for _ in range(levels)]]),
            attention_head_dim=heads[0] if same_heads else heads,
            transformer_layers_per_block=rng.choice([1, [rng.choice([1, 2]) for _ in range(levels)]]),
            only_cross_attention=rng.choice([False, [rng.random() < 0.5 for _ in range(levels)]]),
            norm_num_groups=groups,
            norm_eps=rng.choice([1e-5, 1e-6]),
            cross_attention_dim=hidden,
            use_linear_projection=rng.random() < 0.5,
            upcast_attention=rng.random() < 0.3,
            flip_sin_to_cos=rng.random() < 0.7,
            freq_shift=rng.choice([0, 0, 1]),
            center_input_sample=rng.random() < 0.2,
            act_fn=rng.choice(["silu", "silu", "gelu", "mish", "relu"]),
        ),
        vae=BASE_VAE
        | vae_blocks(vae_channels)
        | dict(
            layers_per_block=rng.choice([1, 2]),
            norm_num_groups=rng.choice([2, 4, 8]),
            scaling_factor=rng.choice([0.18215, 0.13025, 0.7]),
            mid_block_add_attention=rng.random() < 0.8,
            use_quant_conv=rng.random() < 0.8,
            use_post_quant_conv=rng.random() < 0.8,
        ),
        text=BASE_TEXT
        | dict(
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_attention_heads=rng.choice([1, 2, 4]),
            num_hidden_layers=rng.choice([2, 3, 4]),
            hidden_act=rng.choice(["quick_gelu", "gelu"]),
        ),
        scheduler=(family, SD_SCHEDULER | dict(prediction_type=prediction)),
        merges=rng.choice([200, 600, None]),
        tokenizer="files",
        pad_token=rng.choice(["<|endoftext|>", "!"]),
        store=dict(unet=dtype, vae=dtype, text_encoder=dtype if dtype != "sharded" else "f32"),
        old_vae_names=rng.random() < 0.3 and dtype not in ("fp16-variant", "sharded"),
        text_prefix=rng.random() < 0.5 and dtype in ("f32", "f16", "bf16"),
    )


def randomise(module: torch.nn.Module, generator: torch.Generator) -> None:
    """Uneven norms, biases that count, attention that looks at some places more than at others."""

    def normal(parameter: torch.Tensor, deviation: float, mean: float = 0.0) -> None:
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation + mean)

    sharp = ("to_q.weight", "to_k.weight", "q_proj.weight", "k_proj.weight")
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim == 1:
                normal(parameter, 0.25, 1.0 if "norm" in name and name.endswith("weight") else 0.0)
            elif "token_embedding" in name:
                # Few distinct values: half a megabyte of vocabulary then compresses well.
                drawn = torch.randint(0, 4, parameter.shape, generator=generator).float()
                parameter.copy_((drawn - 1.5) * 0.75)
            elif "position_embedding" in name:
                normal(parameter, 0.4)
            else:
                normal(parameter, (1.8 if name.endswith(sharp) else 1.0) / parameter[0].numel() ** 0.5)


def rounded(module: torch.nn.Module, store: str) -> torch.nn.Module:
    """The module in f32, its weights exactly representable in the type it will be stored in."""
    dtype = torch.bfloat16 if store == "bf16" else torch.float16
    return module.to(dtype).float().eval()


def smooth_latents(count: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """Latents with structure at two scales, about unit deviation."""
    coarse = torch.randn(count, 4, max(size // 4, 1), max(size // 4, 1), generator=generator)
    fine = torch.randn(count, 4, size, size, generator=generator)
    return 0.9 * interpolate(coarse, size=(size, size), mode="bilinear") + 0.5 * fine


@torch.no_grad()
def fit_unet_head(
    unet: UNet2DConditionModel, prediction: str, generator: torch.Generator, added=lambda count: None
) -> None:
    """Least squares for conv_out, so that the UNet predicts `prediction` for noisy smooth latents.

    `added` gives the added conditions for so many entries.
    """
    count, size = 96, 16
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    alphas = torch.cumprod(1 - betas, 0)
    clean, noise = smooth_latents(count, size, generator), torch.randn(count, 4, size, size, generator=generator)
    late = torch.randint(700, 1000, (count,), generator=generator)
    steps = torch.where(torch.arange(count) % 2 == 0, late, torch.randint(1, 1000, (count,), generator=generator))
    signal = alphas[steps].sqrt().view(-1, 1, 1, 1)
    sigma = (1 - alphas[steps]).sqrt().view(-1, 1, 1, 1)
    noisy = signal * clean + sigma * noise
    target = {"epsilon": noise, "v_prediction": signal * noise - sigma * clean, "sample": clean}[prediction]
    if unet.config.in_channels == 9:
        mask = (torch.rand(count, 1, size, size, generator=generator) < 0.5).float()
        noisy = torch.cat([noisy, mask, clean * (1 - mask)], 1)
    text = torch.randn(count, 77, unet.config.cross_attention_dim, generator=generator)

    features = []
    hook = unet.conv_out.register_forward_pre_hook(lambda _module, inputs: features.append(inputs[0]))
    unet(noisy, steps, text, added_cond_kwargs=added(count))
    hook.remove()
    columns = unfold(features[0], 3, padding=1).transpose(1, 2).reshape(-1, features[0].shape[1] * 9)
    columns = torch.cat([columns, torch.ones(len(columns), 1)], 1).double()
    wanted = target.permute(0, 2, 3, 1).reshape(-1, 4).double()
    gram = columns.T @ columns + 1e-3 * len(columns) * torch.eye(columns.shape[1], dtype=torch.double)
    fitted = torch.linalg.solve(gram, columns.T @ wanted)
    weight = fitted[:-1].T.reshape(unet.conv_out.weight.shape).float()
    wobble = torch.randn(weight.shape, generator=generator) * weight.std() * 0.05
    unet.conv_out.weight.copy_(weight + wobble)
    unet.conv_out.bias.copy_(fitted[-1].float())


@torch.no_grad()
def scale_vae(vae: AutoencoderKL, generator: torch.Generator) -> None:
    """Posterior means of unit deviation after scaling, a variance that matters, decoded pictures in mid-range."""
    wide = torch.randn(4, 3, 64, 64, generator=generator)
    picture = interpolate(torch.randn(4, 3, 8, 8, generator=generator), size=(64, 64), mode="bilinear") + 0.2 * wide
    last = vae.quant_conv if vae.config.use_quant_conv else vae.encoder.conv_out
    moments = vae.encode(picture.clamp(-1, 1)).latent_dist.parameters
    spread = moments.std((0, 2, 3))
    centre = moments.mean((0, 2, 3))
    gain = torch.ones(8)
    gain[:4] = 1.0 / (spread[:4] * vae.config.scaling_factor)
    gain[4:] = 0.8 / spread[4:]
    wished = torch.zeros(8)
    wished[4:] = -2.0 - 2.0 * torch.log(torch.tensor(vae.config.scaling_factor))
    last.weight.mul_(gain.view(-1, 1, 1, 1))
    last.bias.copy_((last.bias - centre) * gain + wished)

    latents = smooth_latents(4, 16, generator) / vae.config.scaling_factor
    decoded = vae.decode(latents).sample
    gain = 0.42 / decoded.std((0, 2, 3))
    vae.decoder.conv_out.weight.mul_(gain.view(-1, 1, 1, 1))
    vae.decoder.conv_out.bias.copy_((vae.decoder.conv_out.bias - decoded.mean((0, 2, 3))) * gain)


def make_tokenizer(spec: Spec, folder: Path, part: str = "tokenizer") -> CLIPTokenizer:
    """The tokenizer of this model; its files in the form that the specification asks for."""
    merge_list = clip_vocabulary.merges(spec.merges)
    source = folder / part
    clip_vocabulary.write_files(source, merge_list)
    tokenizer = CLIPTokenizer(
        vocab=str(source / "vocab.json"),
        merges=str(source / "merges.txt"),
        model_max_length=77,
        pad_token=spec.pad_token,
    )
    if spec.tokenizer == "files":
        settings = dict(
            tokenizer_class="CLIPTokenizer",
            model_max_length=77,
            bos_token=clip_vocabulary.START,
            eos_token=clip_vocabulary.END,
            unk_token=clip_vocabulary.END,
            pad_token=spec.pad_token,
            do_lower_case=True,
        )
        (source / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    else:
        shutil.rmtree(source)
        if spec.tokenizer == "json":
            tokenizer.save_pretrained(source)
    return tokenizer


def store_component(module: torch.nn.Module, folder: Path, store: str) -> None:
    """save_pretrained in the storage form asked for."""
    dtype = {"f16": torch.float16, "fp16-variant": torch.float16, "bf16": torch.bfloat16}.get(store, torch.float32)
    options = {}
    if store == "fp16-variant":
        options["variant"] = "fp16"
    if store == "sharded":
        options["max_shard_size"] = "60KB"
    module.to(dtype).save_pretrained(folder, safe_serialization=True, **options)
    module.float()


def rename_weights(file: Path, rename) -> None:
    """Rewrites a safetensors file with `rename(name, tensor)` giving the new name and tensor."""
    tensors = dict(rename(name, tensor) for name, tensor in load_file(file).items())
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file, metadata={"format": "pt"})


def old_attention_name(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
    """As autoencoders of 2022 name their attention; the value and output weights as 1x1 convolutions."""
    if ".attentions." not in name:
        return name, tensor
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        name = name.replace(f".{new}.", f".{old}.")
    return name, tensor


def words_in_f8(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
    """The vocabulary, whose few values eight bits hold, in a quarter of the room."""
    return name, tensor.to(torch.float8_e4m3fn) if "token_embedding" in name else tensor


def build(spec: Spec, folder: Path) -> Path:
    """Writes the model folder, afresh, and returns it."""
    torch.manual_seed(spec.seed)
    generator = torch.Generator().manual_seed(spec.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    tokenizer = make_tokenizer(spec, folder)
    pad = tokenizer.pad_token_id
    end = tokenizer.eos_token_id
    text_options = dict(vocab_size=len(tokenizer), bos_token_id=end - 1, eos_token_id=end, pad_token_id=pad)
    text = CLIPTextModel(CLIPTextConfig(**(text_options | spec.text)))
    unet = UNet2DConditionModel(**spec.unet)
    vae = AutoencoderKL(**spec.vae)
    for module in (text, unet, vae):
        randomise(module, generator)
        module.eval()
    class_name, settings = spec.scheduler
    scheduler = getattr(scheduler_classes, class_name)(**settings)
    fit_unet_head(unet, settings.get("prediction_type", "epsilon"), generator)
    scale_vae(vae, generator)

    modules = dict(unet=unet, vae=vae, text_encoder=text)
    for part, module in modules.items():
        store = spec.store.get(part, "f16")
        store_component(rounded(module, store), folder / part, store)
    # The scheduler's file holds what a person would have written, so that defaults stay defaults.
    (folder / "scheduler").mkdir()
    config = {"_class_name": class_name, "_diffusers_version": "0.6.0"} | settings
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config, indent=2) + "\n")
    if spec.old_vae_names:
        rename_weights(folder / "vae" / "diffusion_pytorch_model.safetensors", old_attention_name)
    text_file = folder / "text_encoder" / "model.safetensors"
    if text_file.exists():
        rename_weights(text_file, lambda name, tensor: (prefixed(name, spec.text_prefix), tensor))
    if spec.text_prefix:
        tensors = load_file(text_file)
        tensors["text_model.embeddings.position_ids"] = torch.arange(77).view(1, 77)
        save_file(tensors, text_file, metadata={"format": "pt"})
    if spec.words_in_f8:
        rename_weights(text_file, words_in_f8)
    index = dict(
        _class_name="StableDiffusionInpaintPipeline" if spec.unet["in_channels"] == 9 else "StableDiffusionPipeline",
        _diffusers_version="0.42.1",
        scheduler=["diffusers", type(scheduler).__name__],
        text_encoder=["transformers", "CLIPTextModel"],
        tokenizer=["transformers", "CLIPTokenizer"],
        unet=["diffusers", "UNet2DConditionModel"],
        vae=["diffusers", "AutoencoderKL"],
        safety_checker=[None, None],
        feature_extractor=[None, None],
        requires_safety_checker=False,
    )
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return folder


def prefixed(name: str, wanted: bool) -> str:
    """A text encoder's tensor name with or without `text_model.`."""
    bare = name.removeprefix("text_model.")
    return f"text_model.{bare}" if wanted else bare
