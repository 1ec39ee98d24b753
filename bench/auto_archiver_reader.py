"""auto-archiver asked about one page after another: what `bench/labelled.py` measures us against.

It runs in the peer's own environment and so imports nothing of ours. In, from the standard input:
a line of JSON a post, its address and perhaps words. Out, a line when it is ready, then a line of
JSON each: what its own orchestrator says after its extractors that need no account (generic, which
is yt-dlp, then telegram, then the browser) went over the address; or, where there are words, what
its function that decides says of them. Nothing of it is replaced. The argument is the proxy that
it is to use.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

CONFIG = Path("orchestration.yaml")
STEPS = {
    "feeders": ["cli_feeder"],
    "extractors": ["generic_extractor", "telegram_extractor", "antibot_extractor_enricher"],
    "enrichers": ["hash_enricher"],  # it wants one
    "databases": ["console_db"],
    "storages": ["local_storage"],
    "formatters": ["mute_formatter"],
}


def main() -> None:
    """Set it up once, as its documentation says for use from code; then a line for a line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what it prints is no answer
    item = importlib.import_module("auto_archiver.core").Metadata
    orchestrator = importlib.import_module(
        "auto_archiver.core.orchestrator"
    ).ArchivingOrchestrator()
    CONFIG.write_text(json.dumps(_config(sys.argv[1])), encoding="utf-8")
    orchestrator.setup(["--config", str(CONFIG), "http://nowhere.example/"])
    decide = importlib.import_module("auto_archiver.utils.deletion_detection").detect_deletion
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        post = json.loads(line)
        if post["words"] is None:
            said = _said(orchestrator.feed_item(item().set_url(post["url"])))
        else:
            mark = decide(html_content=post["words"], url=post["url"])
            said = {"deleted": bool(mark), "words": (mark or {}).get("indicator"), "kept": False}
        print(json.dumps(said), file=answers, flush=True)
    orchestrator.cleanup()


def _config(proxy: str) -> dict[str, Any]:
    """Its file of settings; JSON is YAML. What is not named here is as it comes."""
    return {
        "steps": STEPS,
        "generic_extractor": {
            "ytdlp_update_interval": -1,  # no package of another day
            "ytdlp_args": "--no-check-certificates",
        },
        "antibot_extractor_enricher": {
            "proxy": proxy,
            "max_download_images": 0,  # they tell nothing of whether the post is there
            "max_download_videos": 0,
        },
    }


def _said(found: Any) -> dict[str, Any]:
    """What it says of one item: marked as deleted (by which words), and whether it kept anything.

    A later extractor may write over the status, so the mark itself is read, which stays.
    """
    if found is None:  # it gave up on an error
        return {"deleted": False, "words": "", "kept": False}
    return {
        "deleted": bool(found.get("deletion_detected")),
        "words": found.get("deletion_indicator", ""),
        "kept": bool(found.media) or found.is_success(),
    }


if __name__ == "__main__":
    main()
