"""Faster training on a CPU with bfloat16 dot products but no matrix unit.

There the library's bfloat16 convolution is quick forwards and slow backwards. So
3x3 convolutions run in bfloat16 with a backward pass made of what is quick: a
forward convolution with the kernel turned round for the input's gradient, and one
matrix product over the unfolded input for the weight's. Norms stay in float32.
Only the speed changes; on other machines do not call `accelerate`.
"""
import types

import torch
import torch.nn.functional as F

BF = torch.bfloat16
CL = torch.channels_last


class Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        x = x.to(BF).contiguous(memory_format=CL)
        w = weight.to(BF).contiguous(memory_format=CL)
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, w, bias.to(BF), padding=1)

    @staticmethod
    def backward(ctx, g):
        x, weight = ctx.saved_tensors
        g = g.to(BF).contiguous(memory_format=CL)
        n, ci, h, w = x.shape
        co = g.shape[1]
        gx = None
        if ctx.needs_input_grad[0]:
            turned = weight.to(BF).flip(2, 3).transpose(0, 1).contiguous(memory_format=CL)
            gx = F.conv2d(g, turned, padding=1)
        g2 = g.permute(0, 2, 3, 1).reshape(-1, co)
        xp = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
        s = xp.stride()
        cols = xp.as_strided((n, h, w, 3, 3, ci), (s[0], s[1], s[2], s[1], s[2], 1)).reshape(-1, 9 * ci)
        gw = (g2.t() @ cols).float().view(co, 3, 3, ci).permute(0, 3, 1, 2)
        return gx, gw, g2.sum(0, dtype=torch.float32)


def _conv3x3(self, x):
    return Conv3x3.apply(x, self.weight, self.bias)


def _conv1x1(self, x):
    y = F.linear(x.to(BF).permute(0, 2, 3, 1), self.weight[:, :, 0, 0].to(BF), self.bias.to(BF))
    return y.permute(0, 3, 1, 2)


def _float_norm(self, x):
    return F.group_norm(x.float(), self.num_groups, self.weight, self.bias, self.eps)


def accelerate(model):
    for m in model.modules():
        if isinstance(m, torch.nn.Conv2d) and m.stride == (1, 1) and m.bias is not None:
            if m.kernel_size == (3, 3) and m.in_channels >= 16 and m.out_channels >= 16:
                m.forward = types.MethodType(_conv3x3, m)
            elif m.kernel_size == (1, 1):
                m.forward = types.MethodType(_conv1x1, m)
        elif isinstance(m, torch.nn.GroupNorm):
            m.forward = types.MethodType(_float_norm, m)
    return model.to(memory_format=CL)


class FloatAttention:
    """diffusers' attention with the softmax part in float32."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, **_):
        ctx = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        b, n, _c = hidden_states.shape
        q, k, v = attn.to_q(hidden_states), attn.to_k(ctx), attn.to_v(ctx)
        split = lambda t: t.float().view(b, t.shape[1], attn.heads, -1).transpose(1, 2)
        with torch.autocast("cpu", enabled=False):
            o = F.scaled_dot_product_attention(split(q), split(k), split(v))
        return attn.to_out[0](o.transpose(1, 2).reshape(b, n, -1))
