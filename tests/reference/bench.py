"""`overpaint bench` beside diffusers on the same machine: the same architectures, sizes and number formats.

    python tests/reference/bench.py --overpaint target/release/overpaint [ARCHITECTURE] [--only STAGE ...]
        [--repeat N] [--rounds N] [--side PX] [--dtype f32|f16|bf16] [--device cpu|cuda] [--threads N]
    python tests/reference/bench.py --count [ARCHITECTURE]

Both sides take turns, `--rounds` times, so that whatever else the machine does meets both; in each turn every stage runs
`--repeat` times after a warm-up. The ratio is our median over theirs, round by round: its median, and the lowest and
highest (below 1 we are faster). On the processor the same is told of the time that all threads worked, which depends
less on what else runs. `--count` prints the multiply-adds that torch counts, which unit tests hold ours to.
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TABLE = Path(__file__).resolve().parents[2] / "src" / "engine" / "bench" / "architectures.json"
DTYPES = dict(f32=torch.float32, f16=torch.float16, bf16=torch.bfloat16)
TOKENS = 77
# Those that are networks; the others have no counterpart.
STAGES = ["text", "encode", "decode", "unet-guided", "unet"]


def laid_over(below, above):
    """Objects are joined key by key; everything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {key: laid_over(below.get(key), value) for key, value in above.items()}
    return above


def architecture(name: str) -> dict:
    """An entry of the table over its base."""
    own = json.loads(TABLE.read_text())[name]
    return laid_over(architecture(own["base"]), own) if "base" in own else own


def text_encoder(config: dict) -> torch.nn.Module:
    cls = CLIPTextModelWithProjection if "architectures" in config else CLIPTextModel
    return cls(CLIPTextConfig(**config))


def filled(make, device: str, dtype: torch.dtype) -> torch.nn.Module:
    """The network with random weights that keep the size of what goes through a layer."""
    with torch.device("meta"):
        module = make()
    if device == "meta":
        return module.eval()
    module = module.to(dtype).to_empty(device=device)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point():
                tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
            elif tensor.dim() < 2:
                tensor.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                limit = (3 / tensor[0].numel()) ** 0.5
                tensor.uniform_(-limit, limit)
    return module.eval()


def stage(name: str, whole: dict, side: int, device: str, dtype: torch.dtype):
    """The work of a stage, with its networks in memory."""
    small = side // 8
    number = dict(device=device, dtype=torch.float32)
    if name == "text":
        encoders = [filled(lambda: text_encoder(config), device, torch.float32) for config in whole["text_encoders"]]
        ids = torch.arange(49408 - TOKENS, 49408, device=device).view(1, TOKENS)
        return lambda: [encoder(ids, output_hidden_states=True) for encoder in encoders]
    if name in ("encode", "decode"):
        vae = filled(lambda: AutoencoderKL(**whole["vae"]), device, torch.float32)
        if name == "encode":
            picture = torch.randn(1, 3, side, side, **number)
            return lambda: vae.encode(picture).latent_dist.parameters
        latents = torch.randn(1, 4, small, small, **number)
        return lambda: vae.decode(latents).sample
    unet = filled(lambda: UNet2DConditionModel(**whole["unet"]), device, dtype)
    batch = 2 if name == "unet-guided" else 1
    number["dtype"] = dtype
    sample = torch.randn(batch, unet.config.in_channels, small, small, **number)
    prompt = torch.randn(batch, TOKENS, whole["unet"]["cross_attention_dim"], **number)
    added = {}
    if whole["unet"].get("addition_embed_type"):
        pooled = whole["text_encoders"][-1]["projection_dim"]
        count = (unet.config.projection_class_embeddings_input_dim - pooled) // unet.config.addition_time_embed_dim
        added = dict(
            text_embeds=torch.randn(batch, pooled, **number), time_ids=torch.randn(batch, count, **number)
        )
    timestep = torch.tensor(500, device=device)
    return lambda: unet(sample, timestep, prompt, added_cond_kwargs=added).sample


@torch.no_grad()
def count(name: str, side: int) -> dict:
    """Multiply-adds of every stage, counted without computing."""
    whole = architecture(name)
    found = {}
    for which in STAGES:
        work = stage(which, whole, side, "meta", torch.float32)
        with FlopCounterMode(display=False) as counter:
            work()
        found[which] = counter.get_total_flops() // 2
    return found


def synchronised(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@torch.no_grad()
def theirs(name: str, options: argparse.Namespace, side: int) -> dict:
    """Median seconds of every stage, by the wall's clock and by the processor's."""
    found = {}
    for which in options.only:
        work = stage(which, architecture(name), side, options.device, DTYPES[options.dtype])
        times = []
        for _ in range(options.repeat + 1):
            started, worked = time.perf_counter(), time.process_time()
            work()
            synchronised(options.device)
            times.append((time.perf_counter() - started, time.process_time() - worked))
        found[which] = tuple(map(statistics.median, zip(*times[1:])))
        del work
    return found


def ours(name: str, options: argparse.Namespace, side: int) -> tuple[dict, dict]:
    """The same, and the whole report."""
    words = [options.overpaint, "bench", name, "--json", "--side", str(side), "--repeat", str(options.repeat)]
    words += ["--device", options.device, "--dtype", options.dtype]
    words += ["--threads", str(options.threads)] if options.threads else []
    words += [word for which in options.only for word in ("--only", which)]
    report = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout)
    return {stage["stage"]: (stage["median_s"], stage["cpu_median_s"]) for stage in report["stages"]}, report


def compare(options: argparse.Namespace, side: int) -> None:
    name = options.architecture
    rounds, report = [], {}
    for _ in range(options.rounds):
        mine, report = ours(name, options, side)
        rounds.append((mine, theirs(name, options, side)))
    print(f"{name}, {side} px, {options.device}, {options.dtype}, {torch.get_num_threads()} threads;", end=" ")
    print(f"overpaint {report['version']} ({report['build']} build), torch {torch.__version__}")
    print("| stage | time | overpaint s | diffusers s | ratio | lowest | highest |\n|---|---|---|---|---|---|---|")
    clocks = ["wall", "processor"] if options.device == "cpu" else ["wall"]
    for which in options.only:
        for clock, kind in enumerate(clocks):
            mine, other = ([pair[side][which][clock] for pair in rounds] for side in (0, 1))
            ratios = [a / b for a, b in zip(mine, other)]
            medians = [statistics.median(values) for values in (mine, other, ratios)]
            ends = f"{medians[2]:.2f} | {min(ratios):.2f} | {max(ratios):.2f}"
            print(f"| {which} | {kind} | {medians[0]:.3f} | {medians[1]:.3f} | {ends} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architecture", nargs="?", default="sd15", choices=json.loads(TABLE.read_text()))
    parser.add_argument("--overpaint")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--only", nargs="*", choices=STAGES, default=STAGES)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int)
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    side = options.side or architecture(options.architecture)["side"]
    if options.count:
        print(json.dumps(count(options.architecture, side)))
    elif options.overpaint:
        compare(options, side)
    else:
        parser.error("--overpaint names the program to compare with")


if __name__ == "__main__":
    main()
