"""Network namespaces of one lab: made, entered, and gone, whatever happens to who made them.

A keeper process is the first of its own process, mount and network namespaces (`unshare`). It makes
the four places client, router, server and control, and then only waits for its maker to go: it
holds a handle of the maker's process, so also after kill -9. When it ends, the kernel ends every
process of the lab, and with them the namespaces and their rules. There is no link to the machine's
own network: nothing can leave. This module knows no censor and no server.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, TypeVar

from vanished.errors import UsageError

Role = Literal["client", "router", "server", "control"]
ROLES: tuple[Role, ...] = ("client", "router", "server", "control")
PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "tc": "iproute2",
    "iptables-restore": "iptables",
    "dnsmasq": "dnsmasq-base",
}
"""Programs that the lab starts, and the Debian package of each."""

READY_S = 30.0
SEARCHED = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
"""Where programs are looked for: Debian puts servers outside an ordinary user's PATH."""
_CLONE_FS, _CLONE_NEWNS, _CLONE_NEWNET, _MS_BIND = 0x200, 0x20000, 0x40000000, 0x1000
_T = TypeVar("_T")


def why_not() -> str | None:
    """Why no lab can be made here, as one sentence; None where it can."""
    if sys.platform != "linux":
        return "the network lab needs Linux's network namespaces"
    if os.geteuid() != 0:
        return "the network lab needs root: it makes network namespaces and rules inside them"
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=SEARCHED) is None:
            return f"the network lab needs '{program}': apt-get install {package}"
    tried = subprocess.run(
        ["unshare", "-n", "-m", "--fork", "--pid", "true"],  # noqa: S607
        capture_output=True,
        env=_environment(),
        timeout=READY_S,
    )
    if tried.returncode:
        said = tried.stderr.decode(errors="replace").strip()
        return f"namespaces cannot be made on this machine ({said})"
    return None


class Place:
    """Four connected namespaces and the processes in them, until `end`.

    `folder` belongs to this lab alone and goes with it; `first` is the keeper's process number as
    the machine counts. Owned by the thread that made it.
    """

    def __init__(self, resolvers: Mapping[Role, str], layout: Mapping[str, Sequence[str]]) -> None:
        """`resolvers` names the resolver of a role, `layout` gives `ip -batch` lines a namespace.

        The layout's key "" is the keeper's own namespace, done first. Raises UsageError where a lab
        cannot be made.
        """
        reason = why_not()
        if reason is not None:
            raise UsageError(f"No network lab here: {reason}.")
        home().mkdir(mode=0o700, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"lab-{os.getpid()}-", dir=home()))
        self._processes: list[subprocess.Popen[Any]] = []
        self._ended = False
        for role, address in resolvers.items():
            (self.folder / f"resolv-{role}").write_text(f"nameserver {address}\n")
        (self.folder / "layout.json").write_text(json.dumps(dict(layout)))
        self._record(None)
        maker = os.pidfd_open(os.getpid())
        try:
            self._keeper = subprocess.Popen(  # noqa: S603 (our own module)
                [
                    *("unshare", "-n", "-m", "--fork", "--pid", "--mount-proc", "--kill-child"),
                    *(sys.executable, "-m", "vanished.lab.network_keeper"),
                    *(str(self.folder), str(maker)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(maker,),
                env=_environment(),
            )
        finally:
            os.close(maker)
        try:
            self.first = self._ready()
        except BaseException:
            self.end()
            raise

    def _ready(self) -> int:
        """Wait for the keeper; its process number as this machine counts."""
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline().decode().strip()
        if said != "ready":
            raise UsageError(f"No network lab here: its keeper said '{said or 'nothing'}'.")
        pid = self._keeper.pid
        first = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        self._record(first)
        return first

    def _record(self, first: int | None) -> None:
        record = {"maker": identity(os.getpid()), "keeper": first and identity(first)}
        half = self.folder / "lab.json.part"
        half.write_text(json.dumps(record))
        half.replace(self.folder / "lab.json")  # who cleans meanwhile must not read half of it

    def argv(self, role: Role, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` in the place of `role`; it ends with whoever started it."""
        inside = ["setpriv", "--pdeathsig", "KILL", "--", *argv]
        if self._resolv(role) is not None:  # the other roles share the client's
            bind = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
            inside = ["unshare", "-m", "sh", "-c", bind, str(self._resolv(role)), *inside]
        net = f"--net=/proc/{self.first}/root/run/netns/{role}"
        return ["nsenter", f"--target={self.first}", "--pid", "--mount", net, "--", *inside]

    def run(
        self,
        role: Role,
        argv: Sequence[str],
        *,
        given: bytes = b"",
        timeout_s: float = 60.0,
        check: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the place of `role` and wait; with `check`, its failure is an error."""
        done = subprocess.run(  # noqa: S603 (the lab's caller says what runs in it)
            self.argv(role, argv),
            input=given,
            capture_output=True,
            timeout=timeout_s,
            env=_environment(),
        )
        if check and done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise UsageError(f"'{argv[0]}' failed in the network lab: {said}")
        return done

    def start(self, role: Role, argv: Sequence[str], **given: Any) -> subprocess.Popen[bytes]:
        """Start a command in the place of `role`; `given` goes to Popen. It ends with the lab."""
        whole = self.argv(role, argv)
        process = subprocess.Popen(whole, env=_environment(), **given)  # noqa: S603
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End one process that `start` gave, and wait until what it held is free again."""
        with _watched_children(process.pid) as inside:
            process.kill()  # nsenter's child asked to die with it
            process.wait(READY_S)
            for one in inside:
                select.select([one], [], [], READY_S)  # readable once it ended
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._processes.remove(process)

    def call(self, role: Role, function: Callable[..., _T], *args: object) -> _T:
        """Call `function` on a thread of this process that stands in the place of `role`.

        Sockets that it opens are the role's, and so are those of the threads that it starts. Its
        working folder is `/`.
        """
        answer: Future[_T] = Future()

        def work() -> None:
            try:
                self._enter(role)
                answer.set_result(function(*args))
            except BaseException as error:
                answer.set_exception(error)

        thread = threading.Thread(target=work, name=f"lab-{role}", daemon=True)
        thread.start()
        try:
            return answer.result()
        finally:
            thread.join(READY_S)

    def _enter(self, role: Role) -> None:
        """Move the calling thread, and it alone, into the namespaces of `role`."""
        libc = ctypes.CDLL(None, use_errno=True)

        def must(result: int, what: str) -> None:
            if result:
                raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")

        net = os.open(f"/proc/{self.first}/root/run/netns/{role}", os.O_RDONLY)
        mounts = os.open(f"/proc/{self.first}/ns/mnt", os.O_RDONLY)
        try:
            must(libc.unshare(_CLONE_FS), "unshare")
            must(libc.setns(net, _CLONE_NEWNET), "setns")
            must(libc.setns(mounts, _CLONE_NEWNS), "setns")
            own = self._resolv(role)
            if own is not None:
                must(libc.unshare(_CLONE_NEWNS), "unshare")
                source = str(own).encode()
                must(libc.mount(source, b"/etc/resolv.conf", None, _MS_BIND, None), "mount")
        finally:
            os.close(net)
            os.close(mounts)

    def _resolv(self, role: Role) -> Path | None:
        """The role's own /etc/resolv.conf where it is not the client's."""
        file = self.folder / f"resolv-{role}"
        return file if role != "client" and file.exists() else None

    def end(self) -> None:
        """End every process of the lab and remove its folder; harmless when it is done already."""
        if self._ended:
            return
        self._ended = True
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()  # the keeper ends, and its end is that of all processes in it
        try:
            self._keeper.wait(READY_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()  # takes its child, the keeper proper, with it
            self._keeper.wait(READY_S)
        self._keeper.stdout.close()
        for process in list(self._processes):
            self.stop(process)
        remove(self.folder)


def home() -> Path:
    """Where the labs of this user record themselves, whether it is there or not.

    UsageError where somebody else could write there: its records say what is ended and removed.
    """
    path = Path(tempfile.gettempdir()) / f"vanished-network-lab-{os.geteuid()}"
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise UsageError(f"{path} is not this user's alone: look at it and remove it.")
    return path


def remove(folder: Path) -> None:
    """Remove a lab's folder, and the labs' home with the last of them."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another lab is still there
        folder.parent.rmdir()


def identity(pid: int) -> dict[str, int]:
    """What tells this process from a later one of the same number; OSError where it is gone."""
    return {"pid": pid, "started": _started(pid)}


def alive(who: Mapping[str, int] | None) -> bool:
    """Whether exactly the process that `identity` saw still runs."""
    if who is None:
        return False
    try:
        return _started(who["pid"]) == who["started"]
    except (OSError, IndexError):
        return False


def _started(pid: int) -> int:
    """When the process started, in the kernel's ticks: field 22 of proc_pid_stat(5)."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[19])


@contextlib.contextmanager
def _watched_children(pid: int) -> Iterator[list[int]]:
    """A pidfd of each child of that process; a number could be another's by the time it is used."""
    with contextlib.ExitStack() as open_:
        watched: list[int] = []
        with contextlib.suppress(OSError):  # it ended already
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                with contextlib.suppress(OSError):
                    watched.append(os.pidfd_open(int(child)))
                    open_.callback(os.close, watched[-1])
        yield watched


def _environment() -> dict[str, str]:
    """This process's environment, in which the lab's own modules and Debian's servers are found."""
    import vanished

    ours = str(Path(vanished.__file__).parents[1])
    path = os.pathsep.join(p for p in (ours, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PATH": SEARCHED, "PYTHONPATH": path}
