"""Muon: momentum whose matrices are made orthogonal before they are applied.

K. Jordan and others, "Muon: An optimizer for hidden layers in neural networks" (2024). A
kernel counts as the matrix of its output channels by everything else. What is no hidden
matrix (biases, norms, first and last layers, embeddings) is left to AdamW. The work on the
matrices is shared out among the processes.
"""
import torch
import torch.distributed as dist

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(g, steps=5):
    """The nearest orthogonal matrix, roughly: five steps of a quintic Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    x = g.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.t()
    x = (x / (x.norm() + 1e-7)).contiguous()
    for _ in range(steps):
        s = x @ x.t()
        x = a * x + (b * s + c * (s @ s)) @ x
    return (x.t() if tall else x).float()


class Muon:
    def __init__(self, params, momentum=0.95, decay=0.02):
        self.params, self.momentum, self.decay = list(params), momentum, decay
        self.buffers = [torch.zeros_like(p) for p in self.params]
        # the largest first, in turn to each process
        order = sorted(range(len(self.params)), key=lambda i: -self.params[i].numel())
        self.ranks = dist.get_world_size()
        self.shares = [order[r::self.ranks] for r in range(self.ranks)]
        self.sizes = [sum(self.params[i].numel() for i in s) for s in self.shares]

    @torch.no_grad()
    def step(self, lr):
        updates = [torch.zeros(max(self.sizes)) for _ in range(self.ranks)]
        mine, at = updates[dist.get_rank()], 0
        for i, p in enumerate(self.params):
            self.buffers[i].lerp_(p.grad, 1 - self.momentum)
        for i in self.shares[dist.get_rank()]:
            p = self.params[i]
            g = p.grad.lerp(self.buffers[i], self.momentum).reshape(p.shape[0], -1)
            # the same size of change for every shape: root mean square 0.2, as AdamW has it
            u = orthogonal(g) * (0.2 * max(g.shape) ** 0.5)
            mine[at:at + p.numel()] = u.flatten()
            at += p.numel()
        if self.ranks > 1:
            dist.all_gather(updates, mine.clone())
        for share, update in zip(self.shares, updates):
            at = 0
            for i in share:
                p = self.params[i]
                p.mul_(1 - lr * self.decay).sub_(update[at:at + p.numel()].view_as(p), alpha=lr)
                at += p.numel()

    def state_dict(self):
        return self.buffers

    def load_state_dict(self, buffers):
        for mine, b in zip(self.buffers, buffers):
            mine.copy_(b)
