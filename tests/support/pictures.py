"""The user guide's pictures, one row each: of which page, as whom, and what must be seen in it.

``tests/browser/test_guide_pictures.py`` draws them, ``python -m tools.screenshots`` keeps them in ``docs/images/guide``,
``tests/repository/test_user_guide.py`` compares them with the guide.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Wide enough for two columns, small enough for a page of text.
DESK = (1140, 660)
TABLET = (800, 900)
MOST_BYTES = 150_000


@dataclass(frozen=True, slots=True)
class Picture:
    """``place``: the world of ``tests.support.guide`` it is taken in. ``page``: an address under the trial, with the names
    that the world gives; "/…" is an address outside it. ``who``: a key of ``guide.PEOPLE``. ``shows``: texts that must be
    seen within the picture. ``step``: what is done first, a key of the test's STEPS. ``labelled``: the page itself says
    that its data are simulated; else the guide's caption must."""

    name: str
    place: str
    page: str
    who: str
    shows: tuple[str, ...]
    size: tuple[int, int] = DESK
    night: bool = False
    step: str = ""
    labelled: bool = True


# fmt: off
PICTURES: tuple[Picture, ...] = (
    Picture("board", "ward", "", "cora", ("1 of 24 patients is critical", "701-1015", "82 %", "Critical", "Last 5 days")),
    Picture("board-night", "ward", "?site=704", "cora", ("704-1016", "44 %", "Low"), TABLET, night=True),
    Picture("patient", "ward", "patients/{patient}/", "cora", ("82 %", "Why this score", "Raises it", "Risk in 24 h")),
    Picture("indeterminate", "ward", "patients/{unscored}/", "cora", ("Indeterminate", "no score", "Measure heart rate.")),
    Picture("import-check", "ward", "imports/{check}/", "meg", ("Nothing has been written. Import it?", "Account", "Import now")),
    Picture("refused", "ward", "refused/", "meg", ("Dead letters", "Unknown version of the contract", "By reason")),
    Picture("letter", "ward", "refused/{letter}/", "meg", ("Why it was refused", "What would mend it", "As it came")),
    Picture("quarantine", "ward", "quarantine/", "meg", ("Impossible value", "Clean these days again", "By rule")),
    Picture("compare", "ward", "model/compare/?one=3&two=4", "approver-b", ("better by the 0.02", "Where they disagree")),
    Picture("signatures", "ward", "model/4/", "approver-b",
            ("Model 4 waits for the second signature", "Approver A", "Sign for the release"), (1140, 710)),
    Picture("sign", "ward", "/admin/registry/modelversion/{version}/sign/", "approver-b",
            ("Signed so far", "What your signature binds", "Approver A"), labelled=False),
    Picture("audit", "ward", "audit/", "ana", ("Sealed and signed", "Verify now", "changed the trial")),
    Picture("history", "ward", "model/4/", "ana", ("who changed what", "moved to staging"), step="history"),
    Picture("study", "ward", "study/", "ada", ("What a study needs to begin", "Study treatments", "Sites")),
    Picture("person", "ward", "people/{person}/", "ada", ("Cora Ordinator", "Give a role", "Training")),
    Picture("lineage", "followed", "predictions/{prediction}/", "ana", ("Feature vector", "Identical", "Watermark"), step="replay"),
    Picture("monitoring", "watched", "monitoring/", "meg", ("Is the model still right?", "Performance", "Calibration")),
    Picture("signs", "watched", "/help/#levels", "meg", ("solid diamond", "indeterminate", "NEWS2"), labelled=False),
)
# fmt: on
