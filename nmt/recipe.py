"""The typed recipe: one strict YAML file holds one experiment.

Every setting, its default, its unit and its limits stand here and nowhere else. ``read`` refuses an unknown key, a
wrong type and an impossible value before any heavy import, and says where, what was received and what was expected.
"""

from __future__ import annotations

import difflib
import math
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from nmt.symbols import check_symbols

Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]


class RecipeError(ValueError):
    """A recipe that cannot be used: the message names file, key, what was received and what was expected."""


def _symbols(symbols: list[str]) -> list[str]:
    check_symbols(symbols)
    return symbols


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, no infinite numbers, no silent conversion from text to number."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Files(Section):
    """One parallel text: two aligned files, a TSV file whose first two columns are source and target, or a document."""

    source: str | None = None
    """path of the source text, one sentence a line, plain or .gz/.bz2/.xz"""
    target: str | None = None
    """path of the target text; line i translates line i of the source"""
    tsv: str | None = None
    """path of a tab-separated file, in place of source and target"""
    file: str | None = None
    """path of a document that has translations (.tmx .po .xliff .csv .tsv .jsonl), in place of source and target"""
    columns: Annotated[list[str | int], Field(min_length=2, max_length=2)] | None = None
    """of a table or JSON Lines: names of source and target, or numbers from 1; none = by the languages"""
    salvage: bool = False
    """of a file that is broken somewhere: learn from what comes before, instead of refusing it"""
    tag: str | None = None
    """a word such as <legal> that is put before each source, so that a translation can ask for text of this kind by it;
    it must be one of pieces.symbols"""

    @model_validator(mode="after")
    def _one_form(self) -> Files:
        forms = (("source", "target"), ("tsv",), ("file",))
        given = {name for form in forms for name in form if getattr(self, name) is not None}
        if given not in map(set, forms):
            raise ValueError("give either both `source` and `target`, or `tsv` alone, or `file` alone")
        if self.columns is not None and self.file is None:
            raise ValueError("`columns` are of a `file`")
        if self.salvage and self.file is None:
            raise ValueError("`salvage` is of a `file`")
        return self


class MixedFiles(Files):
    """A further parallel text to train on."""

    corpus: str | None = None
    """folder of a known corpus, as data.corpus, which is not taken over; none = plain paths"""
    weight: Positive = 1.0
    """times that an epoch reads each pair; 0.5 = half of them, so that all are read in two epochs"""


class Filters(Section):
    """Pairs of data.train and data.mix that are left out, each with its count in the log; texts with files of their own
    for development and test stay whole. `nmt doctor` tells how many pairs each filter would leave out, and which"""

    lengths: Count | None = None
    """most characters of a side; none = any number"""
    ratio: Annotated[float, Field(gt=1.0)] | None = None
    """a side may be so many times as long, beside the other, as it usually is in this text; none = any"""
    identical: bool = False
    """pairs whose sides are the same words"""
    duplicates: bool = False
    """pairs that came before; case, blanks and punctuation are not looked at"""
    alphabet: bool = False
    """pairs with a side most of whose letters are not of the scripts that this side is usually written in"""
    language: bool = False
    """pairs with a side that is surely of another language (pip install 'nmt[doctor]')"""
    held_out: bool = False
    """pairs with a side that is in the files of the development or test text, which would then score too well"""


# Pydantic would report a faulty value once per branch; the shape of the value says which branch was meant.
FilesOrCount = Annotated[
    Annotated[Files, Tag("files")] | Annotated[Count, Tag("count")],
    Discriminator(lambda value: "files" if isinstance(value, dict | Files) else "count"),
]

TokensOrAuto = Annotated[
    Annotated[int, Field(ge=16), Tag("tokens")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else "tokens"),
]


class Data(Section):
    """The parallel text: what is learnt from, what steers training, what is scored."""

    source_language: str
    """language code of the source (ISO 639-1 where it has one, as en): for model cards, and for where sentences end"""
    target_language: str
    """language code of the target"""
    corpus: str | None = None
    """folder of a known corpus (data/<name>): its files are found, or downloaded, by their names; none = plain paths"""
    train: Files
    """the training text"""
    mix: list[MixedFiles] = []
    """further training text, whose pairs count by a weight beside those of train, which count 1; a list of sections"""
    filters: Filters = Filters()
    development: FilesOrCount
    """the text that validation reads; a number holds that many pairs out of the training text"""
    test: FilesOrCount | None = None
    """the text that `nmt evaluate` scores; a number holds that many pairs out of the training text"""
    tokenized: bool = False
    """the text is already tokenised (Moses and the like): scores are then computed, and signed, with tok:none"""
    max_length: Count = 128
    """pieces; longer training pairs (on either side) are left out and counted"""


class Sampling(Section):
    """Training text segmented anew in every epoch, by chance: subword regularization (Kudo 2018, arXiv:1804.10959).

    A segmentation has a probability ∝ P^alpha: a smaller alpha is more random and makes text longer. On Multi30k with
    8000 pieces, .1 makes it 1.9 to 2.0 times as long, .2 1.3 to 1.4, .5 1.04
    """

    source: NotNegative = 0.0
    """alpha of the source; 0 = none: always the most probable segmentation"""
    target: NotNegative = 0.0
    """alpha of the target"""


class Pieces(Section):
    """The SentencePiece unigram model."""

    size: Annotated[int, Field(ge=16)] = 8000
    """pieces a model; chosen down by itself, and said, where the text is too small for it"""
    joint: bool = True
    """one model for both languages (needed for three-way tying), or one each"""
    byte_fallback: bool = True
    """unknown characters become bytes, so nothing is ever <unk>"""
    character_coverage: Annotated[float, Field(gt=0.9, le=1.0)] = 1.0
    """share of the characters that get pieces of their own; 0.9995 for Japanese or Chinese"""
    symbols: Annotated[list[str], AfterValidator(_symbols)] = []
    """words that are one piece and never split, for tags such as <BT>"""
    masks: bool = True
    """symbols that stand for addresses, placeholders, tags and long numbers, where the text has enough of them to
    learn where they go; with training.init_from those of the old run"""
    sampling: Sampling = Sampling()


class Dropout(Section):
    """Dropout rates, each at one place."""

    embedding: Rate = 0.2
    """after both embeddings"""
    layers: Rate = 0.2
    """between stacked layers, encoder and decoder"""
    encoder_output: Rate = 0.2
    """on the encoder states that attention reads"""
    readout: Rate = 0.2
    """on the readout, before the softmax"""
    attention: Rate = 0.0
    """on the attention weights"""
    source_words: Rate = 0.0
    """whole source pieces, whose embedding is then zero (word dropout: arXiv:1512.05287, section 4.2, but each place
    for itself, where the paper drops a word wherever it stands in the sentence)"""
    target_words: Rate = 0.0
    """the same of the target pieces that the decoder reads"""
    recurrent_weights: Rate = 0.0
    """the weights from state to state in every LSTM (weight-drop: arXiv:1708.02182), one draw for all sentences and
    steps that are computed together, both passes of r_drop among them"""


class Model(Section):
    """Embedding → stacked BiLSTM → Bahdanau attention → LSTM decoder."""

    flow: Literal["recurrent", "parallel"] = "recurrent"
    """recurrent: the previous state asks attention, the context enters the LSTM (arXiv:1409.0473);
    parallel: layer 1 sees only the target, asks for all positions at once, contexts enter layers 2..n (GNMT v2)"""
    embedding_units: Count = 256
    """width of the piece embeddings"""
    encoder_units: Count = 256
    """LSTM units per direction"""
    encoder_layers: Count = 1
    """stacked BiLSTM layers; from layer 2 up with residual and layer norm on the output"""
    decoder_units: Count = 512
    """LSTM units"""
    decoder_layers: Count = 1
    """stacked LSTM layers; parallel needs two or more"""
    attention_units: Count = 512
    """width of keys and query, all heads together"""
    attention_heads: Count = 1
    """additive heads; must divide attention_units and the encoder's output (2 x encoder_units)"""
    readout_units: Count = 256
    """width of the layer before the softmax; equals embedding_units where that is tied"""
    tying: Literal["three_way", "output", "none"] = "three_way"
    """three_way: source and target embedding and softmax share one matrix; output: target embedding and softmax do"""
    dropout: Dropout = Dropout()

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.flow == "parallel" and self.decoder_layers < 2:
            raise ValueError(
                "flow: parallel needs decoder_layers of 2 or more (with one layer no LSTM ever sees the context); "
                f"received decoder_layers: {self.decoder_layers}; use flow: recurrent for one layer"
            )
        if self.attention_units % self.attention_heads or 2 * self.encoder_units % self.attention_heads:
            raise ValueError(
                f"attention_heads must divide attention_units and 2 x encoder_units; received {self.attention_heads} "
                f"heads for {self.attention_units} and {2 * self.encoder_units}"
            )
        if self.tying != "none" and self.readout_units != self.embedding_units:
            raise ValueError(
                f"tying: {self.tying} multiplies the readout with the embedding, so readout_units must equal "
                f"embedding_units; received {self.readout_units} and {self.embedding_units}"
            )
        return self


class Plateau(Section):
    """What `schedule: plateau` does."""

    factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """the learning rate is multiplied by this"""
    patience: CountOrZero = 2
    """validations without a better loss before it is"""


class Training(Section):
    """One optimisation, counted in updates."""

    init_from: str | None = None
    """directory of a finished run whose weights this training begins with (fine-tuning); its pieces come along, so
    languages, pieces and model must be as there. none = random weights"""
    seed: CountOrZero = 1
    """of initial weights, dropout and the order of batches"""
    updates: Count = 10000
    """optimiser steps of the whole run"""
    batch_tokens: TokensOrAuto = 4000
    """target pieces a batch, padding included; auto: as many as memory allows, tried out at the start"""
    gradient_accumulation: Count = 1
    """batches whose gradients make one update"""
    learning_rate: Positive = 0.001
    """Adam's, at its highest"""
    schedule: Literal["inverse_square_root", "cosine", "plateau", "constant"] = "inverse_square_root"
    """what follows the warm-up; cosine falls to nothing at the last update"""
    warmup_updates: CountOrZero = 500
    """updates in which the learning rate climbs from nothing"""
    plateau: Plateau = Plateau()
    clip_norm: Positive | None = 1.0
    """largest global norm of a gradient; none = no clipping"""
    label_smoothing: Rate = 0.1
    """share of the probability spread evenly over all pieces"""
    r_drop: Annotated[float, Field(ge=0.0)] = 0.0
    """alpha of R-Drop (arXiv:2106.14448): every batch is computed twice, and where dropout makes both differ it costs;
    0 = none, 5 in the paper's translations"""
    weight_average: Rate = 0.999
    """decay of the exponential moving average of the weights that validation and translation use; 0 = none"""
    average_last: CountOrZero = 0
    """the weights of so many last validations are averaged at the end, and kept if they validate best; 0 = none"""
    validate_every: Count = 500
    """updates between validations; each one also saves a checkpoint"""
    log_every: Count = 50
    """updates between log lines"""
    best: Literal["bleu", "chrf", "loss"] = "bleu"
    """what the best weights are best at, on the development text"""
    patience: CountOrZero = 10
    """validations without a better one before training stops early; 0 = never"""


class Sample(Section):
    """Translations drawn at random."""

    temperature: Positive = 1.0
    """below 1 the probable becomes more probable"""
    top_k: CountOrZero = 0
    """only the best so many pieces can be drawn; 0 = all"""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """only the best pieces that together have this share of the probability can be drawn"""
    seed: CountOrZero = 1
    """the same seed draws the same translations of the same text"""


class Search(Section):
    """How translations are sought."""

    beam_size: Count = 5
    """hypotheses kept alive; 1 = greedy"""
    length_penalty: NotNegative = 1.0
    """alpha of Wu et al. 2016 (arXiv:1609.08144, equation 14); 0 = none"""
    coverage_penalty: NotNegative = 0.0
    """beta of the same equation, for source words that were looked at too little; 0 = none. Of beams alone"""
    diversity: NotNegative = 0.0
    """what every better sibling costs a hypothesis (gamma of arXiv:1611.08562); 0 = none. Of beams alone"""
    no_repeat_ngram: CountOrZero = 0
    """so many pieces in a row never come twice in a translation; 0 = they may"""
    min_length: CountOrZero = 0
    """pieces before a translation may end"""
    loop_guard: bool = True
    """a translation that runs in circles gives way to the best that does not"""
    max_length_factor: Positive = 2.0
    """a translation has at most this times the source's pieces, plus max_length_extra"""
    max_length_extra: Count = 10
    """see max_length_factor"""
    batch_sentences: Count = 64
    """sentences translated at once"""
    sample: Sample | None = None
    """draw translations at random, instead of seeking the best with a beam"""


class Evaluation(Section):
    """How translations are scored."""

    lowercase: bool = False
    """compare without case; the signature says so"""
    bootstrap: Annotated[int, Field(ge=100)] = 1000
    """resamples behind the 95 % interval"""
    samples: CountOrZero = 3
    """development sentences shown with their translation at each validation"""


class Device(Section):
    """Where and how precisely it is computed."""

    backend: Literal["tensorflow", "jax"] = "tensorflow"
    """what Keras runs on; exporting a SavedModel needs tensorflow"""
    kind: Literal["auto", "cpu", "gpu"] = "auto"
    """gpu is refused where there is none; auto takes one if it is there"""
    strategy: Literal["single", "mirrored", "multi_machine"] = "single"
    """single: one device; mirrored: a copy of the model on every GPU of this machine (backend tensorflow);
    multi_machine: one on every device of several machines (backend jax). Each takes its part of every batch"""
    replicas: CountOrZero = 0
    """copies under mirrored; 0 = one a GPU; on a CPU, which is then cut up, say how many"""
    coordinator: str | None = None
    """host:port of the first machine under multi_machine; none = from the scheduler (Slurm, Open MPI, Kubernetes)"""
    processes: Annotated[int, Field(ge=2)] | None = None
    """how many processes train together under multi_machine; none = from the scheduler"""
    threads: CountOrZero = 0
    """CPU threads; 0 = all cores. A training repeats bit for bit with as many"""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """of the layers; softmax and loss are always float32"""
    memory_growth: bool = True
    """take GPU memory as needed instead of all at once"""

    @model_validator(mode="after")
    def _fits(self) -> Device:
        backend = {"mirrored": "tensorflow", "multi_machine": "jax"}.get(self.strategy, self.backend)
        if self.backend != backend:
            raise ValueError(f"strategy: {self.strategy} needs backend: {backend}; received backend: {self.backend}")
        if self.strategy == "mirrored" and self.kind == "cpu" and self.replicas < 2:
            raise ValueError(f"strategy: mirrored on a CPU needs replicas: 2 or more; received {self.replicas}")
        if self.strategy != "mirrored" and self.replicas:
            raise ValueError(f"replicas: {self.replicas} is for strategy: mirrored; received {self.strategy}")
        if (self.coordinator is None) != (self.processes is None):
            raise ValueError(
                "give both coordinator and processes, or none of them where a scheduler tells; "
                f"received {self.coordinator} and {self.processes}"
            )
        if self.strategy != "multi_machine" and self.coordinator is not None:
            raise ValueError(f"coordinator and processes are for strategy: multi_machine; received {self.strategy}")
        return self


class Recipe(Section):
    """A whole experiment."""

    data: Data
    pieces: Pieces = Pieces()
    model: Model = Model()
    training: Training = Training()
    search: Search = Search()
    evaluation: Evaluation = Evaluation()
    device: Device = Device()

    @model_validator(mode="after")
    def _fits(self) -> Recipe:
        if self.model.tying == "three_way" and not self.pieces.joint:
            raise ValueError(
                "model.tying: three_way shares one embedding between both languages, which needs pieces.joint: true; "
                "use model.tying: output for separate piece models"
            )
        if self.device.strategy == "mirrored" and self.training.gradient_accumulation > 1:
            raise ValueError(
                "training.gradient_accumulation does not work with device.strategy: mirrored (TensorFlow cannot "
                f"accumulate across replicas); received {self.training.gradient_accumulation}; use "
                "gradient_accumulation: 1 and more batch_tokens, or device.backend: jax with strategy: multi_machine"
            )
        if self.device.strategy == "multi_machine" and self.training.init_from is not None:
            raise ValueError(
                "training.init_from does not work with device.strategy: multi_machine (the other machines cannot be "
                f"expected to have the old run); received {self.training.init_from}; fine-tune with strategy: single "
                "or mirrored"
            )
        texts = (self.data.train, *self.data.mix, self.data.development, self.data.test)
        for tag in [files.tag for files in texts if isinstance(files, Files) and files.tag]:
            if tag not in self.pieces.symbols:
                raise ValueError(
                    f"data: the tag {tag} must be one piece; write pieces.symbols: {[*self.pieces.symbols, tag]}"
                )
        if self.search.beam_size * 2 > self.pieces.size:
            raise ValueError(
                f"search.beam_size must be at most half of pieces.size; received {self.search.beam_size} and "
                f"{self.pieces.size}"
            )
        return self


def read(path: str | Path, settings: tuple[str, ...] = ()) -> Recipe:
    """Read the recipe at ``path``, changed by ``settings`` (``section.key=value``, the value in YAML).

    Raises:
        RecipeError: no such file, no YAML, an unknown or missing key, a wrong type, an impossible value.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 (a safe loader)
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [file.name for file in path.parent.glob("*.yaml")], 1)
        hint = f"; did you mean {path.parent / near[0]}?" if near else ""
        raise RecipeError(f"{path}: no such recipe{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of sections ({', '.join(Recipe.model_fields)})")
    for setting in settings:
        _change(content, setting)
    return parse(content, str(path))


def parse(content: dict[str, Any], origin: str) -> Recipe:
    """The recipe that ``content`` spells; ``origin`` names its file in error messages."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        lines = [f"{origin}: {_explain(item)}" for item in error.errors()]
        raise RecipeError("\n".join(lines)) from None


def effective(recipe: Recipe) -> str:
    """The recipe as YAML with every default written out; ``parse`` of it is the same recipe."""
    return yaml.safe_dump(recipe.model_dump(), sort_keys=False, allow_unicode=True, width=120)


def changed_keys(old: Recipe, new: Recipe) -> list[str]:
    """``key: old → new`` for each setting in which two recipes differ."""
    found = differences(old.model_dump(), new.model_dump())
    return [f"{key}: {before} → {after}" for key, (before, after) in found.items()]


def differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys in which two nested dictionaries differ, with their dots, each with both values."""
    before, after = _flat(old), _flat(new)
    keys = dict.fromkeys([*before, *after])
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def reference(recipe: Recipe | None = None) -> str:
    """Every key with its meaning and its default, or its value in ``recipe``, as commented YAML."""
    return "\n".join(_document(Recipe, recipe, indent=0))


def _document(section: type[BaseModel], values: BaseModel | None, indent: int) -> list[str]:
    lines = []
    margin = "  " * indent
    dumped = {} if values is None else values.model_dump()
    for name, field in section.model_fields.items():
        inner = next((kind for kind in _kinds(field.annotation) if issubclass(kind, Section)), None)
        for line in (field.description or (inner.__doc__ if inner else "") or "").splitlines():
            lines.append(f"{margin}# {line.strip()}")
        value = getattr(values, name, None)
        of_list = typing.get_origin(field.annotation) is list
        if inner is not None and (of_list or (value is None and field.default is None)):
            lines += [f"{margin}#   {line}" for line in _document(inner, None, indent=0)]
        given = isinstance(value, Section) or (values is None and field.default is not None)
        if inner is not None and not of_list and given:
            lines.append(f"{margin}{name}:")
            lines += _document(inner, value, indent + 1)
        elif values is None and field.is_required():
            lines.append(f"{margin}{name}:  # required")
        else:
            shown = field.default if values is None else dumped[name]
            flow = isinstance(shown, list)
            text = yaml.safe_dump(
                shown, allow_unicode=True, width=math.inf, sort_keys=False, default_flow_style=flow
            ).splitlines()[0]
            lines.append(f"{margin}{name}: {text}")
    return lines


def _kinds(annotation: Any) -> list[type]:
    """The classes that an annotation such as ``Files | int | None`` or ``list[Files]`` is made of."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list):
        return [kind for part in typing.get_args(annotation) for kind in _kinds(part)]
    if typing.get_origin(annotation) is Annotated:
        return _kinds(typing.get_args(annotation)[0])
    return [annotation] if isinstance(annotation, type) else []


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, but a key written twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
        return super().construct_mapping(node, deep)


def _change(content: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: expected section.key=value, for example training.seed=2")
    *path, last = key.split(".")
    section = content
    for name in path:
        inner = section.get(name)
        section[name] = section = dict(inner) if isinstance(inner, dict) else {}
    try:
        section[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {setting}: the value is not valid YAML: {error}") from None


def _dotted(location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Location without pydantic's names of union branches, which no recipe holds."""
    return tuple(str(part) for part in location if part not in ("files", "count", "tokens", "auto"))


def _explain(item: Any) -> str:
    path = _dotted(item["loc"])
    key = ".".join(path) or "the whole recipe"
    if item["type"] == "extra_forbidden":
        known = list(_section_at(path[:-1]).model_fields)
        near = difflib.get_close_matches(path[-1], known, 1) or difflib.get_close_matches(path[-1], known, 1, 0.4)
        hint = f"did you mean {'.'.join([*path[:-1], near[0]])}?" if near else f"known here: {', '.join(known)}"
        return f"unknown key {key} (received {_short(item['input'])}); {hint}"
    if item["type"] == "missing":
        return f"{key} is missing; {_meaning(path)}"
    if item["type"] == "value_error":
        return f"{key}: {item['ctx']['error']}"
    expected = item["msg"].removeprefix("Input should be ").replace("Input should have", "it to have")
    hint = " (YAML reads 1e-3 as text: write 0.001 or 1.0e-3)" if item["type"] == "float_type" else ""
    return f"{key}: received {_short(item['input'])}, expected {expected}{hint}"


def _section_at(path: tuple[str, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Recipe
    for name in path:
        field = section.model_fields.get(name)
        inner = [kind for kind in _kinds(field.annotation) if issubclass(kind, Section)] if field else []
        section = inner[0] if inner else section
    return section


def _meaning(path: tuple[str, ...]) -> str:
    field = _section_at(path[:-1]).model_fields.get(path[-1])
    return f"expected: {field.description}" if field and field.description else "it has no default"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
