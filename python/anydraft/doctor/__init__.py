"""What two tokenizers tell about a pair before any model is loaded.

>>> from anydraft.doctor import Subject, examine
>>> report = examine(Subject.open("big-model"), Subject.open("small-model"))  # doctest: +SKIP
>>> report.verdict.line, report.as_dict()  # doctest: +SKIP
"""

from anydraft.doctor.examine import Finding, examine, ranked
from anydraft.doctor.report import Refusal, Report, Verdict
from anydraft.doctor.subject import Subject

__all__ = ["Finding", "Refusal", "Report", "Subject", "Verdict", "examine", "ranked"]
