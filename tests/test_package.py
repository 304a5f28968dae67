"""What the wheel carries, and what the project says about itself."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in the wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (path,) = folder.glob("nyala-*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


@pytest.mark.parametrize("name", ["nyala/py.typed", "nyala/datasets/digits.py", "nyala/datasets/digits.npz"])
def test_wheel_contains(wheel, name):
    assert name in wheel


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_wheel_carries_the_legal_texts(wheel, name):
    assert any(path.endswith(f".dist-info/licenses/{name}") for path in wheel)


def test_wheel_contains_the_library_and_nothing_else(wheel):
    assert {path.split("/")[0] for path in wheel if ".dist-info/" not in path} == {"nyala"}


def test_tensorflow_is_a_dependency_and_keras_is_none():
    required = [line for line in metadata.requires("nyala") or [] if "extra ==" not in line]
    assert any(line.startswith("tensorflow") for line in required)
    assert not any(line.startswith(("keras", "tf-keras", "tf_keras")) for line in required)
