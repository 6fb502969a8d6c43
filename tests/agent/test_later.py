from collections.abc import Generator
from typing import Any

import pytest

from qga.agent.later import Pending, in_steps


def test_steps() -> None:
    first: Pending[int] = Pending()
    second: Pending[int] = Pending()

    def work() -> Generator[Pending[Any], Any, int]:
        number: int = yield first
        try:
            yield second
        except ValueError as error:
            return number + int(str(error))
        return 0

    def fail() -> int:
        raise ValueError("2")

    results: list[int] = []
    whole = in_steps(work())
    whole.listen(lambda: results.append(whole.result()))
    first.resolve(lambda: 40)
    assert results == []
    second.resolve(fail)
    assert results == [42]


def test_steps_without_waiting() -> None:
    done: Pending[int] = Pending()
    done.resolve(lambda: 1)

    def work() -> Generator[Pending[Any], Any, int]:
        total = 0
        for _ in range(3):
            total += yield done
        return total

    assert in_steps(work()).result() == 3

    def fails() -> Generator[Pending[Any], Any, int]:
        yield done
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"):
        in_steps(fails()).result()
