"""The peer's side of bench/reach_reading.py; runs in its environment, beside nothing of ours.

In: on the first line the path of a file of measurements, one JSON a line; then a line a round.
Out: how many measurements were read and how many observations were made of them, then seconds of
processor time a round. It does what OONI's
pipeline does first with a measurement, with OONI's published classes: load it, turn each look-up,
connect, handshake and request into an observation, and join them to one web observation for each
address. It leaves out what else the pipeline does there: tables of networks, and certificates.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import ipaddress
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlparse, urlsplit

orjson: Any = importlib.import_module("orjson")
load_measurement: Any = importlib.import_module("oonidata.dataclient").load_measurement
is_ip_bogon: Any = importlib.import_module("oonidata.datautils").is_ip_bogon
models: Any = importlib.import_module("oonidata.models.observations")

FIELDS = tuple(field.name for field in dataclasses.fields(models.WebObservation))


def observe(line: bytes) -> list[Any]:
    """The web observations of one measurement, the control's at the end."""
    found = load_measurement(orjson.loads(line))
    keys = found.test_keys
    start = datetime.strptime(found.measurement_start_time, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    meta = models.MeasurementMeta(
        measurement_uid="",
        input=found.input,
        report_id=found.report_id,
        measurement_start_time=start,
        software_name=found.software_name,
        software_version=found.software_version,
        test_name=found.test_name,
        test_version=found.test_version,
        bucket_date="",
    )
    connects = {
        one.transaction_id: one for one in (_tcp(start, tcp) for tcp in keys.tcp_connect or [])
    }
    shakes = {
        one.transaction_id: one for one in (_tls(start, tls) for tls in keys.tls_handshakes or [])
    }
    requests = keys.requests or []
    pages = {one.transaction_id: one for one in (_http(start, page) for page in requests)}
    made = []
    left = dict(connects)
    for query in keys.queries or []:
        for answer in query.answers or [None]:
            dns = _dns(start, query, answer)
            tcp = next(
                (one for one in connects.values() if dns.answer and one.ip == dns.answer), None
            )
            key = tcp.transaction_id if tcp else None
            left.pop(key, None)
            made.append(_joined(meta, dns, tcp, shakes.get(key), pages.get(key)))
    for key, tcp in left.items():
        made.append(_joined(meta, None, tcp, shakes.get(key), pages.get(key)))
    return made + _control(meta, found.input, keys.control)


def _control(meta: Any, url: str, control: Any) -> list[Any]:
    """An observation for each address that the control connected to."""
    if not control:
        return []
    made = []
    for place, tcp in (control.tcp_connect or {}).items():
        where = urlsplit("//" + place)
        tls = (control.tls_handshake or {}).get(place)
        one = models.WebControlObservation(
            measurement_meta=meta,
            hostname=urlparse(url).hostname or "",
            created_at=datetime.now(UTC),
            ip=where.hostname or "",
            port=where.port,
            ip_is_bogon=is_ip_bogon(where.hostname),
            tcp_failure=tcp.failure,
            tcp_success=tcp.failure is None,
            tls_failure=tls.failure if tls else None,
            tls_server_name=tls.server_name if tls else None,
            http_request_url=url,
        )
        made.append(one)
    return made


def _when(start: datetime, t: float | None) -> datetime:
    return start + timedelta(seconds=t) if t else start


def _dns(start: datetime, query: Any, answer: Any) -> Any:
    return models.DNSObservation(
        timestamp=_when(start, query.t),
        hostname=query.hostname,
        query_type=query.query_type,
        failure=query.failure,
        engine=query.engine,
        engine_resolver_address=query.resolver_address,
        answer_type=answer.answer_type if answer else None,
        answer=(answer.ipv4 or answer.ipv6 or answer.hostname) if answer else None,
        answer_asn=answer.asn if answer else None,
        answer_as_org_name=answer.as_org_name if answer else None,
        transaction_id=query.transaction_id,
        t=query.t,
    )


def _tcp(start: datetime, step: Any) -> Any:
    return models.TCPObservation(
        timestamp=_when(start, step.t),
        ip=step.ip,
        port=step.port,
        success=step.status.success,
        failure=step.status.failure,
        t=step.t,
        transaction_id=step.transaction_id,
    )


def _tls(start: datetime, step: Any) -> Any:
    place = urlsplit("//" + (step.address or ""))
    return models.TLSObservation(
        timestamp=_when(start, step.t),
        failure=step.failure,
        server_name=step.server_name or "",
        version=step.tls_version or "",
        cipher_suite=step.cipher_suite or "",
        ip=place.hostname,
        port=place.port,
        is_certificate_valid=None if step.no_tls_verify else not step.failure,
        transaction_id=step.transaction_id,
        t=step.t,
    )


def _http(start: datetime, step: Any) -> Any:
    response = step.response
    body = (response.body_bytes if response else None) or b""
    place = urlsplit("//" + (step.address or ""))
    return models.HTTPObservation(
        timestamp=_when(start, step.t),
        hostname=urlparse(step.request.url).hostname or "",
        request_url=step.request.url,
        network=step.network or step.request.x_transport or "tcp",
        alpn=step.alpn,
        failure=step.failure,
        request_body_length=0,
        request_method=step.request.method or "",
        request_headers_list=step.request.headers_list_bytes,
        ip=place.hostname,
        port=place.port,
        response_body_length=len(body),
        response_body_sha1=hashlib.sha1(body).hexdigest() if body else None,
        response_body_bytes=body,
        response_status_code=response.code if response else None,
        response_headers_list=response.headers_list_bytes if response else None,
        response_header_location=response and response.get_first_http_header_str("location"),
        response_header_server=response and response.get_first_http_header_str("server"),
        transaction_id=step.transaction_id,
        t=step.t,
    )


def _joined(meta: Any, dns: Any, tcp: Any, tls: Any, http: Any) -> Any:
    """One web observation; its fields are found by their prefix, as OONI's pipeline finds them."""
    web = models.WebObservation(
        measurement_meta=meta, probe_meta=None, created_at=datetime.now(UTC)
    )
    ip = (dns and dns.answer) or (tcp and tcp.ip)
    if ip:
        try:
            ipaddress.ip_address(ip)
            web.ip, web.ip_is_bogon = ip, is_ip_bogon(ip)
        except ValueError:
            pass
    for prefix, source in (("dns_", dns), ("tcp_", tcp), ("tls_", tls), ("http_", http)):
        if source:
            for name in FIELDS:
                if name.startswith(prefix):
                    setattr(web, name, getattr(source, name.removeprefix(prefix)))
    return web


def main() -> None:
    """Read all, say how many were made; then once more for each line of input, and say how long."""
    lines = Path(input()).read_bytes().splitlines()
    made = [len(observe(line)) for line in lines]
    print(len(made), sum(made), flush=True)
    for _ in sys.stdin:
        began = time.process_time()
        for line in lines:
            observe(line)
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    main()
