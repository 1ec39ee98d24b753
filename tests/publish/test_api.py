"""The API: what its document says is what it answers, every loss once, nothing that pages hide."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from http.client import HTTPConnection
from pathlib import Path
from socket import IPPROTO_TCP
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.publish import desk_world
from tests.publish.asking import Client
from vanished.model import Micros
from vanished.publish.api import fields as f
from vanished.publish.api import parameters as p
from vanished.publish.api.endpoints import ENDPOINTS
from vanished.publish.api.rates import MOST_CLIENTS, Rate, Rates
from vanished.publish.api.routes import make_api
from vanished.publish.desk.pages import EXPORTED
from vanished.publish.desk.serving import bound
from vanished.publish.shelf.filling import fill
from vanished.publish.shelf.filters import CHOICES, Filter
from vanished.publish.shelf.meanings import meanings
from vanished.publish.shelf.reading import Shelf

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("api") / "o"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VANISHED_KEY", "ab" * 32)
        desk_world.make(made)
        fill(made)
        yield made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A dashboard over the hostile observatory, as a user starts it."""
    code = "from vanished.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "-o", str(folder), "--port", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith("http://")
            yield line.strip().rstrip("/")
        finally:
            process.terminate()


def schemathesis(address: str, folder: Path, *options: str) -> None:
    """Ask as schemathesis does, in a process of its own; it ends with 0 if it found nothing."""
    words = ["run", f"{address}/api/1/openapi.json", "--seed", "1", "--workers", "2", *options]
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words],
        cwd=folder.parent, capture_output=True, text=True,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.publish.api_formats",
             "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"Tested: {len(ENDPOINTS)}" in done.stdout


def test_the_document_says_what_is_answered(address: str, folder: Path) -> None:
    """No failure of the server, no status, header or field that the document does not have, and
    no bad request that is taken for a good one."""
    schemathesis(address, folder, "--phases", "fuzzing", "--max-examples", "4")


@pytest.mark.soak
def test_the_document_says_what_is_answered_for_long(address: str, folder: Path) -> None:
    schemathesis(address, folder, "--max-examples", "300")


class Held:
    """One open shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self.held = shelf

    def shelf(self) -> Shelf:
        return self.held


@pytest.fixture(scope="module")
def shelf(folder: Path) -> Iterator[Shelf]:
    with Shelf(folder, meanings(folder)) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(shelf: Shelf) -> Client:
    """The API without a server, from a client of this machine."""
    return Client(make_api(Held(shelf)))


def test_every_part_of_a_filter_can_be_asked_for() -> None:
    """And is stated once; or pages and API would drift apart."""
    assert [one.name for one in p.FILTER] == [field.name for field in fields(Filter)]
    for one in p.FILTER:
        if one.name in CHOICES:
            assert one.schema["enum"] == list(CHOICES[one.name])
    defaults = {one.name: one.schema["default"] for one in p.FILTER if "default" in one.schema}
    assert defaults == {
        field.name: field.default for field in fields(Filter) if field.default != ""
    }


def test_an_export_has_the_fields_of_the_pages() -> None:
    assert tuple(one.name for one in f.LOSS) == EXPORTED


def asked(**choices: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({}, optional=choices)


@given(
    wanted=asked(
        **{name: st.sampled_from(known) for name, known in CHOICES.items()},
        q=st.sampled_from(["菜市", "river", "路", "window", "灯 修"]),
        since=st.sampled_from(["2023-11-18", "2023-11-20T06:30:00Z"]),
        until=st.sampled_from(["2023-11-30", "2023-12-01T00:00:00+08:00"]),
    ),
    rows=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_pages_hold_every_loss_once(client: Client, wanted: dict[str, str], rows: int) -> None:
    """Whatever is asked for, in any order, and the same as the export: or counts would be wrong."""
    seen: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        query = urlencode({**wanted, "rows": str(rows), **after})
        page = client.get(f"/losses?{query}").json()
        seen += page["losses"]
        if page["next"] is None:
            break
        assert len(page["losses"]) == rows
        after = {"after": page["next"]}
    assert len({row["post"] for row in seen}) == len(seen) == page["total"]
    lines = client.get(f"/losses.jsonl?{urlencode(wanted)}").text.splitlines()
    assert [json.loads(line) for line in lines] == seen


def test_accounts_come_once(client: Client) -> None:
    first = client.get("/accounts?rows=1").json()
    second = client.get(f"/accounts?rows=1&after={first['next']}").json()
    keys = [page["accounts"][0]["account"] for page in (first, second)]
    assert keys == sorted(set(keys))
    assert second["next"] is None
    assert first["total"] == 2
    one = client.get(f"/accounts/{keys[0]}").json()
    assert one == first["accounts"][0]
    assert one["lost"] <= one["posts"] == desk_world.POSTS // 2


def test_words_that_may_be_taken_back_stay_here(client: Client) -> None:
    """Neither on a page, nor in a stream, nor on a loss's own."""
    found = client.get("/losses?may=author&state=any&rows=1000").json()["losses"]
    assert found
    assert all(row["withheld"] and row["text"] is row["title"] is None for row in found)
    one = client.get(f"/losses/{found[0]['post']}").json()
    assert {wording["text"] for wording in one["wordings"]} == {None}
    table = client.get("/losses.csv?may=author&state=any").text
    assert not [
        number
        for number in range(len(desk_world.HOSTILE), desk_world.POSTS)
        if {c.value for c in desk_world.CAUSES[number % 7]} >= {"author"}
        and desk_world.text_of(number) in table
    ]


def test_a_table_for_spreadsheets_holds_no_formula(client: Client) -> None:
    rows = list(csv.reader(io.StringIO(client.get("/losses.csv?state=any").text)))
    assert len(rows) == desk_world.POSTS + 1
    assert rows[0] == [one.name for one in f.LOSS]
    assert not [c for row in rows for c in row if c.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_counts_agree_with_the_list(client: Client) -> None:
    """With their denominators, or a chart made of them would tell something else than the list."""
    span = "since=2023-11-10&until=2023-12-20"
    total = client.get(f"/losses?{span}").json()["total"]
    causes = client.get(f"/causes?{span}").json()
    days = client.get(f"/days?{span}").json()
    delays = client.get(f"/delays?{span}").json()
    assert causes["lost"] == total == desk_world.POSTS // 2
    assert sum(n for day in days["days"] for n in day["causes"].values()) == total
    assert sum(row["lost"] for row in delays["delays"]) + delays["unknown"] == total
    basis = {"met": desk_world.POSTS, "looks": 4 * desk_world.POSTS, "failed": desk_world.POSTS}
    assert causes["basis"] == days["basis"] == basis
    ever = client.get("/days?since=0001-01-01&until=9999-12-31").json()
    assert sum(sum(day["causes"].values()) for day in ever["days"]) == total
    assert len(ever["days"]) < 40, "a row for each day that was watched, and no more"
    gaps = client.get(f"/coverage?{span}").json()["gaps"]
    assert [gap["why"] for gap in gaps] == ["it was not run"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/losses?cuase=platform", 400, "there is no parameter 'cuase'"),
        ("/losses?cause=spite", 400, "choose of author"),
        ("/losses?cause=legal&cause=author", 400, "cause is given twice"),
        ("/losses?since=yesterday", 400, "no date or time"),
        ("/losses?since=2023-02-30", 400, "is not a date"),
        ("/losses?rows=0", 400, "no number of 1 to 1000"),
        ("/losses?rows=1001", 400, "no number of 1 to 1000"),
        ("/losses?after=99999999999999999999.1", 400, "after"),
        ("/losses?q=%E3%80%82", 400, "no word in it"),
        ("/losses?platform=", 400, "platform is empty"),
        ("/losses?event=nothing", 404, "no event 'nothing'"),
        ("/losses/nobody", 404, "no loss of a post 'nobody'"),
        ("/accounts/nobody", 404, "no account 'nobody'"),
        ("/nothing", 404, "openapi.json lists what there is"),
    ],
)
def test_what_is_not_understood_is_said(client: Client, path: str, status: int, says: str) -> None:
    """In one sentence: a mistyped filter that is passed over would give numbers of all losses."""
    answer = client.get(path)
    assert answer.status == answer.json()["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


def test_nothing_is_done_for_who_has_it_already(client: Client, shelf: Shelf) -> None:
    """The answer is not made again until something changed."""
    for path in ("/losses", "/losses.csv", "/overview"):
        first = client.get(path)
        again = client.get(path, if_none_match=f'"x", {first.headers["etag"]}')
        assert (again.status, again.body) == (304, b"")
        assert client.get(path, if_none_match='W/"x"').status == 200
    with Shelf(shelf.folder, shelf.meanings, everything=True) as other:
        inside = Client(make_api(Held(other))).get("/overview")
    assert inside.headers["etag"] != first.headers["etag"]


def ask(address: str, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request(method, f"/api/1{path}")
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_only_reading_is_done(address: str) -> None:
    for one in ENDPOINTS:
        path = one.path.replace("{", "").replace("}", "")
        status, headers, body = ask(address, "POST", path)
        assert status == json.loads(body)["status"] == 405
        assert set(headers["allow"].split(", ")) == {"GET", "HEAD"}
        head, get = ask(address, "HEAD", path), ask(address, "GET", path)
        assert (head[0], head[2]) == (get[0], b"")
        assert head[1]["content-type"] == get[1]["content-type"]
        assert "default-src 'none'" in get[1]["content-security-policy"]


def test_no_page_waits_for_an_acknowledgement() -> None:
    """Where a socket does not name its protocol, asyncio leaves Nagle's algorithm on: 40 ms."""
    with bound("127.0.0.1", 0) as listening:
        assert listening.proto == IPPROTO_TCP


def test_who_asks_too_often_waits(shelf: Shelf) -> None:
    """Or one reader's loop would take the watch's time."""
    rates = Rates(others=Rate(0.5, 3))
    client = Client(make_api(Held(shelf), rates), "203.0.113.9")
    answers = [client.get("/overview") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
    assert "asked too often" in answers[-1].json()["detail"]
    other = Client(make_api(Held(shelf), rates), "203.0.113.10")
    assert other.get("/overview").status == 200


@given(st.lists(st.floats(0, 3), max_size=60))
def test_a_bucket_gives_no_more_than_its_rate(steps: list[float]) -> None:
    """And who waits as long as it was told is let in."""
    rates, now, taken = Rates(others=Rate(2, 4)), 0.0, 0
    for step in steps:
        now += step
        wait_s = rates.wait_s("203.0.113.9", now)
        taken += not wait_s
        assert taken <= 4 + 2 * now + 1e-6
        if wait_s:
            now += wait_s + 1e-9
            assert rates.wait_s("203.0.113.9", now) == 0
            taken += 1


@pytest.mark.parametrize(
    ("client", "here"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("", True),
     ("203.0.113.9", False), ("::ffff:203.0.113.9", False), ("testclient", False)],
)  # fmt: skip
def test_this_machine_asks_more_often(client: str, here: bool) -> None:
    rates = Rates(here=Rate(1, 9), others=Rate(1, 1))
    assert [rates.wait_s(client, 0) == 0 for _ in range(2)] == [True, here]


def test_clients_that_never_return_are_forgotten() -> None:
    rates = Rates()
    for number in range(MOST_CLIENTS + 50):
        rates.wait_s(f"2001:db8::{number:x}", 0)
    assert len(rates._buckets) == MOST_CLIENTS


def test_a_moment_is_held(folder: Path) -> None:
    """What is filled while a page is made does not mix two moments on it."""
    with Shelf(folder, meanings(folder)) as held:
        held.hold()
        before: Micros = held.version
        assert held.count(Filter(state="any")) == desk_world.POSTS
        assert held.version == before
