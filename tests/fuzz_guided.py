"""The readers of fuzz.py with coverage-guided mutations; stops at the first failure.

pip install atheris && PYTHONPATH=src:tests python tests/fuzz_guided.py -runs=20000 -seed=1
"""

import logging
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["brain_tumor", "PIL", "nibabel", "pydicom"]):
    from brain_tumor.core.errors import UserError
    from brain_tumor.imaging.decode import UnreadableImageError
    from fuzz import MAX_SECONDS, READERS, SEEDS

NAMES = list(SEEDS)


def main() -> None:
    """Run libFuzzer with the arguments of the command line; its corpus are the seeds of fuzz.py."""
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:

        def read_file(data: bytes) -> None:
            # The first byte selects the reader by the number of a seed; the rest is the file.
            name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
            with suppress(UserError, UnreadableImageError):
                READERS[name.split(".")[0]](data[1:], name, Path(folder))

        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, content in enumerate(SEEDS.values()):
            (corpus / str(number)).write_bytes(bytes([number]) + content)
        limits = [f"-timeout={MAX_SECONDS:g}", "-max_len=100000", "-rss_limit_mb=0"]
        atheris.Setup([*sys.argv, *limits, str(corpus)], read_file)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
