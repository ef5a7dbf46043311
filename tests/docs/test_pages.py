"""The pages: their length, their links and images, and that each page of use shows something."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")


def words(path: Path) -> int:
    return len(path.read_text("utf-8").split())


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as mkdocs makes them."""
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def test_the_readme_has_at_most_500_words():
    assert words(ROOT / "README.md") <= 500


def test_the_pages_have_at_most_17_500_words():
    assert sum(map(words, PAGES)) <= 17_500


@pytest.mark.parametrize("page", [*TOP, *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page, generated):
    for address, anchor in LINK.findall(page.read_text("utf-8")):
        if "://" in address:
            continue
        target = (page.parent / address).resolve() if address else page
        uri = target.relative_to(DOCS).as_posix() if target.is_relative_to(DOCS) else ""
        assert target.exists() or uri in generated, f"{page.name}: {address}"
        if anchor and target.suffix == ".md":
            text = generated.get(uri) or target.read_text("utf-8")
            assert anchor[1:] in anchors(text), f"{page.name}: {address}{anchor}"


def test_every_page_is_in_the_navigation(generated):
    listed = set(re.findall(r"(?:: |- )([\w/]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    assert listed == {page.relative_to(DOCS).as_posix() for page in PAGES} | set(generated)


@pytest.mark.parametrize("page", sorted((DOCS / "use").glob("*.md")), ids=lambda page: page.stem)
def test_every_page_of_use_has_an_image(page):
    assert re.search(r"!\[[^\]]+\]\(\.\./images/\w+\.(png|svg)\)", page.read_text("utf-8"))


def test_images_are_small_and_used():
    text = "\n".join(page.read_text("utf-8") for page in [*TOP, *PAGES])
    images = [path for path in (DOCS / "images").iterdir() if path.suffix in (".png", ".svg")]
    assert images
    for path in images:
        assert path.stat().st_size < 150_000, path
        assert f"images/{path.name}" in text, path


def test_every_message_of_the_troubleshooting_is_in_the_code():
    page = (DOCS / "use" / "troubleshooting.md").read_text("utf-8")
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "infantjax").rglob("*.py"))
    cells = re.findall(r"^(?:\| )?(`.*?) \|", page, re.MULTILINE)
    messages = {message for cell in cells for message in re.findall(r"`([^`]+)`", cell)}
    assert len(messages) > 20
    assert {message for message in messages if message not in code} == set()
