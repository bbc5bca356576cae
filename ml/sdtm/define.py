"""define.xml: labels of data sets and columns, and codelists. Untrusted: a document type, an entity, a reference to
anything outside or a file beyond `MOST_BYTES` is refused before it can do harm, and a broken file is said to be unread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

MOST_BYTES = 64 * 2**20
MOST_DEPTH = 100
FILE = "define.xml"


class UnreadableDefine(ValueError):
    """A define.xml that cannot be read; the message says why."""


@dataclass(slots=True)
class Define:
    """What a define.xml says. Names in upper case.

    `data_sets` name → label; `domains` name of the data set → its domain; `labels` (data set, column) → label;
    `codes` (data set, column) → {code in upper case → what it stands for}.
    """

    data_sets: dict[str, str] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    codes: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def decode(self, domain: str, column: str, value: str) -> str:
        """What a code stands for; "" where no codelist of the domain's data sets says."""
        for name, own in self.domains.items():
            if own == domain and (found := self.codes.get((name, column), {}).get(value.upper())):
                return found
        return ""

    def label_of(self, domain: str) -> str:
        """The domain's label; "" where there is none."""
        return next((self.data_sets[name] for name, own in self.domains.items() if own == domain), "")


@dataclass(slots=True)
class _Reader:
    """Collects what is needed while expat walks through the file."""

    stack: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    lists: dict[str, dict[str, str]] = field(default_factory=dict)
    now: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, about: dict[str, str]) -> None:
        tag = name.rpartition(":")[2]
        if len(self.stack) >= MOST_DEPTH:
            raise UnreadableDefine(f"it is nested more than {MOST_DEPTH} deep")
        self.stack.append(tag)
        self.text.clear()
        if tag == "ItemGroupDef":
            own = (about.get("Name") or about.get("Domain") or "").upper()
            self.now["set"] = own
            label = about.get("def:Label") or about.get("Label") or ""
            self.sets[own] = {"domain": (about.get("Domain") or own).upper(), "label": label, "items": []}
        elif tag == "ItemRef" and "ItemGroupDef" in self.stack and self.now.get("set") in self.sets:
            self.sets[self.now["set"]]["items"].append(about.get("ItemOID", ""))
        elif tag == "ItemDef":
            self.now["item"] = about.get("OID", "")
            label = about.get("def:Label") or about.get("Label") or ""
            self.items[self.now["item"]] = {"name": (about.get("Name") or "").upper(), "label": label, "list": ""}
        elif tag == "CodeListRef" and "ItemDef" in self.stack:
            self.items[self.now["item"]]["list"] = about.get("CodeListOID", "")
        elif tag == "CodeList":
            self.now["list"] = about.get("OID", "")
            self.lists[self.now["list"]] = {}
        elif tag == "CodeListItem":
            self.now["code"] = about.get("CodedValue", "")

    def end(self, _name: str) -> None:
        tag = self.stack.pop()
        said = " ".join("".join(self.text).split())
        self.text.clear()
        if tag != "TranslatedText" or not said:
            return
        if "CodeListItem" in self.stack and "list" in self.now:
            self.lists[self.now["list"]].setdefault(self.now["code"].upper(), said)
        elif "ItemDef" in self.stack and "item" in self.now:
            about = self.items[self.now["item"]]
            about["label"] = about["label"] or said
        elif "ItemGroupDef" in self.stack and self.now.get("set") in self.sets:
            group = self.sets[self.now["set"]]
            group["label"] = group["label"] or said

    def result(self) -> Define:
        found = Define()
        for name, group in self.sets.items():
            found.data_sets[name], found.domains[name] = group["label"], group["domain"]
            for item in (self.items[oid] for oid in group["items"] if oid in self.items):
                found.labels[name, item["name"]] = item["label"]
                if codes := self.lists.get(item["list"]):
                    found.codes[name, item["name"]] = codes
        return found


def _forbidden(*_: Any) -> None:
    raise UnreadableDefine("it declares a document type or an entity, which is not allowed")


def _outside(*_: Any) -> int:
    raise UnreadableDefine("it refers to something outside itself, which is not allowed")


def read_define(path: Path) -> Define:
    """Read a define.xml (1.0, 2.0 or 2.1). UnreadableDefine where it is broken, too large or declares entities."""
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableDefine(f"it is larger than {MOST_BYTES // 2**20} MiB")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = _forbidden
    parser.EntityDeclHandler = _forbidden
    parser.ExternalEntityRefHandler = _outside
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text.append
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, ValueError, KeyError, LookupError) as error:
        if isinstance(error, UnreadableDefine):
            raise
        raise UnreadableDefine(f"it is no XML that can be read: {error}") from error
    return reader.result()
