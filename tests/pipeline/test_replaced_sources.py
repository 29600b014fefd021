"""`dvc repro` notices a replaced archive or folder of DATA_ARCHIVES, and needs none where nothing changed."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import locate
from dvc_output import ALWAYS_RUN, stages_run
from heads import shapes
from project import Project

TARGETS = ["stages/dvc.yaml:audit@zipped", "stages/dvc.yaml:download@unpacked", f"{ALWAYS_RUN}locate"]
NOT_HERE: Any = {"DATA_ARCHIVES": ""}


def write_folder(project: Project, files: dict[str, bytes]) -> None:
    """Add files to the folder `unpacked` of the archives."""
    for name, content in files.items():
        path = project.archives / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture(scope="module")
def archive() -> bytes:
    """A zip archive of crosses and disks, three of each."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, image in shapes(3).items():
            file.writestr(name, image)
    return content.getvalue()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, archive: bytes) -> Project:
    """A project with an archive, a folder and generated images; results are committed and pushed."""
    project = Project(tmp_path_factory.mktemp("first") / "project")
    params = project.params()
    block = params["datasets"]["phantom"]
    block["expected"] = {"counts": {}, "fingerprint": ""}
    layout = {"path": "{label}s/{file}", "labels": {"cross": "cross", "disk": "disk"}}
    sources = {
        "zipped": {"kind": "archive", "file": "zipped.zip", "layout": layout},
        "unpacked": {"kind": "folder", "path": "unpacked", "layout": layout},
        "generated": block["source"],
    }
    params["datasets"] = {name: json.loads(json.dumps(block | {"source": sources[name]})) for name in sources}
    params["recipes"] = {}
    project.edit(params)
    for study in project.root.glob("stages/*/"):
        if study.name != "sources":
            (study / "dvc.yaml").unlink()
    (project.archives / "zipped.zip").write_bytes(archive)
    write_folder(project, shapes(3))
    project.run("dvc", "remote", "add", "--force", "--default", "team", str(project.root.parent / "remote"))
    project.run("dvc", "repro", *TARGETS)
    project.commit("reproduced")
    project.run("dvc", "push")
    return project


@pytest.fixture
def clone(first: Project, tmp_path: Any) -> Project:
    """Another machine: the commit and the results, but no archives."""
    clone = first.clone(tmp_path / "clone" / "project")
    clone.archives.mkdir()
    clone.run("dvc", "pull", "--with-deps", *TARGETS)
    return clone


def read_record(project: Project, name: str) -> Any:
    return json.loads((project.root / "data/sources.json").read_text())["datasets"][name]


def test_repro_touched_archive_runs_nothing_and_replaced_ones_run_their_download(first: Project) -> None:
    assert read_record(first, "generated") == {}
    for path in [*first.archives.rglob("*.png"), first.archives / "zipped.zip"]:
        path.touch()
    assert stages_run(first.run("dvc", "repro", *TARGETS)) == []
    first.add_data("zipped", shapes(4))
    output = first.run("dvc", "repro", *TARGETS)
    assert stages_run(output) == ["stages/dvc.yaml:download@zipped", "stages/dvc.yaml:audit@zipped"]
    assert "zipped: 8 images" in output
    write_folder(first, shapes(5))
    output = first.run("dvc", "repro", *TARGETS)
    assert stages_run(output) == ["stages/dvc.yaml:download@unpacked"]
    assert "unpacked: 10 images" in output
    assert read_record(first, "unpacked")["unpacked"]["files"] == 10


def test_repro_machine_without_archives_runs_nothing(clone: Project) -> None:
    for command in (("repro",), ("repro", "--pull"), ("repro", "--dry", "--allow-missing")):
        assert stages_run(clone.run("dvc", *command, *TARGETS, **NOT_HERE)) == []
    assert clone.run("git", "status", "--porcelain") == ""
    status = json.loads(clone.run("dvc", "status", "--json", "--with-deps", *TARGETS, **NOT_HERE))
    assert status == {f"{ALWAYS_RUN}locate": ["always changed"]}


def test_repro_same_archive_on_another_machine_runs_nothing_and_same_images_only_the_download(
    clone: Project, archive: bytes
) -> None:
    (clone.archives / "zipped.zip").write_bytes(archive)
    assert stages_run(clone.run("dvc", "repro", *TARGETS)) == []
    assert clone.run("git", "status", "--porcelain") == ""
    with zipfile.ZipFile(clone.archives / "zipped.zip", "a") as changed:
        changed.writestr("notes.txt", "not an image")
    assert stages_run(clone.run("dvc", "repro", *TARGETS)) == ["stages/dvc.yaml:download@zipped"]


def test_repro_other_content_than_expected_is_an_error_until_the_archive_is_back(
    clone: Project, archive: bytes
) -> None:
    params = clone.params()
    params["datasets"]["zipped"]["expected"]["counts"] = {"cross": 3, "disk": 3}
    clone.edit(params)
    clone.add_data("zipped", shapes(2))
    for _ in range(2):
        assert "expect" in clone.run("dvc", "repro", *TARGETS, code=255), "again, though the record is no longer new"
    (clone.archives / "zipped.zip").write_bytes(archive)
    clone.run("dvc", "repro", *TARGETS)
    assert stages_run(clone.run("dvc", "repro", *TARGETS)) == []


@pytest.mark.parametrize(
    ("study", "recorded"),
    [
        ({"recipes": [{"name": "one", "dataset": "mine", "masks": "masks.zip"}]}, {"one": ["masks.zip"]}),
        (None, {}),
    ],
)
def test_locate_records_the_masks_that_the_study_localization_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: Any, recorded: dict[str, list[str]]
) -> None:
    for name in ("mine.zip", "masks.zip"):
        (tmp_path / name).write_bytes(b"x")
    blocks = {"datasets": {"mine": {"source": {"kind": "archive", "file": "mine.zip"}}}}
    (tmp_path / "params.yaml").write_text(json.dumps(blocks | ({"localization": study} if study else {})))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ARCHIVES", str(tmp_path))
    locate.main()
    record = json.loads((tmp_path / "data/sources.json").read_text())
    assert list(record["datasets"]["mine"]) == ["mine.zip"]
    assert {name: list(files) for name, files in record["localization"].items()} == recorded


def test_stage_tumor_masks_depends_on_the_record() -> None:
    stages = yaml.safe_load((Path(__file__).parents[2] / "stages/localization/dvc.yaml").read_text())["stages"]
    assert {"data/sources.json": ["localization.${item.name}"]} in stages["tumor_masks"]["do"]["params"]
