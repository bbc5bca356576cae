"""Cleaning: from bronze lines to silver rows, their versions, and the facts a feature reads."""

from ml.cleaning.clean import DEFAULT_TRIAL, Cleaned, Split, clean, split_known, unknown_patients
from ml.cleaning.facts import to_facts
from ml.cleaning.fill import forward_fill
from ml.cleaning.rules import FLAGS, RULES, RULES_VERSION, Rule
from ml.cleaning.versions import Deduped, dedupe

__all__ = [
    "DEFAULT_TRIAL",
    "FLAGS",
    "RULES",
    "RULES_VERSION",
    "Cleaned",
    "Deduped",
    "Rule",
    "Split",
    "clean",
    "dedupe",
    "forward_fill",
    "split_known",
    "to_facts",
    "unknown_patients",
]
