"""What the tensors are called in the original code (CompVis, Stability), for tensors named as diffusers does.

The map is checked on use: diffusers' own converter must lead back to the names that were given.
"""

from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

UNET = "model.diffusion_model."

OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def unet(tensors: dict, config) -> dict:
    """The tensors by their original names, in the order that they came in."""
    renamed = {UNET + original(name, config): tensor for name, tensor in tensors.items()}
    back = convert_ldm_unet_checkpoint(dict(renamed), dict(config))
    assert {name: tensor.data_ptr() for name, tensor in back.items()} == {
        name: tensor.data_ptr() for name, tensor in tensors.items()
    }, "diffusers names these tensors otherwise"
    return renamed


def original(name: str, config) -> str:
    for start, replacement in OUTSIDE.items():
        if name.startswith(f"{start}."):
            return replacement + name.removeprefix(start)
    part, *path = name.split(".")
    layers = config["layers_per_block"]
    if part == "mid_block":
        kind, index, *rest = path
        place = 2 * int(index) + (kind == "attentions")
        return f"middle_block.{place}.{inside(kind, rest)}"
    block, kind, index, *rest = path
    if part == "down_blocks":
        first = 1 + int(block) * (layers + 1)
        if kind == "downsamplers":
            return ".".join([f"input_blocks.{first + layers}.0.op", *rest[1:]])
        return f"input_blocks.{first + int(index)}.{int(kind == 'attentions')}.{inside(kind, rest)}"
    first = int(block) * (layers + 1)
    if kind == "upsamplers":
        place = 1 + ("CrossAttn" in config["up_block_types"][int(block)])
        return ".".join([f"output_blocks.{first + layers}.{place}", *rest])
    return f"output_blocks.{first + int(index)}.{int(kind == 'attentions')}.{inside(kind, rest)}"


def inside(kind: str, rest: list[str]) -> str:
    return ".".join(rest if kind == "attentions" else [RESNET[rest[0]], *rest[1:]])
