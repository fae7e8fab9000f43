"""Repositories of the Hugging Face Hub, through the cache that huggingface_hub keeps itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from anydraft.errors import ModelFileError

Wanted = Literal["config", "tokenizer", "model"]
"""What is fetched of a repository: its configs, those and its tokenizer, or everything that is run."""

_PART = r"[A-Za-z0-9](?:[\w.-]*[\w-])?"
_ID = re.compile(rf"(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[^@]+?))?(?:/(?P<file>[^@]+\.\w+))?")

_FILES = {".gguf", ".json", ".model", ".tiktoken", ".safetensors", ".bin"}
"""No repository is called so: a path with such an ending that is not there is a file that is missing."""

_CONFIGS = ["config.json", "generation_config.json"]
_TOKENIZER = [
    *_CONFIGS, "tokenizer*.json", "tokenizer.model*", "*.tiktoken", "tiktoken.model", "tekken*.json",
    "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab.*", "merges.txt", "*.model",
]  # fmt: skip
_PATTERNS: dict[Wanted, list[str]] = {
    "config": _CONFIGS,
    "tokenizer": _TOKENIZER,
    "model": [*_TOKENIZER, "*.safetensors", "*.safetensors.index.json"],
}
_IGNORED = ["*/*", "consolidated*"]
"""Folders inside, and the copy of the weights that Mistral and Meta put beside those of transformers."""


@dataclass(frozen=True)
class HubName:
    """``org/name``, a revision, and a file inside."""

    repo: str
    revision: str | None
    file: str | None

    @classmethod
    def of(cls, name: str | os.PathLike[str]) -> HubName | None:
        """What ``org/name[@revision]`` or ``org/name[@revision]/file.gguf`` means; ``None`` for a path."""
        found = _ID.fullmatch(name.as_posix() if isinstance(name, PurePath) else os.fspath(name))
        if found is None or Path(found["repo"]).suffix in _FILES:
            return None
        return cls(found["repo"], found["revision"], found["file"])

    def __str__(self) -> str:
        """Without the file."""
        return self.repo + (f"@{self.revision}" if self.revision else "")

    def fetched(self, wanted: Wanted) -> Path:
        """The folder of the cache with what is ``wanted``, or the file; downloaded if it is not there.

        Raises:
            ModelFileError: no such repository, revision or file; it is gated; it is not in the cache and the
                Hub cannot be reached, or ``HF_HUB_OFFLINE`` forbids it.
        """
        from huggingface_hub import hf_hub_download, snapshot_download

        where = {"repo_id": self.repo, "revision": self.revision, "local_files_only": _offline()}
        with self._reading():
            if self.file is not None:
                return Path(hf_hub_download(filename=self.file, **where))  # type: ignore[arg-type]
            patterns = _PATTERNS[wanted]
            fetch: Callable[..., str] = snapshot_download
            folder = Path(fetch(allow_patterns=patterns, ignore_patterns=_IGNORED, **where))
            if wanted == "model" and not list(folder.glob("*.safetensors")):
                fetch(allow_patterns=["pytorch_model*"], ignore_patterns=_IGNORED, **where)
        return folder

    @contextmanager
    def _reading(self) -> Iterator[None]:
        from huggingface_hub import errors

        try:
            yield
        except errors.GatedRepoError as error:
            raise ModelFileError(
                f"got {self}, which its owners give to those who ask: ask on its page, then run hf auth login"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ModelFileError(f"got {self}; {self.repo} has no such revision") from error
        except errors.RepositoryNotFoundError as error:
            raise ModelFileError(
                f"got {self}: there is no such path here, and no such repository on the Hugging Face Hub "
                "that you may read (for a private one: hf auth login)"
            ) from error
        except errors.LocalEntryNotFoundError as error:
            why = (
                "HF_HUB_OFFLINE forbids a download: unset it, or run"
                if _offline()
                else "the Hub cannot be reached: with a connection run"
            )
            raise ModelFileError(
                f"got {self}: there is no such path here, it is not (whole) in the Hugging Face Hub's cache, "
                f"and {why} hf download {self.repo}"
            ) from error
        except errors.EntryNotFoundError as error:
            raise ModelFileError(f"got {self}/{self.file}; {self} has no such file") from error
        except (OSError, ValueError) as error:  # what httpx, a proxy or a full disk say
            said = " ".join(str(error).split())[:200]
            raise ModelFileError(f"got {self}, which cannot be downloaded ({said})") from error


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)
