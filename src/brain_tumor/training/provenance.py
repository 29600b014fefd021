"""Fingerprints of the code that makes a model."""

import hashlib
from pathlib import Path

import brain_tumor

# All rooms that src/train.py imports: the same that the stage `train` names in `deps` (a test compares them).
CODE_ROOMS = ("core", "models", "preprocessing", "training")
FINGERPRINT_DIGITS = 16


def fingerprint_code() -> dict[str, str]:
    """Compute a short SHA-256 of each room of the training code, from the paths and contents of its source files."""
    root = Path(brain_tumor.__file__).parent
    return {room: fingerprint_folder(root / room) for room in CODE_ROOMS}


def fingerprint_folder(folder: Path) -> str:
    """Compute a short SHA-256 of the Python files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()[:FINGERPRINT_DIGITS]
