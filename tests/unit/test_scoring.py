"""The scorer: same bits everywhere, contributions that add up, and an answer for missing inputs."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal, getcontext
from pathlib import Path

import numpy as np
import pytest

from ml.profile import StudyProfile
from ml.scoring import Bundle, BundleError, Scaler, exact, fingerprint, fingerprint_parts, score, top_factors
from ml.scoring.fingerprint import code_digest

FEATURES = 120
ANY = StudyProfile("T", signs_required=())
ROOT = Path(__file__).resolve().parents[2]


def make_bundle(seed: int = 0, names: tuple[str, ...] | None = None) -> Bundle:
    rng = np.random.default_rng(seed)
    names = names or tuple(f"x{i}" for i in range(FEATURES))
    masked = np.zeros(len(names), np.bool_)
    masked[5] = True
    scaler = Scaler(
        names=names,
        median=rng.normal(size=len(names)),
        mean=rng.normal(size=len(names)),
        std=rng.uniform(0.5, 3, len(names)),
        lowest=np.full(len(names), -8.0),
        highest=np.full(len(names), 8.0),
        missing_share=np.zeros(len(names)),
        masked=masked,
        clip=6.0,
    )
    weights = {
        "w1": rng.normal(0, 0.15, (64, len(names))),
        "b1": rng.normal(0, 0.3, 64),
        "w2": rng.normal(0, 0.2, (32, 64)),
        "b2": rng.normal(0, 0.3, 32),
        "w3": rng.normal(0, 0.4, 32),
        "b3": rng.normal(0, 0.3, 1),
    }
    return Bundle(
        {name: value.astype(np.float32) for name, value in weights.items()},
        scaler,
        0.9,
        -1.2,
        "table",
        "data",
        "profile",
        10,
    )


def make_vectors(n: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = (3 * rng.normal(size=(n, FEATURES))).astype(np.float32)
    vectors[rng.random(vectors.shape) < 0.05] = np.nan
    return vectors


def bits(bundle: Bundle, vectors: np.ndarray) -> bytes:
    scores = score(bundle, vectors, ANY)
    return scores.probability.tobytes() + scores.contributions.tobytes() + scores.logit.tobytes()


def test_the_bits_do_not_depend_on_batch_size_order_or_memory_layout():
    bundle, vectors = make_bundle(), make_vectors(1000)
    whole = score(bundle, vectors, ANY)
    for size in (1, 2, 3, 5, 31, 32, 33, 63, 64, 65, 127, 500, 999):
        reach = vectors[: max(size, 150)]
        for start in range(0, len(reach), size):
            part = score(bundle, reach[start : start + size], ANY)
            rows = slice(start, min(start + size, len(reach)))
            assert part.probability.tobytes() == whole.probability[rows].tobytes()
            assert part.contributions.tobytes() == whole.contributions[rows].tobytes()
    order = np.random.default_rng(3).permutation(1000)
    mixed = score(bundle, vectors[order], ANY)
    assert mixed.contributions.tobytes() == whole.contributions[order].tobytes()
    assert bits(bundle, np.asfortranarray(vectors)) == bits(bundle, vectors)
    assert bits(bundle, np.repeat(vectors, 2, axis=0)[::2]) == bits(bundle, vectors)


def test_the_bits_are_the_same_in_threads():
    bundle, vectors = make_bundle(), make_vectors(200)
    expected = [bits(bundle, vectors[i : i + 10]) for i in range(0, 200, 10)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda i: bits(bundle, vectors[i : i + 10]), range(0, 200, 10))) == expected


@pytest.mark.parametrize("environment", [{}, {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Nehalem"}])
def test_the_bits_are_the_same_in_another_process_without_torch(environment, tmp_path):
    bundle, vectors = make_bundle(), make_vectors(130)
    bundle.save(tmp_path)
    np.save(tmp_path / "vectors.npy", vectors)
    code = """
import hashlib, sys
import numpy as np
from ml.profile import StudyProfile
from ml.scoring import Bundle, score
folder = sys.argv[1]
scores = score(Bundle.load(folder), np.load(folder + "/vectors.npy"), StudyProfile("T", signs_required=()))
parts = scores.probability.tobytes() + scores.contributions.tobytes() + scores.logit.tobytes()
assert not {"torch", "mlflow", "sklearn", "lightgbm", "pandas"} & set(sys.modules), "the scorer loads too much"
print(hashlib.sha256(parts).hexdigest())
"""
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == hashlib.sha256(bits(bundle, vectors)).hexdigest()


def test_contributions_add_up_to_the_probability_with_nothing_left():
    for seed in range(5):
        bundle = make_bundle(seed)
        scores = score(bundle, make_vectors(400, seed), ANY)
        rest = bundle.baseline_probability + scores.contributions.sum(axis=1) - scores.probability
        assert np.abs(rest).max() <= 1e-12
        assert not scores.contributions[:, 5].any(), "a masked feature explains nothing"


def test_contributions_are_the_integrated_gradients():
    bundle = make_bundle(2)
    z = bundle.scaler.standardise(make_vectors(3, 9))
    net = bundle.network
    for row, found in zip(z, net.attribute(z), strict=True):
        t = (np.arange(100_000) + 0.5)[:, None] / 100_000
        first = t * (net.w1 @ row) + net.b1
        second = np.maximum(first, 0) @ net.w2.T + net.b2
        gradient = (((second > 0) * net.w3) @ net.w2 * (first > 0)).mean(axis=0) @ net.w1
        np.testing.assert_allclose(found, gradient * row, atol=5e-5)


def test_the_baseline_patient_has_the_baseline_probability():
    bundle = make_bundle()
    scores = score(bundle, bundle.scaler.mean[None, :], ANY)
    assert scores.probability[0] == bundle.baseline_probability
    assert not scores.contributions.any()


def test_exp_is_right_to_an_ulp_and_does_not_overflow():
    getcontext().prec = 40
    for x in (-744.5, -700.0, -30.25, -1.0, -1e-9, 0.0, 1e-9, 0.3465, 0.35, 1.0, 20.125, 700.0):
        true = Decimal(x).exp()
        found = float(exact.exp(np.array([x]))[0])
        assert abs(Decimal(found) - true) <= Decimal(math.ulp(float(true))), x
    assert np.isfinite(exact.exp(np.array([-1e9, 1e9, np.inf, -np.inf]))).all()
    assert np.isnan(exact.exp(np.array([np.nan]))).all()


def test_the_slope_between_two_logits_is_accurate_near_and_far():
    for v in (-4.0, 0.3):
        u = np.array([v, v + 1e-12, v + 1e-5, v + 0.4999, v + 0.5001, v - 30, v + 60, -900.0, 900.0])
        slope = exact.sigmoid_slope(u, v)
        p, q = exact.sigmoid(u), exact.sigmoid(np.array([v]))[0]
        np.testing.assert_allclose(slope[0], q * (1 - q), rtol=1e-14)
        np.testing.assert_allclose(slope * (u - v), p - q, atol=1e-16)


def test_missing_and_infinite_values_are_imputed_with_the_training_median():
    bundle, vector = make_bundle(), make_vectors(1)
    known = np.where(np.isfinite(vector), vector, bundle.scaler.median)
    infinite = np.where(np.isfinite(vector), vector, np.inf)
    assert score(bundle, known, ANY).probability == score(bundle, vector, ANY).probability
    assert score(bundle, infinite, ANY).probability == score(bundle, vector, ANY).probability


def test_a_masked_feature_changes_no_bit():
    bundle, vectors = make_bundle(), make_vectors(20)
    other = vectors.copy()
    other[:, 5] = 77
    assert bits(bundle, other) == bits(bundle, vectors)


def test_values_beyond_training_are_marked():
    bundle, vectors = make_bundle(), np.zeros((2, FEATURES), np.float32)
    vectors[1, [3, 5]] = 9
    vectors[1, 4] = np.nan
    assert np.flatnonzero(score(bundle, vectors, ANY).outside[1]).tolist() == [3]


def test_levels_follow_the_bands_with_each_bound_in_the_higher_level():
    bundle, vectors = make_bundle(), make_vectors(60)
    p = np.sort(score(bundle, vectors, ANY).probability)
    profile = replace(ANY, bands=(float(p[10]), float(p[30]), float(p[50])))
    scores = score(bundle, vectors, profile)
    for probability, level in zip(scores.probability.tolist(), scores.level, strict=True):
        assert level == profile.level(probability)


def test_top_factors_and_their_rest_are_all_there_is():
    scores = score(make_bundle(), make_vectors(30), ANY)
    top = top_factors(scores, 9)
    assert top.rest_count == 111
    total = top.contribution.sum(axis=1) + top.rest
    np.testing.assert_allclose(total, scores.probability - scores.baseline_probability, atol=1e-12)
    strengths = np.abs(top.contribution)
    assert (strengths[:, :-1] >= strengths[:, 1:]).all()
    first = top.row(0)
    assert len(first) == 9
    assert {factor["direction"] for factor in first} <= {"raises", "lowers"}
    json.dumps(first, allow_nan=False)
    assert top_factors(scores, 500).rest_count == 0


SIGNED = ("days_since_enrolment", "heart_rate_latest", "heart_rate_mean_6h", "heart_rate_mean_24h", "labs_missing_30d")
NAMES = SIGNED + tuple(f"x{i}" for i in range(FEATURES - len(SIGNED)))
ASKS = StudyProfile("T", signs_required=("heart_rate",))


def vector(**values: float) -> np.ndarray:
    row = np.ones((1, FEATURES), np.float32)
    row[0, SIGNED.index("labs_missing_30d")] = 0
    for name, value in values.items():
        row[0, SIGNED.index(name)] = value
    return row


@pytest.mark.parametrize(
    ("row", "profile", "rules"),
    [
        (vector(), ASKS, []),
        (vector(days_since_enrolment=np.nan), ASKS, ["not_enrolled"]),
        (vector(heart_rate_mean_6h=np.nan), ASKS, ["sign_stale"]),
        (vector(heart_rate_mean_6h=np.nan), replace(ASKS, vitals_stale_hours=24.0), []),
        (vector(heart_rate_mean_24h=np.nan), replace(ASKS, vitals_stale_hours=12.0), ["sign_stale"]),
        (vector(heart_rate_mean_24h=np.nan), replace(ASKS, vitals_stale_hours=480.0), []),
        (vector(heart_rate_latest=np.nan, heart_rate_mean_6h=np.nan), ASKS, ["sign_never_measured"]),
        (vector(labs_missing_30d=1), ASKS, []),
        (vector(labs_missing_30d=1), replace(ASKS, labs_stale_days=30.0), ["labs_stale"]),
        (vector(labs_missing_30d=1, heart_rate_mean_6h=np.nan), replace(ASKS, labs_stale_days=30.0), ["sign_stale", "labs_stale"]),
    ],
)  # fmt: skip
def test_no_score_without_what_the_study_asks_for(row, profile, rules):
    scores = score(make_bundle(names=NAMES), row, profile)
    assert [reason.rule for reason in scores.reasons[0]] == rules
    if rules:
        assert scores.level == ("INDETERMINATE",)
        assert scores.probability_of(0) is None
        assert scores.contribution_bytes(0) is None
        assert top_factors(scores).row(0) == []
        minutes = [reason.minutes for reason in scores.reasons[0]]
        assert minutes == sorted(minutes), "the cheapest remedy comes first"
    else:
        assert scores.probability_of(0) is not None
        assert len(scores.contribution_bytes(0)) == 8 * FEATURES


def test_ages_from_the_caller_count_before_windows():
    bundle = make_bundle(names=NAMES)
    rows = np.concatenate([vector()] * 3)
    scores = score(bundle, rows, ASKS, {"heart_rate": np.array([1.0, 9.0, np.nan])})
    assert scores.level[0] != "INDETERMINATE"
    said = scores.reasons[1][0]
    assert said.sentence == "The newest heart rate is 9 hours old; this study asks for one within 6 hours."
    assert said.remedy == "Measure heart rate."
    assert scores.reasons[2][0].sentence == "No heart rate is known."


def test_a_sign_that_nothing_tells_the_age_of_is_an_error_and_not_a_pass():
    with pytest.raises(ValueError, match="spo2"):
        score(make_bundle(names=NAMES), vector(), replace(ASKS, signs_required=("spo2",)))


def test_an_indeterminate_row_changes_nothing_in_the_others():
    bundle, rows = make_bundle(names=NAMES), np.concatenate([vector(), vector(days_since_enrolment=np.nan), vector()])
    scores = score(bundle, rows, ASKS)
    assert scores.probability[0] == score(bundle, vector(), ASKS).probability[0] == scores.probability[2]


def test_no_rows_are_no_scores():
    assert len(score(make_bundle(), np.empty((0, FEATURES), np.float32), ANY)) == 0


def test_a_bundle_comes_back_as_it_was_saved(tmp_path):
    bundle = make_bundle()
    bundle.save(tmp_path)
    again = Bundle.load(tmp_path, digest=bundle.digest, names=bundle.names, table_digest="table")
    assert again.digest == bundle.digest
    assert again.files == bundle.files
    assert bits(again, make_vectors(9)) == bits(bundle, make_vectors(9))
    assert set(bundle.digests) == {"model.safetensors", "scaler.json", "bundle.json", "bundle"}


def altered(files: dict[str, bytes], name: str, old: bytes, new: bytes) -> dict[str, bytes]:
    assert old in files[name]
    return {**files, name: files[name].replace(old, new, 1)}


def test_a_bundle_refuses_what_was_altered_or_made_for_other_features():
    bundle = make_bundle()
    files = dict(bundle.files)
    with pytest.raises(BundleError, match="not those that were registered"):
        Bundle.load(files, digest="0" * 64)
    with pytest.raises(BundleError, match=r"scaler\.json was altered"):
        Bundle.load(altered(files, "scaler.json", b'"clip": 6.0', b'"clip": 5.0'))
    flipped = bytearray(files["model.safetensors"])
    flipped[-1] ^= 1
    with pytest.raises(BundleError, match=r"model\.safetensors was altered"):
        Bundle.load({**files, "model.safetensors": bytes(flipped)})
    with pytest.raises(BundleError, match="incomplete: scaler"):
        Bundle.load({name: data for name, data in files.items() if name != "scaler.json"})
    with pytest.raises(BundleError, match="another order"):
        Bundle.load(files, names=(*bundle.names[1:], bundle.names[0]))
    with pytest.raises(BundleError, match="feature table has changed"):
        Bundle.load(files, table_digest="other")
    with pytest.raises(BundleError, match="in another order"):
        Bundle.load(altered(files, "bundle.json", b'"x0",\n  "x1"', b'"x1",\n  "x0"'))
    with pytest.raises(BundleError, match="reads format"):
        Bundle.load(altered(files, "bundle.json", b'"format": 1', b'"format": 9'))
    with pytest.raises(BundleError, match="shape"):
        score(bundle, np.zeros((2, 7), np.float32), ANY)


def test_the_fingerprint_names_code_libraries_and_processor(tmp_path):
    assert len(fingerprint()) == 64
    assert set(fingerprint_parts()) == {"code", "python", "numpy", "machine", "processor"}
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring" / "a.py").write_text("x = 1\n")
    before = code_digest(tmp_path)
    (tmp_path / "scoring" / "a.py").write_text("x = 2\n")
    assert code_digest(tmp_path) != before
