"""The command line: every command is a few lines that call the package.

What a user did wrong ends in one line on standard error and exit code 2; anything else is a bug and keeps its
traceback. Only results go to standard output. Heavy imports stand inside the commands, behind what can be refused
without them.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import errno
import functools
import gzip
import itertools
import json
import logging
import lzma
import math
import os
import queue
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from nmt.run import Run
    from nmt.translation import Translation

logger = logging.getLogger("nmt")

# Lines that `nmt translate` reads before it writes: enough to sort by length, few enough for an endless stream.
CHUNK = 1000
# Seconds that a line waits for others that are translated with it.
_PAUSE = 0.05


class CommandError(click.ClickException):
    """What the user can mend."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {self.message}", file=file, err=True)


class _Commands(click.Group):
    """The group of commands; turns the package's errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of use

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)
        except OSError as error:
            # Click handles a reader that went away; without a number it is a library's error, not the system's.
            if error.errno in (None, errno.EPIPE):
                raise
            raise CommandError(_refusal(error)) from error
        except ValueError as error:
            if not _raised_here(error):
                raise
            raise CommandError(str(error)) from error


def _raised_here(error: ValueError) -> bool:
    """Whether the package raised ``error``, as it does for the user: a library's ValueError is a bug of ours.

    The innermost Python frame decides, as plain ValueErrors are for the user too. What a built-in function without a
    frame of its own raises, called by the package, is therefore taken for the user's mistake.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("nmt.")


def _refusal(error: OSError) -> str:
    """What the system refused, and why; of a full disk also what to do."""
    files = " → ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    message = f"{files}: {error.strerror}" if files else str(error.strerror)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        message += "; free some space and run the same command again"
    return message


class _Terminal(logging.Handler):
    """Writes records to standard error, above a progress bar where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


class _Formatter(logging.Formatter):
    """``HH:MM:SS message``; what is unusual says so."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        if record.levelno >= logging.WARNING:
            record.message = f"{record.levelname.lower()}: {record.message}"
        return super().formatMessage(record)


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    handler = _Terminal()
    handler.setFormatter(_Formatter())
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False  # TensorFlow's absl gives the root logger a handler of its own
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


@click.group(cls=_Commands, invoke_without_command=True)
@click.version_option(package_name="nmt")
@click.pass_context
def commands(context: click.Context) -> None:
    """Train, score, use and export LSTM translation models.

    \b
    nmt new corpus.en corpus.de > recipes/mine.yaml
    nmt train recipes/mine.yaml
    nmt evaluate runs/mine
    nmt translate runs/mine < text.en > text.de
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    else:
        context.with_resource(_logging())


def main() -> None:
    """The ``nmt`` command."""
    try:
        commands(prog_name="nmt")
    except SystemExit as end:
        # Taking TensorFlow down took up to 40 s on a busy machine, with everything written and said; and a thread that
        # waits for standard input would be waited for.
        at_once = "keras" in sys.modules or threading.active_count() > 1
        if not at_once or not isinstance(end.code, int | None):
            raise
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # a closed pipe has been told of already
                if stream is not None:  # as it is where the shell closed it
                    stream.flush()
        os._exit(end.code or 0)


_SET = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a setting of the recipe; may be repeated."
)


_COLUMNS = click.option(
    "--columns", metavar="SOURCE,TARGET", help="Of a table or JSONL: names of columns, or numbers from 1."
)


def _with_search(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that searches for translations."""
    beam = click.option("--beam", type=int, metavar="N", help="Beam size instead of the recipe's; 1 is greedy.")
    penalty = click.option("--length-penalty", type=float, metavar="X", help="Length penalty instead of the recipe's.")
    only = click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Change a setting of search, evaluation or device; may be repeated.",
    )
    return beam(penalty(only(command)))


def _all_settings(settings: tuple[str, ...], beam: int | None, length_penalty: float | None) -> tuple[str, ...]:
    if beam is not None:
        settings += (f"search.beam_size={beam}",)
    if length_penalty is not None:
        settings += (f"search.length_penalty={length_penalty}",)
    return settings


def _find_runs(directories: tuple[str, ...], search: dict[str, Any]) -> list[Run]:
    """The run, or the runs of an ensemble, of which the first one is told the options of ``_with_search``."""
    from nmt.run import Run

    first, *others = directories
    return [Run.find(first, _all_settings(**search)), *map(Run.find, others)]


def _print(text: str) -> None:
    """Write to standard output in UTF-8, as recipes and text are, whatever the locale."""
    click.echo(text.encode())


@commands.command()
@click.argument("source")
@click.argument("target", required=False)
@click.option("--source-language", metavar="CODE", help="Where the file name does not tell, for example en.")
@click.option("--target-language", metavar="CODE", help="The same of the target.")
@_COLUMNS
def new(
    source: str, target: str | None, source_language: str | None, target_language: str | None, columns: str | None
) -> None:
    """Write a recipe for your own text.

    SOURCE and TARGET are files whose line i translates line i of the other; or SOURCE is one TSV file, or a document
    with translations (.tmx .po .xliff .csv .jsonl). The sizes suit the amount of text, development and test pairs are
    held out of it, and the reasons are told.

    \b
    nmt new corpus.en corpus.de > recipes/mine.yaml
    """
    from nmt import draft

    drafted = draft.draft(source, target, source_language, target_language, _two(columns))
    for reason in drafted.reasons:
        logger.info("%s", reason)
    _print(str(drafted))


@commands.command()
@click.argument("recipe", type=click.Path())
@_SET
@click.option("--html", "page", metavar="FILE", help="Write the report as a page, too.")
@click.option("--write", "folder", metavar="DIRECTORY", help="Write the pairs that are kept, and all faults.")
@click.option("--force", is_flag=True, help="Replace the files of --html and --write if they exist.")
def doctor(recipe: str, settings: tuple[str, ...], page: str | None, folder: str | None, force: bool) -> None:
    """Look through the text of a RECIPE for what is wrong with it.

    Lines that are empty, repeated, copied, of another language or script, decoded wrongly or far too long for their
    partner; training text that is also test text; and where two files drift apart. Nothing is changed: what
    `data.filters` would leave out is told, and with --write written to files.

    \b
    nmt doctor recipes/mine.yaml
    nmt doctor recipes/mine.yaml --html report.html --write cleaned
    """
    from nmt import recipe as recipes

    wanted = recipes.read(recipe, settings)
    _refuse_existing(force, page)
    if folder is not None and Path(folder).is_dir() and any(Path(folder).iterdir()) and not force:
        raise CommandError(f"{folder} is not empty; --force replaces what is in it, by name")

    from nmt import doctor as doctors

    with contextlib.ExitStack() as stack:
        out = None if page is None else stack.enter_context(_writing(page))
        report = doctors.examine(wanted)
        _print(str(report))
        if out is not None:
            out.write(report.page().encode())
            logger.info("open %s in a browser", page)
    if folder is not None:
        for path in report.write(Path(folder)):
            logger.info("written: %s", path)


@commands.command()
@click.argument("recipe", type=click.Path())
@_SET
@click.option("--run", "directory", metavar="DIRECTORY", help="Where to train; runs/<recipe name> if not said.")
@click.option(
    "--process",
    type=click.IntRange(min=0),
    metavar="N",
    help="Of several machines: which of device.processes this is, from 0; a scheduler's word if not said.",
)
@click.pass_context
def train(
    context: click.Context, recipe: str, settings: tuple[str, ...], directory: str | None, process: int | None
) -> None:
    """Train the model of a RECIPE, or go on where it stopped.

    Ctrl-C stops after the update at hand, with everything saved.

    \b
    nmt train recipes/mine.yaml --set training.seed=2 --run runs/second
    """
    from nmt import recipe as recipes

    wanted = recipes.read(recipe, settings)

    from nmt import experiment

    run, progress = experiment.train(wanted, directory or Path("runs") / Path(recipe).stem, process)
    if not progress.finished:
        logger.info("stopped; the same command goes on from here")
        context.exit(130)
    logger.info("%s is finished: %s", run.directory, progress.finished)
    commands = [f"nmt evaluate {run.directory}"] if wanted.data.test is not None else []
    commands.append(f"nmt translate {run.directory} < text.{wanted.data.source_language}")
    logger.info("next: %s", "\n  or: ".join(commands))


@commands.command()
@click.argument("directories", metavar="RUN...", nargs=-1, required=True)
@click.option("--development", is_flag=True, help="Score the development text instead of the test text.")
@click.option("--source", metavar="FILE", help="Score other text: this is its source …")
@click.option("--reference", metavar="FILE", help="… and this its translation.")
@_with_search
def evaluate(
    directories: tuple[str, ...], development: bool, source: str | None, reference: str | None, **search: Any
) -> None:
    """Score a RUN, or several as an ensemble, on its test text: BLEU and chrF.

    --development, with the recipe's own search, also tells how far translations can be trusted (--json, --review of
    `nmt translate`). Each score comes with its 95 % interval and sacreBLEU's signature. Scores and translations are
    kept in the run, as evaluation.json and translations.tsv; of other text, and of an ensemble, under names that are
    told. Test text, search and device of an ensemble are the first RUN's.

    \b
    nmt evaluate runs/mine
    nmt evaluate runs/mine runs/second
    nmt evaluate runs/mine --beam 1
    nmt evaluate runs/mine --source news.en --reference news.de
    """
    if (source is None) != (reference is None) or (source is not None and development):
        raise click.UsageError("give --development, or both --source and --reference, or none of them")

    from nmt import corpus, experiment

    run, *others = _find_runs(directories, search)
    if source is not None and reference is not None:
        text = corpus.clean(corpus.read_parallel(source, reference))
        # Never "test" or "development", whatever the file is called; the checksum tells texts of one name apart.
        name = f"text-{Path(source).stem}-{text.checksum()[:8]}"
    else:
        name = "development" if development else "test"
        text = experiment.read_text(run, "development" if development else "test")
    result = experiment.evaluate([run, *others], text, name)
    for sample in result.samples:
        logger.info("sample\n%s", sample)
    for found in result.scores:
        _print(str(found))


@commands.command()
@click.argument("paths", metavar="MODEL... [FILE]", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE", help="Write here, whole or not at all, instead of to standard output.")
@click.option("--scores", is_flag=True, help="Write the score and a tab before each translation.")
@click.option("--alignments", is_flag=True, help="Write a tab and which word comes from which behind each: 0-0 1-2.")
@click.option(
    "--n-best", type=click.IntRange(min=1), default=1, metavar="N", help="Write the N best of each line, tabs between."
)
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object a line, with all that is known.")
@click.option("--attention", is_flag=True, help="With --json: what attention each word paid to those of the source.")
@click.option("--prefixes", metavar="FILE", help="Line i of FILE is what translation i begins with.")
@click.option("--tag", metavar="TAG", help="What the model reads before each sentence, as in training: <LEGAL>, say.")
@click.option("--review", metavar="FILE", help="List the lines there that a person should look at, and why.")
@click.option("--no-split", is_flag=True, help="Translate a line as it is, even if it has several sentences.")
@click.option(
    "--format",
    "ending",
    metavar="NAME",
    help="What FILE or standard input is, where its name does not tell: po, tmx, ..., or text for lines.",
)
@_COLUMNS
@click.option("--again", is_flag=True, help="In a document also translate what has been translated already.")
@click.option("--force", is_flag=True, help="Replace the files of -o and --review if they exist.")
@click.option("--batch", type=int, metavar="N", help="Sentences at once, instead of the recipe's number.")
@click.option("--threads", type=int, metavar="N", help="CPU threads instead of the recipe's; 0 = one a core.")
@click.option(
    "--processes", type=click.IntRange(min=1), default=1, metavar="N", help="Translate in N processes, one thread each."
)
@_with_search
def translate(
    paths: tuple[str, ...],
    output: str | None,
    scores: bool,
    alignments: bool,
    n_best: int,
    as_json: bool,
    attention: bool,
    prefixes: str | None,
    tag: str | None,
    review: str | None,
    no_split: bool,
    ending: str | None,
    columns: str | None,
    again: bool,
    force: bool,
    batch: int | None,
    threads: int | None,
    processes: int,
    **search: Any,
) -> None:
    """Translate with a MODEL, or several runs as an ensemble: one line in, one line out.

    A MODEL is the directory of a run, or of a compact model that `nmt export` wrote.

    Several runs, of the same languages and the very same pieces, say each piece together: the mean of their
    log-probabilities counts. Search and device are as the first one says.

    Lines of standard input, or of FILE (plain or .gz/.bz2/.xz), end at a newline only; bytes that are no UTF-8 are
    replaced and counted. A blank line stays blank. What comes in by and by goes out by and by.

    The sentences of a line are translated one by one, and one that is longer than the model can take in parts.

    Words of --alignments are counted from 0, the source's first. Drawn at random: --set 'search.sample={top_k: 10}'.
    What to look at, by --review: number of the line, confidence from 0 to 1, why, the line, its translation.

    A FILE that is a document (.tmx .po .pot .xlf .xliff .csv .tsv .jsonl .srt .vtt .md) comes back as the same document
    with the translations in it, and nothing else changed. What has been translated there already stays.

    \b
    nmt translate runs/mine < text.en > text.de
    nmt translate runs/mine messages.po -o messages.de.po
    nmt translate runs/mine text.en -o text.de
    nmt translate runs/mine runs/second text.en
    nmt translate runs/mine text.en --n-best 3 --json
    """
    if attention and not as_json:
        raise click.UsageError("--attention is a table, which no line of text holds; give --json too")
    directories, source = _models_and_file(paths)
    settings = _all_settings(**search)
    settings += () if batch is None else (f"search.batch_sentences={batch}",)
    settings += () if threads is None else (f"device.threads={threads}",)
    tabs = scores or alignments or n_best > 1  # stand between columns

    from nmt import formats
    from nmt import translator as translators
    from nmt.processes import Processes
    from nmt.translator import UNSURE

    document = ending != "text" and (ending is not None or formats.known(source))
    if document and (tabs or as_json or prefixes):
        raise click.UsageError(
            f"{source} is a document, in which a translation stands as it is; --format text reads it as lines"
        )
    if not document and (columns or again):
        raise click.UsageError("--columns and --again are of documents")
    two = _two(columns)
    _refuse_existing(force, output)
    load = translators.load(*directories, settings=settings)
    if ending is not None and document and not formats.known(f"-.{ending}"):
        known = ", ".join(name[1:] for name in formats.ENDINGS)
        raise click.UsageError(f"--format {ending}: expected text or one of {known}")
    parts = formats.parts(f"-.{ending}" if ending else source) if document else None
    with contextlib.ExitStack() as stack:
        stream, begun = stack.enter_context(_reading(source)), None
        if prefixes == source:
            raise CommandError(
                f"both the text and --prefixes are {source}; expected two files, or one and standard input"
            )
        if review is not None and Path(review).resolve() in {
            Path(name).resolve() for name in (source, prefixes, output) if name
        }:
            raise CommandError(f"--review {review} is also what is read or written; expected a file of its own")
        _refuse_existing(force, review)
        if prefixes is not None:
            begun = _Lines(stack.enter_context(_reading(prefixes)), prefixes)
        out = stack.enter_context(_writing(output))
        doubtful = None if review is None else stack.enter_context(_writing(review, whole=False))
        from tqdm import tqdm

        translator = (
            load() if processes == 1 else stack.enter_context(Processes(processes, *directories, settings=settings))
        )
        if stream.isatty():
            logger.info("type a line and Enter; Ctrl-D ends")
        lines, number, doubts = _Lines(stream, source), 0, Counter[str]()
        shown = stream.isatty() or (output is None and sys.stdout.isatty())
        bar = stack.enter_context(tqdm(unit="sentence", desc="translating", leave=False, disable=shown or None))

        def tell(where: int | str, line: str, found: Translation) -> None:
            doubts.update(found.doubts)
            if doubtful is not None and found.doubts:
                doubtful.write(f"{_row_of(where, line, found)}\n".encode())

        # Several wait for each other at the end of each chunk: so they have larger ones.
        most = CHUNK if processes == 1 else 4 * CHUNK * processes
        if parts is not None:
            from nmt import documents
            from nmt.formats import elsewhere
            from nmt.formats.document import Wanted

            wanted = Wanted(*translator.languages, two, again)
            translating = functools.partial(
                translator.translate_scored, advance=bar.update, split=not no_split, tag=tag
            )
            pieces = parts(stream, source, wanted)
            if source != "-":
                pieces = elsewhere.watched(pieces, stream, source)
            try:
                for content in documents.translated(pieces, translating, tell, most):
                    out.write(content)
            except (EOFError, lzma.LZMAError, zlib.error) as error:
                raise CommandError(f"{source} cannot be read: {error}") from error
        else:
            for chunk in _chunks(lines, most, waiting=source == "-"):
                prefixed = None if begun is None else list(itertools.islice(begun, len(chunk)))
                if prefixed is not None and len(prefixed) < len(chunk):
                    raise CommandError(f"{prefixes} has fewer lines than {source}; line i is for line i")
                translated = translator.translate_scored(
                    chunk,
                    bar.update,
                    n_best=n_best,
                    align=alignments,
                    attention=attention,
                    prefixes=prefixed,
                    split=not no_split,
                    tag=tag,
                )
                for line, found in zip(chunk, translated, strict=True):
                    number += 1
                    row = _json_of(found) if as_json else _columns(found, scores) if tabs else found.text
                    out.write(f"{row}\n".encode())
                    tell(number, line, found)
                out.flush()
        if begun is not None and next(begun, None) is not None:
            raise CommandError(f"{prefixes} has more lines than {source}; line i is for line i")
    told = ", ".join(f"{doubt}: {count}" for doubt, count in doubts.items() if review or doubt != UNSURE)
    if told:
        logger.warning("lines to look at (%s): %s", told, review or "--review FILE lists them")
    invalid = lines.invalid + (0 if begun is None else begun.invalid)
    if invalid:
        logger.warning("lines with bytes that are no UTF-8, each replaced by U+FFFD: %d", invalid)


def _columns(found: Translation, scores: bool) -> str:
    """A translation and its alternatives in one line: score, text and links of each, as far as they are wanted."""
    from nmt.alignment import pharaoh

    columns = []
    for one in (found, *found.alternatives):
        columns += [f"{one.score:.4f}"] if scores else []
        columns.append(one.text.replace("\t", " "))
        columns += [] if one.alignment is None else [pharaoh(one.alignment)]
    return "\t".join(columns)


def _refuse_existing(force: bool, *names: str | None) -> None:
    from nmt.formats import elsewhere

    for name in names:
        if name is None or not Path(name).is_file():
            continue
        if not force:
            raise CommandError(f"{name} exists; --force replaces it")
        if lock := elsewhere.lock(name):
            raise CommandError(
                f"{name} is open in LibreOffice, which would write over it; close it there (or remove {lock} if it is "
                "not) and run the command again"
            )


def _two(columns: str | None) -> tuple[str, str] | None:
    """The names of two columns."""
    if columns is None:
        return None
    names = columns.split(",")
    if len(names) != 2:
        raise click.UsageError(f"--columns {columns}: expected two names or numbers, with a comma between them")
    return names[0], names[1]


def _row_of(where: int | str, line: str, found: Translation) -> str:
    """A line of --review: columns with tabs between."""
    from nmt.corpus import without_control

    confidence = "" if found.confidence is None else f"{found.confidence:.2f}"
    columns = str(where), confidence, ", ".join(found.doubts), line, found.text
    return "\t".join(map(without_control, columns))


def _json_of(found: Translation) -> str:
    def content(one: Translation) -> dict[str, Any]:
        score = round(one.score, 4) if math.isfinite(one.score) else None
        told: dict[str, Any] = {"translation": one.text, "score": score, "finished": one.finished}
        told |= {} if one.confidence is None else {"confidence": round(one.confidence, 4)}
        told |= {"looped": True} if one.looped else {}
        told |= {"cut": True} if one.cut else {}
        told |= {"doubts": one.doubts} if one.doubts else {}
        told |= {} if one.alignment is None else {"alignment": one.alignment}
        if one.attention is not None:
            told["attention"] = [[round(weight, 4) for weight in row] for row in one.attention]
        return told | ({"sentences": [content(part) for part in one.sentences]} if one.sentences else {})

    alternatives = [content(one) for one in found.alternatives]
    return json.dumps(content(found) | ({"alternatives": alternatives} if alternatives else {}), ensure_ascii=False)


def _chunks(lines: _Lines, most: int, waiting: bool) -> Iterator[list[str]]:
    """The lines, as many at once as a batch plan likes; where they are ``waiting``, those that have come so far."""
    if not waiting:
        while chunk := list(itertools.islice(lines, most)):
            yield chunk
        return
    arrived: queue.Queue[str | BaseException | None] = queue.Queue(most)

    def listen() -> None:
        try:
            for line in lines:
                arrived.put(line)
            arrived.put(None)
        except BaseException as error:  # told where the lines are used
            arrived.put(error)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        received = [arrived.get()]
        end = time.monotonic() + _PAUSE
        with contextlib.suppress(queue.Empty):
            while isinstance(received[-1], str) and len(received) < most:
                received.append(arrived.get(timeout=max(0, end - time.monotonic())))
        if chunk := [line for line in received if isinstance(line, str)]:
            yield chunk
        if isinstance(received[-1], BaseException):
            raise received[-1]
        if received[-1] is None:
            return


def _models_and_file(paths: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The directories of runs, and the file behind them: standard input where the last one is a directory too."""
    *runs, last = paths
    if not runs or Path(last).is_dir():
        return paths, "-"
    if last != "-" and not Path(last).exists():
        from nmt import corpus

        raise CommandError(f"{corpus.missing(Path(last))}; expected another run (a directory) or a text file")
    return tuple(runs), last


class _Lines(Iterator[str]):
    """The lines of the byte stream ``name``, ended by a newline and by nothing else.

    Raises:
        CommandError: the stream breaks off, or is not as compressed as its name says.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.stream = stream
        self.name = name
        self.first = True
        self.invalid = 0  # lines with bytes that were replaced

    def __next__(self) -> str:
        try:
            raw = self.stream.readline()
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise CommandError(f"{self.name} cannot be read: {error}") from error
        if not raw:
            raise StopIteration
        if self.first:
            raw, self.first = raw.removeprefix(codecs.BOM_UTF8), False
        raw = raw.removesuffix(b"\n").removesuffix(b"\r")
        line = raw.decode(errors="replace")
        self.invalid += line.encode() != raw
        return line


@contextlib.contextmanager
def _reading(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        if sys.stdin is None:
            raise CommandError("standard input is closed; expected text, one sentence a line, or give a FILE")
        yield sys.stdin.buffer
        return
    path = Path(name)
    opened: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    try:
        stream = opened.get(path.suffix, open)(name, "rb")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    with stream:
        yield stream


class _Output:
    """A byte stream called ``name``; what goes wrong is told of it."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.stream, self.name = stream, name

    def write(self, content: bytes) -> None:
        with _told_of(self.name):
            self.stream.write(content)

    def flush(self) -> None:
        with _told_of(self.name):
            self.stream.flush()


@contextlib.contextmanager
def _told_of(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"{name} was not written: {error}") from error


@contextlib.contextmanager
def _writing(name: str | None, whole: bool = True) -> Iterator[IO[bytes] | _Output]:
    """Standard output, or a file that appears under its name when everything went well.

    A file that need not be ``whole`` appears however it ends, with what was written by then. What is there and no
    regular file, such as a named pipe or a device, is written to as it is, never replaced.
    """
    if name is None:
        yield sys.stdout.buffer
        return
    path = Path(name)
    beside = path.with_name(f".{path.name}.part")
    with _told_of(name):
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a directory")
        replaced = not path.exists() or path.is_file()
        stream = (beside if replaced else path).open("wb")
    done = False
    try:
        yield _Output(stream, name)
        done = True
    finally:
        try:
            with _told_of(name), stream:
                if replaced and (done or not whole):
                    stream.flush()
                    os.fsync(stream.fileno())
                    beside.rename(path)
        finally:
            if replaced:
                beside.unlink(missing_ok=True)


@commands.command()
@click.argument("directories", metavar="RUN...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="DIRECTORY", required=True, help="Where to write the corpus, or go on with it.")
@click.option(
    "--as",
    "side",
    type=click.Choice(["target", "source"]),
    required=True,
    help="What translations become: the target (distillation) or the source (back-translation).",
)
@click.option("--text", metavar="FILE", help="What to translate; of distillation the run's training text if not said.")
@click.option(
    "--for", "recipe", metavar="RECIPE", help="To be trained with the result; of distillation the run's if not said."
)
@click.option(
    "--tag", metavar="WORD", help="In front of each source; <BT> for back-translation if not said, '' for none."
)
@_with_search
def synthesize(
    directories: tuple[str, ...],
    output: str,
    side: Literal["source", "target"],
    text: str | None,
    recipe: str | None,
    tag: str | None,
    **search: Any,
) -> None:
    """Translate text with a RUN, or several, into a corpus to train with.

    --as target is distillation: another, often smaller, model learns what the RUN says of its own training text, or of
    other text of its source language. --as source is back-translation: a RUN of the opposite direction translates text
    of the recipe's target language, and so makes sources for it.

    DIRECTORY gets both sides, a recipe that trains with them, and what they were made of. Blank lines, and translations
    that are blank or cut off at their limit of length, are left out and counted. Stopped or killed, the same command
    goes on from its last chunk.

    \b
    nmt synthesize runs/mine runs/second --as target -o synthetic/distilled
    nmt synthesize runs/de-en --as source --text news.de --for recipes/en-de.yaml -o synthetic/news
    """
    from nmt import synthesis

    try:
        synthesis.synthesize(_find_runs(directories, search), output, side, text, recipe, tag)
    except KeyboardInterrupt:
        logger.info("stopped; the same command goes on from here")
        raise
    logger.info("next: nmt train %s/recipe.yaml --run runs/%s", output, Path(output).resolve().name)


@commands.command()
@click.argument("model", metavar="MODEL")
@click.argument("sentence")
@click.option("--translation", metavar="TEXT", help="Explain this translation instead of the model's own.")
@click.option("--png", metavar="FILE", help="Draw it: .png, .svg or .pdf, by the ending of FILE.")
@click.option("--html", metavar="FILE", help="Write a page on which pointing at a word shows where it comes from.")
@_with_search
def explain(
    model: str, sentence: str, translation: str | None, png: str | None, html: str | None, **search: Any
) -> None:
    """Show which word of a SENTENCE each word of its translation comes from, as a MODEL's attention tells.

    A row is a word of the translation, a column one of the sentence, and the number behind a row how sure the model was
    of the word, from 0 to 1.

    \b
    nmt explain runs/mine "The cat sleeps." --html cat.html
    """
    from nmt import translator as translators

    found = translators.load(model, settings=_all_settings(**search))().explain(sentence, translation)
    _print(f"{sentence}\n{' '.join(found.target)}\n\n{found}")
    if png is not None:
        try:
            found.draw(Path(png))
        except ImportError as error:
            raise CommandError(
                f"a picture needs {error.name}; run: pip install matplotlib, or ask for --html"
            ) from error
        except ValueError as error:  # matplotlib's, of an ending that it does not know
            raise CommandError(f"{png} cannot be drawn: {error}") from error
        logger.info("drawn to %s", png)
    if html is not None:
        Path(html).write_text(found.page(), encoding="utf-8")
        logger.info("open %s in a browser", html)


@commands.command("score-pairs")
@click.argument("model", metavar="MODEL")
@click.argument("source")
@click.argument("target")
@click.option("--threads", type=int, metavar="N", help="CPU threads instead of the recipe's; 0 = one a core.")
def score_pairs(model: str, source: str, target: str, threads: int | None) -> None:
    """Tell what a MODEL thinks of given translations: a line for each pair.

    The log-probability of line i of TARGET, given line i of SOURCE, a tab, and the same for each of its pieces. The
    second is for filtering, the first for choosing among translations of one sentence. A pair with a blank side is
    nan: it has nothing to score.

    \b
    nmt score-pairs runs/mine corpus.en corpus.de > scores.tsv
    """
    from nmt import corpus
    from nmt import translator as translators

    load = translators.load(model, settings=() if threads is None else (f"device.threads={threads}",))
    pairs = corpus.read_parallel(source, target)
    translator = load()
    from tqdm import tqdm

    with tqdm(total=len(pairs), unit="pair", desc="scoring", leave=False, disable=None) as bar:
        for first in range(0, len(pairs), CHUNK):
            chunk = slice(first, first + CHUNK)
            for total, mean in translator.score(pairs.source[chunk], pairs.target[chunk], bar.update):
                _print(f"{total:.4f}\t{mean:.4f}")


@commands.command()
@click.argument("hypotheses")
@click.argument("reference")
@click.option("--tokenize", metavar="NAME", default="13a", show_default=True, help="sacreBLEU's tokenizer of BLEU.")
@click.option("--lowercase", is_flag=True, help="Compare without case.")
def score(hypotheses: str, reference: str, tokenize: str, lowercase: bool) -> None:
    """Score a file of translations: BLEU and chrF.

    Line i of HYPOTHESES is scored against line i of REFERENCE. Each score comes with its 95 % interval and sacreBLEU's
    signature.

    \b
    nmt score text.de reference.de
    """
    from nmt import corpus
    from nmt import score as scores

    translations, references = corpus.read_lines(hypotheses), corpus.read_lines(reference)
    _print(str(scores.bleu(translations, references, tokenize=tokenize, lowercase=lowercase)))
    _print(str(scores.chrf(translations, references, lowercase=lowercase)))


@commands.command()
@click.argument("directories", metavar="RUN RUN...", nargs=-1, required=True)
def compare(directories: tuple[str, ...]) -> None:
    """Tell whether runs differ by more than chance.

    Paired bootstrap resampling of the kept translations of the same test text, each RUN against the first: p is the
    chance of so large a difference where there is none, and below 0.05 counts as significant by custom. The runs must
    have been evaluated.

    \b
    nmt compare runs/mine runs/second
    """
    from nmt import experiment
    from nmt.run import Run

    rows = experiment.compare([Run.find(directory) for directory in directories])
    width = max(len("run"), *(len(row.system) for row in rows))
    _print(f"{'run':<{width}}  {'BLEU [95 %]':<24} {'p':<8} {'chrF2 [95 %]':<24} p")
    for row in rows:
        cells = []
        for found, p_value in ((row.bleu, row.bleu_p_value), (row.chrf, row.chrf_p_value)):
            cells.append(f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]".ljust(24))
            cells.append(("" if p_value is None else f"{p_value:.4f}").ljust(8))
        _print(f"{row.system:<{width}}  {' '.join(cells)}".rstrip())
    _print(f"{rows[0].bleu.name} {rows[0].bleu.signature}\n{rows[0].chrf.name} {rows[0].chrf.signature}")


@commands.command()
@click.argument("directory", metavar="RUN")
@click.argument("destination", metavar="DIRECTORY")
@click.option("--to", type=click.Choice(["compact", "savedmodel"]), required=True, help="The form.")
@click.option(
    "--precision",
    type=click.Choice(["int8", "float32"]),
    help="Of a compact model: int8 (small and fast, and what is used if not said) or float32.",
)
@click.option("--licence", metavar="NAME", help="Of a compact model, for its model card.")
@click.option(
    "--shortlist",
    type=click.IntRange(min=1),
    metavar="PIECES",
    help="Of a compact model: of each source piece keep so many target pieces that translate it in the training text, "
    "and choose among those of a batch alone. It is faster, the more so the more pieces there are. "
    "If not said, all may come up.",
)
@_with_search
def export(
    directory: str,
    destination: str,
    to: str,
    precision: str | None,
    licence: str | None,
    shortlist: int | None,
    **search: Any,
) -> None:
    """Write the translator of a RUN as files for elsewhere.

    DIRECTORY is made new. compact: a small model for `nmt translate`, which then starts at once and needs neither
    TensorFlow nor Keras. savedmodel: TensorFlow SavedModels that need no nmt, with pieces and search in the graph.

    \b
    nmt export runs/mine --to compact exports/mine
    nmt translate exports/mine < text.en > text.de
    nmt export runs/mine --to savedmodel exports/mine
    """
    if to != "compact" and (precision or licence or shortlist):
        raise click.UsageError("--precision, --licence and --shortlist are of --to compact")

    from nmt import experiment
    from nmt.run import Run

    run = Run.find(directory, _all_settings(**search))
    model = experiment.load_model(run)
    if to == "compact":
        from nmt.export import compact

        known = run.read_json("evaluation.json") or {}
        compact.export(
            model,
            run.recipe,
            {path.name: path.read_bytes() for path in dict.fromkeys(run.piece_paths())},
            Path(destination),
            precision=precision or "int8",
            licence=licence,
            data=run.read_json("corpus.json"),
            scores=known.get("scores"),
            confidence=experiment.confidence(run),
            shortlist=experiment.shortlist(run, model, shortlist) if shortlist else None,
        )
        logger.info(
            "exported to %s; next: nmt translate %s < text.%s", *[destination] * 2, run.recipe.data.source_language
        )
        return

    from nmt.export import savedmodel

    savedmodel.export(model, *run.pieces(), run.recipe.search, Path(destination))
    if run.pieces()[0].masks.known:
        logger.warning(
            "a SavedModel does not mask what the model has not learnt to spell: see %s/README.md", destination
        )
    logger.info("exported to %s; a client of it:", destination)
    _print(
        "import tensorflow as tf, tensorflow_text\n"
        f'translate = tf.saved_model.load("{destination}/text").signatures["serving_default"]\n'
        'print(translate(text=tf.constant(["One sentence."]))["translation"].numpy()[0].decode())'
    )


@commands.command()
@click.argument("file", required=False)
def recipe(file: str | None) -> None:
    """Print a recipe with every default, or all settings.

    Without FILE, every setting is printed with its meaning and default.

    \b
    nmt recipe recipes/mine.yaml
    """
    from nmt import recipe as recipes

    _print(recipes.effective(recipes.read(file)).rstrip() if file else recipes.reference())
