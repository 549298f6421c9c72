"""A sheet of fills made with diffusers, to look at while training.

Rows are photographs kept aside; columns: masked, original, decoded original, then
one fill per prompt or setting.
"""
import argparse
import warnings

import cv2
import numpy as np
import torch
from PIL import Image
from diffusers import StableDiffusionInpaintPipeline

import data

warnings.filterwarnings("ignore")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("photos")
    p.add_argument("out")
    p.add_argument("--count", type=int, default=8)
    p.add_argument("--first", type=int, default=0)
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--steps", type=int, default=12)
    p.add_argument("--guidance", default="1")
    p.add_argument("--prompts", default="", help="separated by |")
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--schedulers", default="")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    import diffusers
    pipe = StableDiffusionInpaintPipeline.from_pretrained(a.model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    base = pipe.scheduler.config
    rows = []
    names = data.held_out()[a.first::a.every][:a.count]
    for i, (n, photo) in enumerate(zip(names, data.load(a.photos, names))):
        h, w = photo.shape[:2]
        s = min(h, w)
        photo = photo[(h - s) // 2:(h + s) // 2, (w - s) // 2:(w + s) // 2][:s, :s]
        x = cv2.resize(photo, (a.size, a.size), interpolation=cv2.INTER_AREA)
        m = data.mask(a.size, np.random.default_rng(100 + i + a.first), full=0, low=0.1, high=0.4)
        im, mk = Image.fromarray(x), Image.fromarray(m * 255)
        t = torch.from_numpy(x).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            dec = pipe.vae.decode(pipe.vae.encode(t).latent_dist.mode()).sample
        dec = ((dec[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).numpy().astype(np.uint8)
        cells = [np.where(m[..., None] > 0, 127, x).astype(np.uint8), x, dec]
        for sch in a.schedulers.split("|"):
            steps, strength, start = a.steps, 1.0, ""
            if sch:
                cls, *extra = sch.split(":")
                kw = dict(e.split("=") for e in extra)
                steps = int(kw.pop("steps", a.steps))
                strength = float(kw.pop("strength", 1.0))
                start = kw.pop("start", "")
                kw = {k: (v == "true") if v in ("true", "false") else v for k, v in kw.items()}
                pipe.scheduler = getattr(diffusers, cls).from_config(base, **kw)
            for prompt in a.prompts.split("|"):
                for g in map(float, a.guidance.split(",")):
                    for seed in range(a.seeds):
                        first = Image.fromarray(cv2.inpaint(x, m, 5, cv2.INPAINT_TELEA)) if start else im
                        y = pipe(prompt, image=first, strength=strength, mask_image=mk, height=a.size, width=a.size,
                                 num_inference_steps=steps, guidance_scale=g,
                                 generator=torch.Generator().manual_seed(seed)).images[0]
                        cells.append(np.where(m[..., None] > 0, np.asarray(y), x))
        rows.append(np.concatenate(cells, 1))
    Image.fromarray(np.concatenate(rows)).save(a.out)


if __name__ == "__main__":
    main()
