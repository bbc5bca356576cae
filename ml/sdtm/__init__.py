"""A finished study's SDTM package → the platform's own events. Pure: files in, events and refusals out."""

from ml.sdtm.package import Account, NotAPackage, Package, read_package
from ml.sdtm.rows import Event, Refusal
from ml.sdtm.rules import RULES
from ml.sdtm.xpt import UnreadableFile

__all__ = ["RULES", "Account", "Event", "NotAPackage", "Package", "Refusal", "UnreadableFile", "read_package"]
