"""The CLIP vocabulary, from its merges alone.

`assets/clip/merges.txt` is the published CLIP byte-pair list, cut to the 48894 merges in use.  The token ids follow
from it: 256 bytes, the same 256 with the end-of-word mark, one token a merge, then start and end of text.
Run as a script to write that file from open-clip-torch's `bpe_simple_vocab_16e6.txt.gz` (MIT).
"""

import gzip
import json
import sys
from pathlib import Path

MERGES_IN_USE = 49152 - 256 - 2
START, END = "<|startoftext|>", "<|endoftext|>"
ASSET = Path(__file__).resolve().parents[2] / "assets" / "clip" / "merges.txt"


def byte_symbols() -> list[str]:
    """The printable stand-in of every byte, in CLIP's order of token ids."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]


def merges(count: int | None = None) -> list[str]:
    """The first `count` merges, each as "left right"; all of them without a count."""
    lines = ASSET.read_text(encoding="utf-8").splitlines()[1:]
    return lines if count is None else lines[:count]


def vocabulary(merge_list: list[str]) -> dict[str, int]:
    """Token to id for these merges."""
    symbols = byte_symbols()
    tokens = symbols + [symbol + "</w>" for symbol in symbols]
    tokens += ["".join(merge.split()) for merge in merge_list] + [START, END]
    return {token: index for index, token in enumerate(tokens)}


def write_files(folder: Path, merge_list: list[str]) -> None:
    """vocab.json and merges.txt, as model repositories carry them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary(merge_list), ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merge_list) + "\n", encoding="utf-8")


if __name__ == "__main__":
    published = gzip.open(sys.argv[1], "rt", encoding="utf-8").read().split("\n")[1 : 1 + MERGES_IN_USE]
    ASSET.write_text("#version: 0.2\n" + "\n".join(published) + "\n", encoding="utf-8")
