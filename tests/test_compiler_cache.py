"""Compiled kernels find a place, and one that nobody else can write to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dgmmis
from dgmmis.compiler_cache import private_folder

WORK = """
import numba, numpy, dgmmis
from dgmmis.packed import is_positive_semidefinite
assert is_positive_semidefinite(numpy.array([[1.0, 0.5, 1.0]])).all()
print(dgmmis.__file__, numba.config.CACHE_DIR, sep="\\n")
"""


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package beside which not even root can write: files are where the folders would be."""
    place = tmp_path_factory.mktemp("install")
    package = place / "dgmmis"
    shutil.copytree(Path(dgmmis.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in {path.parent for path in package.rglob("*.py")}:
        (folder / "__pycache__").touch()
    return place


def run(place: Path, temporary: Path, work: str = WORK) -> subprocess.CompletedProcess[str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "HOME", "XDG"))
    }
    nowhere = {"XDG_CACHE_HOME": os.devnull, "HOME": os.devnull}
    settings = {"PYTHONPATH": str(place), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", "import sys" + work]
    return subprocess.run(
        command, env=kept | nowhere | settings, cwd=place, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the user's cache folder is another")
@pytest.mark.thorough
def test_kernels_compile_and_are_kept_on_a_read_only_install_without_a_home(
    read_only: Path, tmp_path: Path
) -> None:
    answer = run(read_only, tmp_path)
    assert answer.returncode == 0, answer.stderr
    installed, kept = answer.stdout.split()
    assert Path(installed).is_relative_to(read_only)
    assert Path(kept).parent == tmp_path
    assert list(Path(kept).rglob("*_clearly_definite*.nbc"))
    again = run(read_only, tmp_path)
    assert again.stdout == answer.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the user's cache folder is another")
def test_numba_alone_would_refuse(read_only: Path, tmp_path: Path) -> None:
    """Why there is a place of our own."""
    alone = "\nimport numba, dgmmis\nnumba.config.CACHE_DIR = ''\nnumba.njit(dgmmis.fit, cache=True)"
    assert "no locator available" in run(read_only, tmp_path, alone).stderr


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
def test_a_folder_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    own = private_folder(tmp_path)
    assert private_folder(tmp_path) == own
    assert own.stat().st_mode & 0o777 == 0o700
    own.chmod(0o777)
    other = private_folder(tmp_path)
    assert other != own
    assert other.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shared").mkdir()
    link = tmp_path / "shared" / private_folder(tmp_path / "elsewhere").name
    link.symlink_to(tmp_path / "elsewhere")
    assert private_folder(tmp_path / "shared") != link


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions are those of POSIX")
@pytest.mark.parametrize("dangling", [False, True])
def test_a_file_or_a_broken_link_in_its_place_is_passed_by(tmp_path: Path, dangling: bool) -> None:
    (tmp_path / "elsewhere").mkdir()
    taken = tmp_path / private_folder(tmp_path / "elsewhere").name
    if dangling:
        taken.symlink_to(tmp_path / "nowhere")
    else:
        taken.write_text("somebody else's")
    assert private_folder(tmp_path).is_dir()
