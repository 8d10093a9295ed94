"""A first recipe for somebody's own text: sizes that suit how much of it there is.

Small text wants small models, few pieces, small batches and much dropout (Sennrich and Zhang, "Revisiting Low-Resource
Neural Machine Translation", ACL 2019, arXiv:1905.11901). But two layers on either side, in the parallel flow, beat one
layer by more than anything else that was tried, on 10,000 pairs and on 29,000 (recipes/README.md). The models between
20,000 and 500,000 pairs are those of the recipes that come with the toolkit; everything else is drawn out from them
with that paper in mind.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from nmt import corpus, experiment, formats, pieces
from nmt.corpus import COMPRESSIONS, Corpus, CorpusError
from nmt.formats.document import Wanted
from nmt.recipe import Data, Dropout, Files, Model, Pieces, Recipe, Training, reference

# Fewer cannot be split into something to learn from and something to judge by.
FEWEST_PAIRS = 50
# Below, a translator learns its text by heart; the recipe is written, and the user told.
FEW_PAIRS = 10_000
# So many tell how long the text is in pieces, in a few seconds.
SAMPLE_PAIRS = 10_000


class _Size(NamedTuple):
    """What suits a training text of up to ``pairs`` pairs."""

    pairs: float
    pieces: int
    units: int  # of the embedding and, per direction, of the encoder; the decoder has twice as many
    attention_units: int
    embedding_dropout: float
    encoder_output_dropout: float
    readout_dropout: float
    batch_tokens: int
    epochs: int
    heads: int = 1
    word_dropout: float = 0.0  # of both sides
    weight_drop: float = 0.0


_SIZES = (
    _Size(5_000, 1_000, 128, 128, 0.3, 0.5, 0.5, 500, 60),
    _Size(20_000, 4_000, 256, 256, 0.3, 0.5, 0.5, 1_000, 40),
    _Size(100_000, 4_000, 256, 512, 0.3, 0.3, 0.4, 1_500, 30, 4, 0.1, 0.2),  # what won on Multi30k, together: one seed
    _Size(500_000, 8_000, 256, 512, 0.2, 0.2, 0.2, 4_000, 30),
    _Size(3_000_000, 16_000, 512, 512, 0.1, 0.1, 0.1, 8_000, 10),
    _Size(math.inf, 32_000, 512, 512, 0.1, 0.1, 0.1, 16_000, 4),
)


class Draft(NamedTuple):
    """A recipe and why it is as it is."""

    recipe: Recipe
    reasons: list[str]

    def __str__(self) -> str:
        """The recipe as commented YAML, under its reasons."""
        return "\n".join([*(f"# {reason}" for reason in self.reasons), "", reference(self.recipe)])


def draft(
    source: str,
    target: str | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
    columns: tuple[str, str] | None = None,
) -> Draft:
    """The recipe for two aligned files, or for one document or TSV file where ``target`` is None.

    The text is read and split as training will, so what training would refuse is refused here.

    Args:
        columns: of a table or JSON Lines file, names or numbers from 1; with them a TSV file may have headings.

    Raises:
        CorpusError: a file is missing, cannot be read or does not fit its partner; there are too few pairs; the file
            names do not tell the languages; or there are columns of what has none.
        PiecesError: no pieces can be trained from the text.
    """
    languages = _languages(source, target, source_language, target_language)
    if columns is not None and (target is not None or not formats.has_columns(source)):
        raise CorpusError(
            f"columns {' and '.join(columns)} of {source}: expected one table or JSON Lines file (.csv .tsv .jsonl); "
            "leave out --columns"
        )
    if target is not None:
        files, wanted = Files(source=source, target=target), None
    elif formats.known(source) and not (_is_tsv(source) and columns is None):
        chosen = None if columns is None else [int(name) if name.isdigit() else name for name in columns]
        files, wanted = Files(file=source, columns=chosen), Wanted(*languages, columns)
    else:
        files, wanted = Files(tsv=source), None
    pairs = len(corpus.read_lines(source, wanted))
    if pairs < FEWEST_PAIRS:
        raise CorpusError(
            f"{source} has {pairs} pairs: too few to learn from and to judge by, {FEWEST_PAIRS} are the least and some "
            "100,000 make a translator of everyday sentences"
        )
    held_out = _held_out(pairs)
    data = Data(
        source_language=languages[0],
        target_language=languages[1],
        train=files,
        development=held_out,
        test=held_out,
    )
    text = experiment.read_texts(data).train

    size = _size(text)
    settings = pieces_for(text)
    target_pieces = _target_pieces(text, settings)
    recipe = Recipe(
        data=data.model_copy(update={"tokenized": _looks_tokenized(text)}),
        pieces=settings,
        model=_model(size, tied=settings.joint),
        training=_training(size, target_pieces),
    )
    names = source + (f" and {target}" if target else "")
    reasons = [
        f"{languages[0]} → {languages[1]}: {pairs:,} pairs in {names}",
        f"held out: {held_out:,} pairs for development and {held_out:,} for test, none of which shares a sentence with "
        f"the {len(text):,} pairs that are left to train on",
        *_reasons(recipe, size, len(text), target_pieces),
    ]
    return Draft(recipe, reasons)


def _size(text: Corpus) -> _Size:
    return next(size for size in _SIZES if len(text) <= size.pairs)


def pieces_for(text: Corpus) -> Pieces:
    """Joint pieces where the languages share their letters; enough of them for their characters."""
    size = _size(text)
    sides = [_count(text.source), _count(text.target)]
    joint = _shared_letters(*sides) >= 0.5
    counts = [sides[0] + sides[1]] if joint else sides
    coverage = 0.9995 if max(map(len, counts)) > size.pieces / 4 else 1.0
    needed = max(_characters(count, coverage) for count in counts)
    return Pieces(size=max(size.pieces, math.ceil(2 * needed / 1000) * 1000), joint=joint, character_coverage=coverage)


def _target_pieces(text: Corpus, settings: Pieces) -> int:
    """How many pieces the target side will have, the end of each sentence included, as the batch plan counts them.

    Pieces are trained on a sample of evenly spaced pairs; the sample's share of the characters says how many pieces
    all have. A number of pieces a word would not do: the fewer pieces there are, the more of them a word takes.

    Raises:
        PiecesError: the text is of a kind that training refuses too.
    """
    count = min(len(text), SAMPLE_PAIRS)
    sample = text.pick((number * len(text) // count for number in range(count)), Counter())
    learnt = pieces.learn(
        [*sample.source, *sample.target] if settings.joint else sample.target,
        size=settings.size,
        character_coverage=settings.character_coverage,
        byte_fallback=settings.byte_fallback,
    )
    in_sample = sum(map(len, learnt.encode_lines(sample.target)))
    share = sum(map(len, sample.target)) / sum(map(len, text.target))
    return round(in_sample / share) + len(text)


def _model(size: _Size, *, tied: bool) -> Model:
    """The sizes; embeddings can be ``tied`` three ways where the pieces are joint."""
    return Model(
        flow="parallel",
        embedding_units=size.units,
        encoder_units=size.units,
        encoder_layers=2,
        decoder_units=2 * size.units,
        decoder_layers=2,
        attention_units=size.attention_units,
        attention_heads=size.heads,
        readout_units=size.units,
        tying="three_way" if tied else "output",
        dropout=Dropout(
            embedding=size.embedding_dropout,
            encoder_output=size.encoder_output_dropout,
            readout=size.readout_dropout,
            source_words=size.word_dropout,
            target_words=size.word_dropout,
            recurrent_weights=size.weight_drop,
        ),
    )


def _training(size: _Size, target_pieces: int) -> Training:
    """Batches of which even tiny text fills some, and so many updates that the text is seen ``size.epochs`` times."""
    batch_tokens = min(size.batch_tokens, max(16, target_pieces // 20))
    updates = max(1000, math.ceil(size.epochs * target_pieces / batch_tokens / 100) * 100)
    return Training(
        updates=updates,
        batch_tokens=batch_tokens,
        schedule="cosine",
        patience=0,  # what a cosine learns last it learns best
        warmup_updates=min(1000, updates // 8),
        weight_average=0.999 if updates >= 5000 else 0.99,
        validate_every=updates // 20,
    )


def _reasons(recipe: Recipe, size: _Size, pairs: int, target_pieces: int) -> list[str]:
    """Why the recipe for ``pairs`` training pairs is as it is, setting by setting."""
    updates, batch_tokens = recipe.training.updates, int(recipe.training.batch_tokens)
    reasons = [
        f"model: two layers on either side, {size.units} units, {2 * size.units} in the decoder, dropout up to "
        f"{size.readout_dropout}, as suits "
        + (f"up to {size.pairs:,} pairs" if size.pairs < math.inf else "millions of pairs"),
        f"pieces: {recipe.pieces.size:,} for both languages together, which share their letters"
        if recipe.pieces.joint
        else f"pieces: {recipe.pieces.size:,} for each language, as they share few letters",
        f"training: {updates:,} updates of {batch_tokens:,} target pieces, "
        f"about {updates * batch_tokens / target_pieces:.0f} times through the text, the learning rate along a cosine",
    ]
    if recipe.pieces.character_coverage < 1.0:
        reasons.append("characters: so many that the rarest 0.05 % are spelt in bytes")
    if recipe.data.tokenized:
        reasons.append('tokenized: lines end in " .", so scores are computed, and signed, with tok:none')
    if pairs < FEW_PAIRS:
        reasons.append(f"few pairs: below some {FEW_PAIRS:,} a translator learns its text by heart; bring more")
    return reasons


def _languages(
    source: str, target: str | None, source_language: str | None, target_language: str | None
) -> tuple[str, str]:
    """The languages as said, or as the endings ``.en`` and ``.de``, or ``.en-de.tsv``, say."""
    if target is None:
        found = re.search(r"(?:^|[._-])([a-z]{2,3})[_-]([a-z]{2,3})$", _stem(source))
        guessed = [found[1], found[2]] if found else [None, None]
    else:
        endings = [re.search(r"[._-]([a-z]{2,3})$", _stem(name)) for name in (source, target)]
        guessed = [ending[1] if ending else None for ending in endings]
    languages = source_language or guessed[0], target_language or guessed[1]
    for side, name, language in zip(("source", "target"), (source, target or source), languages, strict=True):
        if language is None:
            raise CorpusError(f"the name of {name} does not tell the {side} language; say it: --{side}-language xx")
    return str(languages[0]), str(languages[1])


def _is_tsv(name: str) -> bool:
    """TSV without headings, as most corpora come, is read line by line: `tsv` of a recipe."""
    return ".tsv" in Path(name).suffixes[-2:]


def _stem(name: str) -> str:
    """The file name without the endings that tell of its form."""
    path = Path(name)
    while path.suffix in (*COMPRESSIONS, ".txt", *formats.ENDINGS):
        path = path.with_suffix("")
    return path.name


def _held_out(pairs: int) -> int:
    """How many pairs development and test get each: 500 give BLEU an interval of some two points either way."""
    if pairs >= 100_000:
        return 1000
    return 500 if pairs >= 10_000 else pairs // 20


def _looks_tokenized(text: Corpus) -> bool:
    """Plain text hardly ever ends in " .": a tenth of the lines is a sure sign (as in ``nmt.score``)."""
    return sum(line.endswith(" .") for line in text.target) * 10 >= len(text)


def _count(lines: Sequence[str]) -> Counter[str]:
    """How often each character stands in ``lines``; counted block by block, and so of text larger than memory."""
    counts: Counter[str] = Counter()
    reading = iter(lines)
    for _ in tqdm(range(0, len(lines), 10_000), desc="counting letters", leave=False, disable=None, delay=2):
        counts.update("".join(islice(reading, 10_000)))
    return counts


def _shared_letters(source: Counter[str], target: Counter[str]) -> float:
    """How alike the letters of both sides are: 1 equally frequent, 0 none in common (English–German .9, –Russian 0)."""
    first, second = _letters(source), _letters(target)
    total = max(1, first.total()), max(1, second.total())
    return sum(min(first[letter] / total[0], second[letter] / total[1]) for letter in first)


def _letters(characters: Counter[str]) -> Counter[str]:
    """The letters among counted characters, without case."""
    letters: Counter[str] = Counter()
    for character, count in characters.items():
        for letter in filter(str.isalpha, character.casefold()):
            letters[letter] += count
    return letters


def _characters(counts: Counter[str], coverage: float) -> int:
    """How many different characters make up ``coverage`` of the text."""
    wanted = coverage * counts.total()
    for number, (_, count) in enumerate(counts.most_common(), start=1):
        wanted -= count
        if wanted <= 0:
            return number
    return len(counts)
