"""A plain table of vital signs and laboratory results, with what its columns mean → the platform's own events.

Pure: a file and a mapping in; events, refusals and an account of every value out. Values carried + values refused =
values read.
"""

from ml.tabular.files import NotATable, Source, open_table
from ml.tabular.guess import guess
from ml.tabular.mapping import LAYOUTS, Mapping, Value
from ml.tabular.package import Preview, TablePackage, preview, read_table
from ml.tabular.rules import RULES
from ml.tabular.times import FORMATS as TIME_FORMATS

__all__ = [
    "LAYOUTS",
    "RULES",
    "TIME_FORMATS",
    "Mapping",
    "NotATable",
    "Preview",
    "Source",
    "TablePackage",
    "Value",
    "guess",
    "open_table",
    "preview",
    "read_table",
]
