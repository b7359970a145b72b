"""What a run refuses, as the command says it: one line, status 2,
and what was there stays as it was.
"""

import os
import shutil
import subprocess

import pytest

from tljax.files import lock

from . import disks


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(ladder, workdir, *words):
    """The line, without what it begins with; nothing in the workdir has changed."""
    before = contents(workdir) if workdir.is_dir() else None
    process = ladder.start(workdir, *words)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert before is None or contents(workdir) == before
    return err.removeprefix("error: ").rstrip()


@pytest.fixture(scope="module")
def begun(ladder, tmp_path_factory):
    """A workdir that holds the configuration and the results of a run just begun."""
    workdir = tmp_path_factory.mktemp("begun") / "run"
    process = ladder.start(workdir)
    while process.poll() is None and not (workdir / "results.json").exists():
        pass
    process.kill()
    process.communicate()
    assert (workdir / "results.json").exists()
    return workdir


@pytest.fixture
def stopped(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "run")


@pytest.mark.parametrize("fault", ["changed", "gone"])
def test_a_photograph_that_is_not_what_it_was(ladder, stopped, fault):
    photograph = ladder.folder / "photographs" / "train" / "cat" / "0.png"
    before, other = photograph.read_bytes(), photograph.with_name("1.png").read_bytes()
    photograph.unlink()
    try:
        if fault == "changed":
            photograph.write_bytes(
                other + b"\0"
            )  # after the image's end: the same pixels as another, another file
        line = refused(ladder, stopped, "--resume")
    finally:
        photograph.write_bytes(before)
    assert line.startswith(f"{stopped}: this run was begun with other settings: data.digest ")
    assert ("data.train_images 12 -> 11" in line) == (fault == "gone")


def test_a_second_process_is_refused_while_the_first_has_the_workdir(ladder, stopped):
    class First:
        pass

    first = First()
    lock.hold(stopped, owner=first)
    line = refused(ladder, stopped, "--resume")
    assert line == f"{stopped}: another process is running here; wait, or name another --workdir"
    del first


def test_a_workdir_that_cannot_be_written(ladder, stopped, tmp_path):
    """For root a disk mounted read-only, for others a folder without the right to write."""
    if os.geteuid() != 0:
        stopped.chmod(0o500)
        line = refused(ladder, stopped, "--resume")
        stopped.chmod(0o700)
    else:
        shutil.move(stopped, tmp_path / "kept")
        stopped.mkdir()
        with disks.mounted(stopped, kilobytes=4096) as real:
            if not real:
                pytest.skip("mounting is not allowed here")
            shutil.copytree(tmp_path / "kept", stopped, dirs_exist_ok=True)
            disks.remounted(stopped, "ro")
            line = refused(ladder, stopped, "--resume")
    assert "cannot be written: " in line or "expected a folder that can be written" in line
    assert "Read-only" in line or "denied" in line


def test_a_file_in_the_place_of_the_workdir(ladder, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert "--workdir: expected a folder that can be written" in refused(ladder, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [16, 64, 256, 512, 768, 1024, 1280, 1536, 1792, 2048])
def test_a_disk_too_small_for_the_ladder(ladder, undisturbed, tmp_path, kilobytes):
    """It ends in one line; on a larger disk it goes on,
    or begins again where it had told nothing, to the same bits.
    """
    from .conftest import outcome

    workdir = tmp_path / "run"
    workdir.mkdir()
    with disks.mounted(workdir, kilobytes=kilobytes) as real:
        if not real:
            pytest.skip("mounting is not allowed here")
        process = ladder.start(workdir)
        _, err = process.communicate(timeout=600)
        if process.returncode:
            assert process.returncode == 2, err
            assert err.startswith("error: ")
            assert err.count("\n") == 1
            assert "No space left on device" in err
            subprocess.run(["mount", "-o", "remount,size=64m", str(workdir)], check=True)
            status, said = ladder.run(workdir, "--resume")
            assert status == 0, said
        assert outcome(workdir) == undisturbed
