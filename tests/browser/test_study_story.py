"""The story of a study's set-up: an administrator makes a trial, and a coordinator sees their site of it and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.courses import COURSES, REQUIRED
from apps.accounts.models import User
from apps.core import clock
from apps.patients.models import Site, Trial
from ml.profile import StudyProfile
from tests.browser.conftest import dark, sign_in, violations
from tests.support import clinic, people

pytestmark = pytest.mark.browser


def well_made(page: Any, *, night: bool = False) -> None:
    """Nothing for axe to find, and no sideways scrolling from a desk's width down to a tablet at 200 %."""
    for dim in (False, True) if night else (False,):
        dark(page, dim)
        assert violations(page) == []
    dark(page, False)
    for width in (1440, 1024, 720):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"wider than {width} px"
    page.set_viewport_size({"width": 1440, "height": 900})


def refused(page: Any) -> None:
    """The browser notes the 422 of a form that comes back."""
    page.console_errors.clear()


def test_an_administrator_sets_up_a_study_and_a_coordinator_sees_one_site_of_it(portal: str, page: Any) -> None:
    people.person("ada", "administrator", printed_name="Ada Ministrator")
    sign_in(page, portal, "ada")
    page.get_by_role("heading", name="New trial").wait_for()
    page.get_by_label("Identifier").fill("ONCO/7")
    page.get_by_label("Name").fill("Oncology ward study")
    page.get_by_role("button", name="Create the trial").click()
    page.get_by_text("'ONCO/7' cannot name a trial.").wait_for()
    assert page.locator("[name=trial_id]").get_attribute("aria-invalid") == "true"
    refused(page)
    well_made(page)
    page.get_by_label("Identifier").fill("ONCO-7")
    page.keyboard.press("Enter")
    page.get_by_text("The trial ONCO-7 is created").wait_for()
    page.get_by_text("8 of 9 things are missing.").wait_for()
    well_made(page, night=True)

    tabs = page.get_by_role("navigation", name="Set-up of the study")
    tabs.get_by_role("link", name="Sites").click()
    for number, town, zone in (("01", "Ghent", "Europe/Brussels"), ("02", "Lyon", "Europe/Paris")):
        page.get_by_label("Identifier").fill(number)
        page.get_by_label("Name").fill(town)
        page.get_by_label("Time zone").select_option(zone)
        page.get_by_role("button", name="Add the site").click()
        page.get_by_role("cell", name=town).wait_for()
    well_made(page)
    tabs.get_by_role("link", name="Arms").click()
    for code, name in (("P", "Placebo"), ("A", "Active 80 mg")):
        page.get_by_label("Code").fill(code)
        page.get_by_label("Name").fill(name)
        page.get_by_role("button", name="Set it up").click()
        page.get_by_role("cell", name=name).wait_for()
    well_made(page)

    tabs.get_by_role("link", name="Study profile").click()
    well_made(page)
    page.get_by_role("link", name="Change it").click()
    well_made(page, night=True)
    page.get_by_label("High from").fill("5")
    page.get_by_role("button", name="See what it would change").click()
    page.get_by_text("moderate begins at 10 %").wait_for()
    refused(page)
    page.get_by_label("High from").fill("40")
    page.get_by_label("Study treatments").fill("Onco-mab\nPlacebo")
    page.get_by_role("button", name="See what it would change").click()
    page.get_by_role("heading", name="What version 2 would change").wait_for()
    page.get_by_text("Nobody has been scored yet").wait_for()
    page.get_by_role("cell", name="10 %, 40 %, 75 %").wait_for()
    well_made(page, night=True)
    page.get_by_role("button", name="Back to the form").click()
    assert page.get_by_label("High from").input_value() == "40"
    page.get_by_role("button", name="See what it would change").click()
    page.get_by_label("Why").fill("As the protocol has it.")
    page.get_by_role("button", name="Publish version 2").click()
    page.get_by_text("Version 2 is published and in force.").wait_for()
    page.get_by_role("heading", name="How version 2 differs from version 1").wait_for()
    well_made(page)
    profile = StudyProfile.from_json(Trial.objects.get().profiles.order_by("-version")[0].body)
    assert (profile.version, profile.bands, profile.study_treatments) == (2, (0.1, 0.4, 0.75), ("Onco-mab", "Placebo"))

    tabs.get_by_role("link", name="People").click()
    page.get_by_role("link", name="Add a person").click()
    page.get_by_label("Sign-in name").fill("cora")
    page.get_by_label("Printed name").fill("Cora Ordinator")
    page.get_by_role("button", name="Add the person").click()
    first = page.locator("#first-password").inner_text()
    well_made(page)
    page.get_by_role("link", name="On to training and role").click()
    give = page.locator("form", has=page.get_by_role("button", name="Give the role"))
    give.get_by_label("Role").select_option("coordinator")
    give.get_by_label("Where").select_option("ONCO-7/01")
    give.get_by_role("button").click()
    page.get_by_text("has no current training record for the role").wait_for()
    refused(page)
    well_made(page, night=True)
    record = page.locator("form", has=page.get_by_role("button", name="Record it"))
    for course in REQUIRED["coordinator"]:
        record.get_by_label("Course").select_option(course)
        record.get_by_label("Completed on").fill((clock.now() - timedelta(days=9)).date().isoformat())
        record.get_by_label("Evidence").fill("Certificate in the site file")
        record.get_by_role("button").click()
        page.get_by_role("rowheader", name=COURSES[course].title).first.wait_for()
    give.get_by_label("Role").select_option("coordinator")
    give.get_by_label("Where").select_option("ONCO-7/01")
    give.get_by_role("button").click()
    page.get_by_role("cell", name="ONCO-7, site 01 Ghent").wait_for()
    page.get_by_role("button", name="I have verified who this is").click()
    page.get_by_text("you have verified the identity of Cora Ordinator").wait_for()
    page.get_by_role("link", name="People").last.click()
    well_made(page)

    trial = Trial.objects.get()
    for number in ("01", "02"):
        people.patient(trial, f"{number}-1001", at=Site.objects.get(site_id=number))
    page.locator("summary", has_text="Ada Ministrator").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill("cora")
    page.get_by_label("Password").fill(first)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Choose your own password").wait_for()
    page.get_by_label("Old password").fill(first)
    page.get_by_label("New password", exact=True).fill("a quiet ward at night")
    page.get_by_label("New password, once more").fill("a quiet ward at night")
    page.keyboard.press("Enter")
    page.get_by_text("01-1001").first.wait_for()
    assert page.get_by_text("02-1001").count() == 0
    navigation = page.get_by_role("navigation", name="Main").inner_text()
    assert "Study" not in navigation
    page.locator("summary", has_text="Cora Ordinator").click()
    page.get_by_role("link", name="My account").click()
    page.get_by_role("cell", name="ONCO-7, site 01 Ghent").wait_for()
    well_made(page, night=True)
    assert User.objects.get(username="cora").identity_verified_by == "ada"


def test_a_preview_on_a_ward_says_who_would_move(portal: str, page: Any) -> None:
    """Given scored patients and a model, when the critical band begins lower, the preview names who moves, by keyboard."""
    ward = clinic.ward(clock.now(), patients=14, days=2)
    people.person("ada", "administrator")
    sign_in(page, portal, "ada")
    page.goto(f"{portal}/trials/{ward.trial.pk}/study/profile/next/")
    page.get_by_label("Critical from").fill("40")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Where the present patients would stand").wait_for()
    page.get_by_text("1 from high to critical").wait_for()
    page.get_by_text("patient-days have a label that counts now").wait_for()
    well_made(page, night=True)
    page.goto(f"{portal}/trials/{ward.trial.pk}/study/arms/")
    well_made(page)
