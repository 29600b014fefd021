"""Files on the local disk: DATA_ARCHIVES, and walks through folders with links."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain_tumor.core.errors import UserError
from brain_tumor.local_files import find_local_file, find_problem, walk_files

NAMES = st.sampled_from("abc")


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def relative_names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in walk_files(folder))


def test_find_local_file_first_folder_with_the_file_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    archives = [write(tmp_path / name / "a.zip") for name in ("first", "second")]
    (tmp_path / "second/images").mkdir()
    folders = ("empty", "first", "", "second")
    monkeypatch.setenv("DATA_ARCHIVES", os.pathsep.join(str(tmp_path / name) if name else "" for name in folders))
    assert find_local_file("a.zip") == archives[0]
    assert find_local_file("images") == tmp_path / "second/images"
    assert find_local_file("b.zip") is None


def test_find_local_file_without_data_archives_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATA_ARCHIVES", raising=False)
    assert find_local_file("a.zip") is None


def test_find_local_file_missing_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere, which is not a folder"):
        find_local_file("a.zip")


def test_walk_files_linked_folders_and_files_are_included(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside/1.png")
    write(tmp_path / "images/a/2.png")
    (tmp_path / "images/b").symlink_to(outside.parent)
    (tmp_path / "images/3.png").symlink_to(outside)
    assert relative_names(tmp_path / "images") == ["3.png", "a/2.png", "b/1.png"]


def test_walk_files_loop_of_links_each_folder_is_visited_once(tmp_path: Path) -> None:
    write(tmp_path / "a/1.png")
    write(tmp_path / "b/2.png")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a")
    (tmp_path / "a/to_parent").symlink_to(tmp_path)
    (tmp_path / "a/to_itself").symlink_to(tmp_path / "a")
    files = [path.resolve().relative_to(tmp_path).as_posix() for path in walk_files(tmp_path)]
    assert sorted(files) == ["a/1.png", "b/2.png"]


def test_walk_files_dangling_link_is_yielded(tmp_path: Path) -> None:
    (tmp_path / "1.png").symlink_to(tmp_path / "nowhere")
    assert relative_names(tmp_path) == ["1.png"]


def test_walk_files_not_a_folder_yields_nothing(tmp_path: Path) -> None:
    assert list(walk_files(write(tmp_path / "1.png"))) == []
    assert list(walk_files(tmp_path / "nowhere")) == []


def test_walk_files_missing_folder_is_reported(tmp_path: Path) -> None:
    errors: list[OSError] = []
    assert list(walk_files(tmp_path / "nowhere", errors.append)) == []
    assert [error.filename for error in errors] == [str(tmp_path / "nowhere")]


@given(
    files=st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=5),
    links=st.lists(st.tuples(st.lists(NAMES, max_size=2), st.lists(NAMES, max_size=2)), max_size=4),
)
def test_walk_files_any_links_yield_every_file_exactly_once(
    files: list[list[str]], links: list[tuple[list[str], list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("walk")
    expected = {write(root.joinpath(*folders, "file.png")) for folders in files}
    for number, (source, target) in enumerate(links):
        root.joinpath(*source).mkdir(parents=True, exist_ok=True)
        root.joinpath(*target).mkdir(parents=True, exist_ok=True)
        root.joinpath(*source, f"link{number}").symlink_to(root.joinpath(*target))
    result = [path.resolve() for path in walk_files(root)]
    assert len(result) == len(set(result))
    assert set(result) == expected


def test_walk_files_folders_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    """A folder that is linked twice is read at the first of its places, on every machine the same."""
    for name in ("c", "a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "link").symlink_to(write(tmp_path / "outside/1.png").parent)
    assert [path.relative_to(tmp_path).as_posix() for path in walk_files(tmp_path)] == ["a/link/1.png"]


def test_find_problem_only_readable_regular_files_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "1.png")
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "annexed").symlink_to("../.git/annex/objects/x/y")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    assert find_problem(file) == find_problem(tmp_path / "link") == ""
    assert find_problem(tmp_path / "dangling") == "a link to a file that does not exist"
    assert "`git annex get` or `datalad get`" in find_problem(tmp_path / "annexed")
    assert find_problem(tmp_path / "loop") == "a link to a file that does not exist"
    assert find_problem(tmp_path / "pipe") == find_problem(tmp_path) == "not a regular file"
    assert find_problem(tmp_path / "nothing") == "a file that cannot be read (No such file or directory)"
    monkeypatch.setattr(os, "access", lambda *args: False)
    assert find_problem(file) == "a file that cannot be read (no permission)"
