"""Copies of the repository run their own code, although the environment has the original checkout installed."""

import pytest

from project import ROOT, Project

MARKER = '\nprint("package of", __file__)\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy whose package prints its path when it is imported."""
    project = Project(tmp_path_factory.mktemp("copies") / "project")
    package = project.root / "src/brain_tumor/__init__.py"
    package.write_text(package.read_text() + MARKER)
    return project


@pytest.mark.parametrize(
    "command",
    [
        "python src/train.py --help",
        "PYTHONPATH=src python src/studies/overlap.py --help",
    ],
)
def test_stage_command_in_copy_imports_the_copys_package(project: Project, command: str) -> None:
    # As DVC runs it in a copy that is not installed, such as that of a queued experiment.
    output = project.run("bash", "-c", f"unset PYTHONPATH; {command}")
    assert f"package of {project.root}/src/brain_tumor/__init__.py" in output
    assert str(ROOT / "src") not in output


def test_console_script_in_copy_imports_the_copys_package(project: Project) -> None:
    output = project.run("brain-tumor", "--help")
    assert f"package of {project.root}/src/brain_tumor/__init__.py" in output
