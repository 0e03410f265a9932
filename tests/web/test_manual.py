"""The manual on the device: every chapter is drawn, its links lead somewhere, and markup in it stays text."""

from __future__ import annotations

import re

import pytest

from gatewayd.web.pages import manual


@pytest.mark.parametrize("name", manual.CHAPTERS)
def test_every_chapter_is_drawn(name: str) -> None:
    place = manual.docs()
    assert place is not None
    assert name in dict(manual.chapters(place)), "the file of this chapter is missing"
    html = manual.chapter(place, name).html
    assert "<h1" in html
    for link in re.findall(r'href="([^"]+)"', html):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, heading = link.partition("#")
        chapter = target.removeprefix("/manual/") if target else name
        if target == "/manual":
            continue  # it is not on the device
        assert chapter in manual.CHAPTERS, link
        if heading:
            assert f'id="{heading}"' in manual.chapter(place, chapter).html, link


def test_markup_stays_text() -> None:
    html = manual.drawn("# A\n\n<script>x</script> <b>bold</b> [x](javascript:alert(1))\n\n<!-- gone -->\n", "a.md")
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;" in html
    assert 'href="javascript' not in html
    assert "gone" not in html


def test_a_picture_comes_with_the_page() -> None:
    place = manual.docs()
    assert place is not None
    html = manual.chapter(place, "installing").html
    assert 'src="data:image/svg+xml;base64,' in html
    assert ".svg" not in html
