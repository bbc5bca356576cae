"""Which active medicines interact: the ONC high-priority class pairs and a short list of QT-prolonging medicines.

Source of the class pairs: Phansalkar S et al., "High-priority drug-drug interactions for use in electronic health
records", JAMIA 2012;19:735-743 (PMC3422823), tables 2 and 3; retyped, misprints of circulating spreadsheets corrected.
The list is of 2012: newer medicines (cobicistat, posaconazole, nirmatrelvir) are not on it, and some on it have left the
market. A page that shows an interaction shows this date. It is one input to a risk score, never prescribing advice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from ml.clinical.drugs import INGREDIENTS_OF, normalise_drug
from ml.facts import name_code

INTERACTIONS_VERSION = 1
LIST_DATE = "2012"
SOURCE = "Phansalkar 2012, JAMIA 19:735 (ONC high-priority list)"


def _set(names: str) -> frozenset[str]:
    return frozenset(name.strip() for name in names.replace("\n", " ").split(",") if name.strip())


MAOI = _set("tranylcypromine, phenelzine, isocarboxazid, procarbazine, selegiline")
PROTEASE_INHIBITOR = _set(
    "ritonavir, nelfinavir, atazanavir, indinavir, saquinavir, amprenavir, darunavir, lopinavir, tipranavir, fosamprenavir"
)
MACROLIDE = _set("clarithromycin, erythromycin, telithromycin")
AZOLE = _set("ketoconazole, itraconazole, fluconazole, voriconazole")
CYP3A4_INHIBITOR = PROTEASE_INHIBITOR | MACROLIDE | AZOLE | _set("amiodarone, verapamil, diltiazem, nefazodone")
CYP3A4_INDUCER = _set("bosentan, rifampin, rifabutin, rifapentine, carbamazepine, st john's wort")
AMPHETAMINE = _set(
    "amphetamine, dextroamphetamine, lisdexamfetamine, methamphetamine, methylphenidate, dexmethylphenidate, benzphetamine, "
    "diethylpropion, phendimetrazine, phentermine, pseudoephedrine, atomoxetine"
)
SSRI_SNRI = _set(
    "fluoxetine, paroxetine, citalopram, escitalopram, sertraline, fluvoxamine, duloxetine, nefazodone, venlafaxine, "
    "desvenlafaxine, milnacipran"
)
TRICYCLIC = _set(
    "amitriptyline, clomipramine, desipramine, doxepin, imipramine, nortriptyline, protriptyline, trimipramine"
)
OPIOID = _set("meperidine, methadone, tapentadol, fentanyl, tramadol, dextromethorphan")
PROTON_PUMP_INHIBITOR = _set("omeprazole, esomeprazole, lansoprazole, pantoprazole, rabeprazole, dexlansoprazole")
ERGOT = _set("ergotamine, dihydroergotamine, ergonovine, methylergonovine")
TRIPTAN = _set("sumatriptan, zolmitriptan, rizatriptan")


@dataclass(frozen=True, slots=True)
class ClassPair:
    """Any object together with any precipitant interacts."""

    number: int
    title: str
    objects: frozenset[str]
    precipitants: frozenset[str]
    danger: str


_RAMELTEON = _set("fluvoxamine, amiodarone, ticlopidine, ciprofloxacin")
_TIZANIDINE = _RAMELTEON | _set("mexiletine, propafenone, zileuton")
_ERGOT = PROTEASE_INHIBITOR | MACROLIDE | (AZOLE - {"fluconazole"})
_IRINOTECAN = CYP3A4_INHIBITOR | _set("aprepitant, cimetidine")
_SEROTONIN, _CRISIS = "serotonin syndrome", "hypertensive crisis"

# fmt: off
CLASS_PAIRS: tuple[ClassPair, ...] = (
    ClassPair(1, "Amphetamine derivatives with MAO inhibitors", AMPHETAMINE, MAOI, _CRISIS),
    ClassPair(2, "Atazanavir with proton pump inhibitors", _set("atazanavir"), PROTON_PUMP_INHIBITOR,
              "loss of antiviral effect"),
    ClassPair(3, "Febuxostat with thiopurines", _set("febuxostat"), _set("azathioprine, mercaptopurine"),
              "bone marrow toxicity"),
    ClassPair(4, "SSRI or SNRI with MAO inhibitors", SSRI_SNRI, MAOI, _SEROTONIN),
    ClassPair(5, "Irinotecan with strong CYP3A4 inhibitors", _set("irinotecan"), _IRINOTECAN, "irinotecan toxicity"),
    ClassPair(6, "Opioids with MAO inhibitors", OPIOID, MAOI, _SEROTONIN),
    ClassPair(7, "Tricyclic antidepressants with MAO inhibitors", TRICYCLIC, MAOI, _SEROTONIN),
    ClassPair(9, "Ramelteon with CYP1A2 inhibitors", _set("ramelteon"), _RAMELTEON, "oversedation"),
    ClassPair(10, "Protease inhibitors with CYP3A4 inducers", PROTEASE_INHIBITOR, CYP3A4_INDUCER,
              "loss of antiviral effect"),
    ClassPair(11, "Simvastatin or lovastatin with CYP3A4 inhibitors", _set("simvastatin, lovastatin"),
              CYP3A4_INHIBITOR, "rhabdomyolysis"),
    ClassPair(12, "Ergot alkaloids with CYP3A4 inhibitors", ERGOT, _ERGOT, "ergotism"),
    ClassPair(13, "Tizanidine with CYP1A2 inhibitors", _set("tizanidine"), _TIZANIDINE, "hypotension, sedation"),
    ClassPair(14, "Tranylcypromine with procarbazine", _set("tranylcypromine"), _set("procarbazine"), _CRISIS),
    ClassPair(15, "Triptans with MAO inhibitors", TRIPTAN, MAOI | _set("moclobamide, methylene blue"), _SEROTONIN),
)
"""The list's classes by its own numbers. Class 8, QT with QT, names no members: see `QT_PROLONGING`."""

QT_PROLONGING: dict[str, str] = {
    **dict.fromkeys(
        ("arsenic trioxide", "astemizole", "cisapride", "dofetilide", "droperidol", "ibutilide", "ketoconazole", "methadone",
         "nilotinib", "sotalol", "terfenadine", "thioridazine", "vandetanib"),
        "FDA label: boxed warning",
    ),
    **dict.fromkeys(
        ("amiodarone", "azithromycin", "chloroquine", "ciprofloxacin", "citalopram", "clarithromycin", "dronedarone",
         "erythromycin", "fluconazole", "haloperidol", "hydroxychloroquine", "levofloxacin", "moxifloxacin", "ondansetron",
         "pimozide", "quinidine", "quinine", "voriconazole", "ziprasidone"),
        "FDA label: warnings and precautions",
    ),
}
"""Own short list: medicines whose FDA label warns of QT prolongation, and where. Not complete; a study may add its own."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Interaction:
    """Two medicines that interact; `number` of the class on the list, 8 for QT with QT."""

    number: int
    title: str
    danger: str


QT_PAIR = Interaction(8, "Two QT-prolonging medicines", "torsade de pointes")


def between(first: str, second: str) -> tuple[Interaction, ...]:
    """What the table says of two *different* medicines given by normalised name (`ml.clinical.drugs.normalise_drug`)."""
    if first == second:
        return ()
    left, right = set(first.split(" / ")), set(second.split(" / "))
    found = [
        Interaction(pair.number, pair.title, pair.danger)
        for pair in CLASS_PAIRS
        if any(
            a != b
            for one, other in ((left, right), (right, left))
            for a in one & pair.objects
            for b in other & pair.precipitants
        )
    ]
    if any(a != b for a in left & QT_PROLONGING.keys() for b in right & QT_PROLONGING.keys()):
        found.append(QT_PAIR)
    return tuple(sorted(found, key=lambda interaction: interaction.number))


MEMBERS: frozenset[str] = frozenset(QT_PROLONGING).union(*(pair.objects | pair.precipitants for pair in CLASS_PAIRS))
"""Every ingredient on the tables."""


def _names() -> tuple[str, ...]:
    combinations_known = {" / ".join(found) for found in INGREDIENTS_OF.values() if len(found) > 1}
    carriers = {name for name in combinations_known if MEMBERS & set(name.split(" / "))}
    return tuple(sorted(carriers | {normalise_drug(name) for name in MEMBERS}))


NAMES: tuple[str, ...] = _names()
"""Normalised names that can interact: members of the tables, and known combinations with one inside."""
CODES: tuple[int, ...] = tuple(name_code(name) for name in NAMES)
"""`name_code` of each of `NAMES`; a fact's `code` is compared with these."""

HIGH_PRIORITY_PAIRS: frozenset[tuple[int, int]] = frozenset(
    (min(a, b), max(a, b))
    for (first, a), (second, b) in combinations(zip(NAMES, CODES, strict=True), 2)
    if any(found.number != QT_PAIR.number for found in between(first, second))
)
"""Pairs of codes (smaller first) on the class table."""
QT_PAIRS: frozenset[tuple[int, int]] = frozenset(
    (min(a, b), max(a, b))
    for (first, a), (second, b) in combinations(zip(NAMES, CODES, strict=True), 2)
    if QT_PAIR in between(first, second)
)
"""Pairs of codes (smaller first) that both prolong the QT interval."""
