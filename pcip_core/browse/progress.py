"""What a request that takes long has done so far, for the page to show meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Step = Callable[[int], None]


class Progress:
    """The latest task that is being done, with its share. It is read without a lock, while the task goes on."""

    def __init__(self) -> None:
        self._task: tuple[str, int, list[int]] | None = None

    @contextmanager
    def of(self, what: str, total: int) -> Iterator[Step]:
        """A task of so many steps; the block calls the function with the number of steps that it has done more.

        >>> progress = Progress()
        >>> with progress.of("reading", 4) as step:
        ...     step(3)
        ...     progress.state()
        {'what': 'reading', 'share': 0.75}
        >>> progress.state()
        {'what': '', 'share': 0.0}
        """
        before, done = self._task, [0]
        self._task = (what, max(total, 1), done)

        def step(more: int) -> None:
            done[0] += more

        try:
            yield step
        finally:
            self._task = before

    def state(self) -> dict[str, str | float]:
        """What is being done, "" for nothing, and its share that is done."""
        task = self._task
        if task is None:
            return {"what": "", "share": 0.0}
        what, total, done = task
        return {"what": what, "share": min(done[0] / total, 1.0)}
