"""Subword pieces: train, load, encode, sample, decode (SentencePiece unigram).

Kudo, "Subword Regularization", arXiv:1804.10959; Kudo and Richardson, "SentencePiece", arXiv:1808.06226.

Text is normalised on the way in by SentencePiece's own ``nmt_nfkc``: Unicode NFKC, every kind of blank (line breaks,
U+2028, zero-width characters among them) to a space, runs and ends squeezed, most control characters dropped (both
training and translation replace them by blanks before: ``nmt.corpus.without_control``). So ``decode`` gives back the
*normalised* line: "5 m²" comes back as "5 m2". The rules are stored in the model and travel with it.
"""

import contextlib
import io
import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path
from typing import overload

import numpy as np
import sentencepiece
from tqdm import tqdm

from nmt.lattice import Sampler
from nmt.masks import Masks
from nmt.symbols import BOS, EOS, PAD, SPECIAL_PIECES, UNK, check_symbols

logger = logging.getLogger("nmt")

# The sums of expectation-maximisation depend on how they are split over threads. A fixed number, SentencePiece's own
# default, gives the same model on every machine.
TRAINING_THREADS = 16

# Bytes. SentencePiece's own limit of 4192 silently drops longer lines; words are counted, so a long line costs nothing.
LONGEST_SENTENCE = 2**30

# Bytes of text that pieces are trained on, 400,000 sentences or so. SentencePiece needs 21 bytes of memory for each.
LARGEST_TEXT = 40_000_000

# Lines: few enough that their ids are no load, many enough that every core has work.
_COUNTED_AT_ONCE = 10_000

# What tells the seeds of segmentations from other draws of the same numbers.
_SAMPLING = 1

# No piece that `encode` makes holds a line break, but a model is free to say the bytes 0x0A and 0x0D.
LINE_BREAKS = {ord("\n"): " ", ord("\r"): " "}


class PiecesError(ValueError):
    """Pieces that cannot be trained from this text, or a file that is not a piece model of this toolkit."""


class Pieces:
    """A trained piece model: text to ids and back.

    Args:
        serialized: the SentencePiece model, as bytes.

    Raises:
        PiecesError: these bytes are no SentencePiece model, or its special symbols are not those of ``nmt.symbols``.
    """

    def __init__(self, serialized: bytes) -> None:
        try:
            # Empty bytes would load as a model without pieces.
            processor = sentencepiece.SentencePieceProcessor(model_proto=serialized) if serialized else None
        except RuntimeError:
            processor = None
        if processor is None:
            raise PiecesError(
                f"not a SentencePiece model ({len(serialized)} bytes): empty, cut short or another format"
            )

        ids = (processor.pad_id(), processor.unk_id(), processor.bos_id(), processor.eos_id())
        names = tuple(processor.id_to_piece(i) for i in range(min(len(SPECIAL_PIECES), processor.get_piece_size())))
        if ids != (PAD, UNK, BOS, EOS) or names != SPECIAL_PIECES:
            raise PiecesError(
                f"the piece model begins with {' '.join(names)} (ids: pad {ids[0]}, unk {ids[1]}, bos {ids[2]}, "
                f"eos {ids[3]}; -1 is none), expected {' '.join(SPECIAL_PIECES)} (pad {PAD}, unk {UNK}, bos {BOS}, "
                f"eos {EOS}); train it with nmt.pieces.train, or give SentencePiece --pad_id={PAD} --unk_id={UNK} "
                f"--bos_id={BOS} --eos_id={EOS}"
            )
        self.serialized = serialized
        self._processor = processor
        self.masks = Masks(self._symbols())

    @classmethod
    def load(cls, path: Path) -> "Pieces":
        """Reads the ``.model`` file that ``train`` wrote.

        Raises:
            PiecesError: the file cannot be read, or is not such a model.
        """
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise PiecesError(f"{path}: cannot read the piece model: {error.strerror}") from error
        except PiecesError as error:
            raise PiecesError(f"{path}: {error}") from error

    @property
    def size(self) -> int:
        """The number of pieces V, special symbols included: ids are 0 to V - 1."""
        return self._processor.get_piece_size()

    def encode(self, line: str) -> list[int]:
        """The ids of one line, without BOS and EOS; none for a blank line."""
        return self._processor.encode(_utf8(line))

    def encode_lines(self, lines: Iterable[str]) -> list[list[int]]:
        """``encode`` of every line, on all cores."""
        return self._processor.encode([_utf8(line) for line in lines])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first EOS, always a single line; PAD and BOS are silent, UNK reads " ⁇ "."""
        return self.decode_lines([ids])[0]

    def decode_lines(self, rows: Iterable[Iterable[int]]) -> list[str]:
        """``decode`` of every row, on all cores."""
        texts = self._processor.decode([_until_eos(row) for row in rows])
        return [text.translate(LINE_BREAKS) for text in texts]

    def _symbols(self) -> list[str]:
        """The symbols that the pieces were learnt with."""
        # SentencePiece does not tell which pieces are symbols. They stand behind the special ones, and have no
        # probability: their score is 0, like that of bytes, where that of a learnt piece is its logarithm.
        others = range(len(SPECIAL_PIECES), self.size)
        symbols = takewhile(lambda i: not self._processor.get_score(i) and not self._processor.is_byte(i), others)
        return [self._processor.id_to_piece(i) for i in symbols]

    def sampler(self, alpha: float) -> Sampler:
        """What draws segmentations of encoded text: of learnt pieces alone; bytes, symbols and <unk> stay."""
        scores = [self._processor.get_score(piece) or None for piece in range(self.size)]
        return Sampler(self.text_of(range(self.size)), scores, alpha)

    def spellings(self) -> list[bytes | None]:
        """How each piece is spelt, in UTF-8 with "▁" before a word; a byte is itself, a special symbol None."""
        found: list[bytes | None] = []
        for piece, text in enumerate(self.text_of(range(self.size))):
            if self._processor.is_byte(piece):
                found.append(bytes([int(text[1:-1], 16)]))  # <0xE2>
            elif self._processor.is_control(piece) or self._processor.is_unknown(piece):
                found.append(None)
            else:
                found.append(text.encode())
        return found

    def text_of(self, ids: Sequence[int]) -> list[str]:
        """The pieces themselves, one an id, special symbols too: ``["<s>", "▁the", "▁cat", "</s>"]``."""
        return [self._processor.id_to_piece(int(i)) for i in ids]


class Encoded(Sequence[list[int]]):
    """The ids of lines, made when they are asked for: of every line only the number of its pieces is held.

    Args:
        pieces, lines: what encodes what.
        lengths: the pieces of each line, int32 [N], where they are known; they are counted otherwise.
    """

    def __init__(self, pieces: Pieces, lines: Sequence[str], lengths: np.ndarray | None = None) -> None:
        self.pieces, self.lines = pieces, lines
        self.lengths = _count(lines, lambda block, _: pieces.encode_lines(block)) if lengths is None else lengths

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> list[int]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[int]]: ...
    def __getitem__(self, index: int | slice) -> list[int] | list[list[int]]:
        if isinstance(index, slice):
            return self.pieces.encode_lines(self.lines[index])
        return self.pieces.encode(self.lines[index])

    def take(self, numbers: Iterable[int]) -> list[list[int]]:
        """The ids of the lines of these numbers, on all cores."""
        return self.pieces.encode_lines(self.lines[number] for number in numbers)


class Sampled:
    """Lines that are segmented anew in every epoch, for training: subword regularization (``nmt.lattice``).

    The segmentation of line i in an epoch is a function of seed, epoch and i, whoever asks for it and when.

    Args:
        plain: the lines, and how they are segmented otherwise.
        alpha: over 0; a segmentation has a probability ∝ P^alpha.
        seed: numbers from 0.
        longest: pieces; a segmentation of more gives way to the plain one.
    """

    def __init__(self, plain: Encoded, alpha: float, seed: tuple[int, ...], longest: int) -> None:
        self.plain, self.seed, self.longest = plain, seed, longest
        self.sampler = plain.pieces.sampler(alpha)

    def __len__(self) -> int:
        return len(self.plain)

    def epoch(self, number: int) -> "Drawn":
        """The lines as they are segmented in an epoch, counted from 0."""
        return _drawn(self, number)


class Drawn:
    """The segmentations of one epoch, made when they are asked for; lengths and seeds are held, 12 bytes a line."""

    def __init__(self, sampled: Sampled, epoch: int) -> None:
        self._sampled = sampled
        random = np.random.default_rng([*sampled.seed, epoch, _SAMPLING])
        self._seeds = random.integers(2**63, size=len(sampled))
        self.lengths = _count(sampled.plain.lines, lambda block, first: self._rows(block, self._seeds[first:]))

    def __len__(self) -> int:
        return len(self._sampled)

    def take(self, numbers: np.ndarray) -> list[list[int]]:
        """The ids of the lines of these numbers."""
        return self._rows([self._sampled.plain.lines[number] for number in numbers], self._seeds[numbers])

    def _rows(self, lines: list[str], seeds: np.ndarray) -> list[list[int]]:
        sampled = self._sampled
        rows = []
        for plain, seed in zip(sampled.plain.pieces.encode_lines(lines), seeds[: len(lines)].tolist(), strict=True):
            row = sampled.sampler.sample(plain, seed)
            rows.append(row if len(row) <= sampled.longest else plain)
        return rows


@lru_cache(maxsize=4)  # both sides, where one epoch ends and the next begins
def _drawn(sampled: Sampled, epoch: int) -> Drawn:
    return Drawn(sampled, epoch)


def _count(lines: Sequence[str], encode: Callable[[list[str], int], list[list[int]]]) -> np.ndarray:
    """int32 [N]: the pieces of each line, of which ``encode`` segments a block, from the number of its first line."""
    lengths = np.empty(len(lines), "int32")
    reading = iter(lines)
    # No bar for what takes less than two seconds.
    with tqdm(total=len(lines), desc="counting pieces", unit="line", leave=False, disable=None, delay=2) as bar:
        for first in range(0, len(lines), _COUNTED_AT_ONCE):
            rows = encode(list(islice(reading, _COUNTED_AT_ONCE)), first)
            lengths[first : first + len(rows)] = list(map(len, rows))
            bar.update(len(rows))
    return lengths


def train(
    sentences: Iterable[str],
    path: Path,
    *,
    size: int,
    character_coverage: float,
    byte_fallback: bool,
    symbols: Sequence[str] = (),
) -> Pieces:
    """``learn`` pieces and write them to ``path``, with the list of pieces and log-probabilities beside it.

    Where the text gives fewer pieces than ``size``, a warning tells both numbers.

    Args:
        sentences, size, character_coverage, byte_fallback, symbols: as for ``learn``.
        path: the ``.model`` file to write; the readable ``.vocab`` goes beside it.

    Raises:
        ValueError: as ``learn``; PiecesError for another ending of ``path``.
        OSError: the disk is full or the folder cannot be written; its ``filename`` is the file that is not there.
    """
    if path.suffix != ".model":
        raise PiecesError(f"{path}: a piece model's name ends in .model, as in {path.with_suffix('.model').name}")
    pieces = learn(
        sentences, size=size, character_coverage=character_coverage, byte_fallback=byte_fallback, symbols=symbols
    )
    if pieces.size < size:
        logger.warning(
            "%s: this text gives %d pieces, not the %d asked for; %d are used.",
            path,
            pieces.size,
            size,
            pieces.size,
        )
    # The model last: where it stands, the training is whole.
    _write(path.with_suffix(".vocab"), _vocabulary(pieces).encode())
    _write(path, pieces.serialized)
    return pieces


def learn(
    sentences: Iterable[str],
    *,
    size: int,
    character_coverage: float,
    byte_fallback: bool,
    symbols: Sequence[str] = (),
) -> Pieces:
    """Unigram pieces of ``sentences``, in memory alone.

    Nothing is drawn at random and the number of threads is fixed: the same text gives the same bytes. The text is held
    in memory, and SentencePiece needs 21 bytes for each of its characters: of a very large corpus, give a sample
    (``LARGEST_TEXT``).

    Args:
        sentences: plain text, one sentence each; blank ones are passed over.
        size: the number of pieces wanted, special symbols included. Where the text holds fewer, all that it holds are
            taken.
        character_coverage: the share of all characters that get a piece of their own, .98 to 1.
        byte_fallback: spells other characters as UTF-8 bytes (256 pieces), so that nothing is unknown.
        symbols: words such as "<BT>" that are a piece each and never split, wherever they stand.

    Raises:
        PiecesError: no text, or a ``size`` too small for the text's characters.
        ValueError: a symbol that cannot be one (``nmt.symbols.check_symbols``).
    """
    check_symbols(symbols)
    # Collected here, so that an error while reading is raised as itself, not as SentencePiece's RuntimeError.
    lines = [_utf8(sentence) for sentence in sentences if sentence.strip()]
    if not lines:
        raise PiecesError("no text to train pieces from: every sentence is blank, or there is none")

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=size,
            hard_vocab_limit=False,
            character_coverage=character_coverage,
            byte_fallback=byte_fallback,
            user_defined_symbols=list(symbols),
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_piece=SPECIAL_PIECES[PAD],
            unk_piece=SPECIAL_PIECES[UNK],
            bos_piece=SPECIAL_PIECES[BOS],
            eos_piece=SPECIAL_PIECES[EOS],
            max_sentence_length=LONGEST_SENTENCE,
            num_threads=TRAINING_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        too_small = re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error))
        if too_small:
            raise PiecesError(
                f"size {size} is too small: the special symbols, {'the 256 bytes, ' if byte_fallback else ''}and the "
                f"characters of this text need {too_small[1]} pieces; raise size, or lower character_coverage "
                f"({character_coverage})"
            ) from error
        raise PiecesError(f"cannot train {size} pieces from {len(lines)} sentences: {error}") from error

    return Pieces(model.getvalue())


def _utf8(line: str) -> bytes:
    """Lone surrogates, which are what undecodable input bytes become in a C locale, turn into "?"."""
    return line.encode(errors="replace")


def _until_eos(ids: Iterable[int]) -> list[int]:
    return list(takewhile(lambda i: i != EOS, map(int, ids)))


def _vocabulary(pieces: Pieces) -> str:
    """One line a piece, in the order of ids: the piece, a tab, its log-probability."""
    processor = pieces._processor
    return "".join(f"{processor.id_to_piece(i)}\t{processor.get_score(i):g}\n" for i in range(pieces.size))


def _write(path: Path, content: bytes) -> None:
    """Beside and renamed, so that no reader ever meets half a file."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        error.filename, error.filename2 = str(path), None  # a full disk is told of without a name
        raise
