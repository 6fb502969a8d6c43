"""The documentation as `make docs` builds it: every page there, every link leading somewhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from docs import build
from qga.protocol import COMMANDS

VOID = {"meta", "br", "hr", "img"}


class Page(HTMLParser):
    """What a browser would find on a page: where its links lead, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert value is not None
            if name in {"href", "src"}:
                self.links.append(value)
            elif name == "id":
                assert value not in self.anchors
                self.anchors.add(value)

    def handle_endtag(self, tag: str) -> None:
        # XHTML's way to end them is taken for an end tag.
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    build.build(folder)
    return folder


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in folder.rglob("*.html")}


def test_there_is_a_page_for_every_command(folder: Path, pages: dict[Path, Page]) -> None:
    names = {path.name for path in (folder / "commands").glob("*-*.html")}
    assert names == {f"{command.NAME}.html" for command in COMMANDS}
    assert all(path.with_suffix(".md").is_file() for path in pages)
    assert {"agent.html", "cli.html", "library.html", "differences.html"} <= {
        path.name for path in folder.glob("*.html")
    }


def test_pages_are_well_formed(pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert page.open == [], path.name
        title = page.text.strip().partition("\n")[0]
        assert title.endswith(" · qga"), path.name


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    lost = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / parts.path).resolve() if parts.path else path
            found = pages.get(target)
            if target.suffix == ".html":
                there = found is not None and parts.fragment in {"", *found.anchors}
            else:
                there = target.is_file()
            if not there:
                lost.append(f"{path.name}: {link}")
    assert lost == []


def test_files_of_the_project_that_pages_name_are_there(folder: Path) -> None:
    source = Path(build.DOCS.parent, "packaging", "cloud-init.yaml")
    assert (folder / "files" / "packaging" / source.name).read_bytes() == source.read_bytes()


def test_differences_that_requests_show_are_linked(folder: Path) -> None:
    text = (folder / "commands" / "guest-file-write.md").read_text(encoding="utf-8")
    assert "](../differences.md#48-mib-can-be-written)" in text
    text = (folder / "commands" / "guest-ping.md").read_text(encoding="utf-8")
    assert "#arguments-are-checked-before-they-are-used" not in text


def test_anchors_are_those_of_forges() -> None:
    assert build.anchor("48 MiB can be written") == "48-mib-can-be-written"
    assert build.anchor("Processors that aren't there: `cpu999`") == (
        "processors-that-arent-there-cpu999"
    )
