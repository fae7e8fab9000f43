"""What a folder says of its tokenizer beside the vocabulary: control tokens by role, chat template."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from anydraft.loading.reading import read_object

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class TokenizerConfig:
    """Everything that may be missing is empty or ``None``."""

    named: Mapping[str, str] = field(default_factory=dict)
    """Role to content."""
    added: Mapping[int, AddedToken] = field(default_factory=dict)
    """By id."""
    extra: tuple[str, ...] = ()
    """More control tokens, by content."""
    chat_template: str | None = None
    adds_bos: bool | None = None
    """Whether a BOS goes before every text; ``None``: as the tokenizer's own file has it."""
    adds_eos: bool | None = None
    model_type: str | None = None
    """Of the model's config: which family it is."""
    tokenizer_class: str | None = None
    own_code: bool = False
    """Whether that class comes as code in the folder, which is not run."""


def tokenizer_config(folder: Path) -> TokenizerConfig:
    """What the JSON files and templates of a folder say; those that are absent or damaged say nothing."""
    told = read_object(folder / "tokenizer_config.json")
    mapped = read_object(folder / "special_tokens_map.json")
    model = read_object(folder / "config.json")
    named = {role: _content(told.get(role, mapped.get(role))) for role in NAMED}
    more = told.get("extra_special_tokens") or told.get("additional_special_tokens") or ()
    extra = [_content(token) for token in (more.values() if isinstance(more, dict) else more)]
    special = {*named.values(), *extra}
    classes = told.get("auto_map")
    return TokenizerConfig(
        named={role: content for role, content in named.items() if content is not None},
        added=_added(told.get("added_tokens_decoder"), read_object(folder / "added_tokens.json"), special),
        extra=tuple(content for content in extra if content is not None),
        chat_template=_template(folder, told),
        adds_bos=_flag(told.get("add_bos_token")),
        adds_eos=_flag(told.get("add_eos_token")),
        model_type=_text(model.get("model_type")),
        tokenizer_class=_text(told.get("tokenizer_class")),
        own_code=isinstance(classes, dict) and "AutoTokenizer" in classes,
    )


def _added(decoder: Any, plain: Mapping[str, Any], special: Collection[str | None]) -> dict[int, AddedToken]:
    found = {
        i: AddedToken(content, special=content in special, normalized=content not in special)
        for content, i in plain.items()
        if isinstance(i, int)
    }
    for i, token in decoder.items() if isinstance(decoder, dict) else ():
        content = _content(token)
        if content is not None and str(i).isdigit():
            flags = {flag: bool(token[flag]) for flag in _FLAGS if isinstance(token, dict) and flag in token}
            found[int(i)] = AddedToken(content, **flags)
    return found


def _template(folder: Path, told: Mapping[str, Any]) -> str | None:
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    found = read_object(folder / "chat_template.json").get("chat_template", told.get("chat_template"))
    if isinstance(found, list):  # several, each with a name
        by_name = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = by_name.get("default")
    return _text(found)


def _content(token: Any) -> str | None:
    """A token is written as its content, or as a dictionary with it."""
    return _text(token.get("content") if isinstance(token, dict) else token)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
