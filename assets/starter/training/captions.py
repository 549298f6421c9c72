"""Captions made from the pixels of the hole: palette, roughness, and a guess at
what it shows from colour, roughness and height in the photograph.

They are heuristics. They let a prompt steer colour, brightness and material, and
no more: nobody looked at the photographs to write them.
"""
import cv2
import numpy as np

COLOURS = {  # name(s): Lab anchors
    ("black", "very dark"): [(6, 0, 0), (14, 0, -2)],
    ("dark grey", "dark gray", "charcoal"): [(26, 0, 0)],
    ("grey", "gray"): [(46, 0, 0), (58, 0, -1)],
    ("light grey", "light gray", "silver"): [(74, 0, 0)],
    ("white", "bright white"): [(92, 0, 0), (86, 0, 1)],
    ("blue",): [(45, 5, -38), (52, -4, -32)],
    ("dark blue", "navy blue", "deep blue"): [(20, 4, -24), (28, 3, -26)],
    ("light blue", "pale blue", "sky blue"): [(74, -7, -18), (64, -6, -24), (83, -5, -11)],
    ("grey blue", "slate blue", "blue grey"): [(48, -2, -11), (33, -1, -10), (62, -2, -9)],
    ("turquoise", "teal", "cyan"): [(60, -28, -14), (42, -20, -12), (75, -26, -8)],
    ("green",): [(48, -28, 30), (40, -18, 24), (56, -24, 38)],
    ("dark green", "deep green"): [(20, -9, 11), (28, -12, 16)],
    ("light green", "bright green", "lime green"): [(72, -24, 38), (64, -28, 42)],
    ("olive", "olive green"): [(42, -4, 26), (54, -5, 30)],
    ("yellow", "bright yellow"): [(80, 2, 62), (72, 8, 58)],
    ("golden", "gold"): [(64, 12, 46), (56, 13, 38)],
    ("beige", "sandy", "tan"): [(72, 4, 18), (80, 3, 13), (64, 5, 20)],
    ("brown",): [(38, 12, 22), (46, 12, 24)],
    ("dark brown",): [(18, 6, 10), (26, 8, 13)],
    ("light brown",): [(56, 9, 22)],
    ("orange", "bright orange"): [(60, 34, 50), (52, 30, 44)],
    ("red", "bright red"): [(42, 50, 32), (50, 44, 30)],
    ("dark red", "maroon"): [(24, 26, 16), (32, 32, 20)],
    ("pink", "rose"): [(70, 22, 4), (62, 34, 4), (80, 12, 3)],
    ("purple", "violet"): [(38, 24, -26), (56, 16, -18), (30, 14, -18)],
}
NAMES = list(COLOURS)
ANCHORS = np.array([a for n in NAMES for a in COLOURS[n]], np.float32)
OWNER = np.array([i for i, n in enumerate(NAMES) for _ in COLOURS[n]])

SCENES = {
    "sky": ["sky", "clear sky", "sky", "the sky"],
    "clouds": ["clouds", "cloudy sky", "sky with clouds", "overcast sky", "sky"],
    "sunset": ["sunset", "sunset sky", "sunrise", "evening sky", "dusk"],
    "night": ["night", "night sky", "darkness", "shadow", "dark background"],
    "water": ["water", "sea", "lake", "ocean", "river", "waves"],
    "grass": ["grass", "lawn", "meadow", "field", "green grass"],
    "dry grass": ["dry grass", "straw", "field", "hay"],
    "leaves": ["leaves", "foliage", "trees", "forest", "bushes", "plants"],
    "flowers": ["flowers", "petals", "blossom"],
    "autumn": ["autumn leaves", "autumn trees", "fall foliage"],
    "sand": ["sand", "beach", "desert", "sandy beach", "golden sand"],
    "ground": ["ground", "earth", "soil", "dirt"],
    "wood": ["wood", "wooden wall", "wooden planks", "wooden floor"],
    "stone": ["stone", "rock", "rocks", "stones", "gravel", "stone wall"],
    "wall": ["wall", "plain wall", "painted wall", "background"],
    "road": ["road", "asphalt", "concrete", "pavement", "floor"],
    "brick": ["brick wall", "bricks"],
    "snow": ["snow", "ice", "snowy ground"],
    "fog": ["fog", "mist", "haze"],
    "mountain": ["mountain", "mountains", "hills"],
}
SMOOTH = ["smooth", "soft", "plain", "blurred", "clear"]
ROUGH = ["rough", "textured", "detailed", "busy"]
PREFIX = ["a photo of ", "photo of ", "a ", "the ", "a picture of ", "beautiful ", "realistic ",
          "a photograph of ", "natural ", "high quality photo of ", "landscape with ", "background of "]
SUFFIX = [", photo", ", high quality", ", realistic", ", sharp focus", ", photograph", ", detailed",
          " background", ", natural light", ", texture"]
EMPTY_PROMPT = ""


def describe(small, hole, rough, where):
    """Words for the hole.

    small: (h, w, 3) block means in [-1, 1]; hole: (h, w) bool; rough: (h, w) mean
    absolute gradient per block; where: height of the hole's centre, 0 top, 1 bottom.
    """
    rgb = np.clip((small[hole] + 1) / 2, 0, 1).astype(np.float32)
    lab = cv2.cvtColor(rgb[None], cv2.COLOR_RGB2Lab)[0]
    d = ((lab[:, None] - ANCHORS[None]) ** 2 * np.array([0.5, 1.0, 1.0], np.float32)).sum(2)
    share = np.bincount(OWNER[d.argmin(1)], minlength=len(NAMES)) / len(lab)
    order = share.argsort()[::-1]
    L, A, B = lab.mean(0)
    chroma = float(np.hypot(A, B))
    hue = float(np.degrees(np.arctan2(B, A)) % 360)
    e = float(rough[hole].mean())
    spread = float(lab[:, 0].std())
    smooth, busy = e < 0.03, e > 0.085
    if L < 14:
        scene = ["night"]
    elif chroma < 7:
        if L > 72:
            scene = (["clouds", "fog"] if where < 0.5 else ["wall", "snow"]) if not busy else ["snow"]
        elif smooth:
            scene = ["clouds", "fog"] if where < 0.42 else ["wall", "road"]
        else:
            scene = ["stone", "road"] if where > 0.4 else ["stone", "mountain", "wall"]
    elif 165 <= hue < 290:
        if L < 30 and where < 0.5:
            scene = ["night", "sky"]
        elif where < 0.5:
            scene = ["sky"] if spread < 7 and not busy else ["clouds", "sky", "mountain"]
        else:
            scene = ["water"]
    elif 95 <= hue < 165:
        scene = ["leaves"] if where < 0.45 else (["grass", "leaves"] if not smooth else ["grass"])
    elif 60 <= hue < 95:
        if L > 48:
            scene = ["sand"] if where > 0.45 and not busy else (["dry grass", "sand"] if where > 0.45 else
                    (["sunset", "wall"] if smooth else ["autumn", "stone"]))
        else:
            scene = ["ground", "wood"] if not busy else ["dry grass", "ground", "leaves"]
    elif 25 <= hue < 60:
        if smooth:
            scene = ["sunset"] if where < 0.6 and chroma > 18 else ["wall", "wood"]
        elif chroma > 34:
            scene = ["autumn", "brick", "flowers"]
        else:
            scene = ["wood", "brick", "stone", "ground"] if L < 60 else ["stone", "sand", "wood"]
    else:
        scene = ["sunset"] if smooth and where < 0.6 else (["flowers"] if not smooth else ["wall"])
    tex = SMOOTH if smooth else ROUGH if busy else []
    return [NAMES[i] for i in order[:3]], share[order[:3]], scene, tex


def caption(found, rng):
    """One sentence from the words, in one of many orders."""
    colours, share, scene, tex = found
    pick = lambda seq: seq[int(rng.integers(len(seq)))]
    c = pick(colours[0])
    if share[1] > 0.25 and rng.random() < 0.5:
        c = f"{c} and {pick(colours[1])}"
    s = pick(SCENES[pick(scene)])
    t = pick(tex) + " " if tex and rng.random() < 0.4 else ""
    k = rng.random()
    if k < 0.50:
        text = f"{t}{c} {s}"
    elif k < 0.62:
        text = f"{s}, {t}{c}"
    elif k < 0.74:
        text = f"{t}{s}"
    elif k < 0.86:
        text = f"{t}{c}"
    elif k < 0.93:
        text = f"{c}, {s}"
    else:
        text = f"{s} in {c}"
    if rng.random() < 0.2:
        text = pick(PREFIX) + text
    if rng.random() < 0.15:
        text += pick(SUFFIX)
    return text


def words():
    """Every word a caption can contain, for the tokenizer."""
    text = []
    for n in NAMES:
        text += n
    for s in SCENES.values():
        text += s
    text += SMOOTH + ROUGH + PREFIX + SUFFIX
    return sorted({w for t in text for w in t.replace(",", " ").split()})
