"""Prompts with weights, long prompts in rows and textual inversion for pipelines of diffusers.

Options as the command line names them: `prompt-syntax` (a1111 or compel; plain is the pipeline's own reading),
`long-prompts`, and `embedding`, a list of (file, word or None).  Compel does its own part itself; what it has no setting
for (more than one layer left out, a second encoder's words) is given to it here.
"""

from pathlib import Path

import torch
from compel import Compel, CompelForSDXL, ReturnedEmbeddingsType
from safetensors.torch import load_file

import a1111

PAIR = ("clip_l", "clip_g")


def load_inversions(pipe, inversions: list, folder: Path) -> None:
    """Words of textual inversion, as the reference's scripts load them."""
    for file, token in inversions:
        vectors = load_file(folder / file)
        if not set(PAIR) & set(vectors):
            pipe.load_textual_inversion(vectors, token=token)
            continue
        for key, suffix in zip(PAIR, ("", "_2"), strict=True):
            encoder = getattr(pipe, f"text_encoder{suffix}", None)
            if key in vectors and encoder is not None:
                tokenizer = getattr(pipe, f"tokenizer{suffix}")
                word = token or Path(file).stem
                pipe.load_textual_inversion(vectors[key], token=word, text_encoder=encoder, tokenizer=tokenizer)


class Expanding:
    """Lets Compel see the further vectors of a textual inversion."""

    def __init__(self, pipe, tokenizer):
        self.pipe, self.tokenizer = pipe, tokenizer

    def expand_textual_inversion_token_ids_if_necessary(self, ids: list[int]) -> list[int]:
        if not ids:
            return ids
        text = self.pipe.maybe_convert_prompt(self.tokenizer.decode(ids), self.tokenizer)
        return self.tokenizer.encode(text, add_special_tokens=False)


class Reader:
    """One text encoder of a pipeline."""

    def __init__(self, pipe, suffix: str, settings: dict):
        self.pipe = pipe
        self.tokenizer = getattr(pipe, f"tokenizer{suffix}")
        self.encoder = getattr(pipe, f"text_encoder{suffix}")
        self.is_xl = hasattr(pipe, "text_encoder_2")
        self.syntax = settings.get("prompt-syntax", "plain")
        self.long = settings.get("long-prompts", False)
        self.skipped = settings.get("clip-skip") or 0
        weighted = settings.get("embedding") and self.syntax == "compel"
        expanding = Expanding(pipe, self.tokenizer) if weighted else None
        self.compel = Compel(
            tokenizer=self.tokenizer,
            text_encoder=self.encoder,
            textual_inversion_manager=expanding,
            truncate_long_prompts=not self.long,
            returned_embeddings_type=self.kind(),
        )
        if self.skipped > (0 if self.is_xl else 1):
            self.compel.conditioning_provider._encode_token_ids_to_embeddings = self.encode

    def kind(self) -> ReturnedEmbeddingsType:
        if self.is_xl:
            return ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED
        if self.skipped:
            return ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NORMALIZED
        return ReturnedEmbeddingsType.LAST_HIDDEN_STATES_NORMALIZED

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """ids to states, as the reference's `clip_skip` takes them."""
        output = self.encoder(ids, mask, output_hidden_states=True)
        if self.is_xl:
            return output.hidden_states[-(self.skipped + 2)]
        if not self.skipped:
            return output.last_hidden_state
        return self.encoder.text_model.final_layer_norm(output.hidden_states[-(self.skipped + 1)])

    def tokens(self, text: str) -> list[int]:
        """The ids of a text, each word of textual inversion whole, however it is written."""
        added = self.tokenizer.added_tokens_encoder
        names = {token: name for name, token in added.items()}
        result = []
        for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]:
            result.append(token)
            index = 1
            while f"{names.get(token)}_{index}" in added:
                result.append(added[f"{names[token]}_{index}"])
                index += 1
        return result

    def states(self, prompt: str) -> torch.Tensor:
        """[1, 77 * rows, width]"""
        if self.syntax == "a1111":
            return a1111.embeddings(prompt, self.tokens, self.tokenizer, self.encode, self.long)
        if self.syntax == "compel":
            return self.compel(prompt)
        prompt = self.pipe.maybe_convert_prompt(prompt, self.tokenizer)
        return self.compel.conditioning_provider.get_embeddings_for_weighted_prompt_fragments([[prompt]], [[1.0]])

    def pooled(self, prompt: str) -> torch.Tensor:
        """Of the first row with AUTOMATIC1111's syntax; Compel reads the text as it was typed, marks and all."""
        if self.syntax == "a1111":
            ids = a1111.framed(a1111.rows(prompt, self.tokens, self.tokenizer, self.long)[0][0], self.tokenizer)
            return self.encoder(ids).text_embeds
        if self.syntax == "plain":
            prompt = self.pipe.maybe_convert_prompt(prompt, self.tokenizer)
        return self.compel.conditioning_provider.get_pooled_embeddings([prompt])

    def padded(self, states: torch.Tensor, length: int) -> torch.Tensor:
        """With rows of an empty text behind."""
        empty = self.compel("")
        return torch.cat([states, *[empty] * ((length - states.shape[1]) // empty.shape[1])], 1)


def joined(readers: list[Reader], texts: list[str]) -> torch.Tensor:
    """The states of all encoders side by side, of one length."""
    states = [reader.states(text) for reader, text in zip(readers, texts, strict=True)]
    length = max(one.shape[1] for one in states)
    return torch.cat([reader.padded(one, length) for reader, one in zip(readers, states, strict=True)], -1)


def as_compel_does(pipe, readers: list[Reader], texts: tuple, negatives: tuple | None) -> tuple | None:
    """Stable Diffusion XL's wrapper of Compel itself, with these readers' settings.

    None where it fails: Compel 2.5 cannot weigh the parts of `.and()` in an encoder whose pooled text it gives.
    """
    made = CompelForSDXL(pipe)
    for own, reader in zip((made.compel_1, made.compel_2), readers, strict=True):
        own.conditioning_provider = reader.compel.conditioning_provider
    try:
        result = made(*texts, *(negatives or (None, None)))
    except AttributeError:
        return None
    return result.embeds, result.negative_embeds, result.pooled_embeds, result.negative_pooled_embeds


def side_by_side(readers: list[Reader], texts: tuple, negatives: tuple | None, is_xl: bool) -> tuple:
    """The same from each encoder by itself."""
    states = joined(readers, texts)
    pooled = readers[-1].pooled(texts[-1]) if is_xl else None
    if negatives is None:
        return states, None, pooled, None
    others = joined(readers, negatives)
    empty = joined(readers, ["" for _ in readers])
    length = max(states.shape[1], others.shape[1])
    states, others = (
        torch.cat([one, *[empty] * ((length - one.shape[1]) // empty.shape[1])], 1) for one in (states, others)
    )
    return states, others, pooled, readers[-1].pooled(negatives[-1]) if is_xl else None


@torch.no_grad()
def embeddings(pipe, settings: dict) -> tuple:
    """Prompt and negative prompt, then, for Stable Diffusion XL, their pooled texts; None without guidance."""
    is_xl = hasattr(pipe, "text_encoder_2")
    suffixes = [suffix for suffix in ("", "_2") if getattr(pipe, f"text_encoder{suffix}", None) is not None]
    readers = [Reader(pipe, suffix, settings) for suffix in suffixes]

    def texts(key: str) -> tuple:
        first = settings.get(key) or ""
        second = settings.get(f"{key}-2") or first
        # A refiner's one encoder reads the first.
        return (first, second)[: len(suffixes)]

    guided = settings["guidance-scale"] > 1
    zeros = is_xl and "negative-prompt" not in settings and pipe.config.force_zeros_for_empty_prompt
    positive, negative = texts("prompt"), texts("negative-prompt") if guided and not zeros else None
    made = None
    if len(readers) == 2 and readers[0].syntax == "compel":
        made = as_compel_does(pipe, readers, positive, negative)
    states, others, pooled, other_pooled = made or side_by_side(readers, positive, negative, is_xl)
    if guided and zeros:
        others, other_pooled = torch.zeros_like(states), torch.zeros_like(pooled)
    return (states, others, pooled, other_pooled) if is_xl else (states, others)


def attach(pipe, settings: dict, folder: Path) -> None:
    """Makes a pipeline read its prompts as the settings say."""
    load_inversions(pipe, settings.get("embedding", []), folder)
    if settings.get("prompt-syntax", "plain") != "plain" or settings.get("long-prompts"):
        count = settings.get("num-images-per-prompt", 1)
        made = [one if one is None else one.repeat_interleave(count, 0) for one in embeddings(pipe, settings)]
        pipe.encode_prompt = lambda *_, **__: made
