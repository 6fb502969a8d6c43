"""The Python blocks of the documentation run as they stand there, and print what stands there."""

from pathlib import Path
from typing import Any

import pytest

import qga
from tests.support.examples import Stage, matches
from tests.support.pages import blocks

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if "```python\n" in page.read_text(encoding="utf-8")
]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Where every target is a fake agent, and a snapshot is soon taken."""
    with Stage() as stage:

        async def aconnect(_: object = None, **options: float) -> qga.AsyncClient:
            return await stage.agent.aconnect(**options)

        def connect(_: object = None, **options: float) -> qga.Client:
            return stage.agent.connect(**options)

        monkeypatch.setattr(qga, "connect", connect)
        monkeypatch.setattr(qga, "aconnect", aconnect)
        stage.names["take_snapshot"] = lambda: None
        stage.agent.files["/var/log/syslog"] = b"started\n"
        stage.agent.files.mkdir("/mnt/data")
        yield stage


def test_there_are_pages() -> None:
    assert ROOT / "docs/library.md" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, stage: Stage, request: pytest.FixtureRequest) -> None:
    run = 0
    skipped: list[str] = []
    for block in blocks(page):
        if block.skipped is not None:
            skipped.append(f"line {block.line}: {block.skipped}")
            continue
        stage.execute(block.before)
        if block.real:
            stage.meet(request.getfixturevalue("real_agent"))
            stage.names["client"] = stage.names["guest"]
        elif stage.names["client"]._closed or stage.names["client"] is stage.names.get("guest"):
            # A block may use what a `with` of an earlier one has closed.
            stage.names["client"] = stage.client
        where = f"{page.name}, line {block.line}"
        printed = stage.execute("\n" * (block.line - 1) + block.code, where=where)
        if block.wanted is not None:
            assert matches(block.wanted, printed), f"{where} prints\n{printed}"
        run += 1
    print(f"{page.name}: {run} blocks run, {len(skipped)} not", *skipped, sep="\n  ")
    assert run


PAGE = """
```python
print(1)
```

    1

<!-- not run: it would take for ever -->
```python
while True: pass
```

<!-- real agent: it runs a program -->
```python
print(client.run(["true"]).returncode)
```

```sh
exit 1
```

Text.

<!-- before: x = 2
y = 3 -->

```python
print(x)
print(y)
```

```
2
...
```
"""


def test_what_is_found_on_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    found = list(blocks(page))
    assert [(each.line, each.before, each.wanted, each.skipped) for each in found] == [
        (3, "", "1\n", None),
        (10, "", None, "it would take for ever"),
        (15, "", None, None),
        (28, "x = 2\ny = 3", "2\n...\n", None),
    ]
    assert [each.real for each in found] == [False, False, True, False]


def test_other_output_is_seen() -> None:
    assert matches("2\n...\n", "2\n3\n")
    assert not matches("2\n...\n", "3\n3\n")
