"""Docstrings as Markdown: roles such as ``:class:`~anydraft.Bridge``` become code, ``::`` a colon."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|meth|func|mod|attr|data|exc):`~?([\w.]+)`")
_BLOCK = re.compile(r"^(.*)::$", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites every docstring once it is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """A role names things by their last part; ``text::`` before a literal block is ``text:``."""
        if obj.docstring is None:
            return
        said = _ROLE.sub(lambda found: f"`{found[1].rpartition('.')[2]}`", obj.docstring.value)
        obj.docstring.value = _BLOCK.sub(lambda found: f"{found[1]}:" if found[1].strip() else "", said)
