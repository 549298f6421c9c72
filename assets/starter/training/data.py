"""Photographs, crops and masks for training the starter model.

The photographs are not part of the repository: every script takes the folder
that holds them (``*.webp`` and a ``SOURCES.json`` with source and licence).
"""
import hashlib
import json
import os

import cv2
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
HELD_OUT = os.path.join(HERE, "held_out.json")


def names(folder):
    return sorted(n for n in os.listdir(folder) if n.endswith(".webp"))


def choose_held_out(folder, count=48):
    """A fixed, spread-out choice: the sorted list (which groups photographs by
    source, hence by kind) is cut into `count` equal runs, and of each run the
    name with the smallest SHA-256 is kept aside."""
    all_names = names(folder)
    edges = np.linspace(0, len(all_names), count + 1).astype(int)
    key = lambda n: hashlib.sha256(n.encode()).hexdigest()
    return [min(all_names[a:b], key=key) for a, b in zip(edges[:-1], edges[1:])]


def held_out():
    with open(HELD_OUT) as f:
        return json.load(f)


def load(folder, keep):
    """RGB uint8 arrays of the named photographs."""
    out = []
    for n in keep:
        img = cv2.imread(os.path.join(folder, n), cv2.IMREAD_COLOR)
        out.append(np.ascontiguousarray(img[:, :, ::-1]))
    return out


def training_names(folder):
    aside = set(held_out())
    return [n for n in names(folder) if n not in aside]


def crop(photo, size, rng):
    """A random square crop scaled to `size`; never enlarged.

    Returns the crop as float32 in [-1, 1] (H, W, 3) and the vertical extent
    (top, bottom) of the crop in its photograph as fractions of the height.
    """
    h, w = photo.shape[:2]
    short = min(h, w)
    if short < size:
        photo = cv2.resize(photo, (w * size // short + 1, h * size // short + 1),
                           interpolation=cv2.INTER_CUBIC)
        h, w = photo.shape[:2]
        short = min(h, w)
    side = int(round(np.exp(rng.uniform(np.log(size), np.log(short)))))
    y = int(rng.integers(0, h - side + 1))
    x = int(rng.integers(0, w - side + 1))
    c = photo[y:y + side, x:x + side]
    if side != size:
        c = cv2.resize(c, (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        c = c[:, ::-1]
    c = c.astype(np.float32) * (2 / 255) - 1
    if rng.random() < 0.15:  # any tint, or none: a hole's colours are to be read off its surroundings
        c = c @ _tint(rng)
    if rng.random() < 0.5:  # a little exposure, contrast and saturation
        s = rng.uniform(0.8, 1.25)
        mix = (s * np.eye(3) + (1 - s) / 3) * rng.uniform(0.85, 1.15)
        c = cv2.transform(c, np.hstack([mix, np.full((3, 1), rng.uniform(-0.12, 0.12))]))
        np.clip(c, -1, 1, out=c)
    return np.ascontiguousarray(c), (y / h, (y + side) / h)


def _tint(rng):
    """A 3x3 matrix: the colours are taken away, weakened, or change places."""
    if rng.random() < 0.4:
        return np.full((3, 3), 1 / 3, np.float32)
    turned = np.eye(3, dtype=np.float32)[rng.permutation(3)]
    keep = rng.uniform(0.4, 1.0)
    return (keep * turned + (1 - keep) / 3).astype(np.float32)


def plain(c, rng):
    """A picture without detail: `c` made soft, or a gradient of two colours, with a little grain."""
    size = len(c)
    if rng.random() < 0.5:
        c = cv2.GaussianBlur(c, (0, 0), float(rng.uniform(0.03, 0.15)) * size)
    else:
        ends = rng.uniform(-0.9, 0.9, 3) + rng.uniform(-0.35, 0.35, (2, 3))
        y, x = np.mgrid[:size, :size].astype(np.float32) / size - rng.uniform(0, 1, 2)[:, None, None]
        angle = rng.uniform(0, 2 * np.pi)
        t = np.hypot(x, y) if rng.random() < 0.3 else x * np.cos(angle) + y * np.sin(angle) + 0.5
        c = (ends[0] + (ends[1] - ends[0]) * np.clip(t, 0, 1)[..., None]).astype(np.float32)
    if rng.random() < 0.5:
        c = c + rng.uniform(0, 0.06) * rng.standard_normal((size, size, 1)).astype(np.float32)
    return np.clip(c, -1, 1).astype(np.float32)


def _strokes(size, rng):
    m = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        p = rng.integers(0, size, 2)
        angle = rng.uniform(0, 2 * np.pi)
        width = int(rng.uniform(0.06, 0.24) * size)
        for _ in range(int(rng.integers(2, 7))):
            angle += rng.uniform(-1.2, 1.2)
            length = rng.uniform(0.1, 0.4) * size
            q = np.clip(p + length * np.array([np.cos(angle), np.sin(angle)]), 0, size - 1).astype(int)
            cv2.line(m, (int(p[0]), int(p[1])), (int(q[0]), int(q[1])), 1, max(width, 4))
            p = q
    return m


def _boxes(size, rng):
    m = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        bh, bw = (rng.uniform(0.15, 0.7, 2) * size).astype(int)
        y = int(rng.integers(-bh // 4, size - bh // 2))
        x = int(rng.integers(-bw // 4, size - bw // 2))
        m[max(y, 0):y + bh, max(x, 0):x + bw] = 1
    return m


def _blob(size, rng):
    n = int(rng.integers(3, 7))
    noise = cv2.resize(rng.standard_normal((n, n)).astype(np.float32), (size, size),
                       interpolation=cv2.INTER_CUBIC)
    return (noise > np.quantile(noise, 1 - rng.uniform(0.1, 0.5))).astype(np.uint8)


def _ellipse(size, rng):
    m = np.zeros((size, size), np.uint8)
    c = tuple(int(v) for v in rng.uniform(0.2, 0.8, 2) * size)
    a = tuple(int(v) for v in rng.uniform(0.12, 0.42, 2) * size)
    cv2.ellipse(m, c, a, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return m


def mask(size, rng, full=0.08, low=0.05, high=0.6):
    """A LaMa-like mask, uint8 (size, size), 1 inside the hole."""
    if rng.random() < full:
        return np.ones((size, size), np.uint8)
    for _ in range(8):
        k = rng.random()
        m = (_strokes if k < 0.4 else _boxes if k < 0.65 else _blob if k < 0.8 else _ellipse)(size, rng)
        if low < m.mean() < high:
            return m
    return _ellipse(size, rng)


if __name__ == "__main__":
    import sys
    folder = sys.argv[1]
    aside = choose_held_out(folder)
    with open(HELD_OUT, "w") as f:
        json.dump(aside, f, indent=1)
        f.write("\n")
    with open(os.path.join(folder, "SOURCES.json")) as f:
        sources = json.load(f)
    keep = set(names(folder))
    rows = [{k: v for k, v in r.items()} | {"held_out": r["file"] in set(aside)}
            for r in sources if r["file"] in keep]
    with open(os.path.join(HERE, "photos.json"), "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n")
    print(len(rows), "photographs,", len(aside), "held out")
