"""Freezing for real, on an ext4 file system in a file that the test makes (see `on_loop`)."""

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
