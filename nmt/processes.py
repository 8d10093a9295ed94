"""Several processes that translate together, each with a model of its own: one a core, where there are many lines.

Threads would not do: between two steps of a search Python works, and in one process only one thread of it at a time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from nmt import translator
from nmt.explanation import Explanation
from nmt.translation import Translation
from nmt.translator import Translator, TranslatorError

# Tasks that the lines of a call are cut into, for each process: one that is done early takes another.
_TASKS = 4

_translator: Translator  # of a process


class Processes:
    """As ``nmt.translator.Translator``, in ``count`` processes; to be closed, or used in a ``with``.

    Args:
        count: of processes, each of which takes the memory of a model.
        directories: of the model, or of the runs of an ensemble.
        settings: as for ``nmt.load``; a process has one thread if they do not say otherwise.

    Raises:
        ValueError: ``count`` is below 1, or as ``nmt.load``, for all that can be seen without loading.
    """

    def __init__(self, count: int, *directories: str | Path, settings: tuple[str, ...] = ()) -> None:
        if count < 1:
            raise TranslatorError(f"expected at least 1 process, received {count}")
        settings = ("device.threads=1", *settings)
        translator.load(*directories, settings=settings)  # so that what is wrong is told here
        self._tasks = count * _TASKS
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("spawn"), initializer=_load, initargs=(directories, settings)
        )

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; what is not begun by then is not done."""
        self._pool.shutdown(cancel_futures=True)

    def translate(self, lines: Sequence[str]) -> list[str]:
        """As the translator's."""
        return [found.text for found in self.translate_scored(lines)]

    def translate_scored(
        self,
        lines: Sequence[str],
        advance: Callable[[int], object] = lambda sentences: None,
        *,
        prefixes: Sequence[str] | None = None,
        **asked: Any,
    ) -> list[Translation]:
        """As the translator's."""
        translator.check(lines, prefixes)

        def task(numbers: Sequence[int]) -> Future[Any]:
            begun = None if prefixes is None else [prefixes[number] for number in numbers]
            return self._pool.submit(_translate, [lines[number] for number in numbers], begun, asked)

        return self._gathered(lines, task, advance)

    def explain(self, line: str, translated: str | None = None) -> Explanation:
        """As the translator's, by one process."""
        return self._pool.submit(_explain, line, translated).result()

    def score(
        self, sources: Sequence[str], targets: Sequence[str], advance: Callable[[int], object] = lambda lines: None
    ) -> list[tuple[float, float]]:
        """As the translator's."""

        def task(numbers: Sequence[int]) -> Future[Any]:
            return self._pool.submit(_score, *([side[number] for number in numbers] for side in (sources, targets)))

        return self._gathered(sources, task, advance)

    def _gathered(
        self, lines: Sequence[str], task: Callable[[Sequence[int]], Future[Any]], advance: Callable[[int], object]
    ) -> list[Any]:
        """What the tasks give for each line, in the order of ``lines``; each task has long and short ones alike."""
        order = sorted(range(len(lines)), key=lambda number: -len(lines[number]))
        tasks = {task(numbers): numbers for first in range(self._tasks) if (numbers := order[first :: self._tasks])}
        gathered: list[Any] = [None] * len(lines)
        with _cancelled(tasks):
            for done in as_completed(tasks):
                found, amount = done.result()
                for number, one in zip(tasks[done], found, strict=True):
                    gathered[number] = one
                advance(amount)
        return gathered


@contextlib.contextmanager
def _cancelled(tasks: Sequence[Future[Any]] | dict[Future[Any], Any]) -> Iterator[None]:
    """Where one task fails, or the user breaks off, the others need not begin."""
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def _load(directories: tuple[str | Path, ...], settings: tuple[str, ...]) -> None:
    global _translator  # what a process is for
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    _translator = translator.load(*directories, settings=settings)()


def _translate(lines: list[str], prefixes: list[str] | None, asked: dict[str, Any]) -> tuple[list[Translation], int]:
    done: list[int] = []
    return _translator.translate_scored(lines, done.append, prefixes=prefixes, **asked), sum(done)


def _explain(line: str, translated: str | None) -> Explanation:
    return _translator.explain(line, translated)


def _score(sources: list[str], targets: list[str]) -> tuple[list[tuple[float, float]], int]:
    return _translator.score(sources, targets), len(sources)
