"""Fixtures of the parts: noise, tokens, text states, scheduler loops, resizing and blur, autoencoder, UNet."""

import inspect
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import clip_vocabulary
import pictures
import runner
import store

PROMPTS = [
    "",
    " ",
    "a photo of a cat",
    "A Photo OF a CAT",
    "  leading, and   many    spaces  ",
    "tabs\tand\nnewlines\r\nhere",
    "non\u00a0breaking\u2003em\u3000ideographic space",
    "zero\u200bwidth\u200djoiner",
    "don't you'll they're we've I'm he'd it's",
    "DON'T YOU'LL",
    "curly don’t quotes “like” these",
    "rock 'n' roll 's alone 't",
    "1990s 3.14159 2,000,000 8k 4K UHD",
    "x1y2z3",
    "half ½ ² ³ Ⅷ ٣ 三",
    "!",
    "!!!",
    "wow!! great! a fox!",
    "?!?!... --- *** ((())) [[:]]",
    "(masterpiece:1.2), [blurry], {cat|dog}",
    "a_b_c snake_case kebab-case",
    "<|startoftext|>",
    "<|endoftext|>",
    "before <|endoftext|> after",
    "glued<|startoftext|>text",
    "<|STARTOFTEXT|> upper",
    "<|endoftext| broken",
    "<b>html</b> &amp; entities",
    "http://example.org/a?b=c#d",
    "name@example.org",
    "Café naïve façade",
    "Cafe\u0301 decomposed",
    "ÜBER STRASSE straße ẞ",
    "İstanbul ISPARTA ıI",
    "ΣΊΣΥΦΟΣ ὈΔΥΣΣΕΎΣ",
    "ǅ ǆ ﬁ ﬂ ligatures",
    "Привет, мир",
    "你好世界",
    "日本語のテキスト",
    "안녕하세요",
    "नमस्ते दुनिया",
    "مرحبا بالعالم",
    "שלום עולם",
    "สวัสดี",
    "🦊",
    "a 🦊 in the ❄️ snow 👨‍👩‍👧‍👦 🇩🇪",
    "👍🏽 skin tone",
    "½cup tea™ ©2024 №5",
    "\u0000 null \u0007 bell \u001b escape",
    "\ufeffbyte order mark",
    "soft\u00adhyphen",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "zzzzzzzzzz qqqqqqqq xjxjxjxj",
    "'",
    "''''",
    "'s",
    "ca't",
    "l'été d'or",
    "𝔣𝔯𝔞𝔨𝔱𝔲𝔯 𝓼𝓬𝓻𝓲𝓹𝓽",
    "Å Å",
    "a very long walk through the old town at dusk with lanterns " * 9,
    "word " * 75,
    "word " * 76,
    "🦊" * 40,
]


def write_noise(folder: Path) -> dict:
    """Normal draws of torch's CPU generator: (seed, counts drawn one after the other from one generator)."""
    sequences = [
        (0, [5]),
        (0, [16]),
        (0, [17]),
        (1, [1, 1, 1, 2]),
        (7, [5, 3]),
        (7, [3, 16, 4]),
        (7, [4, 40, 2, 33]),
        (42, [256]),
        (42, [24, 31, 32, 15]),
        (4294967295, [20]),
        (4294967296, [20]),
        (123456789012, [16, 7]),
        (18446744073709551615, [18]),
        (2147483648, [1000]),
    ]
    tensors, rows = {}, []
    for index, (seed, counts) in enumerate(sequences):
        wrapped = seed - (1 << 64) if seed >= (1 << 63) else seed
        generator = torch.Generator("cpu").manual_seed(wrapped)
        for call, count in enumerate(counts):
            tensors[f"{index:02}_{call}"] = torch.randn(count, generator=generator)
        rows.append({"seed": str(seed), "counts": counts})
    generator = torch.Generator("cpu").manual_seed(5)
    tensors["f64_small"] = torch.randn(6, generator=generator, dtype=torch.float64)
    tensors["f64_large"] = torch.randn(21, generator=generator, dtype=torch.float64)
    # Over the length at which torch fills in parallel blocks of its own.
    big = torch.randn(100_003, generator=torch.Generator("cpu").manual_seed(11))
    tensors["big_head"], tensors["big_tail"] = big[:32].clone(), big[-32:].clone()
    save_file(tensors, folder / "noise.safetensors")
    return {"sequences": rows, "big": {"seed": 11, "count": 100_003}, "f64": {"seed": 5, "counts": [6, 21]}}


def write_tokens(models: Path) -> dict:
    """Token ids, padded to 77, of every prompt with every tokenizer."""
    result = {}
    for model in ("base-sharded", "inpaint-pndm", "base-v", "inpaint-fp16"):
        tokenizer = runner.load_tokenizer(models / model)
        encoded = tokenizer(PROMPTS, padding="max_length", max_length=77, truncation=True).input_ids
        padding = tokenizer.pad_token_id
        rows = []
        for ids in encoded:
            assert len(ids) == 77
            while len(ids) > 1 and ids[-1] == padding and ids[-2] == padding:
                ids = ids[:-1]
            rows.append(ids)
        result[model] = {"pad": padding, "ids_without_repeated_padding": rows}
    return {"prompts": PROMPTS, "tokenizers": result}


@torch.no_grad()
def write_text(folder: Path, models: Path) -> dict:
    """Last hidden states, and what clip_skip 1 gives, at some positions."""
    prompts = [PROMPTS[2], PROMPTS[45], PROMPTS[61], ""]
    tensors = {}
    for model in ("base-sharded", "inpaint-pndm", "base-v", "inpaint-fp16"):
        parts = runner.load_parts(models / model)
        ids = parts["tokenizer"](
            prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        ).input_ids
        output = parts["text_encoder"](ids, output_hidden_states=True)
        skipped = parts["text_encoder"].final_layer_norm(output.hidden_states[-2])
        tensors[f"{model}.last"] = output.last_hidden_state[:, ::6].contiguous()
        tensors[f"{model}.skip1"] = skipped[:, ::6].contiguous()
    save_file(tensors, folder / "text.safetensors")
    return {"prompts": prompts, "every_position": 6}


SD = dict(
    num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
)


def scheduler_configs() -> list[tuple[str, dict, int]]:
    """(name, config, steps) of every loop."""
    rows = []
    spacings = ("leading", "linspace", "trailing")
    for steps in (4, 7):
        for spacing in spacings:
            for prediction in ("epsilon", "v_prediction"):
                plain = SD | dict(timestep_spacing=spacing, prediction_type=prediction)
                rows += [(name, plain, steps) for name in ("DDIM", "Euler", "EulerAncestral", "Heun")]
                rows += [(name, plain, steps) for name in ("DPMSolverMultistep", "UniPC")]
                rows.append(("PNDM", plain | dict(skip_prk_steps=True), steps))
        rows.append(("LCM", SD, steps))
        rows.append(("LCM", SD | dict(prediction_type="v_prediction", original_inference_steps=100), steps))
        rows.append(("PNDM", SD, steps))
        rows.append(("PNDM", SD | dict(skip_prk_steps=True, set_alpha_to_one=True), steps))
        for beta in ("linear", "squaredcos_cap_v2"):
            rows.append(("DDIM", SD | dict(beta_schedule=beta), steps))
            rows.append(("Euler", SD | dict(beta_schedule=beta) if beta == "linear" else SD, steps))
        for karras in ("Euler", "Heun", "DPMSolverMultistep", "UniPC"):
            rows.append((karras, SD | dict(use_karras_sigmas=True), steps))
            rows.append((karras, SD | dict(use_karras_sigmas=True, prediction_type="v_prediction"), steps))
        for more in (
            dict(solver_order=1),
            dict(solver_order=3),
            dict(solver_order=3, lower_order_final=False),
            dict(solver_type="heun"),
            dict(algorithm_type="dpmsolver", final_sigmas_type="sigma_min"),
            dict(final_sigmas_type="sigma_min"),
            dict(algorithm_type="sde-dpmsolver++"),
            dict(euler_at_final=True),
            dict(use_lu_lambdas=True),
            dict(lambda_min_clipped=-5.1),
            dict(prediction_type="sample"),
        ):
            rows.append(("DPMSolverMultistep", SD | more, steps))
        for more in (
            dict(solver_type="bh1"),
            dict(solver_order=3),
            dict(solver_order=1),
            dict(predict_x0=False),
            dict(lower_order_final=False),
            dict(disable_corrector=[0, 1]),
            dict(final_sigmas_type="sigma_min"),
            dict(prediction_type="sample"),
        ):
            rows.append(("UniPC", SD | more, steps))
        for more in (
            dict(set_alpha_to_one=False),
            dict(clip_sample=True, clip_sample_range=1.5),
            dict(clip_sample=False, thresholding=True, sample_max_value=2.0, dynamic_thresholding_ratio=0.9),
            dict(clip_sample=False, rescale_betas_zero_snr=True, timestep_spacing="trailing"),
            dict(clip_sample=False, prediction_type="sample"),
            dict(steps_offset=0),
        ):
            rows.append(("DDIM", SD | more, steps))
        rows.append(("Euler", SD | dict(interpolation_type="log_linear"), steps))
        rows.append(("Euler", SD | dict(final_sigmas_type="sigma_min"), steps))
        rows.append(("Euler", SD | dict(rescale_betas_zero_snr=True, timestep_spacing="trailing"), steps))
        rows.append(("Euler", SD | dict(timestep_type="continuous", prediction_type="v_prediction"), steps))
    for name in ("DPMSolverMultistep", "UniPC", "Euler", "DDIM", "Heun", "EulerAncestral", "LCM"):
        rows.append((name, SD, 20))
    rows += [(name, SD, 1) for name in ("DPMSolverMultistep", "UniPC", "Euler", "DDIM", "LCM", "Heun")]
    # Kept last, so that the numbers of the others do not move: the less used classes.
    for name in ("DPMSolverSinglestep", "KDPM2", "KDPM2Ancestral", "LMS", "DEIS", "DDPM", "TCD"):
        rows.append((name, SD, 6))
    return rows


def fake_model(scaled: torch.Tensor, index: int) -> torch.Tensor:
    """The stand-in for a network: depends on its input and on the step."""
    return torch.sin(2 * scaled + 0.3 * index) * 0.8 + 0.1 * scaled


def write_schedulers(folder: Path) -> list:
    """Loops over each scheduler: its tables, and the sample after every step."""
    return write_loops(folder / "schedulers.safetensors", scheduler_configs())


def write_loops(file: Path, configs: list[tuple[str, dict, int]]) -> list:
    """The loops of `configs`: samples into the file, everything else into the rows that come back."""
    tensors, rows, seen = {}, [], set()
    for name, config, steps in configs:
        key = json.dumps([name, config, steps], sort_keys=True)
        if key in seen:
            continue
        seen.add(key)
        cls = runner.scheduler_class(name)
        begins = [0, 2] if steps == 7 and "Karras" not in name else [0]
        for begin in begins:
            scheduler = cls.from_config(config)
            scheduler.set_timesteps(steps)
            generator = torch.Generator("cpu").manual_seed(900 + len(rows))
            noise = torch.randn(1, 4, 3, 4, generator=generator)
            start = begin * scheduler.order
            timesteps = scheduler.timesteps[start:]
            if hasattr(scheduler, "set_begin_index"):
                scheduler.set_begin_index(start)
            sample = noise * scheduler.init_noise_sigma
            if begin:
                clean = torch.randn(1, 4, 3, 4, generator=generator)
                sample = scheduler.add_noise(clean, noise, timesteps[:1])
            label = f"{len(rows):03}"
            states = [sample]
            accepts = inspect.signature(scheduler.step).parameters
            extra = {"generator": generator} if "generator" in accepts else {}
            if "eta" in accepts:
                extra["eta"] = 0.6 if name == "DDIM" and steps == 7 else (0.3 if name == "TCD" else 0.0)
            for index, timestep in enumerate(timesteps):
                scaled = scheduler.scale_model_input(sample, timestep)
                sample = scheduler.step(fake_model(scaled, index), timestep, sample, **extra).prev_sample
                states.append(sample)
            tensors[label] = torch.stack([states[1 + index] for index in store.looked_at(len(timesteps))]).float()
            row = {
                "scheduler": name,
                # The rest is `scheduler_base`.
                "config": {key: value for key, value in config.items() if SD.get(key) != value},
                "steps": steps,
                "begin": begin,
                "seed": 900 + len(rows),
                "eta": extra.get("eta", 0.0),
                "order": scheduler.order,
                "init_noise_sigma": float(scheduler.init_noise_sigma),
                "timesteps": [float(t) for t in scheduler.timesteps],
            }
            if not torch.isfinite(tensors[label]).all():
                print("not finite, left out:", name, config, steps, begin)
                del tensors[label]
                continue
            rows.append(row)
    save_file(tensors, file)
    return rows


def write_networks(folder: Path, models: Path) -> dict:
    """Moments, decoded pictures and UNet outputs of every model, on stored inputs."""
    tensors, rows = {}, []
    generator = torch.Generator("cpu").manual_seed(77)
    picture = torch.from_numpy(np.array(pictures.picture(48, 32, 30))).permute(2, 0, 1)[None] / 127.5 - 1
    tensors["picture"] = picture.float().contiguous()
    for model in ("base-sharded", "inpaint-pndm", "base-v", "inpaint-fp16"):
        parts = runner.load_parts(models / model)
        vae, unet = parts["vae"], parts["unet"]
        tensors[f"{model}.moments"] = vae.encode(tensors["picture"]).latent_dist.parameters
        latents = torch.randn(1, 4, 5, 6, generator=generator) / vae.config.scaling_factor
        tensors[f"{model}.latents"] = latents
        tensors[f"{model}.decoded"] = vae.decode(latents).sample
        sample = torch.randn(2, unet.config.in_channels, 6, 9, generator=generator)
        text = torch.randn(2, 77, unet.config.cross_attention_dim, generator=generator)
        tensors[f"{model}.sample"], tensors[f"{model}.text"] = sample, text
        for index, timestep in enumerate((1.0, 500.0, 999.0, 317.4375)):
            tensors[f"{model}.unet_{index}"] = unet(sample, torch.tensor(timestep), text).sample
        rows.append(model)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "networks.safetensors")
    return {"models": rows, "timesteps": [1.0, 500.0, 999.0, 317.4375]}


def write_all(folder: Path, models: Path, provenance: dict) -> None:
    """Every unit fixture, with one index of what is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {
        "provenance": provenance,
        "vocabulary_size": len(clip_vocabulary.vocabulary(clip_vocabulary.merges())),
        "noise": write_noise(folder),
        "tokens": write_tokens(models),
        "text": write_text(folder, models),
        "scheduler_base": SD,
        "schedulers": write_schedulers(folder),
        "networks": write_networks(folder, models),
    }
    (folder / "units.json").write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")) + "\n")
