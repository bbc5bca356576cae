"""The simulated world as tables: syndromes, laboratory tests, drugs, conditions, terms.

Nothing here comes from a real patient; magnitudes are chosen so that risk shows against the patient's own baseline more
than against fixed limits (see the ADR on simulation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VITALS: tuple[str, ...] = (
    "heart_rate",
    "blood_pressure_systolic",
    "blood_pressure_diastolic",
    "temperature",
    "spo2",
    "respiratory_rate",
)
MISSED_DOSE_FACTOR = 1.5
"""Episodes begin so many times as often on the day after a missed study dose."""


@dataclass(frozen=True, slots=True)
class VitalLaw:
    """How a sign is spread: over patients, over the day, in hours, from one reading to the next. In the sign's unit."""

    mean: float
    between: float
    circadian: float
    slow: float
    white: float
    low: float
    high: float
    decimals: int


VITAL_LAWS: tuple[VitalLaw, ...] = (
    VitalLaw(74.0, 11.5, 3.5, 1.6, 3.0, 25, 220, 0),
    VitalLaw(124.0, 15.0, 4.0, 2.4, 4.5, 50, 260, 0),
    VitalLaw(75.0, 8.5, 2.5, 1.6, 3.2, 25, 160, 0),
    VitalLaw(36.70, 0.25, 0.22, 0.06, 0.10, 33.0, 42.5, 1),
    VitalLaw(96.4, 1.3, 0.2, 0.25, 0.7, 60, 100, 0),
    VitalLaw(15.8, 2.4, 0.6, 0.45, 1.2, 5, 50, 0),
)


@dataclass(frozen=True, slots=True)
class Syndrome:
    """A way of getting worse: share of episodes, shift of each vital sign and lab (in patient SD) at severity 1, terms."""

    name: str
    share: float
    shift: tuple[float, float, float, float, float, float]
    labs: dict[str, float]
    terms: tuple[tuple[str, str], ...]
    """(term, body system)"""


SYNDROMES: tuple[Syndrome, ...] = (
    Syndrome(
        "infection", 0.34, (15.2, -9.4, -5.1, 0.75, -1.3, 3.3),
        {"wbc": 2.6, "crp": 4.0, "neutrophils": 2.6, "platelets": -0.6, "creatinine": 0.8, "albumin": -0.8},
        (
            ("pneumonia", "Infections and infestations"),
            ("urinary tract infection", "Infections and infestations"),
            ("pyrexia", "General disorders and administration site conditions"),
            ("cellulitis", "Infections and infestations"),
        ),
    ),
    Syndrome(
        "cardiorespiratory", 0.26, (13.8, -10.9, -6.5, 0.32, -2.2, 4.2),
        {"bnp": 3.5, "creatinine": 1.2, "sodium": -1.0, "potassium": 0.8, "hemoglobin": -0.4},
        (
            ("dyspnoea", "Respiratory, thoracic and mediastinal disorders"),
            ("cardiac failure", "Cardiac disorders"),
            ("atrial fibrillation", "Cardiac disorders"),
            ("chest pain", "General disorders and administration site conditions"),
        ),
    ),
    Syndrome(
        "volume loss", 0.22, (17.4, -14.5, -7.2, 0.29, -1.0, 2.8),
        {"hemoglobin": -2.8, "urea_nitrogen": 2.2, "creatinine": 1.6, "platelets": 0.5, "sodium": 0.9},
        (
            ("hypotension", "Vascular disorders"),
            ("dizziness", "Nervous system disorders"),
            ("gastrointestinal haemorrhage", "Gastrointestinal disorders"),
            ("diarrhoea", "Gastrointestinal disorders"),
        ),
    ),
    Syndrome(
        "hepatic", 0.18, (13.0, -8.7, -5.8, 0.52, -1.0, 2.6),
        {"alt": 4.5, "ast": 4.2, "bilirubin": 2.8, "alp": 1.5, "albumin": -0.8, "inr": 1.4},
        (
            ("hepatic enzyme increased", "Investigations"),
            ("nausea", "Gastrointestinal disorders"),
            ("jaundice", "Hepatobiliary disorders"),
            ("fatigue", "General disorders and administration site conditions"),
        ),
    ),
)  # fmt: skip
SHARES = np.cumsum([syndrome.share for syndrome in SYNDROMES])
SHIFTS = np.array([syndrome.shift for syndrome in SYNDROMES])
CONCEPT_SHIFT = np.array([-1.0, -0.4, -0.4, -1.0, 0.3, -0.8])
"""After concept drift the same hazard shows otherwise: slower heart, lower temperature, calmer breath."""
FEATURE_SHIFT = np.array([6.0, 5.0, 3.0, 0.25, -1.2, 1.2])
"""After feature drift the devices read otherwise; the patients are as before."""

BACKGROUND_TERMS: tuple[tuple[str, str], ...] = (
    ("headache", "Nervous system disorders"),
    ("nasopharyngitis", "Infections and infestations"),
    ("back pain", "Musculoskeletal and connective tissue disorders"),
    ("rash", "Skin and subcutaneous tissue disorders"),
    ("insomnia", "Psychiatric disorders"),
)


@dataclass(frozen=True, slots=True)
class LabLaw:
    """A test of the panel: code on the wire, unit, mean, SD over patients and within one, and a unit variant."""

    name: str
    code: str
    unit: str
    mean: float
    between: float
    within: float
    decimals: int
    reference: str
    variant_unit: str | None = None
    variant_factor: float = 1.0
    variant_decimals: int = 2
    low: float = 0.01


LABS: tuple[LabLaw, ...] = (
    LabLaw("alt", "ALT", "U/L", 26, 8, 3.5, 0, "7-55", low=3),
    LabLaw("ast", "AST", "U/L", 25, 6, 3.0, 0, "8-48", low=3),
    LabLaw("bilirubin", "BILI", "mg/dL", 0.65, 0.18, 0.09, 2, "0.2-1.2", "umol/L", 17.104, 1, low=0.1),
    LabLaw("alp", "ALP", "U/L", 78, 18, 6, 0, "45-130", low=15),
    LabLaw("creatinine", "CREAT", "mg/dL", 0.95, 0.2, 0.06, 2, "0.4-1.5", "umol/L", 88.40, 0, low=0.3),
    LabLaw("urea_nitrogen", "BUN", "mg/dL", 15, 4, 1.6, 0, "7-20", "mmol/L", 0.35700, 1, low=3),
    LabLaw("sodium", "NA", "mmol/L", 140, 2.0, 1.0, 0, "136-145", "meq/L", 1.0, 0, low=115),
    LabLaw("potassium", "K", "mmol/L", 4.2, 0.3, 0.17, 1, "3.5-5.0", "meq/L", 1.0, 1, low=2.2),
    LabLaw("glucose", "GLUC", "mg/dL", 100, 16, 8, 0, "70-140", "mmol/L", 0.055507, 1, low=45),
    LabLaw("hemoglobin", "HGB", "g/dL", 13.6, 1.2, 0.35, 1, "12.3-17.5", "g/L", 10.0, 0, low=5),
    LabLaw("wbc", "WBC", "10*9/L", 6.8, 1.4, 0.7, 1, "3.5-10.5", "10^3/uL", 1.0, 1, low=1),
    LabLaw("platelets", "PLAT", "10*9/L", 250, 50, 16, 0, "150-450", "10^3/uL", 1.0, 0, low=20),
    LabLaw("neutrophils", "NEUT", "10*9/L", 4.1, 0.9, 0.5, 2, "1.8-7.8", low=0.4),
    LabLaw("albumin", "ALB", "g/dL", 4.2, 0.3, 0.13, 1, "3.5-5.5", "g/L", 10.0, 0, low=1.5),
    LabLaw("crp", "CRP", "mg/L", 3.0, 1.0, 0.8, 1, "0-4.9", "mg/dL", 0.1, 2, low=0.2),
    LabLaw("inr", "INR", "1", 1.02, 0.06, 0.04, 2, "0.8-1.2", low=0.7),
    LabLaw("bnp", "BNP", "pg/mL", 48, 18, 9, 0, "0-99", "ng/L", 1.0, 0, low=3),
)
LAB_SHIFTS = np.array([[syndrome.labs.get(law.name, 0.0) for law in LABS] for syndrome in SYNDROMES])
"""[syndrome, lab]: shift at severity 1, in units of (between + within) / 2."""
STAT_LABS: tuple[str, ...] = (
    "creatinine",
    "potassium",
    "sodium",
    "hemoglobin",
    "wbc",
    "platelets",
    "crp",
    "alt",
    "bilirubin",
)


@dataclass(frozen=True, slots=True)
class DrugLaw:
    """A medicine: name, dose, unit, route, frequency and the condition it belongs to ("" = any)."""

    name: str
    dose: float
    unit: str
    route: str
    frequency: str
    condition: str


DRUGS: tuple[DrugLaw, ...] = (
    DrugLaw("metformin", 850, "mg", "oral", "BID", "type 2 diabetes mellitus"),
    DrugLaw("gliclazide", 60, "mg", "oral", "QD", "type 2 diabetes mellitus"),
    DrugLaw("ramipril", 5, "mg", "oral", "QD", "hypertension"),
    DrugLaw("spironolactone", 25, "mg", "oral", "QD", "cardiac failure chronic"),
    DrugLaw("furosemide", 40, "mg", "oral", "QD", "cardiac failure chronic"),
    DrugLaw("amlodipine", 5, "mg", "oral", "QD", "hypertension"),
    DrugLaw("bisoprolol", 5, "mg", "oral", "QD", "atrial fibrillation"),
    DrugLaw("warfarin", 5, "mg", "oral", "QD", "atrial fibrillation"),
    DrugLaw("amiodarone", 200, "mg", "oral", "QD", "atrial fibrillation"),
    DrugLaw("digoxin", 0.125, "mg", "oral", "QD", "atrial fibrillation"),
    DrugLaw("simvastatin", 20, "mg", "oral", "QD", "hypercholesterolaemia"),
    DrugLaw("ibuprofen", 400, "mg", "oral", "TID", "osteoarthritis"),
    DrugLaw("aspirin", 100, "mg", "oral", "QD", "coronary artery disease"),
    DrugLaw("clopidogrel", 75, "mg", "oral", "QD", "coronary artery disease"),
    DrugLaw("omeprazole", 20, "mg", "oral", "QD", "gastro-oesophageal reflux disease"),
    DrugLaw("sertraline", 50, "mg", "oral", "QD", "depression"),
    DrugLaw("tramadol", 50, "mg", "oral", "TID", "osteoarthritis"),
    DrugLaw("salbutamol", 0.1, "mg", "inhalation", "PRN", "chronic obstructive pulmonary disease"),
    DrugLaw("prednisolone", 5, "mg", "oral", "QD", "chronic obstructive pulmonary disease"),
    DrugLaw("levothyroxine", 0.075, "mg", "oral", "QD", "hypothyroidism"),
)
RESCUE: tuple[DrugLaw, ...] = (
    DrugLaw("clarithromycin", 500, "mg", "oral", "BID", ""),
    DrugLaw("paracetamol", 1000, "mg", "oral", "QID", ""),
    DrugLaw("furosemide", 40, "mg", "intravenous", "BID", ""),
    DrugLaw("sodium chloride 0.9%", 1000, "mL", "intravenous", "ONCE", ""),
)
"""Given after an event: one for each syndrome, in their order."""
CONDITIONS: tuple[tuple[str, float], ...] = (
    ("hypertension", 0.45),
    ("type 2 diabetes mellitus", 0.22),
    ("hypercholesterolaemia", 0.30),
    ("osteoarthritis", 0.25),
    ("coronary artery disease", 0.15),
    ("atrial fibrillation", 0.12),
    ("cardiac failure chronic", 0.08),
    ("chronic obstructive pulmonary disease", 0.12),
    ("depression", 0.12),
    ("gastro-oesophageal reflux disease", 0.15),
    ("hypothyroidism", 0.08),
)
ARMS: tuple[tuple[str, str, str, float], ...] = (
    ("PLACEBO", "Placebo", "Placebo", 0.0),
    ("ACTIVE", "SIM-101 100 mg daily", "SIM-101", 100.0),
)
"""(code, name, drug, dose in mg)"""
STUDY_TREATMENTS: tuple[str, ...] = tuple(arm[2] for arm in ARMS)
RACES: tuple[tuple[str, float], ...] = (
    ("WHITE", 0.7),
    ("BLACK OR AFRICAN AMERICAN", 0.14),
    ("ASIAN", 0.12),
    ("OTHER", 0.04),
)
