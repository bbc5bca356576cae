"""One column of an event or a table, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "integer", "time", "flag", "list"]
Blinding = Literal["open", "arm", "personal"]

BLINDING: dict[Blinding, str] = {
    "open": "Every role that may see the patient may see it.",
    "arm": "Reveals the treatment arm: shown to unblinded roles only while the study is blinded.",
    "personal": "Could identify a person: shown to roles of the patient's own site and to inspectors.",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A named value: its kind, whether it must be there, its limits on the wire and what it means.

    `minimum` and `maximum` bound what can be *written down*, not what is plausible: plausibility is a matter of
    `ml.cleaning`. `nullable` allows JSON null for a column that must be present (a result that has no number).
    """

    name: str
    kind: Kind
    doc: str
    required: bool = False
    nullable: bool = False
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    max_length: int = 200
    pattern: str = ""
    choices: tuple[str, ...] = ()
    blinding: Blinding = "open"
