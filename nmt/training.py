"""Training: compile, fit, and what happens between updates.

In miniature:

    for update in 1 … updates:
        set the learning rate; fit one batch (or several, accumulated)
        now and then: write a log line
        now and then: validate with the averaged weights, keep the best, save everything, stop if nothing gets better

One ``fit`` in one process, keyed by the number of updates, so that a training that was stopped or killed goes on at the
very next batch, with every number as it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from nmt import curve, devices, machines
from nmt import recipe as recipes
from nmt.batches import BatchPlan, Position
from nmt.devices import Parts
from nmt.evaluation import Validation
from nmt.forecast import Trial
from nmt.model import TranslationModel
from nmt.optimizer import Adam
from nmt.run import Checkpoint, Run, RunError, version, weights_by_name

logger = logging.getLogger("nmt")


class DivergedError(ValueError):
    """The loss is no number any more."""


class OutOfMemoryError(ValueError):
    """A step needs more memory than there is."""


@dataclass
class Progress:
    """What a checkpoint keeps beside the arrays."""

    batches: int = 0  # seen so far; the next batch has this number
    tokens: int = 0  # target pieces seen so far, without padding
    seconds: float = 0.0  # of training and validation, over all processes
    best: list[float] | None = None  # the best validation: what recipe training.best says, higher is better
    stale: int = 0  # validations since the best
    rate_factor: float = 1.0  # what plateau decay has left of the learning rate
    lowest_loss: float | None = None
    plateau: int = 0  # validations since the lowest loss, or since the last decay
    history: list[dict[str, Any]] = field(default_factory=list)  # one entry a validation
    finished: str = ""  # why training ended
    versions: dict[str, str] = field(default_factory=dict)
    epochs: list[int] = field(default_factory=list)  # the first batch of each epoch begun


def train(
    run: Run,
    model: TranslationModel,
    plan: BatchPlan,
    validate: Callable[[], Validation],
    parts: Parts = devices.ALONE,
) -> Progress:
    """Train ``model`` on the batches of ``plan`` as the recipe of ``run`` says, from where the run stands.

    ``validate`` judges the model as it is at that moment. Of every batch this process computes ``parts``; where there
    are more, other processes compute them and do everything else alike.

    Raises:
        DivergedError: the loss became NaN or infinite; the last checkpoint is kept.
        RunError: a checkpoint cannot be read or written.
    """
    settings = run.recipe.training
    optimizer = Adam(
        learning_rate=settings.learning_rate,
        global_clipnorm=settings.clip_norm,
        use_ema=settings.weight_average > 0,
        ema_momentum=settings.weight_average,
        gradient_accumulation_steps=settings.gradient_accumulation if settings.gradient_accumulation > 1 else None,
        name="adam",
    )
    # XLA on TensorFlow cannot compile the loop over the target, and cuDNN's kernels cannot live inside it.
    model.compile(optimizer=optimizer, jit_compile=keras.backend.backend() == "jax")
    model.optimizer.build(model.trainable_variables)
    progress = _restore(run, model)
    if progress.finished:
        return progress
    plan.remember(progress.epochs)
    trial = None
    if not progress.batches:
        trial = Trial(plan, auto=settings.batch_tokens == "auto" and not run.path("forecast.json").is_file())
    loop = _Loop(run, plan, validate, progress, parts, trial, streams=model.streams)
    with loop.interruptible(), machines.lost_peers(), _enough_memory(settings, run.recipe.device):
        remaining = settings.updates * settings.gradient_accumulation - progress.batches
        batches = _Batches(loop, progress.batches, remaining, parts)
        try:
            model.fit(devices.feed(batches), epochs=1, shuffle=False, verbose=0, callbacks=[loop])
        finally:
            loop.settled.set()  # whoever fetches batches must not wait for ever
    return progress


@contextlib.contextmanager
def _enough_memory(settings: recipes.Training, device: recipes.Device) -> Iterator[None]:
    """Say what to halve where memory is exhausted."""
    try:
        yield
    except Exception as error:
        if not devices.out_of_memory(error):
            raise
        tokens, batches = settings.batch_tokens, settings.gradient_accumulation
        way = "a number instead of auto" if tokens == "auto" else f"{max(16, tokens // 2)} (half of {tokens})"
        as_before = (
            f", and training.gradient_accumulation to {2 * batches} (twice as many batches an update) to learn from as "
            "many pieces an update as before"
        )
        if device.strategy == "mirrored":
            as_before = ""  # TensorFlow cannot accumulate there
        raise OutOfMemoryError(
            f"out of memory. Set training.batch_tokens to {way}{as_before}; a run that has saved something keeps its "
            "recipe, so then train into a new directory with --run"
        ) from error


def learning_rate(update: int, settings: recipes.Training, rate_factor: float = 1.0) -> float:
    """The learning rate of an update (from 1): it climbs for ``warmup_updates``, then follows the schedule.

    inverse_square_root: falls as 1 / sqrt(update) (Vaswani et al. 2017, arXiv:1706.03762, section 5.3, scaled so that
    its highest is ``learning_rate``); cosine: falls as half a period of the cosine to 0 at the last update (Loshchilov
    & Hutter 2017, arXiv:1608.03983, equation 5, without restarts); plateau: times ``rate_factor``; constant: stays.
    """
    warmup = max(1, settings.warmup_updates)
    rate = settings.learning_rate * min(1.0, update / warmup)
    if settings.schedule == "inverse_square_root" and update > warmup:
        rate *= math.sqrt(warmup / update)
    if settings.schedule == "cosine" and update > warmup:
        rate *= (1 + math.cos(math.pi * (update - warmup) / (settings.updates - warmup))) / 2
    return rate * rate_factor


class _Batches(keras.utils.PyDataset):
    """What ``fit`` computes: the steps of a trial, if there is one, then the batches of a plan from number ``first``.

    Of each only the parts of this process, one by one. A row's weight is 1 / target pieces of the whole batch; where
    several batches make an update, it makes their mean one over all their pieces.
    """

    def __init__(self, loop: _Loop, first: int, count: int, parts: Parts) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.loop, self.first, self.count, self.parts = loop, first, count, parts
        self.trial = loop.trial.steps if loop.trial else []

    def __len__(self) -> int:
        return (len(self.trial) + self.count) * len(self.parts.mine)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        step, part = divmod(index, len(self.parts.mine))
        if step < len(self.trial):
            batch, weight = self.trial[step], 1.0
        else:
            plan = self.loop.settled_plan()
            number = self.first + step - len(self.trial)
            batch, weight = plan.batch(plan.locate(number)), self._weight(plan, number)
        mine = batch.part(self.parts.mine[part], self.parts.total).filled(self.loop.streams)
        weights = np.full(len(mine.source), weight / batch.target_tokens(), "float32")
        return {"source": mine.source, "target_in": mine.target_in}, mine.target_out, weights

    def _weight(self, plan: BatchPlan, number: int) -> float:
        """What batch ``number`` counts in its update, of which Keras takes the mean over batches."""
        batches = self.loop.settings.gradient_accumulation
        first = number - number % batches
        tokens = [plan.target_tokens(plan.locate(other)) for other in range(first, first + batches)]
        return batches * tokens[number - first] / sum(tokens)


class _Loop(keras.callbacks.Callback):
    """What happens between updates."""

    def __init__(
        self,
        run: Run,
        plan: BatchPlan,
        validate: Callable[[], Validation],
        progress: Progress,
        parts: Parts,
        trial: Trial | None,
        streams: int,
    ) -> None:
        super().__init__()
        self.streams = streams
        self.trial = trial
        self.settled = threading.Event()  # the plan is that of the training, and no longer that of a trial
        self.before: list[np.ndarray] = []  # the trial
        if trial is None:
            self.settled.set()
        self.replicated = len(parts.mine) > 1
        self.together = parts.elsewhere  # with other processes, which must stop when this one does
        self.run, self.plan, self.validate = run, plan, validate
        self.settings = run.recipe.training
        self.progress = progress
        self.events = _Events(run.path("tensorboard"), self._update() + 1)
        self.stopping = False
        self.rate = 0.0  # of the update at hand
        self.began = time.perf_counter() - progress.seconds
        self.bar = tqdm(
            total=self.settings.updates, initial=self._update(), unit="update", disable=None, smoothing=0.02
        )
        self.window_seconds, self.window_tokens = progress.seconds, progress.tokens
        # What this process began with: how fast an earlier one was, perhaps paused or beside others, foretells nothing.
        self.first_update, self.first_seconds = self._update(), progress.seconds

    # Keras calls these four

    def on_train_begin(self, logs: Any = None) -> None:
        self.memory = devices.memory(anew=True)
        if self.trial:
            self.before = [variable.numpy() for variable in _variables(self.model)]

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.step_began = time.perf_counter()
        if not self.trial and self.progress.batches % self.settings.gradient_accumulation == 0:
            self.rate = learning_rate(self._update() + 1, self.settings, self.progress.rate_factor)
            self.model.optimizer.learning_rate = self.rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.trial:
            float(logs["token_loss"])  # waits for the step
            self._try(self.trial)
            return
        position = self.plan.locate(self.progress.batches)
        self.progress.batches += 1
        self.progress.tokens += self.plan.target_tokens(position)
        # Of several replicas Keras logs the first one's.
        loss = float(self.model.token_loss.result() if self.replicated else logs["token_loss"])
        self._refuse_nan("loss", loss, position)
        if self.progress.batches % self.settings.gradient_accumulation:
            return
        update = self._update()
        self.bar.update()
        if update % self.settings.log_every == 0:
            self._log(update, loss)
        # Read once: a signal may come at any moment, and processes that train together must do the same.
        stopping = machines.any_of(self.stopping) if self.together else self.stopping
        due = update % self.settings.validate_every == 0 or update == self.settings.updates
        if due or stopping:  # a finite loss may have an infinite gradient
            self._refuse_nan("weights", sum(float(np.sum(w.numpy())) for w in self.model.trainable_variables), position)
        if due:
            self._validate(update)
            self._decide(update)
            if self.progress.finished and self.settings.average_last:
                self._validate_mean(update)
        if due or stopping:
            self._save(update)
        if stopping or self.progress.finished:
            self.model.stop_training = True

    def on_train_end(self, logs: Any = None) -> None:
        self.bar.close()
        self.events.close()

    @property
    def adam(self) -> Adam:
        """The optimizer with its values, which on JAX a compiled step holds until ``self.model`` is asked for."""
        optimizer = self.model.optimizer
        return getattr(optimizer, "inner_optimizer", optimizer)  # float16 scales the loss around it

    # In the order in which they happen

    def settled_plan(self) -> BatchPlan:
        """The plan, as soon as a trial does not change it any more."""
        self.settled.wait()
        return self.plan

    def _try(self, trial: Trial) -> None:
        """Note what a step of the trial took; after the last one, undo them all and tell what is to come."""
        trial.record(time.perf_counter() - self.step_began, devices.memory().peak - self.memory.used)
        settings = self.settings
        if trial.tells_size and not self.settled.is_set():
            if trial.auto:
                tokens = self._agreed(trial.fitting_tokens(self.memory.free))
                self.plan = dataclasses.replace(self.plan, batch_tokens=tokens)
            self.settled.set()
        if not trial.finished:
            return
        for variable, value in zip(_variables(self.model), self.before, strict=True):
            variable.assign(value)
        found = trial.forecast(
            self.plan, self.model.count_params(), settings.updates, settings.gradient_accumulation, self.memory.free
        )
        logger.info("%s", found)
        if found.step_memory > found.free_memory:
            logger.warning("the largest step may not fit into memory; halve training.batch_tokens if training fails")
        self.run.write_json("forecast.json", found._asdict())
        self.trial, self.before = None, []
        self.began = time.perf_counter() - self.progress.seconds
        self._open_window()

    def _agreed(self, tokens: int) -> int:
        return int(machines.hear(str(tokens).encode())) if self.together else tokens

    def _refuse_nan(self, what: str, value: float, position: Position) -> None:
        if math.isfinite(value):
            return
        self.bar.close()
        update = math.ceil(self.progress.batches / self.settings.gradient_accumulation)
        raise DivergedError(
            f"the {what} became {value} at update {update}, batch {position.number} of epoch {position.epoch}; "
            f"checkpoints of before, if there are any, are kept in {self.run.path('checkpoints')}. Train into a new "
            "directory (--run) with a lower training.learning_rate or training.clip_norm or longer "
            "training.warmup_updates, or look at the training pairs of that batch, numbered without those left out "
            "(those of data.train, then those of data.mix): "
            f"{', '.join(str(pair + 1) for pair in self.plan.epoch(position.epoch)[position.number][:5])}, …"
        )

    def _log(self, update: int, loss: float) -> None:
        seconds = self._seconds()
        norms = self.adam.gradient_norms.numpy()
        speed = (self.progress.tokens - self.window_tokens) / (seconds - self.window_seconds)
        an_update = (seconds - self.first_seconds) / (update - self.first_update)
        left = round((self.settings.updates - update) * an_update)
        logger.info(
            "update=%d/%d epoch=%d loss=%.4f learning_rate=%.3g gradient_norm=%.3f tokens_per_second=%.0f eta=%s",
            update,
            self.settings.updates,
            self.plan.locate(self.progress.batches).epoch,
            loss,
            self.rate,
            np.sqrt(np.sum(norms**2)),
            speed,
            f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}",
        )
        values = {"train/loss": loss, "train/learning_rate": self.rate, "train/tokens_per_second": speed}
        values |= {f"gradient_norm/{name}": float(norm) for name, norm in zip(self.adam.groups, norms, strict=True)}
        self.events.write(update, values)
        self._open_window()

    def _validate(self, update: int) -> None:
        variables = self.model.trainable_variables
        if self.settings.average_last:
            weights = weights_by_name(variables, [variable.numpy() for variable in variables])
            self.run.save_validated(update, weights, keep=self.settings.average_last)
        found, better = self._validate_with([average.numpy() for average in self.adam.average])
        self.progress.stale = 0 if better else self.progress.stale + 1
        logger.info(
            "update=%d validation loss=%.4f perplexity=%.2f accuracy=%.4f greedy chrF %.2f, %s%s",
            update,
            found.loss,
            found.perplexity,
            found.accuracy,
            found.chrf.value,
            found.bleu,
            " (best so far)" if better else "",
        )
        lines = [str(sample) for sample in found.samples]
        for line in lines:
            logger.info("sample\n%s", line)
        self.run.write(f"samples/{update:09d}.txt", "\n".join(lines).encode())
        self._remember(update, found)
        self._open_window()

    def _remember(self, update: int, found: Validation, **what: Any) -> None:
        """Put a validation into the history; of something else than the weights at hand, ``what`` says so."""
        scores = {"loss": found.loss, "perplexity": found.perplexity, "accuracy": found.accuracy}
        scores |= {"bleu": found.bleu.value, "chrf": found.chrf.value}
        if not what:
            self.events.write(update, {f"development/{name}": value for name, value in scores.items()})
        kept = {"signature": found.bleu.signature, "seconds": round(self._seconds(), 1)}
        self.progress.history.append({"update": update, **what, **scores, **kept})

    def _validate_with(self, weights: list[np.ndarray]) -> tuple[Validation, bool]:
        """What ``weights`` in place of the model's are worth; whether that is the best so far, and then kept."""
        with other_weights(self.model, weights):
            found = self.validate()
        better = self._is_better(found)
        if better:
            self.run.save_best(weights_by_name(self.model.trainable_variables, weights))
        return found, better

    def _validate_mean(self, update: int) -> None:
        """The mean weights of the last validations, in place of the best if they are better."""
        kept = self.run.load_validated(update)[-self.settings.average_last :]
        mean = {name: np.mean([weights[name] for weights in kept], axis=0) for name in kept[0]}
        found, better = self._validate_with(list(mean.values()))
        self._remember(update, found, mean_of=len(kept))
        logger.info(
            "mean weights of the last %d validations: loss=%.4f perplexity=%.2f greedy chrF %.2f, %s%s",
            len(kept),
            found.loss,
            found.perplexity,
            found.chrf.value,
            found.bleu,
            " (best)" if better else "",
        )

    def _is_better(self, found: Validation) -> bool:
        """By loss, or by a score and, where it is the same (0 at first), by loss; what is no number is never better."""
        scores = {"bleu": [found.bleu.value], "chrf": [found.chrf.value], "loss": []}
        value = [*scores[self.settings.best], -found.loss]
        if math.isnan(found.loss) or (self.progress.best is not None and value <= self.progress.best):
            return False
        self.progress.best = value
        return True

    def _decide(self, update: int) -> None:
        """Whether the learning rate falls, and whether training ends."""
        settings, progress = self.settings, self.progress
        loss = progress.history[-1]["loss"]
        if progress.lowest_loss is None or loss < progress.lowest_loss:
            progress.lowest_loss, progress.plateau = loss, 0
        else:
            progress.plateau += 1
        if settings.schedule == "plateau" and progress.plateau > settings.plateau.patience:
            progress.rate_factor *= settings.plateau.factor
            progress.plateau = 0
            logger.info(
                "no lower loss for %d validations: learning rate times %g",
                settings.plateau.patience + 1,
                settings.plateau.factor,
            )
        if update == settings.updates:
            progress.finished = f"all {update} updates are done"
        elif settings.patience and progress.stale >= settings.patience:
            progress.finished = f"no better {settings.best} for {progress.stale} validations, at update {update}"

    def _save(self, update: int) -> None:
        self.progress.seconds = self._seconds()
        self.progress.epochs = self.plan.starts(self.progress.batches - 1)
        # The checkpoint last: a process that is killed before it does all of this again.
        self.run.write_json("history.json", self.progress.history)
        if self.progress.history:
            self.run.write("curve.png", curve.draw(self.progress.history, self.run.directory.name))
        arrays = [variable.numpy() for variable in _variables(self.model)]
        self.run.save_checkpoint(Checkpoint(update, arrays, asdict(self.progress)))

    # Time and interruption

    def _update(self) -> int:
        return self.progress.batches // self.settings.gradient_accumulation

    def _seconds(self) -> float:
        return time.perf_counter() - self.began

    def _open_window(self) -> None:
        """Loss and speed are those since the last log line or validation."""
        self.window_seconds, self.window_tokens = self._seconds(), self.progress.tokens
        self.model.token_loss.reset_state()

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C (or a scheduler's SIGTERM) end training after the update at hand, with everything saved."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self.stopping:
                raise KeyboardInterrupt
            self.stopping = True
            logger.info("stopping after this update; the same command will go on from here (again to stop at once)")

        signals = (signal.SIGINT, signal.SIGTERM)
        try:
            before = [signal.signal(number, stop) for number in signals]
        except ValueError:  # not the main thread: whoever runs us handles signals
            yield
            return
        try:
            yield
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)


@contextlib.contextmanager
def other_weights(model: TranslationModel, weights: list[np.ndarray]) -> Iterator[None]:
    """Run with ``weights`` in place of the model's, and put those back."""
    variables = model.trainable_variables
    kept = [variable.numpy() for variable in variables]
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


class _Events:
    """TensorBoard's event file, written by its own writer: the same on every backend.

    What files of before say of update ``first`` and later ones, by a process that was killed, is no longer shown.
    """

    def __init__(self, directory: Path, first: int) -> None:
        with devices.quiet_unless_it_fails():  # it writes through TensorFlow where that is installed
            from tensorboard.compat.proto.event_pb2 import SessionLog
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._directory = directory
        self._writer = EventFileWriter(str(directory))
        self._add(first, session_log=SessionLog(status=SessionLog.START))

    def write(self, update: int, values: dict[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(update, summary=Summary(value=[Summary.Value(tag=tag, simple_value=v) for tag, v in values.items()]))

    def _add(self, update: int, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        try:
            self._writer.add_event(Event(wall_time=time.time(), step=update, **content))
            self._writer.flush()
        except Exception as error:  # TensorBoard writes through TensorFlow where that is installed: no common class
            raise RunError(
                f"cannot write {self._directory}: {error}. Is the disk full? The last checkpoint is whole: "
                "free some space and run the same command again"
            ) from error

    def close(self) -> None:
        self._writer.close()


def _variables(model: TranslationModel) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _restore(run: Run, model: TranslationModel) -> Progress:
    versions = {
        "nmt": version(),
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    checkpoint = run.load_checkpoint()
    if checkpoint is None:
        return Progress(versions=versions)
    variables = _variables(model)
    shapes = [tuple(variable.shape) for variable in variables]
    if [array.shape for array in checkpoint.arrays] != shapes:
        raise RunError(
            f"the checkpoint of update {checkpoint.update} in {run.directory} does not fit the model of its recipe "
            f"({len(checkpoint.arrays)} arrays, expected {len(shapes)}); was it made by another version? "
            "Remove the directory to start anew"
        )
    for variable, array in zip(variables, checkpoint.arrays, strict=True):
        variable.assign(array)
    progress = Progress(**checkpoint.progress)
    if progress.versions != versions:
        logger.warning("resuming with other library versions: %s, then %s", progress.versions, versions)
        progress.versions = versions
    if not progress.finished:
        logger.info("resuming after update %d", checkpoint.update)
    return progress
