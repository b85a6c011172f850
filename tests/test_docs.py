"""The documentation holds together: links lead somewhere, examples are Python."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob(".github/**/*.md")])


def text(page):
    """Return a page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors(page):
    """Return the anchors that a page's headings make."""
    headings = re.findall(r"^#+ +(.*)$", text(page), flags=re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.strip().lower()) for heading in headings]
    return {word.replace(" ", "-") for word in words}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(link)
            continue
        lacks = bool(anchor) and target.suffix == ".md" and anchor not in anchors(target)
        broken += [link] if lacks else []
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_are_python(page):
    for example in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        ast.parse(example)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_called_by_a_files_name_leads_to_that_file(page):
    named = re.findall(r"\[([\w/]+\.py|[\w/]+/)\]\(([^)#\s]+\.py)\)", text(page))
    assert [(name, link) for name, link in named if not f"/{link}".endswith(f"/{name}")] == []


def test_targets_of_make_that_are_named_are_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {word for page in PAGES for word in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named <= targets


def test_the_citation_is_of_this_version():
    import jaxgen

    assert f"\nversion: {jaxgen.__version__}\n" in (ROOT / "CITATION.cff").read_text()
