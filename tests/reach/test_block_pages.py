"""Block pages: a missed one is a block unseen, an ordinary page taken for one a lie."""

from __future__ import annotations

import tarfile
import time
from html import escape

import pytest

from tests.needs import needs_shared
from vanished.lab import pages as lab
from vanished.lab.ordinary_pages import ordinary_pages
from vanished.reach.block_pages import LONGEST, Found, Page, block_address, examine, pack
from vanished.reach.steps import Response, words

SAVED = "citizenlab-filtering-annotations"
NONE = {"prod_squid_error_page", "dns_isp_id_sehat_telkom_bltsel"}
"""Saved as block pages, and none: an error of a proxy, and a frame for advertising."""


def shown(body: bytes, code: int = 200, **headers: str) -> Found:
    return examine(Response(code=code, headers=dict(headers), body=words(body)))


def saved() -> dict[str, bytes]:
    """The block pages that Citizen Lab saved; one of the files is empty."""
    folder = needs_shared(SAVED)
    paths = [*folder.glob("blockpage_meta/*.html"), *folder.glob("dns_meta/*.html")]
    return {path.stem: held for path in sorted(paths) if (held := path.read_bytes())}


def test_saved_block_pages_are_known() -> None:
    """98 % of them at least, in nine languages and five encodings."""
    found = {name: shown(body) for name, body in saved().items()}
    missed = {name for name, one in found.items() if one.page is not Page.BLOCK}
    assert len(found) == 126
    assert missed <= NONE
    assert 1 - len(missed) / len(found) >= 0.98


def test_what_pages_say_is_enough_for_most() -> None:
    """Networks make new pages; fingerprints know only the old ones."""
    pages = saved()
    told = sum(
        examine(Response(200, body=words(body)), fingerprints=False).page is Page.BLOCK
        for body in pages.values()
    )
    assert told / len(pages) > 0.7


@pytest.mark.parametrize("name", sorted(ordinary_pages()))
def test_ordinary_pages_are_none(name: str) -> None:
    """Errors, portals, and articles that quote a block page."""
    assert shown(ordinary_pages()[name]).page is not Page.BLOCK


def test_posts_and_pages_of_the_lab_are_none() -> None:
    """A removed post is no blocked network, whatever the platform's notice says."""
    assert shown(lab.BARE_404.body, 404).page is Page.ORDINARY
    folder = needs_shared("weibo2018")
    lines = (folder / "test.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    assert len(lines) > 400
    for line in lines:
        page = lab.page("微博", f"<p>{escape(line)}</p>")
        assert shown(page).page is Page.ORDINARY, line


def test_real_articles_are_none() -> None:
    """WeChat's, 90 of them."""
    number = 0
    with tarfile.open(needs_shared("wechatscope-html-2020/pages-text-blanked.tar.xz")) as archive:
        for member in archive:
            file = archive.extractfile(member) if ".html" in member.name else None
            if file:
                assert shown(file.read()).page is Page.ORDINARY, member.name
                number += 1
    assert number == 90


def test_a_redirect_to_a_block_page_is_one() -> None:
    """The page behind it is often out of reach from abroad, or gone by the time of the analysis."""
    found = shown(b"", 302, Location="http://lamanlabuh.aduankonten.id/")
    assert (found.page, found.fingerprint) == (Page.BLOCK, "ooni-id-lamanlabuh")
    assert found.countries == ("ID",)
    assert shown(b"", 302, Location="http://www.example.org/").page is Page.ORDINARY


def test_a_denial_names_who_denies_or_is_none() -> None:
    """ "Access denied" is what half of all web servers say of a wrong password."""
    bare = b"<title>Access Denied</title><h1>Access Denied</h1>"
    assert shown(bare).page is Page.DENIAL
    whom = bare + b"<p>This site is blocked under an order of the Telecommunications Authority.</p>"
    assert shown(whom).page is Page.BLOCK


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "koi8-r"])
def test_old_encodings_are_read(encoding: str) -> None:
    """Providers' pages do not say how they are written, or say it wrongly."""
    page = "<title>!</title>Доступ к ресурсу ограничен по решению суда".encode(encoding)
    assert shown(page).page is Page.BLOCK


def test_a_captcha_is_a_check_by_the_server() -> None:
    """OONI's own verdict called them blocking."""
    page = b"<title>Attention Required! | Cloudflare</title><h1>One more step</h1>"
    assert shown(page, 403).page is Page.SERVER_CHECK


def test_words_of_a_product_in_an_article_are_no_fingerprint() -> None:
    """Only on a page that says little else; addresses and markup count anywhere."""
    said = "This page has been blocked by Kerio Control"
    assert shown(f"<p>{said}</p>".encode()).fingerprint is not None
    assert shown(f"<p>{said}</p>{'<p>On and on it went.</p>' * 400}".encode()).fingerprint is None


def test_known_lies_of_resolvers() -> None:
    """Iran's and China's forged answers; an ordinary address is none."""
    assert block_address("10.10.34.36") is not None
    assert block_address("8.7.198.45") is not None
    assert block_address("93.184.216.34") is None


@pytest.mark.parametrize(
    "piece", [b"<script>", b"<", b"<!--", b"<title", b"<iframe ", b"http-equiv=refresh ", b"&#x"]
)
def test_a_hostile_page_costs_no_time(piece: bytes) -> None:
    """Whoever sends the page must not be able to stop the analysis of all others."""
    began = time.process_time()
    assert shown(piece * (LONGEST // len(piece))).page is Page.ORDINARY
    assert time.process_time() - began < 2.0


def test_ids_are_stable_and_different() -> None:
    """Verdicts name them as evidence."""
    ids = [one.id for one in pack().fingerprints]
    assert len(ids) == len(set(ids)) > 90
