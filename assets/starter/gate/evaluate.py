"""Compares ways of filling a hole on the 48 photographs kept aside from training.

    python evaluate.py PHOTOS OUT --overpaint target/release/overpaint [--model assets/starter]
    python evaluate.py PHOTOS OUT --engine diffusers --model assets/starter

Rows: the starter model alone, content-aware fill alone, content-aware fill then the
starter model at strength 0.6 (these three by the application's command line), and
OpenCV's Telea and Navier-Stokes. With --engine diffusers the starter row is made by
the Python library and the two content-aware rows are left out.

Each photograph is the middle square, scaled to --size; masks come from fixed seeds;
no prompt. Outside the hole every row is the original. Columns, means over photographs:
PSNR inside the hole (dB, higher is closer to what was there, and favours blur) and
the distance between histograms of log gradient inside the hole and of the original's
hole (0 same, 1 disjoint; lower is closer in sharpness and texture). Writes
table.md, scores.json and sheet.webp (at most 1.5 MB) into OUT. Finished fills are
kept in OUT/fills and not made again.
"""
import argparse
import json
import os
import subprocess
import sys

import cv2
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "training"))
import data  # noqa: E402

EDGES = np.concatenate([[-1], np.geomspace(0.5, 160, 24), [1e9]])


def histogram(img, hole):
    y = cv2.cvtColor(img, cv2.COLOR_RGB2GRAY).astype(np.float32)
    g = np.hypot(cv2.Sobel(y, cv2.CV_32F, 1, 0, scale=0.25), cv2.Sobel(y, cv2.CV_32F, 0, 1, scale=0.25))
    h = np.histogram(g[hole], EDGES)[0].astype(np.float64)
    return h / h.sum()


def scores(fill, original, hole):
    mse = np.square(fill[hole].astype(np.float64) - original[hole]).mean()
    distance = 0.5 * np.abs(histogram(fill, hole) - histogram(original, hole)).sum()
    return 10 * np.log10(255 ** 2 / max(mse, 1e-3)), distance


def prepare(photo, size, seed):
    h, w = photo.shape[:2]
    s = min(h, w)
    sq = photo[(h - s) // 2:(h - s) // 2 + s, (w - s) // 2:(w - s) // 2 + s]
    img = cv2.resize(sq, (size, size), interpolation=cv2.INTER_AREA)
    return img, data.mask(size, np.random.default_rng(9000 + seed), full=0, low=0.06, high=0.3)


def write(path, img):
    cv2.imwrite(path, img[..., ::-1] if img.ndim == 3 else img)


def read(path):
    return np.ascontiguousarray(cv2.imread(path, cv2.IMREAD_COLOR)[..., ::-1])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("photos")
    p.add_argument("out")
    p.add_argument("--engine", choices=("overpaint", "diffusers"), default="overpaint")
    p.add_argument("--overpaint", default="overpaint", help="path of the program")
    p.add_argument("--model", default=None, help="starter model folder (default: the built-in 'starter')")
    p.add_argument("--size", type=int, default=384)
    p.add_argument("--count", type=int, default=48)
    p.add_argument("--steps", type=int, default=None)
    p.add_argument("--guidance", type=float, default=None)
    p.add_argument("--sheet-count", type=int, default=16)
    a = p.parse_args()
    fills = os.path.join(a.out, "fills")
    os.makedirs(fills, exist_ok=True)

    pipe = None
    settings = {"steps": 12, "guidance_scale": 3.0}
    with open(os.path.join(a.model or os.path.join(HERE, ".."), "overpaint.json")) as f:
        settings |= json.load(f)["recommended"]
    steps = a.steps or settings["steps"]
    guidance = a.guidance if a.guidance is not None else settings["guidance_scale"]
    if a.engine == "diffusers":
        import torch
        from diffusers import StableDiffusionInpaintPipeline
        pipe = StableDiffusionInpaintPipeline.from_pretrained(
            a.model or os.path.join(HERE, ".."), torch_dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)

    def starter(img, hole, i, o, m):
        from PIL import Image
        import torch
        y = pipe("", image=Image.fromarray(img), mask_image=Image.fromarray(hole * 255), height=a.size,
                 width=a.size, num_inference_steps=steps, guidance_scale=guidance,
                 generator=torch.Generator().manual_seed(0)).images[0]
        write(o, np.asarray(y))

    def program(*extra):
        def run(img, hole, i, o, m):
            command = [a.overpaint, "fill", i, "--mask", m, *extra, "--seed", "0", "--output", o]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(f"{' '.join(command)}\nfailed ({done.returncode}): {done.stderr[-2000:]}")
        return run

    def opencv(flag):
        def run(img, hole, i, o, m):
            write(o, cv2.inpaint(img, hole, 5, flag))
        return run

    model = ["--model", a.model or "starter", "--prompt", "", "--steps", str(steps), "--guidance", str(guidance)]
    rows = {"starter": starter if pipe else program(*model)}
    if not pipe:
        rows["content-aware"] = program("--model", "content-aware")
        rows["content-aware, then starter at 0.6"] = program(
            *model, "--fill-mode", "content-aware", "--strength", "0.6")
    rows["OpenCV Telea"] = opencv(cv2.INPAINT_TELEA)
    rows["OpenCV Navier-Stokes"] = opencv(cv2.INPAINT_NS)

    names = data.held_out()[:a.count]
    table = {r: [] for r in rows}
    tiles = []
    every = max(1, len(names) // a.sheet_count)
    for k, (name, photo) in enumerate(zip(names, data.load(a.photos, names))):
        img, hole = prepare(photo, a.size, k)
        inside = hole > 0
        stem = os.path.join(fills, f"{k:02d}")
        i, m = stem + "-image.png", stem + "-mask.png"
        write(i, img)
        write(m, hole * 255)
        cells = [img, np.where(inside[..., None], 127, img).astype(np.uint8)]
        for r, fill in rows.items():
            o = f"{stem}-{r.replace(' ', '_').replace(',', '')}.png"
            if not os.path.exists(o):
                fill(img, hole, i, o, m)
            y = read(o)
            if y.shape != img.shape:
                raise SystemExit(f"{o}: size {y.shape}, expected {img.shape}")
            y = np.where(inside[..., None], y, img)
            table[r].append(scores(y, img, inside))
            cells.append(y)
        if k % every == 0 and len(tiles) < a.sheet_count:
            tiles.append(np.concatenate([cv2.resize(c, (192, 192), interpolation=cv2.INTER_AREA)
                                         for c in cells], 1))
        print(k, name, {r: (round(v[-1][0], 2), round(v[-1][1], 3)) for r, v in table.items()}, flush=True)

    lines = [f"{len(names)} photographs kept aside, {a.size} px, no prompt, seed 0, {steps} steps, "
             f"engine {a.engine}.", "",
             "| fill | PSNR in the hole (dB) | gradient-histogram distance |", "|---|---|---|"]
    for r, v in table.items():
        v = np.array(v)
        lines.append(f"| {r} | {v[:, 0].mean():.2f} | {v[:, 1].mean():.3f} |")
    lines += ["", "Sheet columns: original, masked, then the fills in this order."]
    with open(os.path.join(a.out, "table.md"), "w") as f:
        f.write("\n".join(lines) + "\n")
    with open(os.path.join(a.out, "scores.json"), "w") as f:
        json.dump({"names": names, "scores": table}, f, indent=1)
    print("\n".join(lines))
    sheet = np.concatenate(tiles)
    for quality in (80, 65, 50, 35):
        path = os.path.join(a.out, "sheet.webp")
        cv2.imwrite(path, sheet[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
        if os.path.getsize(path) <= 1_500_000:
            break


if __name__ == "__main__":
    main()
