"""The rules and the registry travel with the package: as wheel, sdist, editable install and checkout."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(300)]

PROBE = "from scanner.resources import data_dir; print(data_dir('rules')); print(data_dir('oui'))"

PARSED = """
from scanner.knowledge import parsed
from scanner.resources import data_dir
print([p.name for p in data_dir('rules').rglob('*.yaml') if parsed._key(p.read_bytes()) not in parsed._shipped()])
"""
"""Names of the rule files that did not come parsed."""


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(root)],
        check=True,
        capture_output=True,
        timeout=240,
    )
    return folder


def _environment(folder: Path, *what: str) -> Path:
    """A fresh environment that borrows our libraries but not our package; returns its Python."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    ours = next(p for p in sys.path if p.endswith("site-packages"))
    # A .pth of their .pth-free folder: an editable install of lanveto in ours must not leak into the new one.
    (Path(site) / "borrowed.pth").write_text(ours + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index",
         "--no-build-isolation", "--ignore-installed", *what],
        check=True,
        capture_output=True,
        timeout=240,
    )  # fmt: skip
    return python


def test_the_wheel_brings_its_data_and_nothing_else(built: Path, tmp_path: Path) -> None:
    wheel = next(built.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"scanner", next(n for n in names if "dist-info" in n).split("/")[0]}
    assert "scanner/data/oui/registry.bin" in names
    assert {f"scanner/report/templates/{n}" for n in ("report.html", "inquiry.html", "style.css", "script.js")} <= set(names)
    assert any(name.startswith("scanner/data/rules/fingerprints/") for name in names)
    assert "scanner/data/parsed-rules.bin" in names
    python = _environment(tmp_path / "venv", str(wheel))
    assert subprocess.run([python, "-c", PARSED], check=True, capture_output=True, cwd=tmp_path).stdout == b"[]\n"
    out = subprocess.run([python, "-c", PROBE], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert str(tmp_path / "venv") in out.splitlines()[0]
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "lanveto", "rules", "show", "dahua"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "Dahua" in done.stdout


def test_the_sdist_can_be_built_again(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for needed in ("oui/registry.bin", "rules/profiles.yaml", "scanner/model.py", "tests/conftest.py", "Makefile"):
        assert needed in names, needed


def test_the_editable_install_and_the_checkout_find_the_same_data(root: Path, tmp_path: Path) -> None:
    checkout = subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True, text=True, cwd=root).stdout
    assert checkout.split() == [str(root / "rules"), str(root / "oui")]
    python = _environment(tmp_path / "venv", "-e", str(root))
    editable = subprocess.run([python, "-c", PROBE], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert editable == checkout
    assert subprocess.run([python, "-c", PARSED], check=True, capture_output=True, cwd=tmp_path).stdout == b"[]\n"
