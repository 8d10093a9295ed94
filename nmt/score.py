"""BLEU and chrF, with confidence interval and signature (sacreBLEU).

A number alone cannot be compared with another: the tokenization alone moves BLEU by up to 1.8 points (Post, "A Call for
Clarity in Reporting BLEU Scores", arXiv:1804.08771). So a score never travels without its signature.

The intervals and p-values come from bootstrap resampling (Koehn, "Statistical Significance Tests for Machine
Translation Evaluation", EMNLP 2004), seeded by sacreBLEU: 12345, or the environment's SACREBLEU_SEED. The signature
says which.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

logger = logging.getLogger("nmt")


@dataclass(frozen=True)
class Score:
    """One corpus score, 0 to 100."""

    name: str  # "BLEU" or "chrF2", sacreBLEU's name: the 2 is beta, which chrF's signature leaves out
    value: float
    low: float | None  # the 95 % interval as sacreBLEU reports it: the resamples' mean ± half their 95 % range;
    high: float | None  # None where no resamples were asked for
    signature: str

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.name} {self.value:.2f}{interval} {self.signature}"


@dataclass(frozen=True)
class Comparison:
    """One system beside the baseline; p-values are of its differences from it, None for the baseline itself."""

    system: str
    bleu: Score
    bleu_p_value: float | None
    chrf: Score
    chrf_p_value: float | None


def bleu(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    bootstrap: int = 1000,
) -> Score:
    """Corpus BLEU against one reference (Papineni et al., ACL 2002).

    Args:
        hypotheses: plain, detokenized lines.
        references: as many.
        tokenize: sacreBLEU's tokenizer; "none" for a corpus that comes tokenized.
        lowercase: compare without case.
        bootstrap: the number of resamples for the interval; 0 for none, which is many times faster.

    Raises:
        ValueError: no lines, different numbers of lines, or a tokenizer that is unknown or cannot be used here.
    """
    _check(hypotheses, references, "hypotheses")
    metric = _bleu(tokenize, lowercase)
    _warn_of_tokenized(hypotheses, tokenize, "hypotheses")
    return _score(metric, hypotheses, references, bootstrap)


def chrf(
    hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False, bootstrap: int = 1000
) -> Score:
    """Corpus chrF2, character 6-grams, against one reference (Popović, WMT 2015); arguments and errors as ``bleu``."""
    _check(hypotheses, references, "hypotheses")
    return _score(_chrf(lowercase), hypotheses, references, bootstrap)


def sentence_chrf(hypotheses: Sequence[str], references: Sequence[str], *, lowercase: bool = False) -> list[float]:
    """chrF2 of every line by itself, 0 to 100; errors as ``bleu``."""
    _check(hypotheses, references, "hypotheses")
    metric = _chrf(lowercase)
    return [metric.sentence_score(*pair).score for pair in zip(hypotheses, ([one] for one in references), strict=True)]


def compare(
    references: Sequence[str],
    systems: Mapping[str, Sequence[str]],
    *,
    tokenize: str = "13a",
    lowercase: bool = False,
    bootstrap: int = 1000,
) -> list[Comparison]:
    """Paired bootstrap resampling of several systems against the first, the baseline (Koehn, EMNLP 2004).

    Args:
        references: plain, detokenized lines.
        systems: the hypotheses of each system, by name; the baseline first.
        tokenize, lowercase: as for ``bleu``.
        bootstrap: the number of resamples.

    Raises:
        ValueError: fewer than two systems, no resamples, no lines, different numbers of lines, or a tokenizer
            that is unknown or cannot be used here.
    """
    if len(systems) < 2:
        raise ValueError(f"a comparison needs a baseline and another system, received {len(systems)}: {list(systems)}")
    if bootstrap < 2:
        raise ValueError(f"a comparison needs resamples, 1000 by custom; received bootstrap={bootstrap}")
    for name, hypotheses in systems.items():
        _check(hypotheses, references, f"system {name!r}")
        _warn_of_tokenized(hypotheses, tokenize, f"system {name!r}")
    metrics = {"BLEU": _bleu(tokenize, lowercase), "chrF2": _chrf(lowercase)}

    from sacrebleu.significance import PairedTest

    named: list[tuple[str, Sequence[str]]] = [(name, list(hypotheses)) for name, hypotheses in systems.items()]
    test: Any = PairedTest(named, metrics, [list(references)], test_type="bs", n_samples=bootstrap)
    signatures, results = test()

    def measured(name: str, row: int) -> tuple[Score, float | None]:
        baseline, result = results[name][0], results[name][row]
        low, high = float(result.mean - result.ci), float(result.mean + result.ci)  # sacreBLEU's are numpy's float32
        score = Score(name, result.score, low, high, str(signatures[name]))
        # sacreBLEU counts resamples that differ *more* than observed. Equal systems have none, and it would report
        # p = 1 / (bootstrap + 1), high significance, for no difference at all.
        return score, 1.0 if row > 0 and result.score == baseline.score else result.p_value

    return [Comparison(name, *measured("BLEU", row), *measured("chrF2", row)) for row, name in enumerate(systems)]


def _bleu(tokenize: str, lowercase: bool) -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    if tokenize not in BLEU.TOKENIZERS:
        raise ValueError(f"unknown tokenizer {tokenize!r}, expected one of {', '.join(BLEU.TOKENIZERS)}")
    try:
        # force: sacreBLEU keeps silent about tokenized text, _warn_of_tokenized speaks.
        return BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
    except (ImportError, RuntimeError, OSError) as error:  # a package is missing, or a model cannot be downloaded
        raise ValueError(f"the tokenizer {tokenize!r} cannot be used here: {' '.join(str(error).split())}") from error


def _chrf(lowercase: bool) -> "CHRF":
    from sacrebleu.metrics.chrf import CHRF, CHRFScore

    class Floats(CHRF):
        """sacreBLEU's own gives numpy's float32 for some resamples and 0.0 for others, and fails to average them."""

        def _compute_score_from_stats(self, stats: list[Any]) -> CHRFScore:
            counts: list[Any] = [float(count) for count in stats]
            return super()._compute_score_from_stats(counts)

    return Floats(lowercase=lowercase)


def _score(metric: "BLEU | CHRF", hypotheses: Sequence[str], references: Sequence[str], bootstrap: int) -> Score:
    score = metric.corpus_score(list(hypotheses), [list(references)], n_bootstrap=bootstrap)
    low, high = (score._mean - score._ci, score._mean + score._ci) if bootstrap > 1 else (None, None)
    return Score(score.name, score.score, low, high, str(metric.get_signature()))


def _check(hypotheses: Sequence[str], references: Sequence[str], name: str) -> None:
    if len(hypotheses) != len(references):
        raise ValueError(
            f"{name}: {len(hypotheses)} lines, references: {len(references)} lines; "
            "line i of the one must be the translation of line i of the other"
        )
    if not references:
        raise ValueError(f"{name}: no lines to score")


def _warn_of_tokenized(hypotheses: Sequence[str], tokenize: str, name: str) -> None:
    """Plain text hardly ever ends in " .", so a tenth of the lines is a sure sign."""
    tokenized = sum(line.endswith(" .") for line in hypotheses)
    if tokenize != "none" and tokenized * 10 >= len(hypotheses):
        logger.warning(
            '%s: %d of %d lines end in " .", so they look tokenized, and BLEU with tok:%s is not comparable with '
            'published ones. Detokenize hypotheses and references; for a corpus that comes tokenized, use "none".',
            name,
            tokenized,
            len(hypotheses),
            tokenize,
        )
