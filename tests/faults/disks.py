"""Disks that fill up, or that cannot be written: real ones of memory where mounting is allowed."""

import contextlib
import os
import resource
import subprocess


@contextlib.contextmanager
def mounted(folder, *, kilobytes):
    """The folder as a disk of its own; False where that is not allowed."""
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    done = (
        subprocess.run(["mount", *options], capture_output=True).returncode == 0
        if os.geteuid() == 0
        else False
    )
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def remounted(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@contextlib.contextmanager
def full(folder, *, left, mounted):
    """Inside, the disk has `left` bytes, rounded down to 4 kB: or no file may be larger,
    where it is no disk.
    """
    if mounted:
        space, filler = os.statvfs(folder), folder / "filler"
        filler.write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - left)))
        try:
            yield
        finally:
            filler.unlink()
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (left, before[1])
    )  # Python ignores the signal: a write fails
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
