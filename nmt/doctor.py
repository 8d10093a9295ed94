"""What is wrong with a parallel text, before hours are spent on it: each fault with its lines, and what mends it.

Every fault that a filter (``data.filters``) leaves out has the filter's name. The text is read as a stream; of each
pair some numbers of 64 bits are held in memory, by which repetitions are found.
"""

from __future__ import annotations

import contextlib
import html
import importlib.util
import time
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nmt import corpus, draft, experiment, filters, pieces
from nmt.corpus import Corpus
from nmt.drift import Drift
from nmt.filters import FilterError
from nmt.recipe import Data, Files, Filters, Recipe

# What the doctor holds for suspicious where a recipe says nothing.
_SUSPICIOUS = Filters(
    lengths=1000, ratio=3.0, identical=True, duplicates=True, alphabet=True, language=True, held_out=True
)

# Faults: what they mean, and what is to be done where no filter is named after them.
_MEANING = {
    "empty": "a side is empty: training leaves it out",
    "lengths": "a side has over {lengths:,} characters",
    "ratio": "over {ratio:g} times as long beside the other side as is usual here",
    "identical": "both sides are the same words: not translated?",
    "duplicates": "came before, case and punctuation aside",
    "alphabet": "most letters are of another script",
    "language": "surely another language",
    "near duplicates": "came before but for its numbers: not wrong, but it says little new",
    "held_out": "a side is in the development or test text, which then scores too well",
    "control": "control characters or Unicode line ends: always read as blanks",
    "mojibake": "decoded wrongly, as Ã¤ for ä: mend it with ftfy, or leave it out",
    "mixed scripts": "letters of two scripts in one word: often look-alikes from a scan",
}

_EXAMPLES = 3
_SAMPLE_LINES = 5_000
# Share of the machine's products that a training reaches (docs/benchmarks.md#training).
_REACHED = 0.6


class Fault(NamedTuple):
    """Pairs that something is wrong with."""

    name: str
    meaning: str
    pairs: np.ndarray  # their numbers, from 0, in order
    examples: list[tuple[int, str, str]]  # line from 1, source, target

    @property
    def is_filter(self) -> bool:
        """Whether ``data.filters`` has a setting of this name."""
        return self.name in Filters.model_fields


class Side(NamedTuple):
    """One side of a text in numbers."""

    language: str
    characters: int
    median: int  # characters of a line
    longest: int
    found: Counter[str]  # languages of a sample of lines, as far as they are sure; empty where nobody can tell


@dataclass
class Examined:
    """What was found in one text."""

    name: str
    text: Corpus = field(repr=False)
    sides: tuple[Side, Side]
    faults: list[Fault]
    drifts: list[Drift]
    around: str  # the lines around the first drift
    learnt: bool  # whether training reads it; otherwise it is development or test text

    def left_out(self) -> np.ndarray:
        """Whether ``data.filters`` as suggested, or training anyhow, leaves each pair out; bool [N]."""
        found = np.zeros(len(self.text), bool)
        for fault in self.faults:
            if self.learnt and (fault.is_filter or fault.name == "empty"):
                found[fault.pairs] = True
        return found


@dataclass
class Report:
    """What was found in all texts, and what the recipe had better say."""

    texts: list[Examined]
    settings: Filters
    advice: list[str]
    untold: list[str]  # what could not be looked for, and why

    def __str__(self) -> str:
        """For the terminal."""
        return "\n".join(_lines(self))

    def page(self) -> str:
        """A page in HTML that needs nothing else."""
        parts = []
        for one in self.texts:
            parts.append(f"<h2>{html.escape(_title(one))}</h2><p>{'<br>'.join(map(html.escape, _sides(one)))}</p>")
            parts += [f"<pre>{html.escape(line)}</pre>" for line in _drifts(one)]
            rows = "".join(_row(fault, len(one.text)) for fault in one.faults)
            head = "<tr><th>fault</th><th>pairs</th><th>share</th><th>what it is</th></tr>"
            parts.append(f"<table>{head}{rows}</table>" if rows else "<p>No faults.</p>")
        advice = "".join(f"<li><code>{html.escape(line)}</code></li>" for line in [*self.advice, *self.untold])
        return _PAGE.format(body="".join(parts), advice=advice)

    def write(self, folder: Path) -> list[Path]:
        """What is kept of the texts to learn from, and every pair with a fault, as files in ``folder``.

        They are ``<text>.kept.<language>`` (source and target, if those are the same), and ``<text>.faults.tsv``:
        line, "left out" or "kept", all faults, source, target.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for one in filter(lambda one: one.learnt, self.texts):
            stem, codes = one.name.replace(" ", "-"), [side.language for side in one.sides]
            endings = codes if len(set(codes)) > 1 else ["source", "target"]
            names = [f"{stem}.kept.{ending}" for ending in endings] + [f"{stem}.faults.tsv"]
            parts = [folder / f".{name}.part" for name in names]
            found = np.zeros(len(one.text), "uint16")  # a bit for each fault
            for bit, fault in enumerate(one.faults):
                found[fault.pairs] |= 1 << bit
            left_out = one.left_out()
            with contextlib.ExitStack() as stack:
                files = [stack.enter_context(part.open("w", encoding="utf-8", newline="")) for part in parts]
                pairs = zip(one.text.source, one.text.target, strict=True)
                for number, pair in enumerate(corpus.watched(pairs, f"writing to {folder}", len(found))):
                    sides = [corpus.without_control(line) for line in pair]
                    if bits := int(found[number]):
                        told = "left out" if left_out[number] else "kept"
                        names_of = [fault.name for bit, fault in enumerate(one.faults) if bits >> bit & 1]
                        row = [str(corpus.line_of(one.text, number)), told, ", ".join(names_of), *sides]
                        files[2].write("\t".join(row) + "\n")
                    if not left_out[number]:
                        for file, side in zip(files[:2], sides, strict=True):
                            file.write(f"{side}\n")
            written += [part.rename(folder / name) for part, name in zip(parts, names, strict=True)]
        return written


def examine(recipe: Recipe) -> Report:
    """Look through all texts of ``recipe``.

    Raises:
        ValueError: a text is missing or cannot be read.
    """
    data = recipe.data
    held_out = {
        name: experiment.read_raw(data, data.corpus, part)
        for name, part in (("development", data.development), ("test", data.test))
        if isinstance(part, Files)
    }
    known = np.concatenate(
        [np.zeros(0, "uint64")]
        + [_keys(side, "reading held-out text") for part in held_out.values() for side in (part.source, part.target)]
    )
    known = known[known != corpus.key("")]
    settings, untold = _settings(data)
    learnt = {"training": (data.corpus, data.train)}
    learnt |= {name: (files.corpus, files) for name, files in experiment.mixes_of(data).items()}
    texts = []
    for name, (folder, files) in learnt.items():
        text = experiment.read_raw(data, folder, files)
        texts.append(_examined(name, text, data, files, settings, known, learnt=True))
    for name, text in held_out.items():
        files = getattr(data, name)
        texts.append(_examined(name, text, data, files, Filters(), np.zeros(0, "uint64"), learnt=False))
    return Report(texts, settings, _advice(recipe, texts, settings), untold)


def _settings(data: Data) -> tuple[Filters, list[str]]:
    """What counts as suspicious, and what cannot be looked for."""
    chosen = data.filters.model_dump(exclude_defaults=True)
    settings, untold = _SUSPICIOUS.model_copy(update=chosen), list[str]()
    try:
        for language in (data.source_language, data.target_language):
            filters.identifier(language)
    except FilterError as error:
        settings = settings.model_copy(update={"language": False})
        untold.append(f"languages were not looked at: {error}")
    if importlib.util.find_spec("ftfy") is None:
        untold.append("wrong decoding was hardly looked for: it needs ftfy; run: pip install 'nmt[doctor]'")
    return settings, untold


def _examined(
    name: str, text: Corpus, data: Data, files: Files, settings: Filters, held_out: np.ndarray, learnt: bool
) -> Examined:
    languages = data.source_language, data.target_language
    reasons = filters.judged(text, settings, languages) if len(text) else np.zeros(0, "int8")
    found = {reason: np.flatnonzero(reasons == number) for number, reason in enumerate(filters.REASONS)}
    found = {"empty": np.zeros(0, "int64"), **found, **_looked_through(text)}
    empty = found["empty"]
    for reason in filters.REASONS:  # what is empty is nothing else
        found[reason] = np.setdiff1d(found[reason], empty)
    sides = [_keys(side, "looking for repetitions") for side in (text.source, text.target)]
    found["held_out"] = np.flatnonzero(np.isin(sides[0], held_out) | np.isin(sides[1], held_out))
    near = filters.repeated(_without_digits(text))
    found["near duplicates"] = np.setdiff1d(near, np.concatenate([found["duplicates"], empty]))
    drifts = corpus.drifts(text.source, text.target) if files.source is not None else []
    around = corpus.neighbourhood(text.source, text.target, drifts[0].line) if drifts else ""
    faults = [
        Fault(reason, meaning.format(**settings.model_dump()), found[reason], _examples(text, found[reason]))
        for reason, meaning in _MEANING.items()
        if len(found.get(reason, ()))
    ]
    return Examined(name, text, _measured(text, languages), faults, drifts, around, learnt)


def _looked_through(text: Corpus) -> dict[str, np.ndarray]:
    """The pairs with faults of a line by itself."""
    looks: dict[str, Callable[[str], bool]] = {
        "empty": lambda line: not line.strip(),
        "control": lambda line: line != corpus.without_control(line),
        "mojibake": _mojibake(),
        "mixed scripts": filters.mixes_scripts,
    }
    found = {name: array("q") for name in looks}
    pairs = zip(text.source, text.target, strict=True)
    for number, pair in enumerate(corpus.watched(pairs, "looking at each pair", len(text))):
        for name, look in looks.items():
            if any(map(look, pair)):
                found[name].append(number)
    return {name: np.array(numbers, "int64") for name, numbers in found.items()}


def _mojibake() -> Callable[[str], bool]:
    """Whether a line was decoded wrongly; without ftfy only where that left a sign of it."""
    try:
        from ftfy.badness import is_bad
    except ImportError:
        return lambda line: "\ufffd" in line
    return lambda line: not line.isascii() and ("\ufffd" in line or is_bad(line))


def _keys(lines: Sequence[str], doing: str) -> np.ndarray:
    """A number for what each line says, without case, blanks and punctuation; uint64 [N]."""
    return np.fromiter(map(corpus.key, corpus.watched(lines, doing, len(lines))), "uint64", len(lines))


def _without_digits(text: Corpus) -> np.ndarray:
    """A number for what each pair says, without digits too; uint64 [N]."""
    digits = {ord(str(digit)): "0" for digit in range(10)}
    pairs = corpus.watched(zip(text.source, text.target, strict=True), "looking for near repetitions", len(text))
    numbers = ((corpus.key(a.translate(digits)) * 3 + corpus.key(b.translate(digits))) % 2**64 for a, b in pairs)
    return np.fromiter(numbers, "uint64", len(text))


def _examples(text: Corpus, numbers: np.ndarray) -> list[tuple[int, str, str]]:
    chosen = numbers[:: max(1, len(numbers) // _EXAMPLES)][:_EXAMPLES].tolist()
    return [(corpus.line_of(text, number), text.source[number], text.target[number]) for number in chosen]


def _measured(text: Corpus, languages: tuple[str, str]) -> tuple[Side, Side]:
    count = min(len(text), _SAMPLE_LINES)
    sample = text.pick(np.arange(count) * len(text) // max(1, count), Counter())
    sides = []
    for language, lines, some in zip(
        languages, (text.source, text.target), (sample.source, sample.target), strict=True
    ):
        sizes = np.fromiter(map(len, lines), "int64", len(lines))
        try:
            found = filters.languages_of(some)
        except FilterError:
            found = Counter()
        median, longest = (int(np.median(sizes)), int(sizes.max())) if len(sizes) else (0, 0)
        sides.append(Side(language, int(sizes.sum()), median, longest, found))
    return sides[0], sides[1]


def _advice(recipe: Recipe, texts: Sequence[Examined], settings: Filters) -> list[str]:
    """What the recipe had better say."""
    first = texts[0]
    dropped = {fault.name for one in texts for fault in one.faults if fault.is_filter}
    wanted = {name: value for name, value in settings.model_dump().items() if name in dropped}
    missing = {name: value for name, value in wanted.items() if getattr(recipe.data.filters, name) != value}
    advice = []
    if missing:
        said = ", ".join(f"{name}: {str(value).lower()}" for name, value in missing.items())
        empty = sum(len(fault.pairs) for one in texts for fault in one.faults if one.learnt and fault.name == "empty")
        left_out = sum(int(one.left_out().sum()) for one in texts) - empty
        advice.append(f"data.filters: {{{said}}}  # leaves out {left_out:,} pairs")
    kept = np.flatnonzero(~first.left_out())
    if len(kept) < draft.FEWEST_PAIRS:
        return advice
    return advice + _sizes(recipe, first.text.pick(kept, Counter()))


def _sizes(recipe: Recipe, text: Corpus) -> list[str]:
    """Pieces, the longest pair, and how long training takes, for the text that would be left."""
    suggested = draft.pieces_for(text)
    advice = []
    if suggested.size != recipe.pieces.size:
        advice.append(f"pieces.size: {suggested.size}  # instead of {recipe.pieces.size}, for {len(text):,} pairs")
    count = min(len(text), _SAMPLE_LINES)
    sample = text.pick(np.arange(count) * len(text) // count, Counter())
    try:
        learnt = pieces.learn(
            [*map(corpus.without_control, [*sample.source, *sample.target])],
            size=recipe.pieces.size,
            character_coverage=recipe.pieces.character_coverage,
            byte_fallback=recipe.pieces.byte_fallback,
        )
    except pieces.PiecesError as error:
        return [*advice, f"# {error}"]
    lengths = [np.array([len(ids) + 1 for ids in learnt.encode_lines(side)]) for side in (sample.source, sample.target)]
    longest = int(np.quantile(np.maximum(*lengths), 0.999))
    if longest > recipe.data.max_length:
        cut = float((np.maximum(*lengths) > recipe.data.max_length).mean())
        advice.append(
            f"data.max_length: {longest}  # {recipe.data.max_length} leaves out {cut:.1%} of all pairs; "
            "99.9 % have no more"
        )
    seconds = _training_seconds(recipe, *(float(length.mean()) for length in lengths))
    advice.append(f"# training will take about {_time(seconds)} on this processor, as busy as it is now")
    return advice


def _training_seconds(recipe: Recipe, source: float, target: float) -> float:
    """How long all updates take: the products of the model at the speed of this machine's.

    Args:
        source, target: pieces of a pair on average.
    """
    model, training = recipe.model, recipe.training
    states = 2 * model.encoder_units
    encoder = 8 * model.encoder_units * (model.embedding_units + model.encoder_units)
    encoder += (model.encoder_layers - 1) * 8 * model.encoder_units * (states + model.encoder_units)
    decoder = 4 * model.decoder_units * (model.embedding_units + states + model.decoder_units)
    decoder += (model.decoder_layers - 1) * 4 * model.decoder_units * (2 * model.decoder_units + states)
    decoder += model.decoder_units * model.attention_units
    decoder += (model.decoder_units + states + model.embedding_units) * model.readout_units
    decoder += model.readout_units * recipe.pieces.size
    attention = source * target * (model.attention_units + states)
    a_pair = source * (encoder + states * model.attention_units) + target * decoder + attention
    tokens = training.batch_tokens if isinstance(training.batch_tokens, int) else 4000
    pairs = training.updates * training.gradient_accumulation * tokens / target
    twice = 2 if training.r_drop else 1
    return 6 * a_pair * pairs * twice / (_REACHED * _speed())  # forwards, and twice as much backwards


def _speed() -> float:
    """Floating-point operations a second in products of matrices, of some shape that a model has."""
    one, other = np.ones((256, 512), "float32"), np.ones((512, 2048), "float32")
    for _ in range(3):
        one @ other
    began, products = time.perf_counter(), 0
    while time.perf_counter() - began < 0.3:
        one @ other
        products += 1
    return products * 2 * 256 * 512 * 2048 / (time.perf_counter() - began)


def _time(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def _lines(report: Report) -> Iterator[str]:
    for one in report.texts:
        yield _title(one)
        yield from (f"  {line}" for line in _sides(one))
        yield from (f"  {line}" for line in _drifts(one))
        for fault in one.faults:
            share = len(fault.pairs) / len(one.text)
            yield f"  {fault.name:<16}{len(fault.pairs):>10,}  {share:>6.2%}  {fault.meaning}"
            for number, source, target in fault.examples:
                yield f"    {number:>10,}  {_short(source)}  |  {_short(target)}"
        if not one.faults and not one.drifts:
            yield "  no faults"
        yield ""
    if report.advice or report.untold:
        yield "What the recipe had better say, and what to expect:"
        yield from (f"  {line}" for line in [*report.advice, *report.untold])


def _title(one: Examined) -> str:
    return f"{one.name} text: {len(one.text):,} pairs, numbered by line"


def _sides(one: Examined) -> list[str]:
    lines = []
    for side in one.sides:
        found = ""
        if side.found:
            total = side.found.total()
            found = "; " + ", ".join(f"{code} {count / total:.1%}" for code, count in side.found.most_common(4))
        lines.append(
            f"{side.language}: {side.characters:,} characters, {side.median} in the median line, {side.longest:,} in "
            f"the longest{found}"
        )
    return lines


def _drifts(one: Examined) -> list[str]:
    if not one.drifts:
        return []
    more = f", and {len(one.drifts) - 5} further places" if len(one.drifts) > 5 else ""
    return [f"THE FILES DRIFT APART: {'; '.join(map(str, one.drifts[:5]))}{more}", *one.around.splitlines()]


def _short(line: str) -> str:
    """``line`` for a table: no wider than 50 columns, nothing in it that moves the cursor."""
    shown = line.translate({ord(character): f"\\x{ord(character):02x}" for character in line if _hidden(character)})
    return repr(shown[:47] + "…" if len(shown) > 48 else shown).replace("\\\\", "\\")


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")


def _row(fault: Fault, total: int) -> str:
    examples = "".join(
        f"<tr class=example><td>{number:,}</td><td colspan=2>{html.escape(source)}</td>"
        f"<td>{html.escape(target)}</td></tr>"
        for number, source, target in fault.examples
    )
    return (
        f"<tr><th>{html.escape(fault.name)}</th><td>{len(fault.pairs):,}</td>"
        f"<td>{len(fault.pairs) / max(1, total):.2%}</td><td>{html.escape(fault.meaning)}</td></tr>{examples}"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>nmt doctor</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; vertical-align: top; padding: .2rem .6rem; border-top: 1px solid #8884 }}
.example td {{ border: 0; color: #777; font-size: 90%; word-break: break-word }}
pre {{ background: #8882; padding: .5rem; margin: 0; overflow-x: auto }}
</style>
<h1>What the doctor found</h1>
{body}
<h2>What the recipe had better say, and what to expect</h2>
<ul>{advice}</ul>
</html>
"""
