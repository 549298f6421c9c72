"""Segment Anything: what the original programs compute, for `tests/segment_anything.rs`.

    git clone https://github.com/ChaoningZhang/MobileSAM        # at 34bbbfd
    python tests/reference/segment_anything.py --mobile-sam MobileSAM

Writes tests/fixtures/segment_anything: names and shapes of the weights, and for a few clicks a part of the numbers.  The
weights themselves (40 MB) are not stored: both sides draw them anew, tensor by tensor in the order of their names, from
torch's generator (`draw` below; the test has the same rule).

Two networks: MobileSAM at its true size, and the original's encoder made small (two blocks of width 32).  Numbers are
computed with the tanh form of GELU where candle-transformers computes that (everywhere but in the original's encoder), and
embeddings as the original has them too.
"""

import argparse
import json
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import pictures

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "segment_anything"
SIDE = 1024
# Left, top, and whether it belongs to the object; in pixels of the picture.
CLICKS = {"one": [(40, 30, 1)], "another": [(120, 80, 1)], "three": [(40, 30, 1), (90, 60, 1), (10, 95, 0)]}
UNUSED = ("image_encoder.head.", "image_encoder.norm_head.")


def stub_imports() -> None:
    """MobileSAM takes a few small things from packages that are not needed here."""
    names = {
        "timm.models.layers": dict(DropPath=torch.nn.Identity, to_2tuple=lambda x: (x, x), trunc_normal_=lambda *_, **__: None),
        "timm.models.registry": dict(register_model=lambda function: function),
        "torchvision.transforms.functional": dict(resize=None, to_pil_image=None),
        "torchvision.ops.boxes": dict(batched_nms=None, box_area=None),
    }
    for name, contents in names.items():
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(parts[end - 1]))
        vars(sys.modules[name]).update(contents)


def draw(name: str, shape: torch.Size, index: int) -> torch.Tensor:
    """The weight `name`, the `index`th by name."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(5000 + index))
    if name.endswith("running_var"):
        return 1 + 0.2 * values.abs()
    if len(shape) == 1:
        return 1 + 0.2 * values if name.endswith("weight") else 0.2 * values
    if any(part in name for part in ("iou_token", "mask_tokens", "embed.weight", "point_embeddings", "gaussian_matrix", "attention_biases")):
        return values
    if any(part in name for part in ("pos_embed", "rel_pos")):
        return 0.3 * values
    sharp = 1.7 if any(part in name for part in ("q_proj", "k_proj", "qkv")) else 1.0
    return values * (sharp / (values.numel() / shape[0]) ** 0.5)


def with_drawn_weights(model: torch.nn.Module) -> dict[str, list[int]]:
    """Fills the model; gives its weights' names and shapes."""
    state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    state = {name: state[name] for name in sorted(state) if not name.startswith(UNUSED) and not name.startswith("pixel_")}
    drawn = {name: draw(name, tensor.shape, index) for index, (name, tensor) in enumerate(state.items())}
    model.load_state_dict(drawn, strict=False)
    return {name: list(tensor.shape) for name, tensor in state.items()}


def small_original(package):
    """The original's network with an encoder of two narrow blocks, one of them with windows."""
    from mobile_sam.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    encoder = ImageEncoderViT(
        depth=2,
        embed_dim=32,
        img_size=SIDE,
        mlp_ratio=4,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        num_heads=2,
        patch_size=16,
        qkv_bias=True,
        use_rel_pos=True,
        global_attn_indexes=[1],
        window_size=14,
        out_chans=256,
    )
    prompts = PromptEncoder(
        embed_dim=256, image_embedding_size=(64, 64), input_image_size=(SIDE, SIDE), mask_in_chans=16
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    decoder = MaskDecoder(
        num_multimask_outputs=3, transformer=transformer, transformer_dim=256, iou_head_depth=3, iou_head_hidden_dim=256
    )
    return Sam(image_encoder=encoder, prompt_encoder=prompts, mask_decoder=decoder)


def prepared(picture: Image.Image) -> torch.Tensor:
    """ResizeLongestSide for PIL pictures."""
    scale = SIDE / max(picture.size)
    size = [int(side * scale + 0.5) for side in picture.size]
    resized = np.array(picture.resize(size, Image.BILINEAR))
    return torch.from_numpy(resized).permute(2, 0, 1)[None].float()


@torch.no_grad()
def numbers(model, picture: Image.Image, label: str) -> dict[str, torch.Tensor]:
    """Thinned embedding, and for each set of clicks thinned masks, their qualities, and the final mask."""
    model.eval()
    pixels = prepared(picture)
    embedding = model.image_encoder(model.preprocess(pixels))
    tensors = {f"{label}.embedding": embedding[0, ::16, ::8, ::8]}
    if not label.endswith("tanh"):
        return tensors
    width, height = picture.size
    for name, clicks in CLICKS.items():
        points = torch.tensor([[x, y] for x, y, _ in clicks], dtype=torch.float64)
        points[:, 0] *= pixels.shape[3] / width
        points[:, 1] *= pixels.shape[2] / height
        labels = torch.tensor([[inside for *_, inside in clicks]])
        sparse, dense = model.prompt_encoder(points=(points[None].float(), labels), boxes=None, masks=None)
        masks, quality = model.mask_decoder(
            image_embeddings=embedding,
            image_pe=model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=len(clicks) == 1,
        )
        best = int(quality[0].argmax())
        full = model.postprocess_masks(masks[:, best : best + 1], tuple(pixels.shape[2:]), (height, width))[0, 0]
        tensors |= {
            f"{label}.{name}.masks": masks[0, :, ::16, ::16],
            f"{label}.{name}.quality": quality[0],
        }
        tensors[f"{label}.{name}.selected"] = torch.from_numpy(np.packbits((full > 0).numpy()))
        inside = (full > 0).float().mean()
        print(f"{label:20} {name:8} best {best} of {quality[0].tolist()}, logits std {masks.std():.3f}, inside {inside:.1%}")
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mobile-sam", type=Path, required=True)
    options = parser.parse_args()
    stub_imports()
    sys.path.insert(0, str(options.mobile_sam))
    import mobile_sam

    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = pictures.picture(150, 101, 2)  # wide.png of the parity fixtures
    tensors, weights = {}, {}
    for name, make in {"mobile": mobile_sam.build_sam_vit_t, "original": lambda: small_original(mobile_sam)}.items():
        model = make()
        weights[name] = with_drawn_weights(model)
        tensors |= numbers(model, picture, name)
        for part, module in model.named_modules():
            exact = name == "original" and part.startswith("image_encoder")
            if isinstance(module, torch.nn.GELU) and not exact:
                module.approximate = "tanh"
        tensors |= numbers(model, picture, f"{name}-tanh")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, FOLDER / "numbers.safetensors")
    index = {"clicks": CLICKS, "weights": weights}
    (FOLDER / "index.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
