"""Laws that every good tokenizer keeps, to run in your own tests on your own tokenizer.

::

    import pytest
    from anydraft.testing import LAWS

    @pytest.mark.parametrize("law", LAWS, ids=str)
    def test_law(law):
        law.check(my_tokenizer)

A failure is the smallest text that breaks the law, explained in bytes. Needs hypothesis:
``pip install 'anydraft[testing]'``. See docs/fuzzing.md.
"""

from __future__ import annotations

from anydraft.errors import MissingPackageError

try:
    import hypothesis as _hypothesis  # noqa: F401
except ImportError as error:
    raise MissingPackageError(
        "anydraft.testing needs the package hypothesis, which is not installed: "
        "pip install 'anydraft[testing]'"
    ) from error

from anydraft.testing import strategies
from anydraft.testing.allowances import ALLOWANCES, Allowance
from anydraft.testing.catalogue import LAWS, PAIR_LAWS, check_laws, law
from anydraft.testing.judging import Law, LawSkippedError, Verdict
from anydraft.testing.pair import SubjectPair
from anydraft.testing.strategies import byte_strings, texts
from anydraft.testing.subject import Detokenizing, PlainTokenizer, Retokenizing, Subject
from anydraft.testing.violation import Finding, LawBrokenError, LawsBrokenError

__all__ = [
    "ALLOWANCES",
    "LAWS",
    "PAIR_LAWS",
    "Allowance",
    "Detokenizing",
    "Finding",
    "Law",
    "LawBrokenError",
    "LawSkippedError",
    "LawsBrokenError",
    "PlainTokenizer",
    "Retokenizing",
    "Subject",
    "SubjectPair",
    "Verdict",
    "byte_strings",
    "check_laws",
    "law",
    "strategies",
    "texts",
]
