"""The claim chain under random schedules: several writers, crashes at every point, sleepers, retention's end."""

from __future__ import annotations

import random
import uuid
from collections import Counter

import orjson
import pytest

from ml.lake import Lake, LakeError
from ml.lake.bronze import (
    DeadLine,
    Line,
    claim_batch,
    dead_line,
    events_of_patient,
    events_of_patients,
    good_line,
    prepare_batch,
    read_claimed,
    read_dead,
    write_batch,
)
from ml.lake.claims import Chain, genesis, next_offset
from ml.lake.epochs import epochs, open_epoch
from ml.lake.verify import sweep, verify

TOPIC = "patient-vitals"
CREATED = "2026-03-01T08:00:00+00:00"
HOUR = 1_772_352_000_000


@pytest.fixture
def lake() -> Lake:
    return Lake.from_url(f"memory://{uuid.uuid4().hex}")


def good(chain: Chain, offset: int, patient: str = "P1") -> Line:
    value = orjson.dumps({"patient_id": patient, "n": offset})
    name = f"DEMO/{patient}"
    return good_line(chain, offset, HOUR + offset, name.encode(), [("producer", b"device")], value, name)


def dead(chain: Chain, offset: int) -> DeadLine:
    return dead_line(
        chain, offset, HOUR + offset, None, [], b"\xff{", [{"rule": "not_utf8", "path": "", "message": "no"}]
    )


class Writer:
    """A consumer reduced to its decisions: where it believes to be, and how far its last batch has come."""

    def __init__(self, lake: Lake, chain: Chain, name: str) -> None:
        self.lake, self.chain, self.name = lake, chain, name
        self.next: int | None = None
        self.prepared = None

    def restart(self) -> None:
        self.prepared = None
        self.next = next_offset(self.lake, self.chain)
        if self.next is None:
            self.next = genesis(self.lake, self.chain, 0)

    def step(self, end: int, chance: random.Random) -> None:
        if self.next is None:
            self.restart()
            return
        if self.prepared is not None:
            prepared, self.prepared = self.prepared, None
            self.next = claim_batch(self.lake, prepared).claim.end + 1
            return
        last = min(end, self.next + chance.randint(1, 5))
        offsets = [offset for offset in range(self.next, last) if offset % 11 != 3]  # the broker's own gaps
        if offsets:
            lines = [good(self.chain, offset, f"P{offset % 3}") for offset in offsets if offset % 7]
            letters = [dead(self.chain, offset) for offset in offsets if offset % 7 == 0]
            self.prepared = prepare_batch(
                self.lake, self.chain, self.next, lines, letters, writer=self.name, created=CREATED
            )


@pytest.mark.parametrize("seed", range(60))
def test_no_schedule_loses_or_doubles(lake: Lake, seed: int) -> None:
    chance = random.Random(seed)
    chain = Chain(TOPIC, "id-0", 0)
    open_epoch(lake, TOPIC, "id-0", opened=CREATED, partitions=1)
    writers = [Writer(lake, chain, f"w{number}") for number in range(3)]
    end = 120
    for _ in range(400):
        writer = chance.choice(writers)  # one that is not chosen sleeps, with whatever it has in hand
        if chance.random() < 0.08:
            writer.restart()  # killed: what it had prepared stays behind unclaimed
        elif chance.random() < 0.05:
            sweep(lake, TOPIC)
        else:
            writer.step(end, chance)
    survivor = Writer(lake, chain, "last")
    for _ in range(300):
        survivor.step(end, chance)

    assert verify(lake, TOPIC).problems == ()
    seen: Counter[int] = Counter()
    for batch in read_claimed(lake, TOPIC):
        seen.update(line["offset"] for line in batch.lines())
        seen.update(letter["offset"] for letter in read_dead(lake, batch.claim))
    assert seen == Counter({offset: 1 for offset in range(end) if offset % 11 != 3})


def test_the_loser_of_a_race_adopts_and_leaves_nothing(lake: Lake) -> None:
    chain = Chain(TOPIC, "id-0", 0)
    open_epoch(lake, TOPIC, "id-0", opened=CREATED, partitions=1)
    genesis(lake, chain, 5)
    slow = prepare_batch(lake, chain, 5, [good(chain, 5)], [dead(chain, 6)], writer="slow", created=CREATED)
    won = write_batch(
        lake, chain, 5, [good(chain, 5), good(chain, 7)], [dead(chain, 6)], writer="quick", created=CREATED
    )
    lost = claim_batch(lake, slow)
    assert won.ours
    assert not lost.ours
    assert lost.claim == won.claim
    assert next_offset(lake, chain) == 8
    assert {info.path for info in lake.list("raw/")} == {won.claim.object}
    assert {info.path for info in lake.list("dead/")} == {won.claim.dead_object}


def test_our_own_claim_sent_twice_is_ours(lake: Lake) -> None:
    chain = Chain(TOPIC, "id-0", 0)
    prepared = prepare_batch(lake, chain, 0, [good(chain, 0)], [], writer="w", created=CREATED)
    assert claim_batch(lake, prepared).ours
    assert claim_batch(lake, prepared).ours
    assert lake.exists(str(prepared.claim.object))


def test_the_second_genesis_is_the_first(lake: Lake) -> None:
    chain = Chain(TOPIC, "id-0", 0)
    assert genesis(lake, chain, 40) == 40
    assert genesis(lake, chain, 90) == 40
    assert next_offset(lake, chain) == 40


def test_sweeping_spares_a_writer_that_is_about_to_claim(lake: Lake) -> None:
    chain = Chain(TOPIC, "id-0", 0)
    open_epoch(lake, TOPIC, "id-0", opened=CREATED, partitions=1)
    genesis(lake, chain, 0)
    prepared = prepare_batch(lake, chain, 0, [good(chain, 0)], [], writer="w", created=CREATED)
    assert sweep(lake, TOPIC) == []
    left = prepare_batch(lake, chain, 0, [good(chain, 0), good(chain, 1)], [], writer="killed", created=CREATED)
    claim_batch(lake, prepared)
    assert sweep(lake, TOPIC) == [left.claim.object]


def test_a_message_lies_verbatim_on_one_line(lake: Lake) -> None:
    chain = Chain(TOPIC, "id-0", 2)
    open_epoch(lake, TOPIC, "id-0", opened=CREATED, partitions=3)
    value = b'{"patient_id":"P1",\r\n "heart_rate": 72.500,\n"note":"a\\nb \xc3\xa9"}'
    line = good_line(chain, 0, HOUR, b"DEMO/P1", [("producer", b"device"), ("odd", None)], value, "DEMO/P1")
    claimed = write_batch(lake, chain, 0, [line], writer="w", created=CREATED)
    (batch,) = read_claimed(lake, TOPIC)
    assert b'"heart_rate": 72.500' in batch.raw()
    assert batch.raw().count(b"\n") == 1
    (back,) = batch.lines()
    assert back == {
        "topic": TOPIC,
        "topic_id": "id-0",
        "partition": 2,
        "offset": 0,
        "timestamp": HOUR,
        "key": "DEMO/P1",
        "headers": {"producer": "device", "odd": None},
        "value": {"patient_id": "P1", "heart_rate": 72.5, "note": "a\nb é"},
    }
    assert claimed.claim.object is not None
    assert claimed.claim.object.startswith("raw/patient-vitals/date=2026-03-01/hour=08/batch_")


@pytest.mark.parametrize("harm", ["missing claim", "changed object", "missing object", "no genesis"])
def test_verification_sees_harm(lake: Lake, harm: str) -> None:
    chain = Chain(TOPIC, "id-0", 0)
    open_epoch(lake, TOPIC, "id-0", opened=CREATED, partitions=1)
    genesis(lake, chain, 0)
    claims = [
        write_batch(lake, chain, start, [good(chain, start), good(chain, start + 1)], writer="w", created=CREATED).claim
        for start in (0, 2, 4)
    ]
    assert verify(lake, TOPIC).problems == ()
    path = str(claims[1].object)
    match harm:
        case "missing claim":
            lake.delete(claims[1].name)
        case "changed object":
            lake.put(path, lake.get(path).replace(b'"n":2', b'"n":9'))
        case "missing object":
            lake.delete(path)
        case _:
            lake.delete(f"claims/{TOPIC}/id-0/0/genesis.json")
    problems = verify(lake, TOPIC).problems
    assert len(problems) == 1
    assert problems[0].message
    if harm == "changed object":
        with pytest.raises(LakeError, match="SHA-256"):
            [batch.lines() for batch in read_claimed(lake, TOPIC)]


def test_epochs_are_numbered_in_the_order_they_were_opened(lake: Lake) -> None:
    first = open_epoch(lake, TOPIC, "zz", opened=CREATED, partitions=4)
    again = open_epoch(lake, TOPIC, "zz", opened=CREATED, partitions=4)
    second = open_epoch(lake, TOPIC, "aa", opened=CREATED, partitions=4)
    assert (first.number, first.fresh, again.number, again.fresh) == (0, True, 0, False)
    assert (second.number, second.fresh) == (1, True)
    assert epochs(lake, TOPIC) == {"zz": 0, "aa": 1}


def _two_lives(lake: Lake) -> None:
    for topic_id, count in (("old", 6), ("new", 4)):
        open_epoch(lake, TOPIC, topic_id, opened=CREATED, partitions=1)
        chain = Chain(TOPIC, topic_id, 0)
        genesis(lake, chain, 0)
        for start in range(0, count, 2):
            lines = [good(chain, start, "P1"), good(chain, start + 1, "P2")]
            write_batch(lake, chain, start, lines, writer="w", created=CREATED)


def test_events_up_to_a_watermark(lake: Lake) -> None:
    _two_lives(lake)
    lines = events_of_patient(lake, "DEMO", "P1", {TOPIC: ["new", 0, 1]})
    assert [(line["topic_id"], line["offset"]) for line in lines] == [("old", 0), ("old", 2), ("old", 4), ("new", 0)]
    assert events_of_patient(lake, "DEMO", "P3", {TOPIC: ["new", 0, 1]}) == []
    assert events_of_patient(lake, "OTHER", "P1", {TOPIC: ["new", 0, 1]}) == []
    both = events_of_patients(lake, {"DEMO/P1": {TOPIC: ["old", 0, 3]}, "DEMO/P2": {TOPIC: ["new", 0, 3]}})
    assert [line["offset"] for line in both["DEMO/P1"]] == [0, 2]
    assert [line["offset"] for line in both["DEMO/P2"]] == [1, 3, 5, 1, 3]


def test_a_watermark_beyond_the_claims_is_not_replayable(lake: Lake) -> None:
    _two_lives(lake)
    with pytest.raises(LakeError, match="not replayable"):
        events_of_patient(lake, "DEMO", "P1", {TOPIC: ["old", 0, 6]})
    with pytest.raises(LakeError, match="up to offset -1"):
        events_of_patient(lake, "DEMO", "P1", {TOPIC: ["new", 3, 0]})
    with pytest.raises(LakeError, match="no epoch"):
        events_of_patient(lake, "DEMO", "P1", {TOPIC: ["never", 0, 0]})


def test_reading_since_and_until(lake: Lake) -> None:
    _two_lives(lake)
    starts = [(batch.epoch, batch.claim.start) for batch in read_claimed(lake, TOPIC, {("old", 0): 3, ("new", 0): 0})]
    assert starts == [(0, 4), (1, 0), (1, 2)]
    until = [(batch.epoch, batch.claim.start) for batch in read_claimed(lake, TOPIC, until={("new", 0): 2})]
    assert until == [(1, 0), (1, 2)]
