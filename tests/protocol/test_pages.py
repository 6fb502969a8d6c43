"""The reference pages: complete, true to the declarations, and with examples that are real."""

import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from qga.protocol import COMMANDS, OWN, pages
from qga.protocol.codec import decoder, encode, reader
from qga.protocol.model import Command
from qga.protocol.pages import SECTIONS, Fragment

FOLDER = Path(__file__).parents[2] / "docs" / "commands"
TOPICS = pages.topics(FOLDER)
FRAGMENTS = {name: fragment for topic in TOPICS for name, fragment in topic.fragments.items()}

each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.NAME)


def blocks(fragment: Fragment) -> list[Any]:
    """The messages in an example: requests and replies in turn."""
    found = re.findall(
        r"^```json\n(.*?)^```$", fragment.sections["Example"], re.DOTALL | re.MULTILINE
    )
    return [json.loads(text) for text in found]


def test_every_command_has_what_is_written_by_hand() -> None:
    for topic in TOPICS:
        assert set(topic.fragments) == {command.NAME for command in topic.commands}
    assert set(FRAGMENTS) == {command.NAME for command in COMMANDS}


def test_every_file_belongs_to_a_module() -> None:
    stems = {path.stem for path in FOLDER.glob("*.md")}
    assert stems == {topic.stem for topic in TOPICS} | {"README"}


@each_command
def test_every_section_is_there(command: type[Command[Any]]) -> None:
    fragment = FRAGMENTS[command.NAME]
    assert list(fragment.sections) == list(SECTIONS)
    assert all(fragment.sections.values())


@each_command
def test_the_request_of_the_example_is_one(command: type[Command[Any]]) -> None:
    request, *_ = blocks(FRAGMENTS[command.NAME])
    assert request["execute"] == command.NAME
    assert not set(request) - {"execute", "arguments"}
    arguments = request.get("arguments", {})
    assert written(encode(decoder(command)(arguments))) == arguments


@each_command
def test_the_reply_of_the_example_is_one(command: type[Command[Any]]) -> None:
    _, *replies = blocks(FRAGMENTS[command.NAME])
    if not command.SUCCESS_RESPONSE:
        assert replies == []
        return
    (reply,) = replies
    assert list(reply) == ["return"]
    expected = {} if command.result() is None else reply["return"]
    result = reader(command.result())(reply["return"])
    assert ({} if result is None else written(encode(result))) == expected


def written(value: Any) -> Any:
    """*value* as it is in JSON, where base64 is text."""
    return json.loads(json.dumps(value, default=lambda data: b64encode(data).decode()))


@each_command
def test_a_page_shows_what_is_declared(command: type[Command[Any]]) -> None:
    text = pages.page(command, FRAGMENTS[command.NAME])
    assert text.startswith(f"# {command.NAME}\n")
    own = command.NAME.startswith(OWN)
    assert f"| since | QEMU {command.SINCE} |" in text or own
    assert "| since | qga-agent's own: qemu-ga does not have it |" in text or not own
    for title in ("Arguments", "Result", *SECTIONS.values()):
        assert text.count(f"\n## {title}\n") == 1
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert len(headings) == len(set(headings))
    # Each type that is named is told about, on the same page.
    linked = set(re.findall(r"\]\(#(\w+)\)", text))
    assert linked == {heading.lower() for heading in headings}


def test_nothing_of_what_is_written_is_lost() -> None:
    for topic in TOPICS:
        shown = pages.index([topic])
        shown += "".join(pages.page(c, topic.fragments[c.NAME]) for c in topic.commands)
        lines = (FOLDER / f"{topic.stem}.md").read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if line[:1] != "#" and f"{line}\n" not in shown] == []


def page_of(name: str) -> str:
    (command,) = (command for command in COMMANDS if name == command.NAME)
    return pages.page(command, FRAGMENTS.get(name))


def test_a_page_in_detail() -> None:
    text = page_of("guest-exec")
    assert "| `path` | string | | the program" in text
    assert "| `env` | list of string | optional | " in text
    assert "| `input-data` | string, base64 | optional |" in text
    assert "Before version 8.1 only the first of: boolean, or [GuestExecCaptureOutputMode]" in text
    assert "| `merged` | both, in the order written" in text
    assert "| `pid` | integer | | its process number" in text
    assert "| while file systems are frozen | refused |" in text
    assert "With `type` being `nvme` it has the members of [GuestNVMeSmart]" in page_of(
        "guest-get-disks"
    )
    assert "| `serial` | string | may be absent |" in page_of("guest-get-fsinfo")
    assert "(since 9.1) |" in page_of("guest-get-fsinfo")
    assert "| reply on success | **none** |" in page_of("guest-shutdown")
    assert "None: there is a reply only when it fails." in page_of("guest-shutdown")
    assert "An empty object." in page_of("guest-ping")
    assert "| platform | Windows only; elsewhere it is not found |" in page_of("guest-get-devices")
    assert "| while file systems are frozen | allowed |" in page_of("guest-fsfreeze-thaw")
    assert "Integer: the handle, for the other guest-file commands." in page_of("guest-file-open")


def test_a_page_without_what_is_written_by_hand(tmp_path: Path) -> None:
    found = pages.topics(tmp_path)
    assert [topic.stem for topic in found] == [topic.stem for topic in TOPICS]
    assert not any(topic.fragments for topic in found)
    for command in COMMANDS:
        assert "\n## Result\n" in pages.page(command, None)


def test_more_differences_come_after_those_written_by_hand() -> None:
    (command,) = (command for command in COMMANDS if command.NAME == "guest-ping")
    text = pages.page(command, FRAGMENTS["guest-ping"], ["- one", "- two"])
    assert text.endswith("\n- one\n- two\n")


def test_the_index_has_every_command_once() -> None:
    text = pages.index(TOPICS)
    for command in COMMANDS:
        row = f"| [{command.NAME}]({command.NAME}.md) | {pages.since(command)} |"
        assert text.count(row) == 1
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [
        topic.title for topic in TOPICS
    ]


def test_what_is_installed_is_found() -> None:
    fragment = pages.fragment_of(COMMANDS[0])
    assert fragment == FRAGMENTS[COMMANDS[0].NAME]
