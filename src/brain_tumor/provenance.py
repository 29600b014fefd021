"""Which code made a result: the project's modules that are loaded now, by content."""

import hashlib
import sys
from pathlib import Path


def code_fingerprints(root: Path) -> dict[str, str]:
    """Map each loaded source file below `root`, by its path from there, to the SHA-256 of its content."""
    root = root.resolve()
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    paths = sorted(Path(file).resolve() for file in files if file)
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in paths
        if path.is_relative_to(root) and path.suffix == ".py"
    }
