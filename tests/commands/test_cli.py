import os
import pathlib
import runpy
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

from tljax import config
from tljax.commands import cli, door, options, running
from tljax.commands.machine import devices
from tljax.data.augment import Augment, Photometric
from tljax.data.preprocess import TORCH
from tljax.errors import InputError
from tljax.optim.schedules import Scaled
from tljax.weights import Weights, write

FOLDER = pathlib.Path(cli.__file__).parents[2] / "experiments"
COMMANDS = sorted(path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text())
HEAVY = ("tensorflow_datasets", "orbax.checkpoint", "matplotlib", "h5py", "keras", "tensorflow")


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path):
    """Commands set JAX up for themselves, and work in the current folder:
    neither is to outlive the test.
    """
    names = (
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_enable_xla_caches",
    )
    before = {name: getattr(jax.config, name) for name in names}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def command(monkeypatch, name, *words):
    """Run `python -m experiments.NAME WORDS` in this process; its exit status."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    with pytest.raises(SystemExit) as exit:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    return exit.value.code


@pytest.mark.parametrize("name", COMMANDS)
def test_help_answers(monkeypatch, capsys, name):
    assert command(monkeypatch, name, "--help") == 0
    out = capsys.readouterr().out
    called = door.called(name)
    assert out.startswith(f"usage: {called} ")
    if name not in door.RUNGS:
        assert f"    {called} " in out.replace("\n", " ") or f"{called}\n" in out


def test_the_door_lists_every_command_and_knows_no_other(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tljax", "--help"])
    door.main()
    listed = capsys.readouterr().out
    assert all(
        f"  {name.replace('_', '-')} " in listed for group in door.GROUPS.values() for name in group
    )
    monkeypatch.setattr(sys, "argv", ["tljax", "finetun"])
    with pytest.raises(SystemExit) as exit:
        door.main()
    assert exit.value.code == 2
    assert (
        capsys.readouterr().err
        == "error: tljax has no command 'finetun'; tljax --help lists them\n"
    )


@pytest.mark.parametrize("name", [name for group in door.GROUPS.values() for name in group])
def test_every_command_of_the_door_answers_for_help(monkeypatch, capsys, name):
    spelt = name.replace("_", "-")
    monkeypatch.setattr(sys, "argv", ["tljax", spelt, "--help"])
    with pytest.raises(SystemExit) as exit:
        door.main()
    assert exit.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: tljax {spelt} ")


def test_the_doors_help_imports_nothing_heavy():
    words = [sys.executable, "-X", "importtime", "-m", "tljax", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=FOLDER.parent, timeout=300)
    assert done.stdout.startswith("usage: tljax COMMAND")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert imported.isdisjoint({"jax", "numpy", *HEAVY})


def test_help_is_quick():
    """As the user types it, in a process of its own: nothing heavy is imported for it."""
    words = [sys.executable, "-X", "importtime", "-m", "experiments.ladder", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=FOLDER.parent, timeout=300)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: tljax ladder")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "jax" in imported
    assert imported.isdisjoint(HEAVY)


def fails(main):
    with pytest.raises(SystemExit) as exit:
        running.run(main)
    return exit.value.code


def test_a_users_mistake_is_one_line_and_status_2(capsys):
    def main():
        raise InputError("cat.7.jpg: expected a photograph, found 0 bytes")

    assert fails(main) == 2
    assert capsys.readouterr().err == "error: cat.7.jpg: expected a photograph, found 0 bytes\n"


def test_nobody_reading_on_is_no_traceback(monkeypatch):
    """As of `tljax predict ... | head -1`; a pipe of our own that breaks is a mistake."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert fails(lambda: print("cat 99 %", flush=True)) == 141
        print("goes nowhere", flush=True)

        def main():
            raise BrokenPipeError

        with pytest.raises(BrokenPipeError):
            running.run(main)


def test_our_own_mistakes_keep_their_traceback():
    def main():
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        running.run(main)


def test_compilations_are_kept_in_the_cache_folder(tmp_path):
    """With what a GPU's compiler timed, whatever JAX's default is."""
    jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
    running.run(lambda: None)
    folder = tmp_path / "cache" / "tljax" / "xla"
    assert jax.config.jax_compilation_cache_dir == str(folder)
    options = jax._src.compiler.get_compile_options(num_replicas=1, num_partitions=1)
    kept = options.executable_build_options.debug_options.xla_gpu_per_fusion_autotune_cache_dir
    assert kept == str(folder / "xla_gpu_per_fusion_autotune_cache_dir")


def test_a_path_option_begins_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--workdir=~/runs/x", "--weights=~/base.h5", "--data-dir", "~/tfds"]
    args = options.parser("", experiment="frozen").parse_args(words)
    home = str(tmp_path)
    assert str(args.workdir) == f"{home}/runs/x"
    assert args.weights == f"{home}/base.h5"
    assert str(args.data_dir) == f"{home}/tfds"
    published = options.parser("", experiment="frozen").parse_args(["--weights", "vgg16-x"])
    assert published.weights == "vgg16-x"


def test_the_loss_is_what_the_options_say(monkeypatch):
    words = ["--label-smoothing", "0.1", "--mixup", "0.2", "--class-weights", "dog=1,cat=2.5"]
    args = options.parser("", experiment="frozen").parse_args(words)
    stage = options.stage_of("frozen", args)
    assert (stage.objective.label_smoothing, stage.objective.mixup) == (0.1, 0.2)
    assert options.weighted(stage, args, ("cat", "dog")).objective.class_weights == (2.5, 1.0)
    solved = options.stage_of("linear", args)
    assert options.weighted(solved, args, ("cat", "dog")) == solved
    args.class_weights = "balanced"
    assert options.weighted(stage, args, ("cat", "dog")).objective.class_weights == "balanced"


def test_photometric_is_for_the_rungs_that_augment():
    args = options.parser("", experiment="frozen").parse_args(["--photometric"])
    assert options.stage_of("frozen", args).augment == Augment(photometric=Photometric())
    assert options.stage_of("features", args).augment is None
    args.photometric = False
    assert options.stage_of("frozen", args).augment == Augment()


def test_what_wants_a_module_of_unix_says_so_in_one_line(capsys):
    def main():
        raise ModuleNotFoundError("No module named 'resource'", name="resource")

    assert fails(main) == 2
    assert capsys.readouterr().err == (
        "error: this command wants Linux or macOS, or WSL on Windows\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--data nonsense",
            "source: expected folder:PATH, csv:FILE, tfds:NAME, critters or critters:source, "
            "found 'nonsense'",
        ),
        ("--data folder:{tmp}/missing", "{tmp}/missing"),
        (
            "--data folder:{photos} --size 32",
            "--weights: folder:{photos} needs a pretrained base: vgg16-imagenet-keras, vgg16-",
        ),
        ("--weights {tmp}/none.safetensors", "{tmp}/none.safetensors"),
        ("--budget 0", "argument --budget: must be a positive number, found 0"),
        ("--budget nan", "argument --budget: must be a positive number, found nan"),
        ("--size 0", "argument --size: must be 1 or more, found 0"),
        ("--seeds 0", "argument --seeds: must be 1 or more, found 0"),
        ("--views -1", "stage 'frozen': views must be 1 or more, found -1"),
        ("--scale-lr", "--scale-lr: expected --batch with it, which it scales the rates by"),
        ("--preset lecture", "argument --preset: invalid choice: 'lecture'"),
        ("--dtype float16", "argument --dtype: invalid choice: 'float16'"),
        (
            "--workdir ~nosuchuser/x",
            "argument --workdir: ~nosuchuser/x: expected a user with a home",
        ),
        ("--data ~nosuchuser/x", "~nosuchuser/x: expected a user with a home folder, found none"),
        (
            "--class-weights red=1 --data critters",
            "--class-weights: expected balanced or cat=WEIGHT,dog=WEIGHT, found red=1",
        ),
        ("--mixup -1", "mixup must be 0 or a positive number, found -1.0"),
        ("--wight 1", "unrecognized arguments: --wight 1"),
        (
            "--workdir {tmp}/old --data folder:{photos}",
            "{tmp}/old holds a run (metrics.jsonl); name another --workdir",
        ),
    ],
)
def test_a_bad_option_is_one_line_and_leaves_nothing(
    monkeypatch, capsys, tmp_path, photographs, words, message
):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "metrics.jsonl").write_text("{}")
    here = {"tmp": str(tmp_path), "photos": photographs.removeprefix("folder:")}
    before = sorted(tmp_path.rglob("*"))
    words = [*words.format(**here).split(), "--quiet"]
    assert command(monkeypatch, "frozen", *words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message.format(**here) in err
    assert [path for path in sorted(tmp_path.rglob("*")) if "cache" not in path.parts] == before


@pytest.mark.parametrize(
    ("words", "found"), [("features", "features"), ("frozen --task text", "texts")]
)
def test_photometric_without_a_rung_that_augments_is_refused(monkeypatch, capsys, words, found):
    assert command(monkeypatch, *words.split(), "--photometric") == 2
    assert capsys.readouterr().err == (
        f"error: --photometric: expected a rung that augments photographs, found {found}\n"
    )


def test_overwriting_waits_until_all_is_checked(monkeypatch, capsys, tmp_path):
    """A mistake in another option does not cost the run that was there."""
    (tmp_path / "results.json").write_text("{}")
    words = ("--overwrite", "--workdir", tmp_path, "--data", "nonsense")
    assert command(monkeypatch, "frozen", *words) == 2
    assert (tmp_path / "results.json").exists()


def test_pretraining_does_not_replace_a_weights_file_unasked(monkeypatch, capsys, tmp_path):
    (tmp_path / "base.safetensors").write_text("hours of work")
    assert (
        command(
            monkeypatch, "pretrain", "--out", tmp_path / "base.safetensors", "--data", "nonsense"
        )
        == 2
    )
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/base.safetensors exists; name another --out, or pass --overwrite\n"
    )


@pytest.mark.parametrize("words", ["--width 0", "--lr 0", "--batch 0", "--lr nan"])
def test_pretraining_refuses_what_it_would_have_to_ignore(monkeypatch, capsys, words):
    assert command(monkeypatch, "pretrain", *words.split()) == 2
    assert capsys.readouterr().err.startswith(f"error: argument {words.split()[0]}: must be ")


def test_options_make_the_stage(monkeypatch):
    words = "frozen --views 3 --batch 64 --scale-lr --features-dtype bfloat16 --budget 0.5"
    monkeypatch.setattr(sys, "argv", words.split())
    args = options.parser("", experiment="frozen").parse_args()
    preset = config.PRESETS["tuned"]
    found = options.stage_of("frozen", args)
    assert (found.views, found.batch_size, found.features_dtype, found.epochs) == (
        3,
        64,
        "bfloat16",
        4,
    )
    assert found.lr == Scaled(preset["frozen"].lr, 2.0, warmup=0.05)
    whole = options.stage_of("differential", args)
    assert (whole.views, whole.batch_size, whole.features_dtype) == (None, 64, None)
    args.scale_lr, args.views = False, None
    assert options.stage_of("frozen", args).lr == preset["frozen"].lr
    assert options.stage_of("frozen", args).views == "auto"


def test_epochs_and_rate_are_options_of_every_rung(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["frozen", "--epochs", "20", "--budget", "0.5", "--lr", "3e-4"]
    )
    args = options.parser("", experiment="frozen").parse_args()
    for name, stage in config.PRESETS["tuned"].items():
        found = options.stage_of(name, args)
        if name == "linear":  # solved: without rate and epochs
            assert found == stage
            continue
        assert (found.epochs, found.lr) == (10, replace(stage.lr, peak=3e-4))
    args.preset = "deck-keras3"
    assert options.stage_of("finetune", args).lr == 3e-4
    args.rate = "find"
    assert options.stage_of("finetune", args).lr == "find"


@pytest.mark.parametrize(
    ("words", "size"),
    [("", 48), ("--data folder:PHOTOS", 150), ("--data folder:PHOTOS --size 96", 96)],
)
def test_the_size_follows_the_data(monkeypatch, words, size):
    monkeypatch.setattr(sys, "argv", ["frozen", *words.split()])
    assert options.parsed(options.parser("", experiment="frozen")).size == size


def test_the_size_follows_the_base_where_it_says_what_it_saw(monkeypatch, tmp_path):
    base = {"block1_conv1": {"kernel": np.zeros((3, 3, 3, 4), np.float32)}}
    weights = Weights(base, {"name": "vgg16", "width": 0.0625}, TORCH, ("a", "b"), {"size": 32})
    write(tmp_path / "base.safetensors", weights)
    monkeypatch.setattr(
        sys, "argv", ["frozen", "--data", "folder:PHOTOS", "--weights", "base.safetensors"]
    )
    assert options.parsed(options.parser("", experiment="frozen")).size == 32


def test_deterministic_is_asked_of_xla_before_it_starts_and_says_what_it_costs(monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    parser = cli.parser("A command.", experiment="scratch")
    assert not parser.parse_args([]).deterministic
    assert devices.DETERMINISTIC not in os.environ["XLA_FLAGS"]
    assert parser.parse_args(["--deterministic"]).deterministic
    assert (
        os.environ["XLA_FLAGS"]
        == f"--xla_force_host_platform_device_count=8 {devices.DETERMINISTIC}"
    )
    assert capsys.readouterr().err == (
        "--deterministic is --lowering direct on CPU: the same command gives the same bits "
        "there anyway, once what is measured is kept\n"
    )
    assert "slower steps" in devices.deterministic_costs("gpu")
    assert devices.deterministic_costs("tpu").startswith("--deterministic changes nothing on TPU")


def test_xla_knows_the_flag():
    """XLA ends a process that gives it an unknown one."""
    words = [sys.executable, "-m", "experiments.scratch", "--deterministic", "--data", "nonsense"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=FOLDER.parent, timeout=600)
    assert done.returncode == 2
    assert done.stderr.startswith("--deterministic is --lowering direct on CPU")
    assert done.stderr.count("\n") == 2


def test_an_error_is_one_line_whatever_a_file_is_called(capsys):
    def main():
        raise InputError("folder/a\nb\u202egpj.exe\x1b[31m.jpg: corrupt; Käse, 犬")

    assert fails(main) == 2
    assert capsys.readouterr().err == (
        "error: folder/a\\nb\\u202egpj.exe\\x1b[31m.jpg: corrupt; Käse, 犬\n"
    )
