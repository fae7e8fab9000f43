"""Chat templates run as transformers runs them: in Jinja's sandbox, with the same few functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


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

    Raises whatever the template raises.
    """
    plain = json.loads(json.dumps(messages))  # a template of a stranger gets no objects with methods
    said = _compiled(template).render(
        messages=plain, tools=None, documents=None, add_generation_prompt=add_generation_prompt, **tokens
    )
    return str(said)


@lru_cache(maxsize=16)
def _compiled(template: str) -> Any:
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    made.filters["tojson"] = _to_json
    made.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
    return made.from_string(template)


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:  # noqa: FBT001, FBT002
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
