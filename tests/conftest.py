"""Settings of the whole test suite, and what several of its modules start from."""

from pathlib import Path

import pytest
from filelock import FileLock
from heads import shapes
from hypothesis import settings
from project import Project, one_recipe

# Derandomized, so that a failure in CI is the same failure here; no deadline, since machines differ in speed.
settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("project")

# Modules that take a minute or more, the longest first: one that starts last would keep one worker while others idle.
LONG = ("hub_recipes", "studies", "pipeline", "remote", "experiments", "readme", "training")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long modules."""
    order = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A small recipe, `one`, that was reproduced and committed: to be copied, not to be changed."""
    own = tmp_path_factory.getbasetemp()
    base: Path = own if worker_id == "master" else own.parent  # which all workers share
    project, done = base / "reproduced" / "project", base / "reproduced.done"
    with FileLock(base / "reproduced.lock"):
        if not done.exists():
            project.parent.mkdir()
            made = one_recipe(project, shapes(12))
            made.run("dvc", "repro", "-P")
            made.commit("reproduced")
            done.touch()
    return Project.at(project)
