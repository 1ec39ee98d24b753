"""Between consent and record: no packet that was not listed, no line that says who measured."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.reach.loopback_internet import ALLOW, Internet, internet
from tests.reach.test_control import carrying, standing
from vanished.errors import UsageError
from vanished.reach import consent, session
from vanished.reach.control_server import ControlServer, ServerLimits
from vanished.reach.door import Door
from vanished.reach.ooni_json import from_json
from vanished.reach.probe_dns import Resolver
from vanished.reach.risk import Risk
from vanished.reach.run import Limits
from vanished.reach.session import Done, SessionSettings, measured, planned
from vanished.reach.targets import typed
from vanished.reach.told import line, seen
from vanished.reach.verdict import verdict
from vanished.reach.web_settings import WebSettings

LIMITS = Limits(dns_s=0.5, linger_s=0.05, connect_s=1, tls_s=1, http_s=2)


def agreed(folder: Path) -> consent.Consent:
    return consent.keep(folder, consent.GIVEN, "IR", Risk.SENSITIVE, date(2026, 11, 29))


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[Internet, SessionSettings]]:
    """A small internet with a control, and how to measure in it."""
    async with internet(folder, "news.example", "canary.example") as made:
        server = ControlServer(standing(made), ServerLimits(per_minute=500))
        port = await server.start("127.0.0.1", 0)
        web = WebSettings(
            canary=f"https://canary.example:{made.https}/",
            bystander="canary.example",
            resolvers=(Resolver("udp", "127.0.0.1", made.isp_port),),
            authorities=made.authorities,
            limits=LIMITS,
            spacing_s=0.02,
            quic=False,
        )
        control = f"http://127.0.0.1:{port}/"
        settings = SessionSettings(web, control, allow=ALLOW, asn="AS64500", per_s=1000)
        try:
            yield made, settings
        finally:
            await server.close()


async def run(urls: list[str], settings: SessionSettings, folder: Path) -> list[Done]:
    targets = typed(urls, allow=ALLOW)
    return [one async for one in measured(targets, settings, agreed(folder))]


async def test_a_page_that_comes_is_ok_and_its_record_is_oonis(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings):
        (done,) = await run([f"https://news.example:{made.https}/"], settings, tmp_path)
    assert done.verdict.state.value == "ok"
    record = from_json(done.line)
    assert (record.probe_cc, record.probe_asn) == ("IR", "AS64500")
    assert record.test_name == "web_connectivity"
    assert (record.keys.blocking, record.keys.accessible) == (None, None)  # no system's look-up
    assert record.keys.x_vanished is not None
    assert record.keys.x_vanished.state == "ok"
    assert json.loads(done.line)["probe_ip"] == "127.0.0.1"
    assert verdict(record).state is done.verdict.state


async def test_a_name_that_only_our_resolver_denies_is_blocked(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings):
        made.lies["news.example"] = []
        (done,) = await run([f"https://news.example:{made.https}/"], settings, tmp_path)
    assert (done.verdict.state.value, done.verdict.layer) == ("blocked", "dns")
    told = line(done.measurement, done.verdict)
    assert told.startswith("blocked")
    assert "dns/nxdomain" in told
    assert "look-up dns_nxdomain_error" in told


async def test_a_control_that_is_away_leaves_it_open(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings):
        made.lies["news.example"] = []
        url = f"https://news.example:{made.https}/"
        away = replace(settings, control="http://127.0.0.1:1/")
        (done,) = await run([url], away, tmp_path)
        (without,) = await run([url], replace(settings, control=""), tmp_path)
    assert done.verdict.state.value == "insufficient"
    assert from_json(done.line).keys.control_failure == "connection_refused"
    assert without.verdict.state.value == "insufficient"


async def test_a_go_around_is_a_second_vantage(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings), carrying() as (way, told):
        made.lies["news.example"] = []
        through = replace(
            settings,
            control="",
            via=way,
            control_resolver=f"tcp://127.0.0.1:{made.resolver_port}",
        )
        (done,) = await run([f"https://news.example:{made.https}/"], through, tmp_path)
    assert (done.verdict.state.value, done.verdict.layer) == ("blocked", "dns")
    assert told
    assert way.split("//")[1].encode() not in done.line  # the proxy's address might burn it


async def test_without_consent_nothing_is_contacted(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings):
        refused = replace(agreed(tmp_path), answer=consent.REFUSED)
        old = replace(agreed(tmp_path), version="reach-consent/0")
        targets = typed([f"https://news.example:{made.https}/"])
        for one in (refused, old):
            with pytest.raises(UsageError, match="consent"):
                await anext(aiter(measured(targets, settings, one)))
        assert made.asked == []
        assert made.looked_up == []


async def test_the_dry_run_lists_all_that_is_contacted_and_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doors: list[Door] = []

    def kept(*given: object, **more: object) -> Door:
        doors.append(Door(*given, **more))  # type: ignore[arg-type]
        return doors[-1]

    async with world(tmp_path) as (made, settings):
        urls = [f"https://news.example:{made.https}/", f"http://news.example:{made.http}/moved"]
        plan = planned(typed(urls), settings)
        assert made.asked == []
        assert made.looked_up == []
        monkeypatch.setattr(session, "Door", kept)
        made.lies["news.example"] = ["127.0.0.1", "127.0.0.3"]
        await run(urls, settings, tmp_path)
    listed = {(one.protocol, made.names.get(one.host, [one.host])[0], one.port) for one in plan} | {
        ("tcp", "127.0.0.3", made.https),
        ("tcp", "127.0.0.3", made.http),
    }
    listed |= {("tcp", "127.0.0.3", 80)}  # addresses of a name that is listed
    contacted = {tuple(one.split()) for one in doors[0].contacted}
    assert len(contacted) >= 4
    assert {(p, a, int(n)) for p, a, n in contacted} <= listed
    control = int(settings.control.rsplit(":", 1)[1].strip("/"))
    assert ("tcp", "127.0.0.1", control) in listed
    assert all(one.why for one in plan)


async def test_no_record_says_who_measured(tmp_path: Path) -> None:
    async with world(tmp_path) as (made, settings):
        mine = replace(settings, own=("93.184.7.34",))
        made.lies["news.example"] = ["93.184.7.34"]  # as a portal answers, say
        named = replace(mine, web=replace(mine.web, resolvers=(
            *mine.web.resolvers, Resolver("udp", "127.0.0.1", made.resolver_port))))  # fmt: skip
        (done,) = await run([f"http://news.example:{made.http}/"], named, tmp_path)
    assert b"93.184.7.34" not in done.line
    assert b"[scrubbed]" in done.line


def test_what_was_seen_is_said_in_words() -> None:
    from vanished.lab.reach_records import measure

    record = measure("sni_reset", 1)
    said = verdict(record)
    assert "x TLS connection_reset" in seen(record.keys, said.evidence)
    assert seen(record.keys, ("queries/99", "nonsense", "requests/x")) == ""
    evil = replace(record, input="https://a.example/\x1b[2J")
    assert "\x1b" not in line(evil, verdict(evil))
