"""Several processes that translate together, each with a model of its own: one a core, where there are many lines.

Threads of one process gain nothing here (docs/benchmarks.md): between two steps of a search Python works, and in one
process only one thread of it at a time.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from nmt import translator
from nmt.confidence import Confidence
from nmt.explanation import Explanation
from nmt.translation import Translation
from nmt.translator import Translator, TranslatorError

# Lines of a task at most, as many as a batch has if nothing is said: lines of like length stay together.
_TASK = 64

# Of a process that translates:
_translator: Translator
_stopped: Any  # a value: whether what is translated at the moment is wanted no more


class Processes(Translator):
    """A translator of ``count`` processes; to be closed, or used in a ``with``.

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
        self._count, self._directories, self._settings = count, directories, ("device.threads=1", *settings)
        translator.load(*directories, settings=self._settings)  # so that what is wrong is told here
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.RawValue(ctypes.c_bool, False)  # of one writer; a lock would be for nothing
        begin = self._directories, self._settings, self._stop
        self._pool = ProcessPoolExecutor(self._count, context, initializer=_load, initargs=begin)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; what is not done by then is not done."""
        self._stop.value = True
        self._pool.shutdown(cancel_futures=True)
        del self._pool  # and with it the system's semaphores, which would outlast a process that ends itself

    @property
    def confidence(self) -> Confidence | None:
        """As that of one process."""
        return self._asked(_confidence)

    @property
    def languages(self) -> tuple[str, str]:
        """As those of one process."""
        return self._asked(_languages)

    def translate_scored(
        self,
        lines: Sequence[str],
        advance: Callable[[int], object] = lambda sentences: None,
        *,
        prefixes: Sequence[str] | None = None,
        **asked: Any,
    ) -> list[Translation]:
        """As that of one process; ``advance`` is told of each task."""
        translator.check(lines, prefixes)

        def task(numbers: Sequence[int]) -> Future[Any]:
            begun = None if prefixes is None else [prefixes[number] for number in numbers]
            return self._pool.submit(_translate, [lines[number] for number in numbers], begun, asked)

        return self._gathered(lines, task, advance)

    def explain(self, line: str, translated: str | None = None) -> Explanation:
        """As that of one process."""
        return self._asked(_explain, line, translated)

    def score(
        self, sources: Sequence[str], targets: Sequence[str], advance: Callable[[int], object] = lambda lines: None
    ) -> list[tuple[float, float]]:
        """As that of one process."""
        if len(sources) != len(targets):
            raise TranslatorError(f"expected a translation of each of {len(sources)} lines, received {len(targets)}")

        def task(numbers: Sequence[int]) -> Future[Any]:
            return self._pool.submit(_score, *([side[number] for number in numbers] for side in (sources, targets)))

        return self._gathered(sources, task, advance)

    def _gathered(
        self, lines: Sequence[str], task: Callable[[Sequence[int]], Future[Any]], advance: Callable[[int], object]
    ) -> list[Any]:
        """What the tasks give for each line, in the order of ``lines``; a process that is done takes the next task.

        Each has lines of like length, the longest ones first, so that the last are done at about the same time.
        """
        order = sorted(range(len(lines)), key=lambda number: -len(lines[number]))
        size = max(1, min(_TASK, math.ceil(len(lines) / self._count)))
        gathered: list[Any] = [None] * len(lines)
        tasks: dict[Future[Any], Sequence[int]] = {}
        self._stop.value = False
        try:
            with self._told():
                for first in range(0, len(order), size):
                    numbers = order[first : first + size]
                    tasks[task(numbers)] = numbers
                for done in as_completed(tasks):
                    found, amount = done.result()
                    for number, one in zip(tasks[done], found, strict=True):
                        gathered[number] = one
                    advance(amount)
        except BaseException:  # the user's Ctrl-C among them: what else is being translated is wanted no more
            for other in tasks:
                other.cancel()
            self._stop.value = True
            raise
        return gathered

    def _asked(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a process answers."""
        with self._told():
            return self._pool.submit(function, *arguments).result()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the user can mend is a ``TranslatorError``, that a process has ended among it."""
        try:
            yield
        except BrokenProcessPool as error:
            self._pool.shutdown()
            self._start()
            raise TranslatorError(
                f"one of {self._count} processes that translate has ended: it was killed, there was too little memory "
                "for so many models, or the model is gone; try fewer. In a program of your own, what calls nmt.load "
                'with processes must stand under: if __name__ == "__main__":'
            ) from error
        except ValueError as error:
            if type(error).__module__.startswith("nmt."):
                raise TranslatorError(str(error)) from error
            raise


class _StoppedError(Exception):
    """Nobody waits for this task any more."""


def _load(directories: tuple[str | Path, ...], settings: tuple[str, ...], stopped: Any) -> None:
    global _translator, _stopped
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    _stopped = stopped
    _translator = translator.load(*directories, settings=settings)()


def _end_with_the_first() -> None:
    """However the process that asked ends, this one does not stay behind."""
    first = multiprocessing.parent_process()
    if first is not None:
        wait([first.sentinel])
        os._exit(1)


def _translate(lines: list[str], prefixes: list[str] | None, asked: dict[str, Any]) -> tuple[list[Translation], int]:
    done: list[int] = []

    def advance(amount: int) -> None:
        done.append(amount)
        if _stopped.value:
            raise _StoppedError

    return _translator.translate_scored(lines, advance, prefixes=prefixes, **asked), sum(done)


def _explain(line: str, translated: str | None) -> Explanation:
    return _translator.explain(line, translated)


def _score(sources: list[str], targets: list[str]) -> tuple[list[tuple[float, float]], int]:
    return _translator.score(sources, targets), len(sources)


def _confidence() -> Confidence | None:
    return _translator.confidence


def _languages() -> tuple[str, str]:
    return _translator.languages
