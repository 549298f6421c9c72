"""Trains the inpainting UNet and the text encoder together, on exact codes.

Latents come from `autoencoder.code`, computed as the crops are drawn, so there is
no pool to fill and every sample is new. Resumable; the learning rate falls to zero
at the moment given by --end (HH:MM, local time).

Run with `torchrun --nproc-per-node 2 train_unet.py ...`: two processes of one thread,
which average their gradients, wait for each other far less than two threads do.
"""
import argparse
import datetime
import os
import time

import cv2
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import autoencoder as ae
import captions
import data
import fastcpu
import muon
import tokenizer as tok

WIDTH = 192
TURN = 0.3  # the error, in standard deviations of the latents, where squares turn into absolute values
BETAS = {"beta_start": 0.0002, "beta_end": 0.025, "beta_schedule": "scaled_linear"}


def new_unet(channels=(48, 96, 160), heads=(2, 3, 5)):
    return UNet2DConditionModel(
        sample_size=48, in_channels=9, out_channels=4, block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1, attention_head_dim=heads, cross_attention_dim=WIDTH, norm_num_groups=16)


def new_text(vocab):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=vocab, hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=tok.LENGTH, hidden_act="quick_gelu",
        projection_dim=WIDTH, bos_token_id=vocab - 2, eos_token_id=vocab - 1, pad_token_id=vocab - 1,
        attn_implementation="sdpa"))


def draw(photos, n, size, rng, paste=0.06, drop=0.5, plain=0.0):
    """n samples: pictures, masks, and the pictures' place if they are to be captioned.

    A share `plain` of them is a gradient or a photograph made soft, of any tint.
    In a share `paste` of them the hole shows a piece of another photograph, named
    in the caption: there the surroundings say nothing, so words must be heeded.
    """
    xs, ms, ts = [], [], []
    for _ in range(n):
        photo = photos[int(rng.integers(len(photos)))]
        x, (top, bottom) = data.crop(photo, size, rng)
        simple = rng.random() < plain
        if simple:
            x = data.plain(x, rng)
        pasted = not simple and rng.random() < paste
        m = data.mask(size, rng, full=0.0 if pasted else 0.08)
        if pasted:
            x2, (top, bottom) = data.crop(photos[int(rng.integers(len(photos)))], size, rng)
            cv2.copyTo(x2, m, x)
        told = drop < 1 and not simple and (pasted or rng.random() >= (0.15 if m.all() else drop))
        xs.append(x)
        ms.append(m)
        ts.append((top, bottom) if told else None)
    x = torch.from_numpy(np.stack(xs)).permute(0, 3, 1, 2).contiguous()
    return x, torch.from_numpy(np.stack(ms))[:, None].float(), ts


def conditions(x, m, where, rng):
    """Latents of the picture, mask at latent size (nearest), latents of the masked
    picture, and captions of what the holes show (or none)."""
    raw, raw_masked = ae.raw_pair(x, m)
    small = F.interpolate(m, scale_factor=1 / 8)
    texts = []
    for w, hole, r in zip(where, small[:, 0].numpy() > 0, raw.numpy()):
        text = captions.EMPTY_PROMPT
        if w is not None and hole.any():
            y, b, r_ = r[0], r[1] + r[0], r[2] + r[0]
            rgb = np.stack([r_, (y - 0.299 * r_ - 0.114 * b) / 0.587, b], -1)
            at = w[0] + (w[1] - w[0]) * float(np.nonzero(hole)[0].mean() + 0.5) / len(hole)
            found = captions.describe(rgb, hole, np.exp(r[3]) - 0.006, at)
            text = captions.caption(found, rng)
        texts.append(text)
    return ae.normalise(raw), small, ae.normalise(raw_masked), texts


def draw_times(n):
    """More of the high noise: few steps are meant to be taken, and the first decide
    the colours."""
    late = 999 * torch.rand(n).sqrt()
    first = 930 + 70 * torch.rand(n)
    return torch.where(torch.rand(n) < 0.3, first, late).long().clamp(0, 999)


def extent(k, done):
    """Side of the crops in px and how many: small ones first, for they are quick and
    teach which colours belong where; larger ones as the training goes on."""
    edges = (0.55, 0.95, 1.0) if done < 0.4 else (0.3, 0.65, 0.92)
    return next(((side, n) for side, n, edge in zip((128, 192, 256), (96, 48, 24), edges) if k < edge), (384, 12))


class Objective:
    def __init__(self):
        self.alphas = DDPMScheduler(num_train_timesteps=1000, **BETAS).alphas_cumprod

    def __call__(self, unet, z, mask, zm, ctx, t, noise, outside=0.1):
        a = self.alphas[t].view(-1, 1, 1, 1)
        noisy = a.sqrt() * z + (1 - a).sqrt() * noise
        target = a.sqrt() * noise - (1 - a).sqrt() * z
        x = torch.cat([noisy, mask, zm], 1).contiguous(memory_format=torch.channels_last)
        v = unet(x, t, ctx).sample.float()
        snr = a / (1 - a)
        # as min-SNR 5, but with full weight where noise is high: what is learnt there is
        # which colours belong into the hole
        weight = (snr.clamp(max=5) + 1) / (snr + 1)
        where = mask + outside * (1 - mask)
        mean = lambda error: (error * where).sum((1, 2, 3)) / (4 * where.sum((1, 2, 3)))
        error = (v - target).square()
        # pseudo-Huber: small errors in plain places count as with squares, large ones in busy
        # places less, so that skies and walls come out without stains
        robust = 2 * TURN * ((error + TURN ** 2).sqrt() - TURN)
        return (mean(robust) * weight.view(-1)).mean(), mean(error)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("photos")
    p.add_argument("work", help="folder for checkpoints")
    p.add_argument("--end", required=True, help="HH:MM")
    p.add_argument("--lr", type=float, default=8e-4)
    p.add_argument("--channels", default="48,96,160")
    p.add_argument("--heads", default="2,3,5")
    p.add_argument("--words", type=float, default=0.65,
                   help="share of the time after which captions are given")
    p.add_argument("--text", help="an earlier checkpoint whose text encoder is taken up")
    p.add_argument("--optimizer", choices=("muon", "adamw"), default="muon")
    p.add_argument("--scale", type=float, default=1.0, help="batch sizes times this")
    p.add_argument("--bench", type=int, default=0, help="only time this many steps")
    a = p.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(1234)  # the same first weights everywhere
    rng = np.random.default_rng([int(time.time()), rank])
    folder = os.path.join(a.work, "tokenizer")
    if rank == 0:
        tok.write(folder)
    dist.barrier()
    tokens = CLIPTokenizer.from_pretrained(folder)
    unet = new_unet(tuple(map(int, a.channels.split(","))), tuple(map(int, a.heads.split(","))))
    text = new_text(len(tokens))
    print("unet", sum(p.numel() for p in unet.parameters()) / 1e6, "M; text",
          sum(p.numel() for p in text.parameters()) / 1e6, "M", flush=True)
    params = [p for m in (unet, text) for p in m.parameters()]
    if a.text:
        text.load_state_dict(torch.load(a.text)["text"])
    inner = [p for n, p in unet.named_parameters()
             if p.ndim > 1 and not n.startswith(("conv_in", "conv_out"))] if a.optimizer == "muon" else []
    chosen = set(map(id, inner))
    hidden = muon.Muon(inner) if inner else None
    opt = torch.optim.AdamW([p for p in params if id(p) not in chosen], a.lr, (0.9, 0.98),
                            weight_decay=0.01, fused=True)
    ema = [p.detach().clone() for p in params]
    path = os.path.join(a.work, "unet.pt")
    step = seen = 0
    h, m = map(int, a.end.split(":"))
    end = datetime.datetime.now().replace(hour=h, minute=m, second=0).timestamp()
    begin = time.time()
    if os.path.exists(path) and not a.bench:
        s = torch.load(path)
        unet.load_state_dict(s["unet"])
        text.load_state_dict(s["text"])
        opt.load_state_dict(s["opt"])
        if hidden:
            hidden.load_state_dict(s["muon"])
        ema = s["ema"]
        step, seen, begin = s["step"], s["seen"], s["begin"]
    torch.manual_seed(int(time.time()) * 2 + rank)
    fastcpu.accelerate(unet)
    unet.set_attn_processor(fastcpu.FloatAttention())
    objective = Objective()
    photos = data.load(a.photos, data.training_names(a.photos))

    encode = lambda ts: text(input_ids=tokens(ts, padding="max_length", truncation=True,
                                              max_length=tok.LENGTH, return_tensors="pt").input_ids
                             ).last_hidden_state

    # a fixed validation batch from the photographs kept aside
    vr = np.random.default_rng(7)
    *val, vt = conditions(*draw(data.load(a.photos, data.held_out()), 64, 192, vr), vr)
    vg = torch.Generator().manual_seed(3)
    vtime = torch.linspace(10, 990, 64).long()
    vnoise = torch.randn(val[0].shape, generator=vg)

    def validate():
        kept = [p.detach().clone() for p in params]
        with torch.no_grad():
            for p_, e in zip(params, ema):
                p_.copy_(e)
            with torch.autocast("cpu", torch.bfloat16):
                _, per = objective(unet, *val, encode(vt), vtime, vnoise, outside=0.0)
                _, blank = objective(unet, *val, encode([""] * 64), vtime, vnoise, outside=0.0)
            for p_, k in zip(params, kept):
                p_.copy_(k)
        thirds = [round(c.mean().item(), 4) for c in per.chunk(3)]
        return f"held out: {per.mean():.4f} (low, mid, high noise {thirds}), without words {blank.mean():.4f}"

    def save():
        torch.save({"unet": unet.state_dict(), "text": text.state_dict(), "opt": opt.state_dict(),
                    "muon": hidden and hidden.state_dict(),
                    "ema": ema, "step": step, "seen": seen, "begin": begin,
                    "channels": a.channels, "heads": a.heads}, path + ".tmp")
        os.replace(path + ".tmp", path)

    mean = None
    t0 = last = time.time()
    n0 = seen
    stop = progress = 0.0
    while stop == 0:
        done = min(1.0, (time.time() - begin) / max(1.0, end - begin))
        size, n = extent(np.random.default_rng(step).random(), progress)
        if a.bench:
            size, n = 192, 48
        n = max(1, round(n * a.scale / ranks))
        lr = a.lr * min(1, (step + 1) / 100) * max(0.01, 1 - max(0.0, done - 0.4) / 0.6)
        td = time.time()
        words = progress >= a.words
        z, mask, zm, ts = conditions(*draw(photos, n, size, rng, plain=0.12 if words else 0.2,
                                           drop=0.6 if words else 1.0, paste=0.07 if words else 0.0), rng)
        t = draw_times(n)
        td = time.time() - td
        with torch.autocast("cpu", torch.bfloat16):
            context = encode(ts) if words else encode([""]).expand(n, -1, -1)
            loss, _ = objective(unet, z, mask, zm, context, t, torch.randn_like(z))
        loss.backward()
        flat = torch.cat([p_.grad.flatten() for p_ in params] +
                         [torch.tensor([lr, float(time.time() >= end), loss.item(), done])])
        dist.all_reduce(flat)
        flat /= ranks
        lr, stop, average, progress = flat[-4:].tolist()
        if not np.isfinite(average):
            raise SystemExit("the loss is not finite")
        at = 0
        for p_ in params:
            p_.grad.copy_(flat[at:at + p_.numel()].view_as(p_))
            at += p_.numel()
        for g in opt.param_groups:
            g["lr"] = lr
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        if hidden:
            hidden.step(2 * lr)
        opt.zero_grad(set_to_none=True)
        torch._foreach_lerp_(ema, [p_.detach() for p_ in params], 1 - min(0.9985, (1 + step) / (10 + step)))
        step += 1
        seen += n * ranks
        mean = average if mean is None else 0.98 * mean + 0.02 * average
        if a.bench:
            rank == 0 and print(f"{time.time() - t0:.2f}s data {td:.2f}", flush=True)
            t0 = time.time()
            if step == a.bench:
                return
        if rank == 0 and time.time() - last > 60:
            last = time.time()
            print(f"{datetime.datetime.now():%H:%M:%S} step {step} seen {seen} loss {mean:.4f} lr {lr:.2e} "
                  f"{(seen - n0) / (last - t0):.1f} samples/s, drawing {td:.2f}s", flush=True)
            save()
            if int(last) // 300 != int(last - 60) // 300:
                print(validate(), flush=True)
    if rank == 0:
        save()
        print(validate(), "end, seen", seen, flush=True)


if __name__ == "__main__":
    main()
