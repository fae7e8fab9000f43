"""Jinja's sandbox with an end: a template of a stranger can neither run for ever nor fill the memory.

Loops, calls, filters and operators spend from a budget, by the length of what they are given, and what would
make a long text or number is refused before it is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import generate_lorem_ipsum

LONGEST = 1 << 20
"""Characters or elements of anything that a template makes, and as many more as 20 times the chat has."""
STEPS = 1 << 20
"""Turns of loops, calls and operators, each with another step for every hundred characters that it reads;
and as many more as the chat has characters."""
_SIZED = (str, bytes, list, tuple, dict, range)
_MOST = 100_000
_BY_LINE = {"expandtabs", "indent", "tojson", "translate", "wordwrap"}
_BITS = 4096


class TooLargeError(SecurityError):
    """A template takes too many steps, or makes too long a text."""


@dataclass
class _Budget:
    steps: int
    longest: int


_budget: ContextVar[_Budget] = ContextVar("_budget")


def spend(*values: Any) -> None:
    """One step, and more for long values.

    Raises:
        TooLargeError: none is left.
    """
    left = _budget.get()
    left.steps -= 1 + sum(_weight(value, left.steps) for value in values if isinstance(value, _SIZED))
    if left.steps < 0:
        raise TooLargeError("it takes more steps than a chat may")


def _weight(value: Any, most: int) -> int:
    """A step for every hundred characters, or ten elements of elements, of all that a value holds.

    A list may hold itself many times over: what is shared is counted each time, as it would be written.
    """
    weight, waiting = 0, [value]
    while waiting and weight <= most:
        each = waiting.pop()
        if isinstance(each, dict):
            each = [*each, *each.values()]
        weight += len(each) // 100
        if isinstance(each, (list, tuple)):
            inner = [part for part in each if isinstance(part, _SIZED)]
            weight += -(-len(inner) // 10)
            waiting += inner
    return weight


def fits(length: float) -> None:
    """Refuse a length before something of it is made.

    Raises:
        TooLargeError: it is too long.
    """
    longest = _budget.get().longest
    if length > longest:
        raise TooLargeError(f"it makes a text of more than {longest} characters")


def _number_fits(bits: int) -> None:
    """Refuse a number before it is made.

    Raises:
        TooLargeError: it is too long to be reckoned with quickly.
    """
    if bits > _BITS:
        raise TooLargeError(f"it reckons with numbers of more than {_BITS} bits")


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates are rendered by :meth:`bounded`."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self, **options: Any) -> None:
        """As Jinja's, with bounded filters."""
        super().__init__(**options)
        for name, function in list(self.filters.items()):
            self.bound(name, function)
        self.filters |= {"_turns": _turns, "_made": _made, "_weighed": _weighed}
        self.finalize = _weighed
        self.globals["lipsum"] = _lipsum

    def bound(self, name: str, function: Callable[..., Any]) -> None:
        """Add a filter, bounded as all are."""
        self.filters[name] = _bounded_filter(name, function)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        parsed = super()._parse(source, name, filename)
        for loop in list(parsed.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "_turns", [], [], None, None, lineno=loop.lineno)
        _wrap(parsed)
        return parsed

    def bounded(self, template: Any, variables: Mapping[str, Any]) -> str:
        """What a template of this environment says.

        Raises:
            TooLargeError: it took too many steps, or made too much; and whatever else it raises.
        """
        said = len(str(variables.get("messages")))
        token = _budget.set(_Budget(STEPS + said, LONGEST + 20 * said))
        try:
            pieces, length = [], 0
            for piece in template.generate(**variables):
                spend(piece)
                length += len(piece)
                fits(length)
                pieces.append(piece)
            return "".join(pieces)
        finally:
            _budget.reset(token)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As Jinja's."""
        spend(left, right)
        if operator == "*":
            for some, times in ((left, right), (right, left)):
                if isinstance(some, _SIZED) and isinstance(times, int):
                    fits(len(some) * times)
        if isinstance(left, int) and isinstance(right, int):
            power = operator == "**"
            _number_fits(left.bit_length() * abs(right) if power else left.bit_length() + right.bit_length())
        if operator == "+" and isinstance(left, _SIZED) and isinstance(right, _SIZED):
            fits(len(left) + len(right))
        if operator == "%" and isinstance(left, (str, bytes)):
            _format_fits(left, right if isinstance(right, tuple) else (right,))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, /, *args: Any, **options: Any) -> Any:
        """As Jinja's."""
        spend(*args)
        method = getattr(function, "__wrapped__", function)
        owner = getattr(method, "__self__", None)
        if isinstance(owner, _SIZED):
            spend(owner)
            _method_fits(method.__name__, owner, (*args, *options.values()))
        elif any(isinstance(each, int) and abs(each) > _MOST for each in (*args, *options.values())):
            raise TooLargeError(f"it calls a function with more than {_MOST}")
        return super().call(context, function, *args, **options)


def _method_fits(name: str, owner: Any, args: tuple[Any, ...]) -> None:
    """Refuse what a method or filter would make too long of ``owner``."""
    if name in ("format", "format_map"):
        _format_fits(owner, args)
    elif name == "join" and args and isinstance(args[0], _SIZED):
        fits(len(args[0]) * len(owner) + sum(len(str(each)) for each in args[0]))
    elif name == "replace" and len(args) > 1 and isinstance(owner, (str, bytes)):
        old, new = args[:2]
        fits(len(owner) + (owner.count(old) if len(old) else len(owner) + 1) * len(new))
    else:
        lines = 1 + (len(owner) if name in _BY_LINE else 0)
        widths = [
            each if isinstance(each, int) else len(each) if isinstance(each, str) else 0 for each in args
        ]
        fits(lines * max([0, *widths]))


def _format_fits(form: Any, args: Iterable[Any]) -> None:
    text = form.decode("latin-1") if isinstance(form, bytes) else str(form)
    digits = re.findall(r"\d+", text)
    if any(len(each) > 9 for each in digits):
        raise TooLargeError("it formats with a width of more than nine digits")
    fits(sum(map(int, digits)))
    widths = [each for each in args if isinstance(each, int)] if re.search(r"\*|\{[^}]*\{", text) else []
    spelled = [each for each in args if isinstance(each, _SIZED)]
    fits(max([0, *map(abs, widths)]) + (len(text) // 2 + 1) * max([0, *map(len, spelled)]))


def _bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    context = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def bounded(*args: Any, **options: Any) -> Any:
        value, *rest = args[context:] or (None,)
        spend(value, *rest)
        if name == "join":
            value = value if isinstance(value, _SIZED) else list(_turns(value))
            args = (*args[:context], value, *rest)
            _method_fits("join", str((*rest, *options.values(), "")[0]), (value,))
        elif isinstance(value, _SIZED) or name in ("batch", "slice", "center", "indent", "tojson"):
            owner = value if isinstance(value, _SIZED) else str(value)
            _method_fits(name, owner, (*rest, *options.values()))
        made = function(*args, **options)
        if isinstance(made, _SIZED):
            fits(len(made))
        return made

    return bounded


def _turns(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        spend()
        yield value


def _lipsum(n: int = 5, **options: Any) -> Any:
    fits(n * 100 * max([100, *options.values()]))
    return generate_lorem_ipsum(n=n, **options)


def _made(text: Any) -> Any:
    spend(text)
    fits(len(text))
    return text


def _weighed(value: Any) -> Any:
    if isinstance(value, _SIZED):
        spend(value)
    return value


def _wrap(node: nodes.Node) -> None:
    """Have what is joined by ``~``, compared or sliced below a node looked at: it may double and double."""
    for name, value in list(node.iter_fields()):
        if isinstance(value, nodes.Node):
            setattr(node, name, _looked_at(value))
        elif isinstance(value, list):
            value[:] = [_looked_at(each) if isinstance(each, nodes.Node) else each for each in value]


def _looked_at(value: nodes.Node) -> nodes.Node:
    _wrap(value)
    if isinstance(value, nodes.Concat):
        value.nodes = [_filtered(each, "_weighed") for each in value.nodes]
        return _filtered(value, "_made")
    if isinstance(value, nodes.Compare):
        value.expr = _filtered(value.expr, "_weighed")
        for operand in value.ops:
            operand.expr = _filtered(operand.expr, "_weighed")
    if isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Slice):
        value.node = _filtered(value.node, "_weighed")
    return value


def _filtered(value: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)
