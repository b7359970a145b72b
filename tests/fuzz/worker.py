"""A process that reads hostile files for the tests: one JSON line in (kind, path),
one out (what came of it).

It notes whatever would be harm (a program started, a connection, a file opened for writing outside
the case's folder) through Python's audit hook, and how much memory a case took.
"""

import json
import os
import pathlib
import sys
import time

import numpy.testing  # noqa: F401  # its own import may start `lscpu`: no case's doing

from tljax.runs.results import read_json, read_results

sys.dont_write_bytecode = True  # of modules that a case is the first to import
HARM = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "ctypes.dlopen",
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Harm since `begin`, while a case runs."""

    def __init__(self):
        self.folder, self.seen = None, []
        sys.addaudithook(self._hook)

    def begin(self, folder: pathlib.Path) -> None:
        self.folder, self.seen = str(folder), []

    def end(self) -> list[str]:
        self.folder, seen = None, self.seen
        return seen

    def _hook(self, event: str, args: tuple) -> None:
        if self.folder is None:
            return
        if event in HARM:
            self.seen.append(f"{event} {args[0]!r:.60}")
        elif event == "open" and (args[2] or 0) & WRITING and self._outside(args[0]):
            self.seen.append(f"write {args[0]!r:.60}")

    def _outside(self, path) -> bool:
        return isinstance(path, str) and not os.path.realpath(path).startswith(
            f"{self.folder}{os.sep}"
        )


def peak_mb() -> float:
    """Highest resident memory since `reset_peak`."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def reader(kind: str):
    """What reads files of this kind."""
    if kind == "photo":
        from tljax.data import photos

        return lambda path: photos.decode(path.read_bytes(), size=8, name=str(path))
    if kind == "folder":
        from tljax.data import folder

        return lambda path: folder.listings(path, progress=False)
    if kind == "weights":
        import h5py  # noqa: F401  # its own import starts `uname`: no case's doing

        from tljax import weights

        return weights.read
    if kind in ("results", "metrics", "config"):
        from tljax.runs import metrics

        return {"results": read_results, "metrics": metrics.read_metrics, "config": read_json}[kind]
    import data_readers
    import readers

    return getattr(readers if hasattr(readers, kind) else data_readers, kind)()


def main() -> None:
    import warnings

    from tljax.errors import InputError

    warnings.simplefilter("ignore")
    watch, read = Watch(), reader(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        path = pathlib.Path(json.loads(line))
        reset_peak()
        before, start = peak_mb(), time.process_time()
        watch.begin(path.parent.resolve())
        try:
            read(path)
            outcome, message = "read", ""
        except InputError as error:
            outcome, message = "refused", str(error)
        except BaseException as error:
            outcome, message = "traceback", repr(error)
        harm, seconds = watch.end(), time.process_time() - start
        answer = {
            "outcome": outcome,
            "message": message,
            "harm": harm,
            "seconds": seconds,
            "mb": peak_mb() - before,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
