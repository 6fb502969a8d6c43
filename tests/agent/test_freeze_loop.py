"""Freezing for real, on an ext4 file system in a file that the test makes (see `on_loop`)."""

import time
from pathlib import Path

import pytest

from tests.agent.loopdevices import in_namespace, make_image
from tests.agent.on_loop import CASES


@pytest.mark.parametrize("case", CASES)
def test_a_real_file_system(tmp_path: Path, case: str) -> None:
    image, folder = tmp_path / "image", tmp_path / "mounted here"
    make_image(image, 16)
    folder.mkdir()
    # Thawed and unmounted, or the device would stay.
    in_namespace("tests.agent.on_loop", tmp_path, case, str(image), str(folder))


def test_no_end_of_an_agent_leaves_a_file_system_frozen(tmp_path: Path) -> None:
    """Of 200 agents in a row each is killed, or stopped, at a random moment."""
    images = [tmp_path / f"image-{number}" for number in range(4)]
    for image in images:
        make_image(image, 16)
    seed = str(time.time_ns())
    print("seed:", seed)
    arguments = ["200", seed, str(tmp_path), *map(str, images)]
    in_namespace("tests.agent.on_kills", tmp_path, *arguments)


def test_a_thousand_rounds_while_programs_write(tmp_path: Path) -> None:
    images = [tmp_path / f"image-{number}" for number in range(4)]
    for image in images:
        make_image(image, 16)
    arguments = ["1000", str(tmp_path), *map(str, images)]
    in_namespace("tests.agent.on_rounds", tmp_path, *arguments)
