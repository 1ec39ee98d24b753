"""BeautifulSoup with lxml reading WeChat articles: what `bench/wechat.py` measures us against.

It runs in the peer's own environment and so imports nothing of ours. In, from the standard input:
a folder of pages, then a word for each round. Out, a line each: what it read of every page, then
the seconds of each round. It has every shortcut that our own reader has: one expression for all
facts, only in scripts that can hold one, and line breaks put in only from the content on.
"""

from __future__ import annotations

import html
import importlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

FACTS = ("biz", "mid", "idx", "sn", "ct", "nickname", "user_name")
_STATED = re.compile(
    rf'^[ \t]*var ({"|".join(FACTS)})[ \t]*=[ \t]*(?:""[ \t]*\|\|[ \t]*)?"([^"\n]+)"', re.M
)
_BLOCK = re.compile(rb"<(?=/?(?:p|br|div|li|h[1-6]|tr|t[dh]|section|blockquote|pre)\b)", re.I)


def read(soup_of: Any, page: bytes) -> dict[str, Any]:
    """Title, account, ids, time, words and pictures of the article on `page`."""
    start = max(page.find(b'"js_content"'), 0)
    soup = soup_of(page[:start] + _BLOCK.sub(b"\n<", page[start:]), "lxml")
    content = soup.find(id="js_content")
    for script in content.find_all(["script", "style", "noscript"]):
        script.decompose()
    found: dict[str, Any] = {}
    for script in soup.find_all("script"):
        said = script.string or ""
        if "biz" in said or "nick" in said:
            for match in _STATED.finditer(said):
                found.setdefault(match[1], html.unescape(match[2]))
    title = soup.find("meta", property="og:title")
    found["title"] = " ".join(title["content"].split())
    notice = soup.find(id="js_share_notice")
    words = f"{notice.get_text() if notice else ''} {content.get_text()}"
    found["text"] = " ".join(words.split())
    sources = [
        node.get("data-src") or node.get("src") or ""
        for node in content.find_all(["img", "video", "audio", "source"])
    ]
    found["media"] = list(dict.fromkeys(one for one in sources if one.startswith("http")))
    return found


def main() -> None:
    """Read all, say what was read; then once more for each line of input, and say how long."""
    soup_of = importlib.import_module("bs4").BeautifulSoup
    pages = [path.read_bytes() for path in sorted(Path(input()).iterdir())]
    print(json.dumps([read(soup_of, page) for page in pages]), flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        for page in pages:
            read(soup_of, page)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
