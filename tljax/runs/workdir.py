"""A run's folder while it is written: configuration, records, results and checkpoints."""

# pyright: strict
# pyright: reportUnknownMemberType=false
# JAX and Flax leave process_count and replace without whole types.

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import jax

from tljax.config import Stage
from tljax.data.examples import Sets
from tljax.errors import InputError
from tljax.files import disk, lock, orbax_store
from tljax.files.disk import Json
from tljax.inputs import activations
from tljax.machine import processes
from tljax.machine.lowering import read_rows
from tljax.machine.provenance import environment
from tljax.models import winograd
from tljax.models.build import Network
from tljax.runs import contents, metrics, predictions, results, settings
from tljax.runs.metrics import Record
from tljax.runs.results import Results, read_written
from tljax.runs.settings import Arguments
from tljax.tasks import bootstrap
from tljax.train.resume import Saver, Slot
from tljax.train.rung import Trained
from tljax.train.step import averaged
from tljax.tree import json_digest

LOWERED = "by_winograd"  # in config.json


class Listener(Protocol):
    """Receives each epoch's record, as written to metrics.jsonl."""

    def __call__(self, record: Record) -> None: ...

    def close(self) -> None:
        """End: there are no more records."""
        ...


class Workdir:
    """The files of one run. Every write is whole: a reader never finds half a document."""

    def __init__(
        self, path: Path, *, overwrite: bool = False, resume: bool = False, anyway: bool = False
    ) -> None:
        """Refuse a folder that holds a run, unless it is to be overwritten or resumed.

        Nothing is written before `begin`. `anyway` resumes with other settings too.

        A folder whose run stopped before the end of its first epoch, without a checkpoint, is
        treated as empty. InputError for any other run.
        """
        self.path = Path(path).resolve()
        run = contents.run_in(self.path)
        if run and not (overwrite or resume):
            raise InputError(
                f"{self.path} holds a run ({run}); "
                "name another --workdir, or pass --overwrite or --resume"
            )
        self.resumed, self._anyway = resume and (self.path / results.FILE).exists(), anyway
        self._results = Results(self.path / results.FILE, {})
        self.listeners: list[Listener] = []

    @property
    def features(self) -> list[Path]:
        """List the folders where activations of frozen prefixes are looked for and kept.

        The first is shared by all runs; the other lies here, for a machine where the first cannot
        be written. With several processes it is the only one: it is on a disk that all of them see.
        """
        here = self.path / "features"
        return [here] if jax.process_count() > 1 else [activations.default_folder(), here]

    def begin(
        self,
        *,
        arguments: Arguments,
        stages: dict[str, tuple[Network, Stage]],
        sets: Sets,
        base: str | None = None,
    ) -> None:
        """Remove the run that lies here, except saved features, and write the configuration.

        Results are written without rungs. A run that is resumed is checked against its
        configuration instead. `base` is the digest of the base's weights.
        Which convolutions `models.winograd` computes is written too.
        """
        processes.agree("data", sets.digest)
        processes.agree(
            "arguments and stages",
            json_digest({"plan": repr(stages), "arguments": repr(_shared(arguments))}),
        )
        if processes.first():
            contents.make(self.path)
            lock.hold(self.path, owner=self)
        where, data = environment(), _data(sets)
        config = settings.config(arguments, stages, data=data, base=base, environment=where)
        config |= {LOWERED: [list(shape) for shape in sorted(winograd.in_use())]}
        if self.resumed:
            before = read_written(self.path / settings.FILE)
            self._results = Results.resume(self.path / results.FILE, order=list(stages))
            settings.check(self.path, before=before, now=config, anyway=self._anyway)
            self._say_what_stays(settings.other_lengths(before=before, now=config))
            return
        if processes.first():
            contents.clear(self.path)
        processes.wait("workdir")
        if processes.first():
            disk.write_json(self.path / settings.FILE, config)
        self._results = Results.begin(
            self.path / results.FILE,
            task=sets.task.to_dict(),
            data=data,
            environment=where,
            order=list(stages),
        )

    def by_winograd(self) -> winograd.Shapes:
        """Read which convolutions Winograd's way computes in the run that lies here."""
        config = read_written(self.path / settings.FILE)
        return read_rows(config.get(LOWERED, []), where=f"{self.path / settings.FILE}: {LOWERED}")

    def _say_what_stays(self, lengths: dict[str, tuple[int, int]]) -> None:
        """Say of each finished rung that it is not trained further, and what does that."""
        for rung, (before, now) in lengths.items():
            if processes.first() and self._results.finished(rung):
                print(
                    f"{rung}: finished with {before} epochs and left as it is, not trained to "
                    f"{now}: begin another run from it, --weights {self.path}:{rung}, or train it "
                    "again with --overwrite",
                    flush=True,
                )

    def log(self, record: Record) -> None:
        """Append one epoch's line to metrics.jsonl, and pass it to the listeners."""
        if not processes.first():
            return
        metrics.append(self.path / metrics.FILE, record)
        for listener in self.listeners:
            listener(record)

    def note(self, name: str, value: Json) -> None:
        """Write something about the whole run to results.json."""
        self._results.note(name, value)

    def slot(self, rung: str, *, seed: int) -> Slot:
        """Return where this rung and seed are checkpointed.

        That is while they train, and at their end if they got there.
        """
        name = f"{rung}-seed{seed}"
        saver = Saver(
            self.path / "progress" / name,
            on_restore=lambda epochs: self._replace(epochs, rung=rung, seed=seed),
        )
        finished = self._results.has(rung, seed=seed)
        return Slot(saver, self.path / "checkpoints" / name if finished else None)

    def forget(self, rung: str, *, seed: int) -> None:
        """Remove a rung and seed from metrics.jsonl, before it is trained from the start."""
        self._replace([], rung=rung, seed=seed)

    def _replace(self, records: Sequence[Record], *, rung: str, seed: int) -> None:
        if processes.first():
            metrics.replace(self.path / metrics.FILE, records, rung=rung, seed=seed)

    def finish(self, rung: str, trained: Trained, *, seed: int, stage: Stage, sets: Sets) -> None:
        """Save the trained classifier, and write its logits, features and row.

        Checkpoints from while it trained are removed; a restored classifier needs nothing else.
        """
        name = f"{rung}-seed{seed}"
        if not trained.restored:
            self._save(name, trained)
            if processes.first():
                self._write_findings(name, rung, trained, seed=seed)
                self._write_logits(rung, trained, seed=seed, sets=sets)
            row = trained.row() | {"name": rung, "seed": seed}
            row["train_images"] = len(sets.train.labels)
            # Scores of the logits as written: in bfloat16 another program may round an image on
            # the edge to the other side.
            for split, logits in trained.logits.items():
                labels = getattr(sets, split).labels
                scores: Json = {**sets.task.judged(logits, labels)}
                if not sets.task.measures[0].proportion:
                    scores["intervals"] = bootstrap.intervals(sets.task, logits, labels)
                row[split] = scores
            self._results.add(row)
        if processes.first():
            shutil.rmtree(self.path / "progress" / name, ignore_errors=True)

    def _save(self, name: str, trained: Trained) -> None:
        folder, last = self.path / "checkpoints" / name, trained.history.result()
        if processes.first():  # a run may have been killed between the two writes
            shutil.rmtree(folder, ignore_errors=True)
        processes.wait(name)
        orbax_store.save(
            folder,
            last["step"],
            state=trained.state.replace(params=averaged(trained.state)),
            meta=trained.meta(),
            metrics={orbax_store.MONITOR: trained.task.rank(last["validation"])},
        )

    def _write_findings(self, name: str, rung: str, trained: Trained, *, seed: int) -> None:
        """Write the range test of its rate, and in features.json where its activations lie."""
        if trained.finding:
            finding = {"rung": rung, "seeds": {str(seed): trained.finding.to_dict()}}
            disk.write_json(self.path / f"lr_find_{name}.json", finding)
        if trained.files:
            path = self.path / contents.FEATURES
            before = read_written(path) if path.exists() else {}
            disk.write_json(path, {**before, name: [str(file) for file in trained.files]})

    def _write_logits(self, rung: str, trained: Trained, *, seed: int, sets: Sets) -> None:
        for split, logits in trained.logits.items():
            predictions.write(
                predictions.path_of(self.path, rung, seed=seed, split=split),
                logits,
                split=getattr(sets, split),
                classes=sets.classes,
                digest=sets.digest,
            )


def _data(sets: Sets) -> Json:
    return {
        "source": sets.name,
        "digest": sets.digest,
        "classes": list(sets.classes),
        "size": sets.size,
        "train_images": len(sets.train.labels),
        "validation_images": len(sets.validation.labels),
        **({"test_images": len(sets.test.labels)} if sets.test else {}),
        "skipped": list(sets.skipped),
        **({"left_out": list(sets.left_out)} if sets.left_out else {}),
    }


def _shared(arguments: Arguments) -> Json:
    """Leave out the arguments that are each process's own."""
    return {name: value for name, value in arguments.items() if name not in ("process", "quiet")}
