"""The study profile as a form: every field in words, with what the profile itself refuses said beside its field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args

from django import forms
from django.forms.formsets import BaseFormSet

from apps.portal.presenters.profile_words import FIELDS, GROUPS, value_words
from ml.contracts.signs import SIGNS
from ml.evaluation.gates import MEASURES
from ml.profile import Gate, Operator, ProfileError, StudyProfile

BANDS = ("band_moderate", "band_high", "band_critical")
#: Fields of the form that stand for one of the profile.
PARTS: dict[str, tuple[str, ...]] = {"bands": BANDS, "gates": (), "simulated": ()}
#: Field of the profile -> the form's field that its fault is shown at.
SHOWN_AT = {"bands": "band_high"}
HUNDRED = Decimal(100)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


#: What a plain profile has, said with each field whose value a reader could not guess.
PLAIN = StudyProfile("PLAIN")
WITHOUT_DEFAULT = ("study_treatments", "replay_date", "notes")


def _labelled(name: str, kind: type[forms.Field], **options: Any) -> Any:
    words = FIELDS[name]
    default = "" if name in WITHOUT_DEFAULT else f" Default: {value_words(name, getattr(PLAIN, name))}."
    return kind(label=words.label, help_text=words.help + default, **options)


def _band(label: str, place: int) -> forms.DecimalField:
    default = f"{PLAIN.bands[place] * 100:g} %"
    return forms.DecimalField(
        label=label,
        min_value=0,
        max_value=100,
        max_digits=6,
        decimal_places=3,
        help_text=f"A probability within the horizon. Default: {default}.",
    )


def _area() -> forms.Textarea:
    return forms.Textarea(attrs={"rows": 3})


class ProfileForm(forms.Form):
    """The fields of a profile; ``profile()`` after ``is_valid()`` is the StudyProfile they make.

    ``base`` is the newest version when the form was opened: publishing goes on from it, or is told that another came
    between.
    """

    base = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    horizon_hours = _labelled("horizon_hours", forms.IntegerField, min_value=1, max_value=24 * 30)
    second_horizon_hours = _labelled("second_horizon_hours", forms.IntegerField, min_value=1, max_value=24 * 60)
    band_moderate = _band("Moderate from", 0)
    band_high = _band("High from", 1)
    band_critical = _band("Critical from", 2)
    cadence_seconds = _labelled("cadence_seconds", forms.IntegerField, min_value=0, max_value=7 * 86400)
    vitals_stale_hours = _labelled("vitals_stale_hours", forms.FloatField, min_value=0.1, max_value=24 * 366)
    signs_required = _labelled(
        "signs_required",
        forms.MultipleChoiceField,
        required=False,
        choices=[(sign.name, sign.label) for sign in SIGNS],
        widget=forms.CheckboxSelectMultiple,
    )
    labs_stale_days = _labelled("labs_stale_days", forms.FloatField, required=False, min_value=0.1, max_value=3660)
    baseline_days = _labelled("baseline_days", forms.IntegerField, min_value=1, max_value=366)
    label_maturity_days = _labelled("label_maturity_days", forms.IntegerField, min_value=0, max_value=3660)
    risk_from_first_dose = _labelled("risk_from_first_dose", forms.BooleanField, required=False)
    live = _labelled("live", forms.BooleanField, required=False)
    blinded = _labelled("blinded", forms.BooleanField, required=False)
    study_treatments = _labelled("study_treatments", forms.CharField, required=False, max_length=4000, widget=_area())
    replay_date = _labelled("replay_date", forms.CharField, required=False, max_length=40)
    hys_law_alt_ast_uln = _labelled("hys_law_alt_ast_uln", forms.FloatField, min_value=0.1, max_value=100)
    hys_law_bilirubin_uln = _labelled("hys_law_bilirubin_uln", forms.FloatField, min_value=0.1, max_value=100)
    hys_law_window_days = _labelled("hys_law_window_days", forms.IntegerField, min_value=1, max_value=366)
    notes = _labelled("notes", forms.CharField, required=False, max_length=4000, widget=_area())

    def __init__(self, *args: Any, current: StudyProfile, gates: BaseFormSet[Any], **options: Any) -> None:
        super().__init__(*args, **options)
        self.current = current
        self.gates = gates
        self._made: StudyProfile | None = None

    def profile(self) -> StudyProfile:
        """What the form makes; its number is the one after ``base``."""
        assert self._made is not None, "ask is_valid() first"
        return self._made

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        self._bands_rise(given)
        if not self.gates.is_valid():
            self.add_error(None, "A gate is not complete: see the table of gates.")
        if self.errors:
            return given
        try:
            self._made = replace(self.current, version=given["base"] + 1, **self._values(given))
        except ProfileError as error:
            for field, sentence in error.problems:
                self.add_error(SHOWN_AT.get(field, field if field in self.fields else None), sentence)
        return given

    def _bands_rise(self, given: Mapping[str, Any]) -> None:
        for lower, upper in pairwise(BANDS):
            low, high = given.get(lower), given.get(upper)
            if low is not None and high is not None and not low < high:
                name = str(self.fields[lower].label).removesuffix(" from").lower()
                self.add_error(
                    upper, f"This band begins above the one before it: {name} begins at {low.normalize():f} %."
                )

    def _values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        plain = {name: given[name] for name in FIELDS if name in given}
        return plain | {
            "bands": tuple(float(given[name] / HUNDRED) for name in BANDS),
            "signs_required": tuple(given["signs_required"]),
            "study_treatments": _lines(given["study_treatments"]),
            "notes": _lines(given["notes"]),
            "replay_date": given["replay_date"].strip() or None,
            "gates": tuple(gate for form in self.gates if (gate := form.gate()) is not None),
        }

    @property
    def rows(self) -> list[tuple[Any, list[Any]]]:
        """The groups of the page, each with its bound fields in order and their units."""
        return [
            (
                group,
                [(self[name], field.unit) for field in group.fields for name in PARTS.get(field.name, (field.name,))],
            )
            for group in GROUPS
        ]


class GateForm(forms.Form):
    """One gate; a row left empty, or marked to be taken away, is none."""

    name = forms.SlugField(label="Name", max_length=60, required=False)
    sentence = forms.CharField(label="In words", max_length=200, required=False)
    measure = forms.ChoiceField(
        label="Measure", choices=[("", "choose")] + [(name, name) for name in MEASURES], required=False
    )
    operator = forms.ChoiceField(label="Is", choices=[(one, one) for one in get_args(Operator)], required=False)
    threshold = forms.FloatField(label="Threshold", required=False)
    blocking = forms.BooleanField(label="Blocking", required=False, initial=True)
    remove = forms.BooleanField(label="Take away", required=False)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        wanted = ("name", "sentence", "measure", "threshold")
        filled = [name for name in wanted if given.get(name) not in (None, "") or name in self.errors]
        if given.get("remove") or not filled:
            self._errors = type(self.errors)()  # nothing of an empty or a removed row counts
            return {}
        for name in wanted:
            if name not in filled:
                self.add_error(name, "Needed for a gate.")
        measure, threshold = given.get("measure"), given.get("threshold")
        if (
            threshold is not None
            and measure
            and not measure.startswith(("latency", "calibration_slope"))
            and abs(threshold) > 1
        ):
            self.add_error("threshold", "This measure lies between -1 and 1.")
        return given

    def gate(self) -> Gate | None:
        """The gate, or None for a row that is none."""
        given = self.cleaned_data
        if not given:
            return None
        return Gate(
            given["name"],
            given["measure"],
            given["operator"],
            given["threshold"],
            given["sentence"].strip(),
            given["blocking"],
        )


Gates = forms.formset_factory(GateForm, extra=1, max_num=30, absolute_max=30)


def filled(profile: StudyProfile, base: int) -> ProfileForm:
    """The form as it stands for a profile, to be changed."""
    body = profile.to_json()
    initial = {
        **{name: body[name] for name in ProfileForm.base_fields if name in body},
        **dict(zip(BANDS, (Decimal(str(bound)) * HUNDRED for bound in profile.bands), strict=True)),
        "study_treatments": "\n".join(profile.study_treatments),
        "notes": "\n".join(profile.notes),
        "replay_date": profile.replay_date or "",
        "base": base,
    }
    for name in BANDS:
        initial[name] = f"{initial[name].normalize():f}"
    gates = Gates(prefix="gate", initial=body["gates"])
    return ProfileForm(initial=initial, current=profile, gates=gates)


def sent(data: Any, current: StudyProfile) -> ProfileForm:
    """The form as it was sent; ``current`` gives what the form does not ask for."""
    return ProfileForm(data, current=current, gates=Gates(data, prefix="gate"))
