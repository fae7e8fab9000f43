"""Tokenizers as their files describe them, without transformers: ids, control tokens and chats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer
from tokenizers.processors import TemplateProcessing

from anydraft.loading.chat_templates import rendered
from anydraft.loading.tokenizer_config import NAMED, TokenizerConfig

if TYPE_CHECKING:
    import tiktoken


class _Light:
    """What both kinds share: control tokens by role, and chats."""

    def __init__(self, config: TokenizerConfig, ids: Mapping[str, int]) -> None:
        """``ids``: of the control tokens, by content."""
        self.config = config
        self.chat_template = config.chat_template
        for role in NAMED:
            content = config.named.get(role)
            known = content is not None and content in ids
            setattr(self, role, content if known else None)
            setattr(self, f"{role}_id", ids[content] if known and content is not None else None)

    def _ids(self, text: str, *, add_special_tokens: bool) -> list[int]:
        raise NotImplementedError

    def __call__(self, text: str, *, add_special_tokens: bool = True, **_: Any) -> dict[str, list[int]]:
        """``{"input_ids": ids}``, with the control tokens that belong around a text."""
        return {"input_ids": self._ids(text, add_special_tokens=add_special_tokens)}

    def apply_chat_template(self, conversation: Sequence[Mapping[str, Any]], **options: Any) -> Any:
        """A chat as ids, or with ``tokenize=False`` as text; ``add_generation_prompt`` as in transformers."""
        tokens = {role: getattr(self, role) for role in NAMED if getattr(self, role) is not None}
        prompted = bool(options.get("add_generation_prompt"))
        text = rendered(str(self.chat_template), conversation, tokens, add_generation_prompt=prompted)
        return self._ids(text, add_special_tokens=False) if options.get("tokenize", True) else text


class LightTokenizer(_Light):
    """A ``tokenizers.Tokenizer`` with what its folder says beside it, as transformers would read it."""

    def __init__(self, backend: Tokenizer, config: TokenizerConfig) -> None:
        """``backend`` gets the control tokens that only ``config`` names."""
        _complete(backend, config)
        added = backend.get_added_tokens_decoder().items()
        ids = {token.content: i for i, token in added}
        for content in config.named.values():  # a model's own token that nobody added
            found = backend.token_to_id(content)
            if found is not None:
                ids.setdefault(content, found)
        super().__init__(config, ids)
        self.backend_tokenizer = backend
        self._whole = backend
        if config.adds_bos is not None or config.adds_eos is not None or backend.post_processor is None:
            backend.post_processor = _around(
                self.bos_token if config.adds_bos else None,  # type: ignore[attr-defined]
                self.eos_token if config.adds_eos else None,  # type: ignore[attr-defined]
                ids,
            )
        if backend.truncation or backend.padding:  # the user's own stays as it is
            self._whole = Tokenizer.from_str(backend.to_str())
            self._whole.no_truncation()
            self._whole.no_padding()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Added tokens by id."""
        return dict(self.backend_tokenizer.get_added_tokens_decoder())

    def __len__(self) -> int:
        """Ids, added tokens included."""
        return int(self.backend_tokenizer.get_vocab_size(with_added_tokens=True))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, control tokens as their contents."""
        return str(self.backend_tokenizer.decode(list(ids), skip_special_tokens=False))

    def _ids(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return list(self._whole.encode(text, add_special_tokens=add_special_tokens).ids)


class RankedTokenizer(_Light):
    """A ``tiktoken.Encoding`` with what such a file leaves out: what begins a text, and chats.

    Everything else is asked of the encoding itself, which is ``tokenizer``.
    """

    def __init__(
        self, encoding: tiktoken.Encoding, config: TokenizerConfig, opening: Iterable[str] = ()
    ) -> None:
        """``opening``: control tokens that begin every text, by content."""
        super().__init__(config, encoding._special_tokens)
        self.tokenizer = encoding
        self._opening = [encoding._special_tokens[content] for content in opening]

    def __getattr__(self, name: str) -> Any:
        """What the encoding has under this name."""
        if name == "tokenizer":  # asked for before it is there, by copy and pickle
            raise AttributeError(name)
        return getattr(self.tokenizer, name)

    def __len__(self) -> int:
        """Ids, control tokens included."""
        return self.tokenizer.n_vocab

    def _ids(self, text: str, *, add_special_tokens: bool) -> list[int]:
        ids = self.tokenizer.encode(text, allowed_special="all")
        return [*self._opening, *ids] if add_special_tokens else ids


def _complete(backend: Tokenizer, config: TokenizerConfig) -> None:
    """Add the control tokens that only the config names, as transformers does: in the order of their ids."""
    known = {repr(token) for token in backend.get_added_tokens_decoder().values()}
    wanted = [token for _, token in sorted(config.added.items()) if repr(token) not in known]
    contents = {token.content for token in backend.get_added_tokens_decoder().values()}
    contents |= {token.content for token in wanted}
    for content in (*config.named.values(), *config.extra):
        if content not in contents:
            contents.add(content)
            wanted.append(AddedToken(content, special=True, normalized=False))
    for token in wanted:
        token.special = token.special or token.content in config.named.values()
    backend.add_tokens(wanted)


def _around(bos: str | None, eos: str | None, ids: Mapping[str, int]) -> Any:
    single = " ".join([*([f"{bos}:0"] if bos else []), "$A:0", *([f"{eos}:0"] if eos else [])])
    pair = " ".join([single, *([f"{bos}:1"] if bos else []), "$B:1", *([f"{eos}:1"] if eos else [])])
    tokens = [(content, ids[content]) for content in (bos, eos) if content]
    return TemplateProcessing(single=single, pair=pair, special_tokens=tokens)
