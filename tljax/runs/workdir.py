"""What a run leaves behind: config.json, metrics.jsonl, results.json, checkpoints (the list of files: docs/runs.md)."""

# pyright: strict
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import jax

from tljax.config import Stage
from tljax.data import ImageSets
from tljax.errors import InputError
from tljax.files import disk, lock, orbax_store
from tljax.inputs import activations
from tljax.machine import processes
from tljax.machine.provenance import command, environment
from tljax.models.build import Network
from tljax.runs import same_settings
from tljax.train import logits as predictions
from tljax.train.resume import Saver, Slot
from tljax.train.rung import Trained
from tljax.train.step import averaged
from tljax.tree import json_digest

_OF_A_RUN = (
    "metrics.jsonl",
    "results.json",
    "report.html",
    "ladder.png",
    "reliability.png",
    "confusion.png",
    "curves_*.png",
    "schedules.*",
    "rates.png",
    "lr_find*",
    "range_test_*.png",
    "photographs.npz",
    "features.json",
    "sweep.*",
    "cross_validate.json",
)
CALLS = "calls"  # the folder where a sweep keeps them


class Listener(Protocol):
    """Is told each epoch's record, as metrics.jsonl is, and that there are no more."""

    def __call__(self, record: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class Workdir:
    """The files of one run. Every write is whole: a reader never finds half a document."""

    def __init__(
        self, path: Path, *, overwrite: bool = False, resume: bool = False, anyway: bool = False
    ):
        """InputError if a run lies there already, unless it is to be overwritten or resumed.

        Nothing is written before `begin`. `anyway` resumes with other settings too.

        A run that was stopped before it had evaluated its first start left nothing to lose, and is none.
        """
        self.path = Path(path).resolve()
        held = next(
            (name for name in ("metrics.jsonl", "progress", CALLS) if (self.path / name).exists()),
            None,
        )
        if held and not (overwrite or resume):
            raise InputError(
                f"{self.path} holds a run ({held}); name another --workdir, or pass --overwrite or --resume"
            )
        self.resumed, self._anyway = resume and (self.path / "results.json").exists(), anyway
        self._results: dict[str, Any] = {}
        self.listeners: list[Listener] = []

    @property
    def features(self) -> list[Path]:
        """Where activations of frozen prefixes are looked for and kept: shared by all runs, here if that is refused.

        Here alone where several processes train together: this folder lies on a disk that all of them see.
        """
        here = self.path / "features"
        return [here] if jax.process_count() > 1 else [activations.default_folder(), here]

    def begin(
        self,
        *,
        arguments: dict[str, Any],
        stages: dict[str, tuple[Network, Stage]],
        sets: ImageSets,
        base: str | None = None,
    ) -> None:
        """Clear away the run that lay here, but for its saved features; write the configuration, no rungs yet.

        A run that is resumed is checked against its configuration instead. `base` is the digest of the weights given.
        """
        processes.agree("data", sets.digest)
        processes.agree(
            "arguments and stages",
            json_digest({"plan": repr(stages), "arguments": repr(_shared(arguments))}),
        )
        if processes.first():
            self._make()
        where = environment()
        plan = {
            name: {"network": asdict(network), "stage": asdict(stage)}
            for name, (network, stage) in stages.items()
        }
        data = {
            "source": sets.name,
            "digest": sets.digest,
            "classes": list(sets.classes),
            "size": sets.train.images.shape[1],
            "train_images": len(sets.train.labels),
            "validation_images": len(sets.validation.labels),
            **({"test_images": len(sets.test.labels)} if sets.test else {}),
            "skipped": list(sets.skipped),
        }
        named = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in arguments.items()
        }
        config = {
            "command": command(),
            "arguments": named,
            "plan": plan,
            "data": data,
            "base": base,
        }
        config = disk.finite({**config, "versions": where["versions"], "device": where["device"]})
        if self.resumed:
            before, self._results = self._read("config.json"), self._read("results.json")
            same_settings.check(self.path, before=before, now=config, anyway=self._anyway)
            return
        if processes.first():
            self._clear()
        processes.wait("workdir")
        self._write("config.json", config)
        self._results = {"data": data, "environment": where, "rungs": []}
        self._write("results.json", self._results)

    def log(self, record: dict[str, Any]) -> None:
        """Append one epoch's line."""
        if not processes.first():
            return
        with (
            disk.refusal(self.path),
            open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(disk.finite(record)) + "\n")
        for tell in self.listeners:
            tell(record)

    def note(self, name: str, told: dict[str, Any]) -> None:
        """Keep something about the whole run in results.json."""
        self._results[name] = disk.finite(told)
        self._write("results.json", self._results)

    def slot(self, rung: str, *, seed: int) -> Slot:
        """Return where this rung and seed are checkpointed: while they train, and at their end if they got there."""
        name = f"{rung}-seed{seed}"
        done = any((told["name"], told["seed"]) == (rung, seed) for told in self._results["rungs"])
        saver = Saver(
            self.path / "progress" / name,
            on_restore=lambda epochs: self._relog(epochs, rung=rung, seed=seed),
        )
        return Slot(saver, self.path / "checkpoints" / name if done else None)

    def forget(self, rung: str, *, seed: int) -> None:
        """Remove this rung and seed from metrics.jsonl: it is about to be trained from the start."""
        self._relog([], rung=rung, seed=seed)

    def _relog(self, epochs: list[dict[str, Any]], *, rung: str, seed: int) -> None:
        """Let metrics.jsonl tell of these epochs of a rung, and of no others; half a line at its end goes."""
        file = self.path / "metrics.jsonl"
        if not processes.first() or (not file.exists() and not epochs):
            return
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        told = [(line, json.loads(line)) for line in lines if line.endswith("\n")]
        others = [line for line, record in told if (record["rung"], record["seed"]) != (rung, seed)]
        kept = "".join([*others, *(json.dumps(disk.finite(record)) + "\n" for record in epochs)])
        disk.write(file, kept.encode())

    def finish(
        self, rung: str, trained: Trained, *, seed: int, stage: Stage, sets: ImageSets
    ) -> None:
        """Save the trained classifier and add the rung to the results; a restored one has been, and is only tidied."""
        name = f"{rung}-seed{seed}"
        if trained.restored:
            self._leave(name)
            return
        if processes.first():  # a run may have been killed between the two writes
            shutil.rmtree(self.path / "checkpoints" / name, ignore_errors=True)
        processes.wait(name)
        last = trained.history.result()
        orbax_store.save(
            self.path / "checkpoints" / name,
            last["step"],
            state=trained.state.replace(params=averaged(trained.state)),
            meta=trained.meta(),
            metrics={name: last["validation"][name] for name in ("accuracy", "loss")},
        )
        if trained.finding:
            self._write(
                f"lr_find_{name}.json",
                {"rung": rung, "seeds": {str(seed): trained.finding.to_dict()}},
            )
        if trained.files:
            self._name_features(name, trained.files)
        rungs = [
            told for told in self._results["rungs"] if (told["name"], told["seed"]) != (rung, seed)
        ]
        scores = self._keep(rung, trained, seed=seed, sets=sets)
        row = trained.row() | {"name": rung, "seed": seed, "train_images": len(sets.train.labels)}
        rungs.append(row | scores)
        self._results["rungs"] = rungs
        self._write("results.json", self._results)
        self._leave(name)

    def _name_features(self, name: str, files: Sequence[Path]) -> None:
        """Say in features.json where the activations lie that a rung was trained from."""
        path = self.path / "features.json"
        told = self._read("features.json") if path.exists() else {}
        self._write("features.json", {**told, name: [str(file) for file in files]})

    def _leave(self, name: str) -> None:
        """Without the checkpoints on the way to what is finished."""
        if processes.first():
            shutil.rmtree(self.path / "progress" / name, ignore_errors=True)

    def _keep(
        self, rung: str, trained: Trained, *, seed: int, sets: ImageSets
    ) -> dict[str, dict[str, float]]:
        """`predictions/RUNG-seedS.npz`, and `RUNG-seedS.test.npz` of a test split; returns each split's scores.

        They are of the logits kept: in bfloat16 another program may round an image on the edge to the other side.
        """
        for split, logits in trained.logits.items():
            path = (
                self.path
                / "predictions"
                / f"{rung}-seed{seed}{'.test' if split == 'test' else ''}.npz"
            )
            if processes.first():
                predictions.write(
                    path,
                    logits,
                    split=getattr(sets, split),
                    classes=sets.classes,
                    digest=sets.digest,
                )
        return {
            split: predictions.scores(logits, getattr(sets, split).labels)
            for split, logits in trained.logits.items()
        }

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--workdir: expected a folder that can be written, found {error}"
            ) from None
        lock.hold(self.path, owner=self)

    def _clear(self) -> None:
        # Checkpoints too: the steps in a folder of them must grow, and a new run starts at the first.
        for folder in ("checkpoints", "predictions", "progress", "tensorboard", CALLS):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for old in [path for pattern in _OF_A_RUN for path in self.path.glob(pattern)]:
            old.unlink()

    def _write(self, name: str, document: dict[str, Any]) -> None:
        if processes.first():
            disk.write_json(self.path / name, document)

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path / name}: expected what the run wrote, found {error}"
            ) from None


def _shared(arguments: dict[str, Any]) -> dict[str, Any]:
    """Without what is each process's own."""
    return {name: value for name, value in arguments.items() if name not in ("process", "quiet")}
