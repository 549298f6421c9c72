"""Compares schedulers, step counts and prompts' effect on photographs kept aside.

Prints markdown: PSNR and gradient-histogram distance inside the hole without a prompt
(see gate/evaluate.py), then how far each of three prompts moves the hole's mean colour.
"""
import argparse
import os
import sys
import warnings

import numpy as np
import torch
from PIL import Image

warnings.filterwarnings("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gate"))
import data  # noqa: E402
import evaluate  # noqa: E402

TRIES = [("DDIM", 1), ("DDIM", 2), ("DDIM", 3), ("DDIM", 4), ("DDIM", 8), ("DPMSolverMultistep", 4),
         ("DPMSolverMultistep", 8), ("UniPCMultistep", 4), ("EulerDiscrete", 4), ("EulerAncestralDiscrete", 4)]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("model")
    p.add_argument("photos")
    p.add_argument("--size", type=int, default=256)
    p.add_argument("--every", type=int, default=2)
    p.add_argument("--tries", default="")
    p.add_argument("--threads", type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    import diffusers
    pipe = diffusers.StableDiffusionInpaintPipeline.from_pretrained(a.model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    base = pipe.scheduler.config
    names = data.held_out()[::a.every]
    items = [evaluate.prepare(photo, a.size, i) for i, photo in enumerate(data.load(a.photos, names))]

    def fill(img, hole, prompt, steps, guidance, seed=0):
        y = pipe(prompt, image=Image.fromarray(img), mask_image=Image.fromarray(hole * 255), height=a.size,
                 width=a.size, num_inference_steps=steps, guidance_scale=guidance, strength=1.0,
                 generator=torch.Generator().manual_seed(seed)).images[0]
        return np.where(hole[..., None] > 0, np.asarray(y), img)

    def use(name):
        extra = {"clip_sample": False} if name == "DDIM" else {}
        pipe.scheduler = getattr(diffusers, name + "Scheduler").from_config(base, **extra)

    tries = [(t.split(":")[0], int(t.split(":")[1])) for t in a.tries.split(",") if t] or TRIES
    print("| scheduler | steps | PSNR in the hole (dB) | gradient-histogram distance |\n|---|---|---|---|", flush=True)
    for name, steps in tries:
        use(name)
        s = np.array([evaluate.scores(fill(i, h, "", steps, 1.0), i, h > 0) for i, h in items])
        print(f"| {name} | {steps} | {s[:, 0].mean():.2f} | {s[:, 1].mean():.3f} |", flush=True)

    print("\n| prompt | guidance | mean R, G, B in the hole |\n|---|---|---|")
    use("DDIM")
    for guidance in (1.0, 2.0, 3.0, 5.0):
        for prompt in ("", "blue sky", "green grass", "golden sand"):
            m = np.mean([fill(i, h, prompt, 4, guidance)[h > 0].mean(0) for i, h in items[::3]], 0)
            print(f"| {prompt or '(none)'} | {guidance} | {m[0]:.0f}, {m[1]:.0f}, {m[2]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
