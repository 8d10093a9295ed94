"""What SavedModels can be asked: the graphs of their signatures.

    serving_default    the best translations and their scores
    align              the same, and where the best one comes from: its attention, from a second pass over it
    search             as serving_default, by a beam whose settings are inputs

TensorFlow has no optional inputs, so each wish is a signature of its own, and whoever asks for translations alone pays
for nothing else. The variables are the same in all of them.

Shape letters: B batch, K beam, S source length, T length of the longest translation, N pieces, W words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops

from nmt import recipe
from nmt.alignment import UNKNOWN, WORD
from nmt.attention import Memory
from nmt.corpus import CONTROL
from nmt.model import TranslationModel, expand
from nmt.search import Candidates, beam_in_graph, gather_rows, repeat_rows
from nmt.symbols import BOS, EOS, PAD, UNK

# The score where there is no translation: below every other. JSON has no -Infinity.
NONE = -1e9


class Setting(NamedTuple):
    """An input of the signature ``search``: a scalar, and its bounds."""

    dtype: str
    lowest: float
    highest: float


# The upper bounds keep a request from taking all the memory of a server. The factor has 64 bits, as in
# nmt.translation.length_limit: the two must round alike.
SETTINGS = {
    "beam_size": Setting("int32", 1, 100),
    "length_penalty": Setting("float32", 0, 10),
    "coverage_penalty": Setting("float32", 0, 10),
    "max_length_factor": Setting("float64", 0, 100),
    "max_length_extra": Setting("int32", 1, 1000),
}


class Beam(NamedTuple):
    """How a graph searches: each a number, which is then part of the graph, or a scalar that the graph is given."""

    beam_size: Any  # K
    length_penalty: Any
    coverage_penalty: Any
    max_length_factor: Any
    max_length_extra: Any


class Found(NamedTuple):
    """What was found for a batch of sentences, best first."""

    source: Any  # [B, S] int32: what was read, a column at least
    memory: Memory  # of it
    ids: Any  # [B, K, T] int32, EOS where a translation ended within its limit, PAD behind
    scores: Any  # [B, K] float32; NONE where there is no translation
    count: Any  # [B] int32: how many of the K there are

    @property
    def best(self) -> Any:
        """The best translation of each sentence, [B, T of these]."""
        return _trimmed(self.ids[:, 0])


def bounds(model: TranslationModel) -> dict[str, Setting]:
    """``SETTINGS`` for this model: a beam asks for twice as many pieces as it holds, so at most half of them fit in."""
    beam_size = SETTINGS["beam_size"]
    return {**SETTINGS, "beam_size": beam_size._replace(highest=min(beam_size.highest, model.sizes[1] // 2))}


def of_ids(model: TranslationModel, search: recipe.Search) -> dict[str, Any]:
    """The signatures of ``ids/``; what they take and give is said by ``nmt.export.savedmodel.export``."""
    import tensorflow as tf

    fixed = _fixed(search)

    def answer(found: Found) -> dict[str, Any]:
        return {
            "ids": found.best,
            "score": found.scores[:, 0],
            "hypotheses": found.ids,
            "scores": found.scores,
            "count": found.count,
        }

    def translate(ids: Any) -> dict[str, Any]:
        return answer(_find(model, fixed, ids))

    def align(ids: Any) -> dict[str, Any]:
        found = _find(model, fixed, ids)
        attention = _attention(model, found.memory, found.best)
        return {**answer(found), "attention": attention[:, :, : ops.shape(ids)[1]]}

    def sought(ids: Any, *settings: Any) -> dict[str, Any]:
        return answer(_find(model, _given(Beam(*settings), model), ids))

    return _traced(translate, align, sought, tf.TensorSpec([None, None], tf.int32, "ids"))


def of_text(model: TranslationModel, search: recipe.Search, source_pieces: Any, target_pieces: Any) -> dict[str, Any]:
    """The signatures of ``text/``, with the tokenizers (tensorflow-text) of both sides."""
    import tensorflow as tf

    fixed = _fixed(search)

    def read(text: Any) -> Any:
        valid = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")  # as text files are read
        readable = tf.strings.regex_replace(valid, CONTROL, " ")  # as nmt.corpus.without_control does
        return source_pieces.tokenize(readable).to_tensor(PAD)  # [B, S]

    def answer(found: Found) -> dict[str, Any]:
        pieces = tf.ragged.boolean_mask(found.ids, (found.ids != EOS) & (found.ids != PAD))
        lines = tf.strings.regex_replace(
            target_pieces.detokenize(pieces).flat_values, "[\r\n]", " "
        )  # as Pieces.decode does
        translations = tf.reshape(lines, tf.shape(found.scores))  # [B, K]
        return {
            "translation": translations[:, 0],
            "score": found.scores[:, 0],
            "translations": translations,
            "scores": found.scores,
            "count": found.count,
        }

    def translate(text: Any) -> dict[str, Any]:
        return answer(_find(model, fixed, read(text)))

    def align(text: Any) -> dict[str, Any]:
        found = _find(model, fixed, read(text))
        best = found.best
        source = _spelt(source_pieces, found.source)  # [B, S]
        target = tf.where(best == UNK, UNKNOWN, _spelt(target_pieces, best))  # [B, T]
        attention = _attention(model, found.memory, best)
        of_source, of_target = (
            words(tf.where(ids == EOS, "", pieces)) for ids, pieces in ((found.source, source), (best, target))
        )
        return {
            **answer(found),
            "alignment": links(of_source, of_target, attention),
            "source_pieces": source,
            "target_pieces": target,
            "attention": attention,
        }

    def sought(text: Any, *settings: Any) -> dict[str, Any]:
        return answer(_find(model, _given(Beam(*settings), model), read(text)))

    return _traced(translate, align, sought, tf.TensorSpec([None], tf.string, "text"))


def _traced(translate: Callable[..., Any], align: Callable[..., Any], sought: Callable[..., Any], inputs: Any) -> Any:
    """The graphs of the signatures, by name; ``inputs`` is the TensorSpec of what is translated."""
    import tensorflow as tf

    settings = [tf.TensorSpec([], setting.dtype, name) for name, setting in SETTINGS.items()]
    return {
        name: tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
        for name, function, signature in (
            ("serving_default", translate, [inputs]),
            ("align", align, [inputs]),
            ("search", sought, [inputs, *settings]),
        )
    }


def _fixed(search: recipe.Search) -> Beam:
    """The beam of these settings. Penalties are of beams alone, as in ``nmt.translation``: 1 is greedy search."""
    compared = search.beam_size > 1
    return Beam(
        search.beam_size,
        search.length_penalty if compared else 0.0,
        search.coverage_penalty if compared else 0.0,
        search.max_length_factor,
        search.max_length_extra,
    )


def _given(beam: Beam, model: TranslationModel) -> Beam:
    """The beam of the scalars that a request gives, once they are found to lie within their bounds."""
    import tensorflow as tf

    def checked(value: Any, name: str, setting: Setting) -> Any:
        inside = (value >= setting.lowest) & (value <= setting.highest)
        expected = f"{name} must be from {setting.lowest} to {setting.highest}; received"
        told = tf.debugging.Assert(inside, [expected, value])
        with tf.control_dependencies([told]):  # before anything is computed from it
            return tf.identity(value)

    beam = Beam(*(checked(value, *setting) for value, setting in zip(beam, bounds(model).items(), strict=True)))
    compared = beam.beam_size > 1
    return beam._replace(
        length_penalty=tf.where(compared, beam.length_penalty, 0.0),
        coverage_penalty=tf.where(compared, beam.coverage_penalty, 0.0),
    )


def _find(model: TranslationModel, beam: Beam, source: Any) -> Found:
    """Translate the rows of ``source`` [B, S], as part of a graph.

    A row without pieces needs no care on its way (without cuDNN a fully masked row is harmless): its limit of 0 keeps
    it out of the search. It has one translation, which is empty and has the score 0.
    """
    width = ops.shape(source)[1]
    source = ops.pad(source, ((0, 0), (0, ops.maximum(0, 1 - width))), constant_values=PAD)  # an LSTM needs a column
    pieces = ops.count_nonzero((source != PAD) & (source != EOS), axis=1)  # [B]
    # Floats of 64 bits, as in nmt.translation.length_limit: the two must round alike.
    limits = ops.cast(beam.max_length_factor * ops.cast(pieces, "float64"), "int32") + beam.max_length_extra
    limits = ops.where(pieces > 0, limits, 0)

    candidates = 2 * beam.beam_size
    # What is known to be 0 when the graph is traced costs it nothing.
    unweighed = isinstance(beam.coverage_penalty, float) and not beam.coverage_penalty
    coverage = {} if unweighed else {"beta": beam.coverage_penalty, "positions": source != PAD}

    def step(tokens: Any, parents: Any, bias: Any, states: Any, memories: Any) -> tuple[Candidates, Any]:
        return expand([model], tokens, gather_rows(ops, states, parents), memories, candidates, bias)

    memory = model.encode(source)
    found = beam_in_graph(
        ops,
        step,
        (repeat_rows(ops, model.initial_state(memory), beam.beam_size),),
        (memory,),
        beam.beam_size,
        limits,
        beam.length_penalty,
        **coverage,
    )
    blank = (pieces == 0)[:, None] & (ops.arange(beam.beam_size) == 0)  # [B, K]: the empty translations
    scores = ops.where(blank, 0.0, ops.maximum(found.scores, NONE))  # [B, K]
    count = ops.cast(ops.count_nonzero(scores > NONE, axis=1), "int32")
    return Found(source, memory, _trimmed(found.ids), scores, count)


def _trimmed(ids: Any) -> Any:
    """``ids`` [..., T], as wide as the longest of them needs."""
    return ids[..., : ops.max(ops.count_nonzero(ids != PAD, axis=-1), initial=0)]


def _attention(model: TranslationModel, memory: Memory, ids: Any) -> Any:
    """What each piece of ``ids`` [B, T] paid to the source while it was made up: [B, T, S] float32, 0 on PAD."""
    before = ops.pad(ids, ((0, 0), (1, 0)), constant_values=BOS)  # [B, 1 + T]
    batch_size, length = ops.shape(ids)

    def unfinished(place: Any, state: Any, attention: Any) -> Any:
        return place < length

    def step(place: Any, state: Any, attention: Any) -> tuple[Any, Any, Any]:
        _, state, paid = model.step(before[:, place], state, memory)
        here = ops.arange(length)[:, None] == place  # [T, 1]
        return place + 1, state, ops.where(here, ops.cast(paid, "float32")[:, None], attention)

    nothing = ops.zeros((batch_size, length, ops.shape(memory.mask)[1]), "float32")
    _, _, attention = ops.while_loop(unfinished, step, (ops.array(0, "int32"), model.initial_state(memory), nothing))
    return ops.where((ids != PAD)[:, :, None], attention, 0.0)


def _spelt(pieces: Any, ids: Any) -> Any:
    """The pieces of ``ids`` [B, N] as strings, "" for PAD."""
    import tensorflow as tf

    return tf.where(ids == PAD, "", pieces.id_to_string(ids))


def words(pieces: Any) -> Any:
    """The number of the word that each of ``pieces`` [B, N] is of, int32; -1 for none, as "" is.

    The words are those of ``nmt.alignment``: a blank alone belongs to what it begins, or to nothing.
    """
    import tensorflow as tf

    begins, ends, blank = (
        tf.strings.regex_full_match(pieces, f"(?s){form}") for form in (f"{WORD}.*", f".*{WORD}", f"{WORD}*")
    )
    after_blank = tf.pad(ends, [[0, 0], [1, 0]], constant_values=True)[:, :-1]
    first = tf.cast(~blank & (begins | after_blank), tf.int32)  # 1 for the first piece of each word
    last = tf.reduce_sum(first, axis=1, keepdims=True) - 1  # [B, 1]
    numbers = tf.cumsum(first, axis=1) - tf.where(blank, 0, 1)
    return tf.where((pieces != "") & (numbers <= last), numbers, -1)


def links(of_source: Any, of_target: Any, attention: Any) -> Any:
    """For each target word the source word that it looked at most, as Pharaoh wrote it: [B] strings, "0-0 1-2".

    Args:
        of_source, of_target: the number of the word that each piece is of, [B, S] and [B, T]; -1 for none.
        attention: [B, T, S].
    """
    import tensorflow as tf

    def members(of_pieces: Any) -> Any:
        count = tf.maximum(tf.reduce_max(of_pieces) + 1, 1)
        return tf.cast(tf.range(count)[:, None] == of_pieces[:, None], tf.float64)  # [B, W, N]

    source, target = members(of_source), members(of_target)
    paid = tf.matmul(tf.matmul(target, tf.cast(attention, tf.float64)), source, transpose_b=True)  # [B, W, W of source]
    looked_at = tf.argmax(paid, axis=2, output_type=tf.int32)  # [B, W]
    numbers = tf.broadcast_to(tf.range(tf.shape(looked_at)[1]), tf.shape(looked_at))
    pairs = tf.strings.join([tf.strings.as_string(looked_at), tf.strings.as_string(numbers)], "-")
    there = tf.reduce_any(target > 0, axis=2) & tf.reduce_any(source > 0, axis=[1, 2])[:, None]  # [B, W]
    return tf.strings.reduce_join(tf.ragged.boolean_mask(pairs, there), axis=1, separator=" ")
