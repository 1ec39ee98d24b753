"""A real Matrix homeserver on loopback: Synapse from the Python package index, in its own place.

Out: a context manager that yields a started `Synapse` with its base url, an administrator, and
short calls for what people and operators do there. The environment is installed once, from
requirements/synapse.txt with hashes, under the user's cache directory; a lock keeps two test runs
apart, and a rename at the end keeps an interrupted install from being taken for a whole one.
It knows nothing of our own code, so that no fault of ours can hide in it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.needs import missing
from tests.servers.process import end, free_port

LOCK_FILE = Path(__file__).parents[2] / "requirements" / "synapse.txt"
INSTALL_S = 600
START_S = 90
PASSWORD = "a password of no account outside this test"
CLIENT = "/_matrix/client/v3"
ADMIN = "/_synapse/admin"

# Nothing that the tests do is to be slowed down by a limit, except where a test sets one itself.
_OFTEN = {"per_second": 100_000, "burst_count": 100_000}


class InstallError(Exception):
    """Synapse could not be installed; the text is one sentence."""


def environment() -> Path:
    """The Python of the environment that holds Synapse; installs it at the first call.

    Raises InstallError if pip could not install it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(LOCK_FILE.read_bytes()).hexdigest()[:12]
    place = cache / "vanished" / "peers" / f"synapse-{digest}"
    python = place / "bin" / "python"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the kernel if this process dies
        if not _answers(python):
            _install(place)
    return python


def _answers(python: Path) -> bool:
    """Whether this environment works; one whose base Python was removed does not."""
    if not python.exists():
        return False
    return subprocess.run([python, "-c", "import synapse"], capture_output=True).returncode == 0


def _install(place: Path) -> None:
    unfinished = place.with_suffix(".unfinished")
    for old in (unfinished, place):
        shutil.rmtree(old, ignore_errors=True)
    pip = [str(unfinished / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    steps = (
        [sys.executable, "-m", "venv", str(unfinished)],
        [*pip, "install", "--quiet", "--require-hashes", "-r", str(LOCK_FILE)],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_S)
        except subprocess.TimeoutExpired:
            raise InstallError(f"installing Synapse took more than {INSTALL_S} s") from None
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
            last = (errors or done.stderr.splitlines() or ["no word"])[-1]
            raise InstallError(f"Synapse could not be installed from {LOCK_FILE.name}: {last}")
    unfinished.rename(place)  # only `bin/python -m ...` is used, which does not mind the move


def needs_env() -> Path:
    """The Python with Synapse, for a test: skip with a clear line, or fail where CI=true."""
    try:
        return environment()
    except (InstallError, OSError) as error:
        missing(f"no homeserver to test against: {error}")


@dataclass(frozen=True)
class User:
    """An account on the server, logged in; the password is the same for all."""

    id: str
    token: str = field(repr=False)


@dataclass
class Synapse:
    """A running homeserver; `admin` is its operator.

    Every call but `api` raises AssertionError unless the server says 200.
    """

    base_url: str
    secret: str = field(repr=False)
    log: Path
    pid: int = 0
    admin: User = User("", "")
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def api(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Mapping[str, Any] | None = None,
        **query: str | int,
    ) -> tuple[int, dict[str, Any]]:
        """One call; the status and the answer, whatever they are."""
        url = self.base_url + path + ("?" + urlencode(query) if query else "")
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, content, headers, method=method)
        try:
            with _DIRECT.open(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")

    def ok(
        self, method: str, path: str, token: str | None = None, body: Any = None, **query: str | int
    ) -> dict[str, Any]:
        """One call that must succeed; the answer."""
        status, answer = self.api(method, path, token, body, **query)
        assert status == 200, f"{method} {path}: {status} {answer}"
        return answer

    # -- people -----------------------------------------------------------------------------

    def register(self, name: str, *, admin: bool = False) -> User:
        """A new account, through the shared-secret registration of Synapse's admin API."""
        path = f"{ADMIN}/v1/register"
        nonce = self.ok("GET", path)["nonce"]
        words = (nonce, name, PASSWORD, "admin" if admin else "notadmin")
        mac = hmac.new(self.secret.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": PASSWORD, "admin": admin, "mac": mac}
        answer = self.ok("POST", path, body=body)
        return User(answer["user_id"], answer["access_token"])

    def login(self, name: str) -> User:
        """One more session of an account."""
        who = {"type": "m.id.user", "user": name}
        body = {"type": "m.login.password", "identifier": who, "password": PASSWORD}
        answer = self.ok("POST", f"{CLIENT}/login", body=body)
        return User(answer["user_id"], answer["access_token"])

    def create_room(self, user: User, alias: str = "", **more: Any) -> str:
        body = {"preset": "public_chat", **more}
        if alias:
            body["room_alias_name"] = alias
        return str(self.ok("POST", f"{CLIENT}/createRoom", user.token, body)["room_id"])

    def join(self, user: User, room: str) -> None:
        self.ok("POST", f"{CLIENT}/join/{quote(room, safe='')}", user.token, {})

    def send(self, user: User, room: str, content: Mapping[str, Any] | str) -> str:
        """Send a message (a text, or a whole content); its event id."""
        if isinstance(content, str):
            content = {"msgtype": "m.text", "body": content}
        return self._put(user, room, "send/m.room.message", content)

    def edit(self, user: User, room: str, event: str, text: str) -> str:
        new = {"msgtype": "m.text", "body": text}
        link = {"rel_type": "m.replace", "event_id": event}
        fallback = {"msgtype": "m.text", "body": f"* {text}"}
        return self.send(user, room, {**fallback, "m.new_content": new, "m.relates_to": link})

    def react(self, user: User, room: str, event: str, key: str) -> str:
        link = {"rel_type": "m.annotation", "event_id": event, "key": key}
        return self._put(user, room, "send/m.reaction", {"m.relates_to": link})

    def redact(self, user: User, room: str, event: str, reason: str = "") -> str:
        body = {"reason": reason} if reason else {}
        return self._put(user, room, f"redact/{quote(event, safe='')}", body)

    def _put(self, user: User, room: str, what: str, body: Mapping[str, Any]) -> str:
        path = f"{CLIENT}/rooms/{quote(room, safe='')}/{what}/t{next(self._numbers)}"
        return str(self.ok("PUT", path, user.token, body)["event_id"])

    def deactivate(self, user: User, *, erase: bool = False) -> None:
        """The account's owner closes it, if `erase` with the wish that its messages go too."""
        who = {"type": "m.id.user", "user": user.id}
        auth = {"type": "m.login.password", "identifier": who, "password": PASSWORD}
        path = f"{CLIENT}/account/deactivate"
        self.ok("POST", path, user.token, {"auth": auth, "erase": erase})

    # -- the operator -----------------------------------------------------------------------

    def redact_all(self, user: User, room: str, reason: str) -> None:
        """Synapse's bulk redaction: in the author's own name. Returns when it is done."""
        path = f"{ADMIN}/v1/user/{quote(user.id, safe='')}/redact"
        number = self.ok("POST", path, self.admin.token, {"rooms": [room], "reason": reason})
        self._done(f"{ADMIN}/v1/user/redact_status/{number['redact_id']}")

    def close_account(self, user: User, *, erase: bool = False) -> None:
        path = f"{ADMIN}/v1/deactivate/{quote(user.id, safe='')}"
        self.ok("POST", path, self.admin.token, {"erase": erase})

    def shut_down(self, room: str, **how: Any) -> None:
        """Synapse's room deletion (`block`, `purge`, `new_room_user_id`, `message`, ...)."""
        path = f"{ADMIN}/v2/rooms/{quote(room, safe='')}"
        number = self.ok("DELETE", path, self.admin.token, how)
        self._done(f"{ADMIN}/v2/rooms/delete_status/{number['delete_id']}")

    def _done(self, path: str) -> None:
        for _ in range(400):
            answer = self.ok("GET", path, self.admin.token)
            if answer["status"] in ("complete", "failed"):
                assert answer["status"] == "complete", answer
                return
            time.sleep(0.05)
        raise AssertionError(f"the operator's work was not done in 20 s: {path}")


# The environment may name a proxy, which is not to be asked for an address on loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def synapse(tmp_path: Path, **config: Any) -> Iterator[Synapse]:
    """A homeserver with an empty database in `tmp_path`, ended by its pid on leaving.

    `config` overrides top-level keys of its configuration. Skips the test without Synapse.
    """
    python = needs_env()
    place = tmp_path / "synapse"
    port = free_port()
    server = Synapse(f"http://127.0.0.1:{port}", secrets.token_hex(16), place / "log")
    _configure(place, port, server, config)
    command = [str(python), "-m", "synapse.app.homeserver", "-c", str(place / "homeserver.json")]
    with (place / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=place)
    server.pid = process.pid
    try:
        _wait(process, server, place)
        server.admin = server.register("operator", admin=True)
        yield server
    finally:
        end(process)


def _wait(process: subprocess.Popen[bytes], server: Synapse, place: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if server.api("GET", "/_matrix/client/versions")[0] == 200:
                return
        time.sleep(0.1)
    said = (place / "output").read_text(errors="replace")[-2000:]
    raise AssertionError(f"Synapse did not start (exit {process.poll()}): {said}")


def _configure(place: Path, port: int, server: Synapse, more: Mapping[str, Any]) -> None:
    """Write the configuration as JSON, which is YAML; nothing is fetched, nothing reported."""
    place.mkdir()
    seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    (place / "signing.key").write_text(f"ed25519 a_test {seed}\n")
    handler = {"class": "logging.FileHandler", "filename": str(server.log)}
    log = {"version": 1, "handlers": {"file": handler}}
    log["root"] = {"level": "WARNING", "handlers": ["file"]}
    (place / "log.json").write_text(json.dumps(log))
    listener = {"port": port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": False}
    listener["resources"] = [{"names": ["client"]}]
    unlimited = ("message", "registration", "admin_redaction", "joins_per_room", "room_creation")
    limits: dict[str, Any] = {f"rc_{what}": _OFTEN for what in unlimited}
    limits["rc_joins"] = {"local": _OFTEN, "remote": _OFTEN}
    limits["rc_login"] = {"address": _OFTEN, "account": _OFTEN, "failed_attempts": _OFTEN}
    config = {
        "server_name": "localhost",
        "public_baseurl": f"{server.base_url}/",
        "listeners": [listener],
        "database": {"name": "sqlite3", "args": {"database": str(place / "homeserver.db")}},
        "log_config": str(place / "log.json"),
        "media_store_path": str(place / "media"),
        "signing_key_path": str(place / "signing.key"),
        "pid_file": str(place / "pid"),
        "registration_shared_secret": server.secret,
        "macaroon_secret_key": secrets.token_hex(16),
        "form_secret": secrets.token_hex(16),
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
        "report_stats": False,
        "presence": {"enabled": False},
        "bcrypt_rounds": 4,
        **limits,
        **more,
    }
    (place / "homeserver.json").write_text(json.dumps(config))
