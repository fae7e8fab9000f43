"""Chat templates run as transformers runs them: in Jinja's sandbox, with the same few functions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser

from anydraft.loading.bounded_templates import BoundedEnvironment, TooLargeError


class _Generation(Extension):
    """``{% generation %}`` marks what the assistant says, for training; here it is left as it stands."""

    tags = {"generation"}  # noqa: RUF012  the name and the type are Jinja's

    def parse(self, parser: Parser) -> Node | list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def rendered(
    template: str,
    messages: Sequence[Mapping[str, Any]],
    tokens: Mapping[str, str],
    *,
    add_generation_prompt: bool,
) -> str:
    """A chat as text; ``tokens``: contents of ``bos_token`` and others, which templates ask for by name.

    Raises:
        TooLargeError: it takes too many steps, or makes too long a text; and whatever the template raises.
    """
    plain = json.loads(json.dumps(messages))  # a template of a stranger gets no objects with methods
    asked = {"tools": None, "documents": None, "add_generation_prompt": add_generation_prompt}
    made = _compiled(template)
    said: str = made.environment.bounded(made, {"messages": plain, **asked, **tokens})
    return said


def require_bounded(tokenizer: object, messages: Sequence[Mapping[str, Any]], *, prompted: bool) -> None:
    """Refuse a chat on which the template of a tokenizer of transformers, which has no bounds, goes too far.

    It is rendered here first, with the same variables. What else goes wrong is left to transformers to tell.

    Raises:
        TooLargeError: it takes too many steps, or makes too long a text.
    """
    templates: Any = getattr(tokenizer, "chat_template", None)
    template = templates.get("default") if isinstance(templates, Mapping) else templates
    tokens: Any = getattr(tokenizer, "special_tokens_map", None)
    if not isinstance(template, str) or not isinstance(tokens, Mapping):
        return
    try:
        rendered(template, messages, tokens, add_generation_prompt=prompted)
    except TooLargeError:
        raise
    except Exception:  # a template is a program of its own, and may raise anything
        return


@lru_cache(maxsize=16)
def _compiled(template: str) -> Any:
    made = BoundedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.bound("tojson", _to_json)
    made.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    return made.from_string(template)


def _now(form: str) -> str:
    if re.search(r"\d{4,}", form):
        raise TooLargeError("it formats a date with a width of more than three digits")
    return datetime.now().strftime(form)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:  # noqa: FBT001, FBT002
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
