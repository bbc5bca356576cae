"""Examples for the gallery, made of the presenters' own types, so that a part and its example cannot drift apart."""

from __future__ import annotations

import math
from typing import Any

from apps.portal.presenters import board, factors, marks, model, words
from apps.portal.presenters.news2 import News2Chip
from apps.portal.presenters.panels import Cell, Column, Table
from apps.portal.presenters.runs import STATE_LOOKS, RunRow, StateLook
from apps.portal.presenters.status import Status
from ml.profile import StudyProfile

PROFILE = StudyProfile(trial_id="EXAMPLE", simulated=True)
SPAN = "Last 5 days"


def _row(subject: str, probability: float | None, earlier: float | None, reason: str, **changes: Any) -> board.Row:
    level = words.level(PROFILE.level(probability))
    samples: list[float | None] = [
        max(0.01, (probability or 0.1) * (0.4 + 0.6 * place / 40) + 0.03 * math.sin(place)) for place in range(41)
    ]
    if probability is None:
        samples[30:] = [None] * 11
    elif samples[-1] is not None:
        samples[-1] = probability
    percent = words.percent(probability, PROFILE)
    values: dict[str, Any] = {
        "slug": f"example-{subject}",
        "subject": subject,
        "url": "#",
        "site": f"Site {subject[:3]}",
        "arm": "",
        "arm_masked": True,
        "level": level,
        "percent": percent,
        "horizon": "in 24 h" if probability is not None else "14 % on 12 Oct 04:52",
        "frequency": words.frequency(probability) if level == "critical" else "",
        "risk_words": f"{level}, {percent}",
        "axis": marks.axis(probability, level, PROFILE),
        "spark": marks.spark(samples, level, PROFILE, SPAN),
        "change": marks.change(probability, earlier),
        "was": marks.Was("moderate", "moderate", "10:26")
        if earlier and earlier < 0.3 and level in ("high", "critical")
        else None,
        "news2": News2Chip("4", "", "NEWS2 4: low"),
        "reason": reason,
        "reason_more": "",
        "remedy": "",
        "score_age": "2 min",
        "score_epoch": None,
        "score_old": False,
        "vital_age": "4 min",
        "vital_epoch": None,
        "vital_old": False,
        "sort": probability or 0.0,
        "version": "",
        "moved": 0.0,
    }
    return board.Row(**(values | changes))


def _status(state: str, word: str, sentence: str) -> Status:
    return Status(state, word, sentence, True, False)


def _run(state: str, progress: int, step: str, tone: str) -> RunRow:
    look = StateLook(*STATE_LOOKS[state])
    return RunRow(
        "",
        "Training",
        "",
        look,
        False,
        progress,
        step,
        tone,
        "12 Oct 02:00",
        "4 min",
        "beat",
        "",
        "",
        "",
        [],
        [],
        "",
        "",
        False,
    )


def examples() -> dict[str, Any]:
    """Everything the gallery shows."""
    rows = [
        (
            "Critical: the largest row",
            _row(
                "701-1015",
                0.82,
                0.24,
                "ALT rising 62 U/L a day",
                reason_more="Bilirubin, total 2.3 mg/dL, above 0.2–1.2",
            ),
        ),
        (
            "High",
            _row(
                "701-1028",
                0.44,
                0.25,
                "Creatinine 0.8 mg/dL above own baseline",
                news2=News2Chip("5", "2", "NEWS2 5: urgent"),
            ),
        ),
        (
            "Moderate",
            _row(
                "704-1015",
                0.17,
                0.14,
                "Heart rate, mean over 24 h: 104 /min",
                news2=News2Chip("3", "1", "NEWS2 3: one parameter scores 3"),
            ),
        ),
        (
            "Low",
            _row(
                "704-1027",
                0.02,
                0.02,
                "Nothing raises it above the study's average",
                change=marks.change(0.02, 0.02),
                news2=News2Chip("0", "", "NEWS2 0: low"),
            ),
        ),
        (
            "Stale score: its age in bold with a clock, the number unchanged",
            _row("701-1041", 0.21, 0.12, "Potassium 5.3 mmol/L, above 3.5–5", score_age="2 h", score_old=True),
        ),
        (
            "Indeterminate: two dashes, hatched, the cheapest remedy in bold",
            _row(
                "701-1050",
                None,
                None,
                "The newest heart rate is 10 hours old; this study asks for one within 6 hours",
                remedy="Measure heart rate.",
                vital_age="9 h 40",
                vital_old=True,
                news2=News2Chip("≥ 2", "part", "NEWS2 at least 2: 4 of 7 measured"),
            ),
        ),
    ]
    gates = [
        {
            "name": "auroc",
            "sentence": "AUROC on test patients",
            "operator": ">=",
            "threshold": 0.8,
            "value": 0.846,
            "low": 0.831,
            "high": 0.86,
            "outcome": "met",
        },
        {
            "name": "gain",
            "sentence": "Gain on logistic regression",
            "operator": ">=",
            "threshold": 0.0,
            "value": 0.004,
            "low": -0.004,
            "high": 0.012,
            "outcome": "met",
        },
        {
            "name": "ece",
            "sentence": "Calibration error",
            "operator": "<",
            "threshold": 0.05,
            "value": 0.071,
            "low": 0.06,
            "high": 0.083,
            "outcome": "not met",
        },
        {
            "name": "gap",
            "sentence": "AUROC gap over age",
            "operator": "<",
            "threshold": 0.05,
            "value": None,
            "outcome": "not judged",
        },
    ]
    why = factors.Why(
        raises=[
            factors.Factor("ALT, rate", "rising 62 U/L a day, 6 h old", True, 78, "+24.1 pts"),
            factors.Factor("Heart rate, mean over 24 h", "104 /min, above 60–100, 4 min old", True, 36, "+11.2 pts"),
        ],
        lowers=[factors.Factor("Platelets, newest", "231 10⁹/L, within 150–450, 6 h old", False, 14, "−4.4 pts")],
        others=factors.Others("117 other features together", "+1.6 pts"),
        total_words="The average patient's 5 % becomes 37 %",
        total="+32.5 pts",
        note=factors.NOTE,
        exact=0.0,
    )
    return {
        "statuses": [
            ("Live", _status("live", "Live", "Last prediction 14:32:08 CEST (UTC+2), 4 s ago")),
            (
                "Paused: the page waits, the patients do not",
                _status("paused", "Paused by you", "As of 14:32:08 CEST (UTC+2); 3 changes wait"),
            ),
            (
                "Late: slower than four of the trial's own gaps",
                _status("late", "Late", "No new predictions since 14:29:50 CEST (UTC+2), 2 min 18 s ago"),
            ),
            (
                "Connection lost: named, timed, announced once",
                _status("lost", "Connection lost at 14:29:50", "You see the state of then. Next try in 8 s."),
            ),
            ("A finished trial", _status("finished", "Finished trial", "Shown as of 13 Oct 2014 12:00 UTC")),
        ],
        "rows": rows,
        "gates": [model.gate_row(gate) for gate in gates],
        "why": why,
        "axis": marks.axis(0.44, "high", PROFILE),
        "no_axis": marks.axis(None, "indeterminate", PROFILE),
        "signatures": [
            model.Signature(
                True,
                "Signature (demo account)",
                "for production",
                "Approver A",
                "I have reviewed the evidence and approve this release",
                "26 Oct 2026 16:12:40 UTC",
                "sha-256 9c4e71b0a1d2…f2a6c1",
            ),
            model.Signature(
                False,
                "Second signature",
                "awaited",
                text="A model approver signs, with their password.",
            ),
        ],
        "runs": [
            _run("running", 40, "120 features a patient-day", ""),
            _run("failed", 62, "", "bad"),
            _run("succeeded", 100, "", "good"),
        ],
        "table": Table(
            "Example",
            [Column("Taken"), Column("ALT U/L", True)],
            [[Cell("12 Oct 08:30"), Cell("253", True, True)], [Cell("11 Oct 08:30"), Cell("41", True)]],
        ),
        "empty_table": Table("Empty example", [Column("Taken"), Column("ALT U/L", True)], []),
        "head": {
            "bands": ["30", "75"],
            "spark_words": SPAN,
            "arm_words": "arm masked",
            "change_words": "Points in 4 h,",
            "change_more": "earlier level",
            "age_words": "Age of score,",
            "age_more": "of last vital",
        },
        "levels": [(level, words.rule(level, PROFILE)) for level in words.LEVEL_ORDER],
    }
