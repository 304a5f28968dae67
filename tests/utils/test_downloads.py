"""`get_file`: where files go, what is fetched again, and what is refused. Nothing leaves the machine."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nyala import utils
from tests.oracle import keras

TEXT = b"hello"
MD5, SHA = hashlib.md5(TEXT).hexdigest(), hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a file and archives of it."""
    folder = tmp_path / "source"
    (folder / "in" / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(TEXT)
    (folder / "in" / "a.txt").write_bytes(TEXT)
    (folder / "in" / "sub" / "b.txt").write_bytes(b"b")
    with tarfile.open(folder / "x.tar.gz", "w:gz") as tar:
        tar.add(folder / "in", "in")
    with zipfile.ZipFile(folder / "x.zip", "w") as packed:
        packed.write(folder / "in" / "a.txt", "in/a.txt")
    return folder


def fetch(library: Any, cache: Path, origin: Path, **options: Any) -> tuple[str, list[str]]:
    """The path, and all that lies in the cache, both from there."""
    cache.mkdir(exist_ok=True)
    path = library.utils.get_file(origin=origin.as_uri(), cache_dir=str(cache), **options)
    assert isinstance(path, str)
    return Path(path).relative_to(cache).as_posix(), sorted(x.relative_to(cache).as_posix() for x in cache.rglob("*"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.txt", {}),
        ("a.txt", {"fname": "b.txt", "cache_subdir": "m/n"}),
        ("a.txt", {"md5_hash": MD5}),
        ("a.txt", {"file_hash": SHA}),
        ("a.txt", {"file_hash": SHA, "hash_algorithm": "sha256"}),
        ("a.txt", {"file_hash": MD5, "hash_algorithm": "md5"}),
        ("x.tar.gz", {"fname": "x", "untar": True}),
        ("x.tar.gz", {"fname": "x.tar.gz", "untar": True}),
        ("x.tar.gz", {"fname": "x.tar.gz", "extract": True}),
        ("x.zip", {"fname": "x.zip", "extract": True}),
        ("x.zip", {"fname": "x.zip", "extract": True, "archive_format": ["tar", "zip"]}),
        ("x.zip", {"extract": True}),
    ],
)
def test_files_lie_where_the_reference_puts_them(name: str, options: Any, source: Path, tmp_path: Path) -> None:
    import nyala

    ours = fetch(nyala, tmp_path / "ours", source / name, **options)
    assert ours == fetch(keras, tmp_path / "theirs", source / name, **options)
    assert fetch(nyala, tmp_path / "theirs", source / name, **options) == ours  # the cache is common property


def test_what_is_there_is_not_fetched_again(source: Path, tmp_path: Path, capsys: Any) -> None:
    def get(**options: Any) -> bytes:
        return Path(utils.get_file(origin=(source / "a.txt").as_uri(), cache_dir=tmp_path, **options)).read_bytes()

    get()
    assert "Downloading" in capsys.readouterr().out
    (source / "a.txt").write_bytes(b"new")
    assert get() == TEXT
    assert capsys.readouterr().out == ""
    assert get(force_download=True) == b"new"
    (source / "a.txt").write_bytes(TEXT)
    with pytest.warns(UserWarning, match="another hash"):
        assert get(file_hash=SHA) == TEXT


def test_the_old_file_stays_where_fetching_fails(source: Path, tmp_path: Path) -> None:
    path = Path(utils.get_file(origin=(source / "a.txt").as_uri(), cache_dir=tmp_path))
    before = set(path.parent.iterdir())
    with pytest.warns(UserWarning, match="another hash"), pytest.raises(ValueError, match=f"{MD5}, but 0000"):
        utils.get_file(origin=(source / "a.txt").as_uri(), cache_dir=tmp_path, file_hash="0" * 32)
    with pytest.raises(OSError, match="could not be fetched"):
        utils.get_file("a.txt", (source / "none").as_uri(), cache_dir=tmp_path, force_download=True)
    assert path.read_bytes() == TEXT
    assert set(path.parent.iterdir()) == before


def test_home_is_that_of_the_reference(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    path = utils.get_file(origin=(source / "a.txt").as_uri())
    assert Path(path) == tmp_path / "home" / "datasets" / "a.txt"


def evil_archives(folder: Path) -> list[Path]:
    """Archives that want to write beside their folder, or to have links lead there."""
    members = {"up": "../evil.txt", "absolute": str(folder / "evil.txt"), "deep": "in/../../evil.txt"}
    paths = []
    for name, member in members.items():
        paths += [folder / f"{name}.tar", folder / f"{name}.zip"]
        with tarfile.open(paths[-2], "w") as tar:
            info = tarfile.TarInfo(member)
            info.size = 2
            tar.addfile(info, io.BytesIO(b"hi"))
        with zipfile.ZipFile(paths[-1], "w") as packed:
            packed.writestr(member, "hi")
    paths.append(folder / "link.tar")
    with tarfile.open(paths[-1], "w") as tar:
        link = tarfile.TarInfo("in")
        link.type, link.linkname = tarfile.SYMTYPE, "../.."
        tar.addfile(link)
    return paths


def test_archives_that_reach_outside_are_refused(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for archive in evil_archives(tmp_path):
        if archive.name == "absolute.tar":  # Python makes the path relative
            continue
        with pytest.raises(ValueError, match="outside of its folder"):
            utils.get_file(archive.name, archive.as_uri(), extract=True, cache_dir=cache)
        assert {path.name for path in (cache / "datasets").iterdir()} <= {a.name for a in evil_archives(tmp_path)}
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fname": "a.txt"}, "needs `origin`"),
        ({"origin": "file:///x/a.txt", "fname": "../a.txt"}, "a file without folders, but got '../a.txt'"),
        ({"origin": "file:///x/a.txt", "fname": "/a.txt"}, "a file without folders"),
        ({"origin": "file:///"}, "a file without folders, but got ''"),
        ({"origin": "file:///x/a.zip", "extract": True, "archive_format": "rar"}, "'tar', 'zip' or a list"),
        ({"origin": "file:///x/a.zip", "extract": True, "archive_format": None}, "'tar', 'zip' or a list"),
    ],
)
def test_mistakes_are_named(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        utils.get_file(cache_dir=tmp_path, **options)


def test_what_is_no_archive(source: Path, tmp_path: Path) -> None:
    for name, kind in (("a.txt", "auto"), ("x.zip", "tar")):
        with pytest.raises(ValueError, match="is no archive of the kind"):
            utils.get_file(name, (source / name).as_uri(), extract=True, archive_format=kind, cache_dir=tmp_path)
