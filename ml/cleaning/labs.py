"""Laboratory results: analyte, unit, reference range, two tiers of limits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ml.cleaning.batch import Batch
from ml.cleaning.body import Body, number_array
from ml.cleaning.numbers import Bool, Float, Int, fixed, in_unit, unfixed
from ml.cleaning.units import LabUnit, lab_unit, reference_range
from ml.contracts.analytes import Analyte


def labs(batch: Batch) -> Body:
    """Body of lab-results.

    A result without a number is kept (its text is the result). A number in an unknown unit is set aside whole, as is an
    impossible one; a test that is not in the table is kept as reported, flagged. A retraction is never set aside for
    what it carries: it ends its record.
    """
    n = batch.n
    tests, units, ranges = batch.texts("test_name"), batch.texts("unit"), batch.texts("reference_range")
    reported = batch.numbers("value")
    number = ~np.isnan(reported)
    read: dict[tuple[str, str | None], LabUnit] = {
        pair: lab_unit(*pair) for pair in set(zip(tests, units, strict=True))
    }
    pairs = [read[pair] for pair in zip(tests, units, strict=True)]
    mapped = np.array([pair.analyte is not None for pair in pairs], np.bool_)
    factor = np.array([np.nan if pair.factor is None else pair.factor for pair in pairs], np.float64)

    keep = np.ones(n, np.bool_)
    lost = mapped & number & np.isnan(factor)
    _aside(batch, keep, lost & ~batch.retracted, "unknown_unit", "unit", units,
           "The unit {} is not in the table for this analyte; a result is never guessed.")  # fmt: skip

    parsed = {text: reference_range(text) for text in set(ranges)}
    bounds = [parsed[text] for text in ranges]
    raw_low = np.array([bound.low for bound in bounds], np.float64)
    raw_high = np.array([bound.high for bound in bounds], np.float64)
    scale = np.where(mapped, factor, 1.0)
    value, low, high = (_canonical(column, scale, pairs, mapped) for column in (reported, raw_low, raw_high))

    possible, plausible = _limits(value, pairs)
    value_now = np.where(possible, value, np.nan)
    _aside(batch, keep, keep & ~possible & ~batch.retracted, "impossible_value", "value", batch.texts("value"),
           "The result {} is outside what the analyte's table allows.")  # fmt: skip

    analytes = [pair.analyte for pair in pairs]
    canonical = [
        (analyte.unit if known else None) if analyte is not None else unit
        for analyte, unit, known in zip(analytes, units, (~np.isnan(factor)).tolist(), strict=True)
    ]
    texts = batch.texts("value_text")
    unread = np.array([not bound.read for bound in bounds], np.bool_)
    silent = np.array([text is None for text in texts], np.bool_) & ~number & ~batch.retracted
    columns: dict[str, pa.Array] = {
        "lab_id": batch.column("lab_id"),
        "test_name": pa.array(tests, pa.string()),
        "analyte": pa.array([None if analyte is None else analyte.name for analyte in analytes], pa.string()),
        "value": number_array(value_now),
        "unit": pa.array(canonical, pa.string()),
        "low": number_array(low),
        "high": number_array(high),
        "value_text": pa.array(texts, pa.string()),
        "value_reported": number_array(reported),
        "unit_reported": pa.array(units, pa.string()),
        "reference_range": pa.array(ranges, pa.string()),
    }
    flags = [
        ("implausible_value", ~plausible & possible),
        ("unmapped_analyte", ~mapped),
        ("reference_range_unread", unread),
        ("no_result", silent),
    ]
    return Body(columns, flags, keep)


def _aside(batch: Batch, keep: Bool, rows: Bool, rule: str, name: str, values: list[object], sentence: str) -> None:
    if rows.any():
        batch.set_aside(np.flatnonzero(rows), rule, name, values, sentence)
        keep &= ~rows


def _rows_of(pairs: list[LabUnit]) -> dict[str, tuple[Analyte, list[int]]]:
    rows: dict[str, tuple[Analyte, list[int]]] = {}
    for row, pair in enumerate(pairs):
        if pair.analyte is not None:
            rows.setdefault(pair.analyte.name, (pair.analyte, []))[1].append(row)
    return rows


def _canonical(values: Float, scale: Float, pairs: list[LabUnit], mapped: Bool) -> Float:
    """In canonical units at the analyte's resolution; as reported where the test is not in the table."""
    result = np.where(mapped, np.nan, values)
    scaled = values * scale
    for analyte, rows in _rows_of(pairs).values():
        result[rows] = unfixed(fixed(scaled[rows], analyte.decimals), analyte.decimals)
    return result


def _limits(values: Float, pairs: list[LabUnit]) -> tuple[Bool, Bool]:
    """Which values are possible, and which plausible; without a number or a known analyte both."""
    possible = np.ones(len(values), np.bool_)
    plausible = possible.copy()
    for analyte, rows in _rows_of(pairs).values():
        exact: Int = fixed(values[rows], analyte.decimals)
        possible[rows] = in_unit(exact, analyte.impossible_below, analyte.impossible_above, analyte.decimals)
        plausible[rows] = in_unit(exact, analyte.implausible_below, analyte.implausible_above, analyte.decimals)
    return possible, plausible
