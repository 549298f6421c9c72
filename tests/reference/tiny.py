"""Writes tests/fixtures/parity/tiny.*: a tiny autoencoder, what it makes of stored inputs, and runs with it.

    python tests/reference/tiny.py
"""

import json
import shutil

import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file

import cases
import models
import pictures
from make_fixtures import FIXTURES, provenance, write_case

NAME = "tiny"
CONFIG = dict(
    encoder_block_out_channels=[8, 8, 8, 8],
    decoder_block_out_channels=[8, 8, 8, 8],
    num_encoder_blocks=[1, 2, 1, 1],
    num_decoder_blocks=[1, 1, 2, 1],
)
SIZE = {"width": 48, "height": 40}
CASES = {
    "tiny-text": cases.generate("base-sharded", vae=NAME, num_inference_steps=3, seed=71, **SIZE),
    # Nothing is drawn for a picture that this autoencoder encodes.
    "tiny-transform": cases.transform("base-sharded", vae=NAME, num_inference_steps=4, seed=72, image="wide.png"),
    "tiny-fill": cases.fill("inpaint-pndm", vae=NAME, num_inference_steps=3, seed=73, **SIZE),
    "tiny-fill-4channel": cases.fill(
        "base-sharded", vae=NAME, num_inference_steps=4, strength=0.8, seed=74, num_images_per_prompt=2, **SIZE
    ),
}


@torch.no_grad()
def build() -> AutoencoderTiny:
    """The network of the fixtures, as it is stored in f16."""
    return models.rounded(scaled(AutoencoderTiny(**CONFIG), torch.Generator().manual_seed(717)), "f16")


@torch.no_grad()
def scaled(vae: AutoencoderTiny, generator: torch.Generator) -> AutoencoderTiny:
    """With random weights; latents of about unit size, pictures in mid-range."""
    models.randomise(vae, generator)
    # Blocks add to their input and cut what is negative: smaller weights keep them alive.
    for name, parameter in vae.named_parameters():
        if ".conv." in name:
            parameter.mul_(0.7)
    picture = 2 * torch.rand(2, 3, 32, 32, generator=generator) - 1
    last = vae.encoder.layers[-1]
    encoded = vae.encode(picture).latents
    last.weight.div_(encoded.std((0, 2, 3)).view(-1, 1, 1, 1))
    last.bias.copy_((last.bias - encoded.mean((0, 2, 3))) / encoded.std((0, 2, 3)))
    last = vae.decoder.layers[-1]
    decoded = vae.decode(3 * torch.randn(2, 4, 6, 6, generator=generator)).sample
    gain = 0.42 / decoded.std((0, 2, 3))
    last.weight.mul_(gain.view(-1, 1, 1, 1))
    # The network's colours run from 0 to 1, half of what comes out.
    last.bias.copy_((last.bias - (decoded.mean((0, 2, 3)) + 1) / 2) * gain + 0.5)
    return vae


def store(vae: AutoencoderTiny) -> None:
    """As a folder."""
    folder = FIXTURES / "models" / NAME
    shutil.rmtree(folder, ignore_errors=True)
    vae.half().save_pretrained(folder)
    vae.float()


@torch.no_grad()
def write_units(vae: AutoencoderTiny) -> None:
    """What it makes of a stored picture and stored latents."""
    generator = torch.Generator().manual_seed(718)
    picture = torch.from_numpy(np.array(pictures.picture(32, 24, 31))).permute(2, 0, 1)[None] / 127.5 - 1
    latents = 3 * torch.randn(2, 4, 3, 5, generator=generator)
    tensors = {
        "picture": picture.float(),
        "encoded": vae.encode(picture.float()).latents,
        "latents": latents,
        "decoded": vae.decode(latents).sample,
    }
    print({name: (round(float(t.mean()), 2), round(float(t.std()), 2)) for name, t in tensors.items()})
    save_file({name: t.contiguous() for name, t in tensors.items()}, FIXTURES / "units" / "tiny.safetensors")


def main() -> None:
    torch.set_num_threads(1)
    vae = build()
    store(vae)
    write_units(vae)
    rows = [write_case(name, settings) for name, settings in CASES.items()]
    table = {"provenance": provenance("tiny.py"), "cases": rows}
    (FIXTURES / "tiny.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
