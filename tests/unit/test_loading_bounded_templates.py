"""Chat templates of strangers: bounded in steps and in what they make, otherwise as Jinja renders them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

import small
from anydraft.bridge.prompts import render
from anydraft.bridge.special_tokens import bridge_roles
from anydraft.errors import ArgumentError
from anydraft.loading.bounded_templates import STEPS, TooLargeError
from anydraft.loading.chat_templates import rendered

CHAT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": " ho\n"}]
LONG = "{% set b = 'a' * 1000000 %}"
DOUBLED = "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}"
TOO_MUCH = [
    "{{ 'x' * 10**9 }}",
    "{{ [1] * 10**9 }}",
    "{{ 10 ** 100000000 }}",
    "{{ '%9999999999d' % 3 }}",
    "{{ '%*d' % (10**9, 3) }}",
    "{{ '%9999999d'|format(3) }}",
    "{{ '{:9999999999}'.format(3) }}",
    "{{ '{:{}}'.format(3, 10**9) }}",
    "{{ 'a'|center(10**10) }}",
    "{{ 'a'.center(10**10) }}",
    "{{ 'a'.rjust(width=10**10) }}",
    "{{ [1]|batch(10**9, 'x')|list }}",
    "{{ [[1]]|tojson(indent=10**9) }}",
    "{{ strftime_now('%9999999d') }}",
    "{{ lipsum(n=10**9) }}",
    "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{{ ('{0:9999}' * 2000).format(1)|length }}",
    "{{ ('%9999d' * 2000) % ((1,) * 2000) }}",
    DOUBLED + "{{ n.l }}",
    DOUBLED + "{{ n.l|string }}",
    DOUBLED + "{{ n.l|tojson }}",
    DOUBLED + "{{ n.l ~ '' }}",
    DOUBLED + "{{ '%s' % (n.l,) }}",
    DOUBLED + "{{ '{}'.format(n.l) }}",
    DOUBLED + "{% set k = namespace(l=n.l) %}{% set k.l = [n.l, n.l] %}{{ k.l == [n.l, n.l] }}",
    DOUBLED + "{{ 3 in n.l }}",
    LONG + "{% for i in range(99999) %}{% set c = b[1:] %}{% endfor %}",
    "{{ (2**500000)//(3**150000) }}",
    "{{ 10**2000 - 10**2000 }}",
    LONG + "{{ b.replace('a', b) }}",
    LONG + "{{ b|replace('a', b) }}",
    LONG + "{{ b.join(range(99999)|list) }}",
    LONG + "{{ range(99999)|join(b) }}",
    LONG + "{% for i in range(99999) %}{% set c = b.upper() %}{% endfor %}",
    LONG + "{% for i in range(99999) %}{% set c = b|upper %}{% endfor %}",
    LONG + "{{ b.replace('a', '\n')|indent(99999) }}",
    LONG + "{{ b.replace('a', '\t').expandtabs(99999) }}",
]


def said(template: str, chat: list[dict[str, Any]] = CHAT) -> str:
    return rendered(template, chat, {"bos_token": "<s>"}, add_generation_prompt=True)


@pytest.mark.parametrize("template", TOO_MUCH)
def test_too_much_is_refused(template: str) -> None:
    with pytest.raises(TooLargeError):
        said(template)


@pytest.mark.parametrize("template", TOO_MUCH[::4])
def test_the_template_of_a_tokenizer_of_transformers_too(template: str) -> None:
    tokenizer = copy.deepcopy(small.byte_level())
    tokenizer.chat_template = template
    with pytest.raises(ArgumentError, match=r"refuses.*TooLargeError"):
        render(tokenizer, CHAT)
    bridge_roles(tokenizer, tokenizer, None, None)  # asks the template how a message ends


ORDINARY = [
    "{% for m in messages %}{{ m.role ~ ': ' ~ m['content'] | trim }}{{ loop.index0 }}{% endfor %}",
    "{% for m in messages %}{{ loop.length }}{% if loop.last %}!{% else %},{% endif %}{% endfor %}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% else %}none{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ m.content.upper().split('H')[1] }}{% endfor %}",
    "{% set n = namespace(x='') %}{% for m in messages %}{% set n.x = n.x + m.content %}{% endfor %}"
    "{{ n.x }}",
    "{% macro f(a, b=2) %}<{{ a ~ b }}>{% endmacro %}{{ f(3) }}{{ f(a=1, b=[1, 2]) }}",
    "{{ messages | map(attribute='role') | join(', ') }}{{ messages | length }}{{ '-' * 10 }}{{ 7 % 4 }}",
    "{{ '%s and %d' % ('a', 3) }}{{ '{:>5}'.format('a') }}{{ '%s' | format('b') }}{{ 2 ** 10 }}"
    "{{ [1] + [2] }}",
    "{{ bos_token }}{{ messages[::-1][0].content | replace('o', '0') | indent(4) }}{{ tools is none }}",
    "{% for m in messages recursive %}{{ m.role or loop([]) }}{% endfor %}"
    "{{ messages | selectattr('role') | list }}",
]


@pytest.mark.parametrize("template", ORDINARY)
def test_ordinary_templates_say_what_they_say_without_bounds(template: str) -> None:
    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(template)
    wanted = plain.render(messages=CHAT, tools=None, bos_token="<s>", add_generation_prompt=True)
    assert said(template) == wanted


def test_a_long_chat_has_more_room() -> None:
    chat = [{"role": "user", "content": "word " * 1_000_000}] * 2
    assert len(said("{% for m in messages %}{{ '[' ~ m.content ~ ']' }}{% endfor %}", chat)) > 8 * STEPS
