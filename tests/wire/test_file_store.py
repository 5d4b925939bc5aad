"""A file is what it was or what it is to be, whoever is killed and whatever the disk says."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wire.file_store import write_whole

OLD, NEW = b"old" * 1_000, b"new" * 100_000

WRITER = """
import sys
from pathlib import Path
from wire.file_store import write_whole
while True:
    for data in (b"old" * 1_000, b"new" * 100_000):
        write_whole(Path(sys.argv[1]), data)
        print(flush=True)
"""


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (OLD, NEW, b""):
        write_whole(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_it_is_never_readable_by_more_than_were_asked_for(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    write_whole(path, OLD, mode)
    assert stat.S_IMODE(path.stat().st_mode) == mode & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_who_is_killed_leaves_the_one_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for said in range(1, 8):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(said):
                writer.stdout.readline()
            writer.kill()
        assert path.read_bytes() in (OLD, NEW)


def test_what_the_disk_refuses_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_whole(path, OLD)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, NEW)
    assert path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]
