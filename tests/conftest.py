"""Settings of the whole test suite, and fixtures of several modules."""

from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from heads import shapes
from project import Project, one_recipe

# Derandomized: a failure in CI can be repeated here. No deadline: machines differ in speed.
settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("project")

# Modules that take a minute or more, the longest first. Started last, one of them would keep one worker busy alone.
LONG_MODULES = (
    "hub_recipes", "studies", "pipeline", "remote", "experiments", "damaged_remote", "documented_commands",
    "stale_drawings",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the long modules."""
    order = {f"test_{name}": position for position, name in enumerate(LONG_MODULES)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONG_MODULES)))


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project with one small recipe, `one`, reproduced and committed. Copy it before changing it."""
    own = tmp_path_factory.getbasetemp()
    shared: Path = own if worker_id == "master" else own.parent  # of all workers
    root, done = shared / "reproduced" / "project", shared / "reproduced.done"
    with FileLock(shared / "reproduced.lock"):
        if not done.exists():
            root.parent.mkdir()
            project = one_recipe(root, shapes(12))
            project.run("dvc", "repro", "-P")
            project.commit("reproduced")
            done.touch()
    return Project.open(root)
