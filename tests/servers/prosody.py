"""Debian's Prosody on free loopback ports: rooms with an archive, and its operator's hand.

Out: a context manager that yields a started `Prosody`. People come in through port `c2s`; an
observer asks `bosh`. The operator acts inside the server, through a module that lies beside the
configuration and runs a line of Lua: so a purge is the server's own. `stop` and `start` keep
everything, as a restart does. It knows nothing of our own code, so that no fault of ours can hide
in it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.needs import missing, needs_program
from tests.servers.process import end, free_port, listens

START_S = 10.0
TRIES = 5  # a free port may be taken before Prosody has it
PASSWORD = "a password of no account outside this test"
HOST = "localhost"
ANONYMOUS = "guests.localhost"
ROOMS = "rooms.localhost"
MODERATION = Path("/usr/lib/prosody/modules/mod_muc_moderation")

CONFIG = """\
run_as_root = true
pidfile = "{root}/prosody.pid"
data_path = "{root}/data"
plugin_paths = {{ "{root}/modules" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ }}
s2s_ports = {{ }}
http_ports = {{ {http} }}
http_interfaces = {{ "127.0.0.1" }}
https_ports = {{ }}
http_default_host = "localhost"
modules_enabled = {{ "disco", "roster", "saslauth", "bosh" }}
modules_disabled = {{ "s2s", "tls", "offline" }}
authentication = "internal_plain"
storage = "internal"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_bosh_secure = {secure}
bosh_max_inactivity = 20
log = {{ {{ levels = {{ min = "{level}" }}, to = "file", filename = "{root}/prosody.log" }} }}
{more}
VirtualHost "localhost"
VirtualHost "guests.localhost"
  authentication = "anonymous"
Component "rooms.localhost" "muc"
  modules_enabled = {{ "muc_mam", "muc_moderation", "test_operator" }}
  muc_log_by_default = true
  muc_room_locking = false
  muc_room_default_persistent = true
  {muc}
"""

# The operator's own tool: a POST to /operator runs Lua inside the rooms' component.
OPERATOR = """\
module:depends("http");
local muc = module:depends("muc");
local archive = module:open_store("muc_log", "archive");
local function run(event)
  local chunk, wrong = load("local muc, archive, module = ...; " .. event.request.body);
  if not chunk then return 400 .. " " .. wrong; end
  local ok, said = pcall(chunk, muc, archive, module);
  event.response.status_code = ok and 200 or 500;
  return tostring(said);
end
module:provides("http", { default_path = "/operator", route = { POST = run } });
"""


@dataclass
class Prosody:
    """A running server. `domain`s are those of the configuration above."""

    root: Path
    program: str
    c2s: int = 0
    http: int = 0
    more: str = ""  # lines for the whole server
    muc: str = ""  # lines for the rooms' component
    secure: bool = True  # whether passwords may come as they are, as behind TLS
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def bosh(self) -> str:
        return f"http://127.0.0.1:{self.http}/http-bind"

    def account(self, name: str, password: str = PASSWORD) -> str:
        """Make an account; its address."""
        folder = self.root / "data" / "localhost" / "accounts"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.dat").write_text(f'return {{ ["password"] = "{password}"; }};\n')
        return f"{name}@{HOST}"

    def operator(self, lua: str) -> str:
        """Run `lua` inside the server, with `muc`, `archive`, `module`; what it returns."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http}/operator", lua.encode(), {"Host": ROOMS}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def purge(self, room: str, stanza_id: str) -> None:
        """Take one message out of the archive, as a tool of the operator would."""
        node = room.partition("@")[0]
        said = self.operator(f"return archive:delete({node!r}, {{ key = {stanza_id!r} }})")
        assert said == "1", said

    def retract_as(self, author: str, stanza_id: str) -> None:
        """Take a message back in the name of `author` (room/nick), with that occupant's id."""
        place = author.partition("/")[0]
        node = place.partition("@")[0]
        said = self.operator(
            f"""
            local st, occupant = require "util.stanza", nil;
            for id, item in archive:find({node!r}, {{}}) do
              if id == {stanza_id!r} then
                occupant = item:get_child("occupant-id", "urn:xmpp:occupant-id:0");
              end
            end
            local stanza = st.message({{ from = {author!r}, type = "groupchat" }});
            stanza:add_child(st.clone(occupant));
            stanza:tag("retract", {{ xmlns = "urn:xmpp:message-retract:1", id = {stanza_id!r} }});
            stanza:up():text_tag("store", "", {{ xmlns = "urn:xmpp:hints" }}):reset();
            local event = {{ room = muc.get_room_from_jid({place!r}), stanza = stanza }};
            module:fire_event("muc-add-history", event);
            return "done";
            """
        )
        assert said == "done", said

    def expire(self, room: str, until_s: float) -> None:
        """Take what is older than `until_s` (Unix time) out, as the daily run does."""
        node = room.partition("@")[0]
        self.operator(f"return archive:delete({node!r}, {{ ['end'] = {int(until_s)} }})")

    def start(self) -> None:
        """Start it, on the ports it had before if it was stopped."""
        again = bool(self.http)
        for _ in range(TRIES):
            if not again:
                self.c2s, self.http = free_port(), free_port()
            config = self.root / "prosody.cfg.lua"
            config.write_text(
                CONFIG.format(
                    root=self.root, c2s=self.c2s, http=self.http, more=self.more, muc=self.muc,
                    secure=str(self.secure).lower(), level=os.environ.get("PROSODY_LOG", "info"),
                )
            )  # fmt: skip
            self.process = subprocess.Popen(
                [self.program, "-F", "--config", str(config)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if all(listens(self.process, port, START_S) for port in (self.c2s, self.http)):
                return
            self.stop()
        log = self.root / "prosody.log"
        raise RuntimeError(f"Prosody did not start: {log.read_text(errors='replace')[-600:]}")

    def stop(self) -> None:
        """End it by its process id."""
        if self.process is not None:
            end(self.process)
            self.process = None


def needs_prosody() -> str:
    """The path of Prosody, for a test: skip with a clear line, or fail where CI=true."""
    if not MODERATION.is_dir():
        missing("Prosody's community modules are not here: apt-get install prosody-modules")
    return needs_program("prosody", "prosody")


@contextlib.contextmanager
def prosody(
    folder: Path, *, more: str = "", muc: str = "", secure: bool = True
) -> Iterator[Prosody]:
    """A server with its data in `folder`, which has to be empty; ended by its process id."""
    server = Prosody(folder, needs_prosody(), more=more, muc=muc, secure=secure)
    (folder / "data").mkdir()
    (folder / "modules").mkdir()
    (folder / "modules" / "mod_test_operator.lua").write_text(OPERATOR)
    try:
        server.start()
        yield server
    finally:
        server.stop()
