"""Seeds of the fuzz targets: small sound files of every kind that the readers know.

    python tests/reference/fuzz_corpus.py
"""

import json
import struct
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "fuzz" / "corpus"
FIXTURES = ROOT / "tests" / "fixtures"


def write(target: str, name: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def safetensors(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def headers() -> None:
    tensor = lambda dtype, shape, begin, end: {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    write("safetensors_header", "empty", safetensors({}, b""))
    write("safetensors_header", "scalar", safetensors({"x": tensor("F32", [], 0, 4)}, bytes(4)))
    two = {
        "__metadata__": {"format": "pt", "ss_base_model_version": "sdxl"},
        "a.lora_down.weight": tensor("F16", [2, 3], 0, 12),
        "b": tensor("BF16", [1], 12, 14),
        "c": tensor("I64", [0, 7], 14, 14),
    }
    write("safetensors_header", "two", safetensors(two, bytes(14)))
    single = FIXTURES / "single-files" / "sd1.safetensors"
    write("safetensors_header", "checkpoint", single.read_bytes())


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*notes: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(notes) + body


def pictures() -> None:
    settings = json.dumps({"model": "starter", "prompt": "a fox", "seed": 4, "strength": 0.7}).encode()
    a1111 = b"a fox\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
    write("png_metadata", "none", png())
    write("png_metadata", "text", png(chunk(b"tEXt", b"overpaint\0" + settings)))
    write("png_metadata", "a1111", png(chunk(b"tEXt", b"parameters\0" + a1111)))
    write("png_metadata", "compressed", png(chunk(b"zTXt", b"overpaint\0\0" + zlib.compress(settings))))
    itxt = b"overpaint\0\x01\0en\0\0" + zlib.compress(settings)
    write("png_metadata", "international", png(chunk(b"iTXt", itxt)))


# In the order of the readers in fuzz/src/targets.rs; "s" is the schedulers'.
CONFIGS = {
    "0-unet": "models/inpaint-pndm/unet/config.json",
    "1-autoencoder": "models/inpaint-pndm/vae/config.json",
    "2-text": "models/inpaint-pndm/text_encoder/config.json",
    "3-controlnet": "controlnets/plain/config.json",
    "6-tiny": "models/tiny/config.json",
    "s-pndm": "models/inpaint-pndm/scheduler/scheduler_config.json",
    "s-lcm": "models/few-lcm/scheduler/scheduler_config.json",
    "s-v": "models/base-v/scheduler/scheduler_config.json",
}


def configs() -> None:
    for name, path in CONFIGS.items():
        text = json.dumps(json.loads((FIXTURES / "parity" / path).read_text()))
        write("config", name, name[0].encode() + text.encode())
    # Both of them broke the readers once.
    write("config", "3-too-large", b'3{"block_out_channels": [18446744073709551615, 16]}')
    huge = b'{"_class_name": "DDIMScheduler", "num_train_timesteps": 18446744073709551615}'
    write("config", "s-too-large", b"s" + huge)
    for name, part in {"4-movq": "movq", "5-prior": "prior"}.items():
        found = sorted((FIXTURES / "kandinsky").rglob(f"{part}/config.json"))
        text = json.dumps(json.loads(found[0].read_text()))
        write("config", name, name[0].encode() + text.encode())


if __name__ == "__main__":
    headers()
    pictures()
    configs()
