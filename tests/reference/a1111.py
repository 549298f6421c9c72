"""Prompt weights as AUTOMATIC1111's web UI documents them: brackets, numbers, BREAK, rows of 75 tokens.

Round brackets multiply by 1.1, square ones divide by it, `(x:1.3)` names the factor, a backslash keeps a bracket.
Each row of 75 tokens is encoded between a start and an end; its embeddings are multiplied by the weights of their
tokens, and then by one number that brings their mean back to what it was.
"""

import torch

STEP = 1.1
COMMA_REACH = 20
BREAK = object()


def parse(text: str) -> list:
    """A list of [text, weight] and BREAK."""
    pieces, open_brackets = [], []

    def multiply(start: int, factor: float) -> None:
        for piece in pieces[start:]:
            if piece is not BREAK:
                piece[1] *= factor

    def close(kind: str, factor: float) -> bool:
        """Closes the innermost open bracket of this kind."""
        for index in reversed(range(len(open_brackets))):
            if open_brackets[index][0] == kind:
                multiply(open_brackets.pop(index)[1], factor)
                return True
        return False

    position = 0
    while position < len(text):
        letter = text[position]
        step = 1
        if letter == "\\":
            following = text[position + 1 : position + 2]
            if following and following in "()[]\\":
                pieces.append([following, 1.0])
                step = 2
        elif letter in "([":
            open_brackets.append((letter, len(pieces)))
        elif letter == ")":
            if not close("(", STEP):
                pieces.append([")", 1.0])
        elif letter == "]":
            if not close("[", 1 / STEP):
                pieces.append(["]", 1.0])
        elif letter == ":":
            end = text.find(")", position)
            number = as_number(text[position + 1 : end]) if end >= 0 else None
            if number is None:
                pieces.append([":", 1.0])
            else:
                step = end + 1 - position
                if not close("(", number):
                    pieces.append([text[position : end + 1], 1.0])
        elif is_break(text, position):
            while pieces and pieces[-1] is not BREAK and pieces[-1][0].isspace():
                pieces.pop()
            pieces.append(BREAK)
            step = len("BREAK")
            while text[position + step : position + step + 1].isspace():
                step += 1
        else:
            pieces.append([letter, 1.0])
        position += step
    for kind, start in open_brackets:
        multiply(start, STEP if kind == "(" else 1 / STEP)
    return joined(pieces)


def as_number(text: str) -> float | None:
    text = text.strip()
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits or set(digits) - set("0123456789."):
        return None
    try:
        return float(text)
    except ValueError:
        return None


def is_break(text: str, position: int) -> bool:
    end = position + len("BREAK")
    if text[position:end] != "BREAK":
        return False
    neighbours = text[position - 1 : position] + text[end : end + 1]
    return not any(letter.isalnum() or letter == "_" for letter in neighbours)


def joined(pieces: list) -> list:
    """Neighbours of one weight as one text."""
    result = []
    for piece in pieces:
        if piece is not BREAK and result and result[-1] is not BREAK and result[-1][1] == piece[1]:
            result[-1][0] += piece[0]
        else:
            result.append(piece if piece is BREAK else list(piece))
    return result


def rows(text: str, tokenize, tokenizer, long: bool) -> list[tuple[list[int], list[float]]]:
    """Rows of at most 75 (id, weight); without `long`, what does not fit between two breaks is dropped.

    `tokenize` gives the ids of a text, without start and end.
    """
    comma = tokenizer.convert_tokens_to_ids(",</w>")
    capacity = tokenizer.model_max_length - 2
    sections = [[]]
    for piece in parse(text):
        if piece is BREAK:
            sections.append([])
        else:
            sections[-1] += [(token, piece[1]) for token in tokenize(piece[0])]
    result = []
    for section in sections:
        if not long:
            result.append(section[:capacity])
            continue
        row, last_comma = [], None
        for token in section:
            if token[0] == comma:
                last_comma = len(row)
            elif len(row) == capacity and last_comma is not None and len(row) - last_comma <= COMMA_REACH:
                moved = row[last_comma + 1 :]
                result.append(row[: last_comma + 1])
                row, last_comma = moved, None
            if len(row) == capacity:
                result.append(row)
                row, last_comma = [], None
            row.append(token)
        result.append(row)
    return [([token for token, _ in row], [weight for _, weight in row]) for row in result]


def framed(ids: list[int], tokenizer) -> torch.Tensor:
    """A row [1, 77]: start, ids, end, padding."""
    padding = [tokenizer.pad_token_id] * (tokenizer.model_max_length - 2 - len(ids))
    return torch.tensor([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id, *padding]])


@torch.no_grad()
def embeddings(text: str, tokenize, tokenizer, encode, long: bool) -> torch.Tensor:
    """[1, 77 * rows, width]; `tokenize` as in `rows`, `encode` takes ids [1, 77] and gives [1, 77, width]."""
    parts = []
    for ids, weights in rows(text, tokenize, tokenizer, long):
        filling = tokenizer.model_max_length - 2 - len(ids)
        multipliers = torch.tensor([1.0, *weights, 1.0, *[1.0] * filling])
        states = encode(framed(ids, tokenizer))
        weighted = states * multipliers.view(1, -1, 1)
        parts.append(weighted * (states.mean() / weighted.mean()))
    return torch.cat(parts, 1)
