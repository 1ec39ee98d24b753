"""What to install where a command needs a package beyond the core install.

In: the error of an import. Out: one sentence with the extra's name, the same for every command;
nothing for a module that is no extra's, since that is a mistake of ours.
"""

from __future__ import annotations

from typing import Final

from vanished.errors import UsageError

MODULES: Final = {
    "explain": (
        "jinja2", "opencc", "pyarrow", "pydivsufsort", "pypinyin", "ruptures", "scipy",
        "vl_convert",
    ),
    "reach": ("aioquic", "h11", "msgspec", "zstandard"),
    "platforms": ("libipld", "PIL"),
    "publish": (
        "apprise", "fastwarc", "opentimestamps", "rfc3161_client", "starlette", "uvicorn",
    ),
    "keyring": ("keyring",),
}  # fmt: skip
"""The modules that each extra brings; where two bring it, the first."""


def lacking(error: ModuleNotFoundError) -> UsageError | None:
    """The error in a sentence that says what to install; None where no extra has the module."""
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in MODULES.items() if module in modules), None)
    if extra is None:
        return None
    return UsageError(
        f"This needs the package '{module}', which is not installed: pip install"
        f" 'vanished[{extra}]' (in a clone: pip install -e '.[{extra}]')."
    )
