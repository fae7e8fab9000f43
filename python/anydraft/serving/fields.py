"""Fields of OpenAI's requests that are not honoured: harmless ones, and those that would change the text."""

from __future__ import annotations

from typing import Any

from anydraft.serving.errors import RequestError

IGNORED = {
    "metadata",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
}
"""They do not change the text."""

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "function_call": ("none",),
    "functions": ([],),
    "modalities": (["text"],),
    "reasoning_effort": (),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "verbosity": (),
    "web_search_options": (),
}
"""They do; of each the values that ask for nothing, beside null."""

_INSTEAD = {
    "best_of": "n gives several texts",
    "tools": "describe them in a message; the answer is text",
}


def without_unused(body: dict[str, Any]) -> dict[str, Any]:
    """The fields that are read.

    Raises:
        RequestError: one that would change the text, and is not honoured here.
    """
    for name, neutral in NEUTRAL.items():
        value = body.get(name)
        if value is not None and value not in neutral:
            expected = " or ".join(["null", *map(repr, neutral)])
            raise RequestError(
                f"got {name}={value!r}, which this server does not offer; expected {expected}: "
                f"{_INSTEAD.get(name, 'leave it out')}",
                param=name,
                code="unsupported_parameter",
            )
    return {name: value for name, value in body.items() if name not in IGNORED and name not in NEUTRAL}
