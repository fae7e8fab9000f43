"""A SentencePiece ``.model`` file as a fast tokenizer (byte-pair models, as of Llama-2, Mistral, Gemma)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing

from anydraft.errors import ModelFileError
from anydraft.loading.light import LightTokenizer
from anydraft.loading.paths import escaped
from anydraft.loading.sentencepiece_kinds import Kind, piece_kinds
from anydraft.loading.tokenizer_config import TokenizerConfig

_SPACE = "▁"
_PROBE = "a  ﬁ ２"
"""Two spaces, a ligature, a full-width digit: a normaliser that is not the identity changes one of them."""


def load_sentencepiece(file: Path, config: TokenizerConfig | None = None) -> LightTokenizer:
    """A tokenizer with the same ids for every text, after a BOS if the model has one.

    But for the contents of control tokens, which it reads as these, and, where the model puts a space before
    a text, of pieces that its user had cut out (Mistral's ``[REFERENCE_DOC_0]``): it spells them, because
    fast tokenizers would put another space after each.

    ``config``: what the folder beside it adds, such as control tokens and a chat template.

    Raises:
        ModelFileError: ``sentencepiece`` is not installed; the file is damaged, is no byte-pair model,
            rewrites text before it splits it, or takes pieces apart again.
    """
    if config is not None and config.own_code:
        raise ModelFileError(
            f"got {file}, whose folder has code of its own for its tokenizer, which is not run; expected a "
            "folder with a tokenizer.json, or a tokenizer that you loaded yourself"
        )
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise ModelFileError(
            f"got {file.name}, a SentencePiece file; reading it needs the package sentencepiece: "
            "pip install 'anydraft[tokenizers]'"
        ) from error
    try:
        content = file.read_bytes()
        if not content:
            raise ValueError("the file is empty")
        pieces: Any = SentencePieceProcessor(model_proto=content)
        kinds = piece_kinds(content)
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelFileError(f"got {file}, which is no readable SentencePiece model: {error}") from error
    ids = range(pieces.get_piece_size())
    if not all(pieces.get_score(i).is_integer() for i in ids):
        raise ModelFileError(
            f"got {file}, a SentencePiece model that is not of the byte-pair kind; expected one"
        )
    if pieces.decode(pieces.encode(_PROBE)) != _PROBE:
        raise ModelFileError(
            f"got {file}, a SentencePiece model that rewrites text (its normaliser or its missing bytes); "
            "expected one that keeps every byte"
        )
    names = [pieces.id_to_piece(i) for i in ids]
    prefixed = pieces.encode("a", out_type=str)[0].startswith(_SPACE)
    merges = _merges(pieces, names, kinds)
    undone = [name for name, kind in zip(names, kinds, strict=True) if kind == Kind.UNUSED]
    if made := {a + b for a, b in merges}.intersection(undone):
        raise ModelFileError(
            f"got {file}, a SentencePiece model that takes apart again what it calls unused pieces "
            f"({escaped(min(made))}), which no fast tokenizer does; expected one without such. Give a folder "
            "with a tokenizer.json"
        )
    cut_out = [
        name
        for name, kind in zip(names, kinds, strict=True)
        if kind == Kind.USER_DEFINED and " " not in name  # which is never found: a text's spaces are ▁
    ]
    backend = _backend(pieces, names, merges, [] if prefixed else cut_out, prefixed=prefixed)
    named = {"bos_token": pieces.bos_id(), "eos_token": pieces.eos_id(), "unk_token": pieces.unk_id()}
    own = {name: names[i] for name, i in named.items() if i >= 0}
    told = config or TokenizerConfig()
    return LightTokenizer(backend, replace(told, named={**own, **told.named}))


def _backend(
    pieces: Any, names: list[str], merges: list[tuple[str, str]], cut_out: list[str], *, prefixed: bool
) -> Tokenizer:
    """``cut_out``: pieces that are whole wherever a text has them."""
    tokenizer = Tokenizer(
        BPE(
            {name: i for i, name in enumerate(names)},
            merges,
            unk_token=pieces.id_to_piece(pieces.unk_id()),
            fuse_unk=True,
            byte_fallback=any(map(pieces.is_byte, range(len(names)))),
        )
    )
    spaced: list[Any] = [normalizers.Replace(" ", _SPACE)]
    steps: list[Any] = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if prefixed:
        spaced.insert(0, normalizers.Prepend(_SPACE))
        steps.append(decoders.Strip(" ", 1, 0))
    tokenizer.normalizer = normalizers.Sequence(spaced)
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(
        [
            AddedToken(name, normalized=False, special=True)
            for i, name in enumerate(names)
            if pieces.is_control(i) or pieces.is_unknown(i)
        ]
    )
    tokenizer.add_tokens([AddedToken(name, normalized=True, special=False) for name in cut_out])
    if pieces.bos_id() >= 0:
        bos = pieces.id_to_piece(pieces.bos_id())
        tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A $B", special_tokens=[(bos, pieces.bos_id())]
        )
    return tokenizer


def _merges(pieces: Any, names: list[str], kinds: list[Kind]) -> list[tuple[str, str]]:
    """Every way to make a piece of two, best first: of all pairs, the one with the best result is merged."""
    vocab = {name: i for i, name in enumerate(names)}
    plain = [i for i, kind in enumerate(kinds) if kind in (Kind.NORMAL, Kind.UNUSED)]
    usable = {names[i] for i in plain}
    merges = []
    for i in sorted(plain, key=lambda i: -pieces.get_score(i)):
        whole = names[i]
        halves = [(whole[:cut], whole[cut:]) for cut in range(1, len(whole))]
        made = [(a, b) for a, b in halves if a in usable and b in usable]
        merges += sorted(made, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
    return merges
