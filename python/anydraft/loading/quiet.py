"""Keep transformers' bars and warnings off the terminal while anydraft reports in their place."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import modeling_gguf_pytorch_utils
from transformers.utils import logging as transformers_logging

from anydraft.loading.progress import Progress

logging: Any = transformers_logging
_LOCK = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers inside the block; all its settings are as before after it."""
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verbosity = logging.get_verbosity()
        bars = logging.is_progress_bar_enabled()
        logging.set_verbosity(logging.CRITICAL)
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if bars:
                logging.enable_progress_bar()


@contextmanager
def tensors_counted(stage: str, progress: Progress) -> Iterator[None]:
    """Inside the block, transformers' loop over the tensors of a GGUF file reports to ``progress``.

    That loop draws its bar with a module global and offers no hook; the global is put back afterwards.
    """

    def counted(tensors: Iterable[Any], *_: Any, **__: Any) -> Iterator[Any]:
        listed = list(tensors)
        for i, tensor in enumerate(listed):
            progress(stage, i / len(listed))
            yield tensor
        progress(stage, 1.0)

    module: Any = modeling_gguf_pytorch_utils
    with _LOCK:
        before = module.tqdm
        module.tqdm = counted
        try:
            yield
        finally:
            module.tqdm = before
