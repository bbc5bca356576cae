"""Drawn examples of every rule of cleaning. One table serves people, tests and the docs page."""

from __future__ import annotations

from ml.cleaning.drawing import Example, context, event, lab, medicine, vitals

EXAMPLES: tuple[Example, ...] = (
    Example(
        "What happened is rounded down, what was learned up",
        "Times are whole seconds; rounding this way never lets an event be used before it was known.",
        (vitals("08:00:00.9", heart_rate=70, taken="08:00:05.200"),),
        ({"event_time": "08:00:00", "known_time": "08:00:06", "heart_rate": 70.0},),
    ),
    Example(
        "A backfill says itself when it knew",
        "The append time of a loaded history says only when it was loaded.",
        (vitals("08:00", heart_rate=70, recorded_at="09:30:00.5", taken="20:00", producer="sdtm-import"),),
        ({"event_time": "08:00:00", "known_time": "09:30:01"},),
    ),
    Example(
        "Nobody else is believed",
        "`recorded_at` of a device counts for nothing: the record's own timestamp does.",
        (vitals("08:00", heart_rate=70, recorded_at="09:30:00", taken="08:01", producer="device"),),
        ({"known_time": "08:01:00"},),
    ),
    Example(
        "A minute into the future is a clock, more is a mistake",
        "Clocks differ by seconds. A time beyond that cannot be right.",
        (vitals("08:01", heart_rate=70, taken="08:00"), vitals("08:01:01", heart_rate=71, taken="08:00")),
        ({"event_time": "08:01:00", "heart_rate": 70.0},),
        (("future_time", "timestamp", "2026-03-01T08:01:01Z"),),
    ),
    Example(
        "A message that names no trial belongs to the default trial",
        "The first wire format had no trial; its messages stay valid.",
        (vitals("08:00", heart_rate=70),),
        ({"trial_id": "EXAMPLE", "patient_id": "P1"},),
    ),
    Example(
        "Units of vital signs",
        "98.6 °F is 37 °C; pounds and inches likewise, at the contract's resolution.",
        (
            vitals(
                "08:00",
                temperature=98.6,
                temperature_unit="[degF]",
                weight=165,
                weight_unit="[lb_av]",
                height=70,
                height_unit="[in_i]",
            ),
        ),
        ({"temperature": 37.0, "weight": 74.84, "height": 177.8, "flags": []},),
    ),
    Example(
        "Rounding goes by the decimals as written",
        "A tie goes to the even neighbour; 36.645 as a double lies above the tie, as written it is one.",
        (vitals("08:00", temperature=36.645), vitals("08:15", temperature=36.655)),
        ({"temperature": 36.64}, {"temperature": 36.66}),
    ),
    Example(
        "An impossible sign is set aside alone",
        "One broken cuff does not make the thermometer wrong.",
        (vitals("08:00", heart_rate=500, temperature=36.6),),
        ({"heart_rate": None, "temperature": 36.6, "quality_score": 0.2},),
        (("impossible_value", "heart_rate", "500"),),
    ),
    Example(
        "A message with no sign left is set aside whole",
        "There is nothing to keep.",
        (vitals("08:00", heart_rate=500, spo2=140),),
        (),
        (("impossible_value", "heart_rate", "500"), ("impossible_value", "spo2", "140"), ("no_sign_left", "", None)),
    ),
    Example(
        "An implausible sign is kept and flagged",
        "A real crisis is the signal.",
        (vitals("08:00", heart_rate=210, temperature=31.5, spo2=45),),
        (
            {
                "heart_rate": 210.0,
                "flags": ["implausible_heart_rate", "implausible_temperature", "implausible_spo2"],
                "quality_score": 0.3,
            },
        ),
    ),
    Example(
        "The diastolic pressure is below the systolic",
        "Otherwise the two were swapped or one is wrong; both stay, nothing is derived from them.",
        (vitals("08:00", blood_pressure_systolic=80, blood_pressure_diastolic=80),),
        ({"flags": ["implausible_blood_pressure"], "pulse_pressure": None, "mean_arterial_pressure": None},),
    ),
    Example(
        "Derived pressures and the quality score",
        "Pulse pressure is the difference, mean arterial pressure diastolic + a third of it. All five signs, all plausible: 1.",
        (
            vitals(
                "08:00",
                heart_rate=72,
                blood_pressure_systolic=121,
                blood_pressure_diastolic=79,
                temperature=36.6,
                spo2=97,
            ),
        ),
        ({"pulse_pressure": 42.0, "mean_arterial_pressure": 93.0, "quality_score": 1.0},),
    ),
    Example(
        "A result comes to the analyte's unit, and its range with it",
        "88.4 µmol/L of creatinine (113.12 g/mol) are 1 mg/dL.",
        (lab("08:00", "CREAT", 88.4, "umol/L", "62-115"),),
        (
            {
                "analyte": "creatinine",
                "value": 1.0,
                "unit": "mg/dL",
                "low": 0.701,
                "high": 1.301,
                "value_reported": 88.4,
                "unit_reported": "umol/L",
            },
        ),
    ),
    Example(
        "Ranges with one end, and one that cannot be read",
        "A range that is not understood is no range.",
        (
            lab("08:00", "CRP", 3, "mg/L", "<5"),
            lab("08:01", "EGFR", 90, "mL/min/1.73m2", ">60"),
            lab("08:02", "ALT", 20, "U/L", "see report"),
        ),
        (
            {"low": None, "high": 5.0},
            {"low": 60.0, "high": None},
            {"low": None, "high": None, "flags": ["reference_range_unread"]},
        ),
    ),
    Example(
        "A ratio has the unit 1",
        'INR is a ratio of two times; "1" is a unit, nothing is not.',
        (lab("08:00", "INR", 1.1, "1", "0.8-1.2"),),
        ({"analyte": "inr", "value": 1.1, "unit": "1", "flags": []},),
    ),
    Example(
        "A unit that is absent or unknown is never guessed",
        "Glucose 5 may be mmol/L or mg/dL: a factor of eighteen.",
        (lab("08:00", "GLUC", 5, None), lab("08:01", "GLUC", 5, "mg/l.")),
        (),
        (("unknown_unit", "unit", None), ("unknown_unit", "unit", "mg/l.")),
    ),
    Example(
        "An impossible result is set aside",
        "The record stays in quarantine with its line, for the laboratory to mend.",
        (lab("08:00", "K", 38, "mmol/L", "3.5-5"),),
        (),
        (("impossible_value", "value", "38"),),
    ),
    Example(
        "An implausible result is kept and flagged",
        "A sodium of 178 is a grade 4 event, not a typing mistake.",
        (lab("08:00", "SODIUM", 178, "mmol/L", "136-145"),),
        ({"value": 178.0, "flags": ["implausible_value"]},),
    ),
    Example(
        "A test outside the table is kept as reported",
        "What we cannot read, a person may.",
        (lab("08:00", "ANISOCYTOSIS", 2, None),),
        ({"analyte": None, "value": 2.0, "unit": None, "flags": ["unmapped_analyte"]},),
    ),
    Example(
        "A result without a number",
        "Its text is the result. With neither there is none, and the row says so.",
        (lab("08:00", "ALT", None, None, value_text="HEMOLYZED"), lab("08:01", "ALT", None, None)),
        ({"value": None, "value_text": "HEMOLYZED", "flags": []}, {"value": None, "flags": ["no_result"]}),
    ),
    Example(
        "A study dose is named by the study profile",
        "Case and spaces aside. A dose that was not taken says so.",
        (medicine("08:00", "VERUMAB "), medicine("20:00", "verumab", outcome="missed"), medicine("21:00", "aspirin")),
        ({"study_dose": True, "outcome": None}, {"study_dose": True, "outcome": "missed"}, {"study_dose": False}),
    ),
    Example(
        "An end is a later version",
        "The second message brings the end. An end before the start is kept and flagged.",
        (
            event("08:00", "Nausea", 2),
            event("08:00", "Nausea", 2, end_timestamp="11:00", taken="12:00"),
            event("13:00", "Rash", 1, end_timestamp="12:00"),
        ),
        (
            {"grade": 2, "end_time": None, "version": 1},
            {"grade": 2, "end_time": "11:00:00", "version": 2},
            {"end_time": "12:00:00", "flags": ["end_before_start"]},
        ),
    ),
    Example(
        "Context",
        "Enrolment, demographics, history, arm and disposition are events like all others.",
        (
            context("08:00", "demographics", age=63, sex="F"),
            context("08:01", "arm", arm_code="ACT", arm_name="Active"),
            context("08:02", "history", term="Hypertension"),
        ),
        (
            {"kind": "demographics", "age": 63.0, "sex": "F"},
            {"kind": "arm", "arm_code": "ACT"},
            {"kind": "history", "term": "Hypertension"},
        ),
    ),
    Example(
        "A patient of whom nothing is known",
        "Their context may come later; then the record is let in.",
        (vitals("08:00", heart_rate=70),),
        (),
        (("unknown_patient", "patient_id", "P1"),),
        unknown=True,
    ),
    Example(
        "The same once more says nothing new",
        "It is removed and counted, whatever brought it.",
        (
            lab("08:00", "ALT", 30, "U/L", "7-56"),
            lab("08:00", "ALT", 30, "U/L", "7-56", taken="09:00", producer="device"),
        ),
        ({"value": 30.0, "version": 1},),
        duplicates=1,
    ),
    Example(
        "Other content is a correction",
        "Each stays, in the order in which it became known; back to the first value is a third version.",
        (
            lab("08:00", "ALT", 30, "U/L", taken="09:00"),
            lab("08:00", "ALT", 33, "U/L", taken="10:00"),
            lab("08:00", "ALT", 30, "U/L", taken="11:00"),
        ),
        ({"value": 30.0, "version": 1}, {"value": 33.0, "version": 2}, {"value": 30.0, "version": 3}),
    ),
    Example(
        "Partial vital signs add up",
        "They are compared sign by sign: the third message only repeats what stands.",
        (
            vitals("08:00", heart_rate=70, taken="08:01"),
            vitals("08:00", spo2=97, taken="08:02"),
            vitals("08:00", heart_rate=70, spo2=97, taken="08:03"),
            vitals("08:00", spo2=96, taken="08:04"),
        ),
        (
            {"heart_rate": 70.0, "spo2": None, "version": 1},
            {"heart_rate": None, "spo2": 97.0, "version": 2},
            {"spo2": 96.0, "version": 3},
        ),
        duplicates=1,
    ),
    Example(
        "A retraction ends a record",
        "After it nothing stands, so the same content is new again.",
        (
            vitals("08:00", heart_rate=70, record_id="VS-1", taken="08:01"),
            vitals("08:00", record_id="VS-1", retracted=True, taken="08:02"),
            vitals("08:00", heart_rate=70, record_id="VS-1", taken="08:03"),
        ),
        (
            {"heart_rate": 70.0, "retracted": False, "version": 1},
            {"retracted": True, "version": 2},
            {"heart_rate": 70.0, "retracted": False, "version": 3},
        ),
    ),
    Example(
        "A record with an id keeps it when its time is corrected",
        "Without an id the time would name another record.",
        (
            medicine("08:00", "aspirin", record_id="CM-7", taken="09:00"),
            medicine("07:00", "aspirin", record_id="CM-7", taken="10:00"),
        ),
        ({"event_time": "07:00:00", "version": 2}, {"event_time": "08:00:00", "version": 1}),
    ),
    Example(
        "Records that share every natural key",
        "Three pressures of one visit have one date; their ids keep them apart.",
        (
            vitals("12:00", blood_pressure_systolic=130, record_id="VS-1", taken="12:01"),
            vitals("12:00", blood_pressure_systolic=130, record_id="VS-2", taken="12:02"),
        ),
        ({"blood_pressure_systolic": 130.0, "version": 1}, {"blood_pressure_systolic": 130.0, "version": 1}),
    ),
    Example(
        "A missing sign is carried forward for two hours",
        "Beside the measured values, flagged, and never read by a feature.",
        (
            vitals("08:00", heart_rate=70, temperature=36.5),
            vitals("10:00", heart_rate=72),
            vitals("10:01", heart_rate=73),
        ),
        (
            {"temperature_filled": None},
            {"temperature": None, "temperature_filled": 36.5, "flags": ["filled_temperature"]},
            {"temperature_filled": None, "flags": []},
        ),
    ),
    Example(
        "What was retracted or replaced is not carried forward",
        "The corrected 37.5 is; the retracted record neither gives nor receives.",
        (
            vitals("08:00", temperature=36.5, heart_rate=70, taken="08:01"),
            vitals("08:00", temperature=37.5, taken="08:05"),
            vitals("08:30", temperature=39, record_id="VS-9", taken="08:31"),
            vitals("08:30", record_id="VS-9", retracted=True, taken="08:32"),
            vitals("09:00", heart_rate=71),
        ),
        (
            {"temperature": 36.5},
            {"temperature": 37.5, "temperature_filled": None},
            {"temperature": 39.0, "heart_rate_filled": None},
            {"retracted": True, "heart_rate_filled": None},
            {"temperature_filled": 37.5},
        ),
    ),
)
