"""LSTM machine translation with Keras 3: from two text files to a scored, exported translator.

    import nmt

    translator = nmt.load("runs/demo")
    print(translator.translate(["The teacher helps the little girl."]))

Words: source and target are the two languages, pieces the subwords of either; attention asks with a query, compares it
with keys, and averages values into a context; memory is what the encoder hands to the decoder; hidden and cell are the
state of an LSTM; a run is the directory of a training, a recipe the YAML file that it is made from.

Letters of shapes: B batch, S source length, T target length, K beam, V pieces, E embedding, H units, A attention
units, N heads.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nmt.translator import Translator

__all__ = ["load"]


def load(directory: str | Path, *more: str | Path, settings: tuple[str, ...] = (), processes: int = 1) -> Translator:
    """The trained run or compact model in ``directory``, ready to translate; with ``more`` runs an ensemble.

    Args:
        directory: of a training, for example ``runs/demo``, or of what ``nmt export --to compact`` wrote.
        more: directories of other trainings with the very same pieces, whose models say each piece together with the
            first: the mean of their log-probabilities counts.
        settings: changes of the first recipe's search, evaluation or device: ``("search.beam_size=1",
            "device.kind=cpu")``; of a compact model's search and ``device.threads``.
        processes: that translate together, each with a model and a thread of its own (``nmt.processes``). They begin
            by reading the program that calls this once more: let it stand under ``if __name__ == "__main__":``.

    Raises:
        ValueError: no model is there, a compact one is damaged or of another version, a run has no weights yet, its
            pieces are not those of the first, a setting is wrong, or the device is not there; the message says which,
            and what to do.
    """
    from nmt import translator

    if processes != 1:
        from nmt.processes import Processes

        return Processes(processes, directory, *more, settings=settings)
    return translator.load(directory, *more, settings=settings)()
