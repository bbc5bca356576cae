"""One interface, the same behaviour: a local folder, S3 and memory."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from ml.lake import Lake, LakeError, ObjectMissing

ROOT = Path(__file__).parents[2]
RACER = """
import json, sys
from ml.lake import Lake
url, options, me, keys = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4])
lake = Lake.from_url(url, **options)
lake.create("ready/" + me, b"")
while sum(1 for _ in lake.list("ready/")) < 4:
    pass
print(json.dumps([n for n in range(keys) if lake.create(f"race/{n:03d}", me.encode() * 2000)]))
"""


def _lake(kind: str, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if kind == "folder":
        return str(request.getfixturevalue("lake")), {}
    if kind == "memory":
        return f"memory://{uuid.uuid4().hex}", {}
    s3 = request.getfixturevalue("s3")
    return f"s3://{s3['bucket']}/some/prefix", {name: s3[name] for name in ("endpoint", "access_key", "secret_key")}


@pytest.fixture(params=["folder", "s3", "memory"])
def store(request: pytest.FixtureRequest) -> Lake:
    url, options = _lake(request.param, request)
    return Lake.from_url(url, **options)


def test_create_only_where_nothing_is(store: Lake) -> None:
    assert store.create("a/b/c.json", b"one")
    assert not store.create("a/b/c.json", b"two")
    assert store.get("a/b/c.json") == b"one"
    store.put("a/b/c.json", b"three")
    assert store.get("a/b/c.json") == b"three"
    assert not store.create("a/b/c.json", b"four")


def test_parts_of_an_object(store: Lake) -> None:
    store.put("x", b"0123456789")
    assert store.get_range("x", 2, 3) == b"234"
    assert store.get_range("x", 2, 0) == b""
    store.put("empty", b"")
    assert store.get("empty") == b""


def test_listing_is_whole_sorted_and_by_prefix(store: Lake) -> None:
    for path in ("b/2", "a/1", "b/10", "bb/1", "b/c/1"):
        store.put(path, b"xy")
    assert [info.path for info in store.list()] == ["a/1", "b/10", "b/2", "b/c/1", "bb/1"]
    assert [info.path for info in store.list("b/")] == ["b/10", "b/2", "b/c/1"]
    assert [info.path for info in store.list("b")] == ["b/10", "b/2", "b/c/1", "bb/1"]
    assert [info.path for info in store.list("b/", after="b/10")] == ["b/2", "b/c/1"]
    assert {info.size for info in store.list()} == {2}
    assert list(store.list("none/")) == []


def test_what_is_missing(store: Lake) -> None:
    assert not store.exists("nothing")
    with pytest.raises(ObjectMissing, match="no object 'nothing'"):
        store.get("nothing")
    with pytest.raises(ObjectMissing):
        store.get_range("nothing", 0, 1)
    store.delete("nothing")
    store.put("something", b"")
    store.delete("something")
    assert not store.exists("something")


@pytest.mark.parametrize("path", ["", "/a", "a/../b", "a//b", "a/.hidden", "a/", "a\\b"])
def test_odd_names_are_refused(store: Lake, path: str) -> None:
    with pytest.raises(LakeError, match="not the name of an object"):
        store.create(path, b"")


def test_a_lake_can_be_sent_to_another_process(store: Lake) -> None:
    store.put("x", b"1")
    again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert again == store
    assert again.get("x") == b"1"


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_of_racing_processes_one_wins_each_name(kind: str, request: pytest.FixtureRequest) -> None:
    url, options = _lake(kind, request)
    command = [sys.executable, "-c", RACER, url, orjson.dumps(options).decode()]
    racers = [
        subprocess.Popen([*command, str(me), "60"], cwd=ROOT, stdout=subprocess.PIPE, text=True) for me in range(4)
    ]
    won = [orjson.loads(racer.communicate(timeout=60)[0]) for racer in racers]
    assert sorted(n for names in won for n in names) == list(range(60))
    lake = Lake.from_url(url, **options)
    for me, names in enumerate(won):
        for n in names:
            assert lake.get(f"race/{n:03d}") == str(me).encode() * 2000
    assert len(list(lake.list("race/"))) == 60


def test_a_killed_writer_leaves_nothing_to_be_seen(lake: str) -> None:
    store = Lake.from_url(lake)
    assert store.create("a/b", b"x")
    folder = store.local_path("a")
    assert folder is not None
    (folder / ".0123.part").write_bytes(b"half")
    assert [info.path for info in store.list()] == ["a/b"]


class _Conflicts(BaseHTTPRequestHandler):
    """An S3 that answers the first conditional writes with the statuses it is given, then takes the object."""

    statuses: list[int] = []
    taken: dict[str, bytes] = {}

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.statuses:
            status = self.statuses.pop(0)
        elif self.path in self.taken:
            status = 412
        else:
            status = 200
            self.taken[self.path] = body
        self._answer(status, b"<Error><Code>x</Code></Error>" if status != 200 else b"")

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.taken else 404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Sun, 01 Mar 2026 08:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_is_tried_again_and_only_what_is_there_is_taken(status: int) -> None:
    _Conflicts.statuses, _Conflicts.taken = [status, status], {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Conflicts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        lake = Lake.from_url(
            "s3://b", endpoint=f"http://127.0.0.1:{server.server_port}", access_key="a", secret_key="b"
        )
        assert lake.create("claim", b"mine"), "nobody had it: the store was only busy"
        assert not lake.create("claim", b"other")
    finally:
        server.shutdown()
        server.server_close()
