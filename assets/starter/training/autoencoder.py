"""The starter model's autoencoder: a hand-built encoder and a trained decoder.

A picture is coded, per 8x8 block, by four numbers: the mean of luma, of the two
colour differences, and the logarithm of the mean absolute luma gradient, that is
how rough the block is. Each is scaled to mean 0 and deviation 1. So the latents
are a small picture plus its "roughness", which a small UNet can learn to continue
quickly; the decoder's work is to invent detail of that roughness.

`code` computes the four numbers directly. `build_encoder` writes the very same
function into the weights of a diffusers AutoencoderKL encoder (nothing is trained
there), so that any program that runs the class gets it; `check` compares the two.

How a GroupNorm + SiLU network can be exactly linear: channels carry a signal s
and also -s, beside constants K and -K in the same group. The group's mean is then
0 and its deviation is set by K, so the norm is a fixed scale; and
SiLU(s) - SiLU(-s) = s. The absolute value is SiLU(as) + SiLU(-as) = as tanh(as/2).
"""
import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import data

CHANNELS = (16, 32, 96, 160)
GROUPS = 4
LUMA = (0.299, 0.587, 0.114)
SHARP = 60.0  # the slope a of the smooth absolute value
# mean and deviation of the four raw numbers over random crops (printed by `stats`)
MEAN = [-0.09, -0.09, 0.03, -2.9]
STD = [0.48, 0.31, 0.23, 1.29]

# log(e) as a sum of SiLU ramps: fitted once by least squares, see `fit_log`
KNOTS = np.array([0.0015, 0.005, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4])
SLOPES = 5.0 / KNOTS


def fit_log():
    e = np.exp(np.linspace(np.log(0.001), np.log(0.8), 400))
    target = np.log(e + 0.006)
    u = SLOPES * (e[:, None] - KNOTS)
    a = np.concatenate([u / (1 + np.exp(-u)), np.ones((len(e), 1))], 1)
    reg = 1e-3 * np.eye(a.shape[1])
    w = np.linalg.solve(a.T @ a + reg, a.T @ target)
    return w[:-1], w[-1], float(np.abs(a @ w - target).max())


LOG_W, LOG_C, LOG_ERR = fit_log()


def raw_code(x):
    """(B, 3, H, W) in [-1, 1] -> (B, 4, H/8, W/8): luma, B-Y, R-Y, log roughness."""
    y = torch.einsum("bchw,c->bhw", x, x.new_tensor(LUMA))[:, None]
    return _finish(F.avg_pool2d(x, 8), y)


def _finish(mean, y):
    dx = F.pad(y, (0, 1))[..., 1:] - y
    dy = F.pad(y, (0, 0, 0, 1))[..., 1:, :] - y
    h = dx * torch.tanh(dx * (SHARP / 2)) + dy * torch.tanh(dy * (SHARP / 2))
    e = F.avg_pool2d(h, 8)
    f = torch.full_like(e, float(LOG_C))
    for w, k, s in zip(LOG_W, KNOTS, SLOPES):
        f = f + float(w) * F.silu(float(s) * (e - float(k)))
    y = (mean * mean.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return torch.cat([y, mean[:, 2:3] - y, mean[:, 0:1] - y, f], 1)


def normalise(z):
    return (z - z.new_tensor(MEAN).view(1, 4, 1, 1)) / z.new_tensor(STD).view(1, 4, 1, 1)


def raw_pair(x, m):
    """`raw_code` of the picture and of the masked picture, sharing work."""
    y = torch.einsum("bchw,c->bhw", x, x.new_tensor(LUMA))[:, None]
    keep = 1 - m
    return _finish(F.avg_pool2d(x, 8), y), _finish(F.avg_pool2d(x * keep, 8), y * keep)


def code(x):
    return normalise(raw_code(x))


def new_vae():
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, block_out_channels=CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1, norm_num_groups=GROUPS, sample_size=256, scaling_factor=1.0,
        mid_block_add_attention=False)


@torch.no_grad()
def build_encoder(vae):
    """Writes `code` into the weights of the encoder."""
    enc = vae.encoder
    for p in list(enc.parameters()) + list(vae.quant_conv.parameters()):
        p.zero_()
    k0, k1 = 8.0, 16.0

    # level 0. channels 0-3: Y, B-Y, R-Y, roughness; 8-11: dx, -dx, K, -K; 12-15: dy ...
    luma = torch.tensor([0.299, 0.587, 0.114])
    w, b = enc.conv_in.weight, enc.conv_in.bias
    w[0, :, 1, 1] = luma
    w[1, :, 1, 1] = torch.tensor([0.0, 0.0, 1.0]) - luma
    w[2, :, 1, 1] = torch.tensor([1.0, 0.0, 0.0]) - luma
    for base, (i, j) in ((8, (1, 2)), (12, (2, 1))):
        for sign, c in ((1, base), (-1, base + 1)):
            w[c, :, i, j] = sign * luma
            w[c, :, 1, 1] = -sign * luma
        b[base + 2], b[base + 3] = k0, -k0
    r = enc.down_blocks[0].resnets[0]
    sigma = k0 / 2 ** 0.5
    for c in (8, 9, 12, 13):
        r.norm1.weight[c] = SHARP * sigma
        r.conv1.weight[12, c, 1, 1] = 1 / SHARP
        r.conv1.weight[13, c, 1, 1] = -1 / SHARP
    r.conv1.bias[14], r.conv1.bias[15] = k0, -k0
    r.norm2.weight[12] = r.norm2.weight[13] = sigma
    r.conv2.weight[3, 12, 1, 1], r.conv2.weight[3, 13, 1, 1] = 1, -1

    # three means over 2x2; the other residual blocks pass their input on
    for level in range(3):
        conv = enc.down_blocks[level].downsamplers[0].conv
        for c in range(4):
            conv.weight[c, c, :2, :2] = 0.25
    for level in (1, 2):
        short = enc.down_blocks[level].resnets[0].conv_shortcut
        for c in range(4):
            short.weight[c, c, 0, 0] = 1
    # level 3 lays out copies: group 1 (40..) for the logarithm, group 2 (80..) for the end
    n = CHANNELS[3] // GROUPS
    short = enc.down_blocks[3].resnets[0].conv_shortcut
    knots = len(KNOTS)
    for i in range(knots):
        short.weight[n + 2 * i, 3, 0, 0] = 1
        short.weight[n + 2 * i + 1, 3, 0, 0] = -1
    short.bias[2 * n - 2], short.bias[2 * n - 1] = k1, -k1
    for c in range(3):
        short.weight[2 * n + 2 * c, c, 0, 0] = 1
        short.weight[2 * n + 2 * c + 1, c, 0, 0] = -1
    short.bias[3 * n - 2], short.bias[3 * n - 1] = k1, -k1

    sigma = (2 * k1 * k1 / n) ** 0.5
    m = enc.mid_block.resnets[0]
    for i in range(knots):
        m.norm1.weight[n + 2 * i] = float(SLOPES[i]) * sigma
        m.norm1.bias[n + 2 * i] = float(-SLOPES[i] * KNOTS[i])
        for sign, c in ((1, 0), (-1, 1)):
            m.conv1.weight[c, n + 2 * i, 1, 1] = sign * float(LOG_W[i]) / 8
    m.conv1.bias[0], m.conv1.bias[1] = float(LOG_C) / 8, -float(LOG_C) / 8
    m.conv1.bias[2], m.conv1.bias[3] = k1, -k1
    m.norm2.weight[0] = m.norm2.weight[1] = sigma
    for sign, c in ((1, 2 * n + 6), (-1, 2 * n + 7)):
        m.conv2.weight[c, 0, 1, 1], m.conv2.weight[c, 1, 1, 1] = sign, -sign

    for c in range(4):
        for sign, ch in ((1, 2 * n + 2 * c), (-1, 2 * n + 2 * c + 1)):
            enc.conv_norm_out.weight[ch] = sigma
            enc.conv_out.weight[c, ch, 1, 1] = sign * (8 if c == 3 else 1) / STD[c]
        enc.conv_out.bias[c] = -MEAN[c] / STD[c]
    enc.conv_out.bias[4:] = -30.0  # log variance: the code is exact
    for c in range(8):
        vae.quant_conv.weight[c, c, 0, 0] = 1
    vae.post_quant_conv.weight.zero_()
    vae.post_quant_conv.bias.zero_()
    for c in range(4):
        vae.post_quant_conv.weight[c, c, 0, 0] = 1


@torch.no_grad()
def prepare_decoder(vae):
    """Starts the decoder as a smooth enlargement of the colours in the code, so that
    training is left with the detail. The code is carried in channels 0-3 of every
    level; the last level carries the three colours as pairs beside constants (see
    above). Everything stays trainable."""
    dec = vae.decoder
    k = 8.0
    for m in dec.modules():
        if hasattr(m, "conv2"):
            m.conv2.weight.mul_(0.2)
            m.conv2.bias.zero_()
            m.conv2.weight[:4].mul_(0.2)

    def carry(conv, kernel):
        r = conv.weight.shape[2] // 2
        conv.weight[:4] = 0
        conv.bias[:4] = 0
        for c in range(4):
            conv.weight[c, c] = kernel if r else 1.0

    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    tent = torch.tensor([0.25, 0.5, 0.25])
    carry(dec.conv_in, centre)
    for block in dec.up_blocks:
        if block.resnets[0].conv_shortcut is not None and block is not dec.up_blocks[3]:
            carry(block.resnets[0].conv_shortcut, None)
        if block.upsamplers is not None:
            carry(block.upsamplers[0].conv, torch.outer(tent, tent))
    last = dec.up_blocks[3].resnets
    short = last[0].conv_shortcut
    short.weight[:12] = 0
    short.bias[:12] = 0
    for c in range(3):
        short.weight[4 * c, c] = STD[c]
        short.weight[4 * c + 1, c] = -STD[c]
        short.bias[4 * c], short.bias[4 * c + 1] = MEAN[c], -MEAN[c]
        short.bias[4 * c + 2], short.bias[4 * c + 3] = k, -k
    for m in last:
        m.conv2.weight[:12] *= 0.2
    sigma = k / 2 ** 0.5
    for norm in (last[1].norm1, dec.conv_norm_out):
        for c in range(3):
            norm.weight[4 * c:4 * c + 2] = sigma
    # R = Y + (R-Y), B = Y + (B-Y), G = Y - 0.114/0.587 (B-Y) - 0.299/0.587 (R-Y)
    mix = [[1, 0, 1], [1, -0.114 / 0.587, -0.299 / 0.587], [1, 1, 0]]
    dec.conv_out.weight.mul_(0.1)
    dec.conv_out.weight[:, :12] = 0
    dec.conv_out.bias.zero_()
    for o in range(3):
        for c in range(3):
            dec.conv_out.weight[o, 4 * c, 1, 1] = mix[o][c]
            dec.conv_out.weight[o, 4 * c + 1, 1, 1] = -mix[o][c]


def batch(photos, n, size, rng):
    xs = [data.crop(photos[int(rng.integers(len(photos)))], size, rng)[0] for _ in range(n)]
    return torch.from_numpy(np.stack(xs)).permute(0, 3, 1, 2).contiguous()


def stats(folder):
    rng = np.random.default_rng(0)
    photos = data.load(folder, data.training_names(folder))
    z = torch.cat([raw_code(batch(photos, 32, 256, rng)) for _ in range(40)])
    print("fit of log: max error", LOG_ERR)
    print("MEAN =", [round(v, 4) for v in z.mean((0, 2, 3)).tolist()])
    print("STD =", [round(v, 4) for v in z.std((0, 2, 3)).tolist()])


def check(folder):
    rng = np.random.default_rng(1)
    photos = data.load(folder, data.held_out()[:8])
    x = batch(photos, 16, 256, rng)
    x[:, :, 60:150, 70:190] = 0
    vae = new_vae().eval()
    build_encoder(vae)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        v = vae.to(dtype)
        with torch.no_grad():
            z = v.encode(x.to(dtype)).latent_dist.mode().float()
        print(dtype, "largest and mean difference per channel:",
              [(round(a, 4), round(b, 5)) for a, b in zip((z - code(x)).abs().amax((0, 2, 3)).tolist(),
                                                          (z - code(x)).abs().mean((0, 2, 3)).tolist())])


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("what", choices=("stats", "check"))
    p.add_argument("photos")
    a = p.parse_args()
    torch.set_num_threads(2)
    {"stats": stats, "check": check}[a.what](a.photos)
