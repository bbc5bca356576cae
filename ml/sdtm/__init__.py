"""A finished study's SDTM package → the platform's own events. Pure: files in; events, refusals, notes and accounts out."""

from ml.sdtm.package import Account, NotAPackage, Package, read_package
from ml.sdtm.remarks import remarks
from ml.sdtm.rows import Event, Note, Refusal
from ml.sdtm.rules import NOTES, RULES, Rule
from ml.sdtm.xpt import UnreadableFile

__all__ = [
    "NOTES",
    "RULES",
    "Account",
    "Event",
    "NotAPackage",
    "Note",
    "Package",
    "Refusal",
    "Rule",
    "UnreadableFile",
    "read_package",
    "remarks",
]
