"""Writes the trained parts as a diffusers folder (half precision safetensors)."""
import argparse
import json
import os

import torch
from diffusers import DDIMScheduler

import autoencoder as ae
import tokenizer as tok
import train_unet

SOFTER = 0.4  # deviations less roughness for the decoder, which otherwise weaves where luma is even
RECOMMENDED = {"steps": 2, "guidance_scale": 2.5, "size": 256}


def scheduler():
    return DDIMScheduler(
        num_train_timesteps=1000, **train_unet.BETAS, prediction_type="v_prediction",
        clip_sample=False, set_alpha_to_one=True,
        timestep_spacing="trailing", steps_offset=1)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("work", help="folder with decoder.pt and unet.pt")
    p.add_argument("out")
    p.add_argument("--half", type=int, default=1)
    a = p.parse_args()
    join = lambda *x: os.path.join(a.out, *x)
    dtype = torch.float16 if a.half else torch.float32

    vae = ae.new_vae()
    ae.build_encoder(vae)
    vae.decoder.load_state_dict(torch.load(os.path.join(a.work, "decoder.pt"))["ema"])
    with torch.no_grad():
        vae.post_quant_conv.bias -= SOFTER * vae.post_quant_conv.weight[:, 3, 0, 0]
    vae.to(dtype).save_pretrained(join("vae"))

    s = torch.load(os.path.join(a.work, "unet.pt"))
    unet = train_unet.new_unet(tuple(map(int, s["channels"].split(","))), tuple(map(int, s["heads"].split(","))))
    vocab = tok.write(join("tokenizer"))
    text = train_unet.new_text(vocab)
    params = [p for m in (unet, text) for p in m.parameters()]
    with torch.no_grad():
        for q, e in zip(params, s["ema"]):
            q.copy_(e)
    unet.to(dtype).save_pretrained(join("unet"))
    text.to(dtype).save_pretrained(join("text_encoder"))
    path = join("text_encoder", "config.json")
    with open(path) as f:
        config = json.load(f) | {"dtype": "float32"}  # so that loading without a dtype is float32 throughout
    with open(path, "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")
    scheduler().save_pretrained(join("scheduler"))
    path = join("scheduler", "scheduler_config.json")
    with open(path) as f:
        config = {k: v for k, v in json.load(f).items() if k != "lambda_min_clipped"}  # -Infinity is no JSON
    with open(path, "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")

    with open(join("model_index.json"), "w") as f:
        json.dump({
            "_class_name": "StableDiffusionInpaintPipeline", "_diffusers_version": "0.42.1",
            "feature_extractor": [None, None], "image_encoder": [None, None],
            "requires_safety_checker": False, "safety_checker": [None, None],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}, f, indent=2)
        f.write("\n")
    with open(join("overpaint.json"), "w") as f:
        json.dump({"name": "Starter", "recommended": RECOMMENDED}, f, indent=2)
        f.write("\n")
    total = 0
    for d, _, names in os.walk(a.out):
        for n in names:
            total += os.path.getsize(os.path.join(d, n))
    print(f"step {s['step']}, {s['seen']} samples; {total / 1e6:.1f} MB in {a.out}")


if __name__ == "__main__":
    main()
