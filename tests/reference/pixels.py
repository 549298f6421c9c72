"""Writes tests/fixtures/pixels: what Pillow and diffusers' image processor make of small pictures, byte for byte.

    python tests/reference/pixels.py

`cases.json` lists the cases; pictures lie beside it as PNG. `src/pixels/reference_tests.rs` compares.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from diffusers.image_processor import VaeImageProcessor
from PIL import Image, ImageFilter

import pictures
from make_fixtures import provenance

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "pixels"
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# Enlarged, reduced, one side only, one side up and the other down, much lower (columns first), down to one pixel.
SIZES = [(66, 47), (24, 16), (61, 20), (30, 43), (70, 12), (20, 90), (55, 12), (7, 3), (1, 1)]
BLURS = [0.3, 1.0, 2.5, 4.0, 12.5, 40.0]
FITS = [(36, 36), (66, 20), (20, 47), (17, 60)]


class Writer:
    """Collects cases and writes their pictures."""

    def __init__(self, folder: Path):
        self.folder, self.cases = folder, []
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*"):
            old.unlink()

    def input(self, name: str, image: Image.Image) -> Image.Image:
        image.save(self.folder / f"{name}.png", optimize=True)
        return image

    def case(self, kind: str, expected: Image.Image, **arguments) -> None:
        name = f"{kind}-{sum(c['kind'] == kind for c in self.cases)}"
        expected.save(self.folder / f"{name}.png", optimize=True)
        self.cases.append({"kind": kind, "expected": name, **arguments})


def inputs(writer: Writer) -> dict[str, Image.Image]:
    rng = np.random.default_rng(7)
    rgba = pictures.picture(40, 53, 5).convert("RGBA")
    rgba.putalpha(Image.fromarray(rng.integers(0, 256, (53, 40)).astype(np.uint8), "L"))
    return {
        name: writer.input(name, image)
        for name, image in {
            "rgb": pictures.picture(61, 43, 1),
            "rgba": rgba,
            "grey": pictures.mask(61, 43, "noise", 3),
            "disc": pictures.mask(61, 43, "disc"),
            "small": pictures.mask(61, 43, "small"),
            "corner": pictures.mask(61, 43, "corner"),
            "rgba-mask": pictures.mask(40, 53, "noise", 4),
        }.items()
    }


def resizes(writer: Writer, images: dict) -> None:
    for name in ["rgb", "grey", "rgba"]:
        for filter_name, filter_id in FILTERS.items():
            for size in SIZES if filter_name == "lanczos" else SIZES[1:3] + SIZES[5:6]:
                if name == "rgba" and size[0] > 60 and filter_name != "lanczos":
                    continue
                resized = images[name].resize(size, filter_id)
                writer.case("resize", resized, input=name, filter=filter_name, size=size)


def blurs(writer: Writer, images: dict) -> None:
    for name, radii in {"disc": BLURS, "grey": BLURS, "rgb": [4.0], "rgba": [2.0]}.items():
        for radius in radii:
            blurred = images[name].filter(ImageFilter.GaussianBlur(radius))
            writer.case("blur", blurred, input=name, radius=radius)
    writer.case("blur", images["disc"].filter(ImageFilter.GaussianBlur(0)), input="disc", radius=0.0)


def fits(writer: Writer, images: dict) -> None:
    processor = VaeImageProcessor()
    for mode in ["fill", "crop"]:
        for name in ["rgb", "disc", "rgba"]:
            for width, height in FITS:
                fitted = processor.resize(images[name], height, width, resize_mode=mode)
                expected = fitted.convert("L") if name == "disc" else fitted
                writer.case(mode, expected, input=name, size=(width, height))


def crop_regions(writer: Writer) -> None:
    """Rectangles in the middle, at edges, in corners; the test paints the same rectangles."""
    rng = np.random.default_rng(11)
    for _ in range(120):
        width, height = rng.integers(5, 200, 2).tolist()
        x0, x1 = sorted(rng.integers(0, width + 1, 2).tolist())
        y0, y1 = sorted(rng.integers(0, height + 1, 2).tolist())
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        if x1 > width or y1 > height:
            continue
        mask = Image.new("L", (width, height))
        mask.paste(1, (x0, y0, x1, y1))
        processing = (8 * rng.integers(1, 160, 2)).tolist()
        padding = int(rng.choice([0, 1, 5, 32, 150]))
        region = VaeImageProcessor.get_crop_region(mask, *processing, pad=padding)
        writer.cases.append({
            "kind": "crop-region", "extent": (width, height), "painted": (x0, y0, x1, y1),
            "size": processing, "padding": padding, "region": region,
        })


def overlays(writer: Writer, images: dict) -> None:
    processor = VaeImageProcessor()
    whole = writer.input("generated", pictures.picture(61, 43, 9))
    tall = writer.input("generated-tall", pictures.picture(40, 53, 10))
    patch = writer.input("generated-patch", pictures.picture(48, 48, 11))
    for mask in ["disc", "small", "corner", "grey"]:
        writer.case("overlay", processor.apply_overlay(images[mask], images["rgb"], whole),
                    input="rgb", mask=mask, generated="generated")
        for crop in [(30, 5, 52, 27)]:
            writer.case("overlay", processor.apply_overlay(images[mask], images["rgb"], patch, crop),
                        input="rgb", mask=mask, generated="generated-patch", crop=crop)
    writer.case("overlay", processor.apply_overlay(images["rgba-mask"], images["rgba"], tall),
                input="rgba", mask="rgba-mask", generated="generated-tall")


def greys(writer: Writer, images: dict) -> None:
    for name in ["rgb", "rgba"]:
        writer.case("luma", images[name].convert("L"), input=name)


def main() -> None:
    warnings.simplefilter("ignore")
    writer = Writer(FOLDER)
    images = inputs(writer)
    resizes(writer, images)
    blurs(writer, images)
    fits(writer, images)
    crop_regions(writer)
    overlays(writer, images)
    greys(writer, images)
    index = {"provenance": provenance("pixels.py"), "cases": writer.cases}
    (FOLDER / "cases.json").write_text(json.dumps(index).replace('{"kind"', '\n{"kind"') + "\n")
    total = sum(f.stat().st_size for f in FOLDER.iterdir())
    print(f"{len(writer.cases)} cases, {total / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
