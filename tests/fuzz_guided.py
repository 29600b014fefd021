"""The fuzzing of fuzz.py with mutations led by coverage; ends at the first file that breaks a reader.

pip install atheris && PYTHONPATH=src:tests python tests/fuzz_guided.py -runs=20000 -seed=1
"""

import logging
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["brain_tumor", "PIL", "nibabel", "pydicom"]):
    from fuzz import READERS, SEEDS, SLOW

    from brain_tumor.errors import UserError
    from brain_tumor.images import UnreadableImageError

NAMES = list(SEEDS)


def main() -> None:
    """Hand the command line to libFuzzer, with the seeds of fuzz.py as its corpus."""
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:

        def one(data: bytes) -> None:
            # The first byte names the seed, and with it the reader; the rest is the file.
            name = NAMES[data[0] % len(NAMES)] if data else NAMES[0]
            with suppress(UserError, UnreadableImageError):
                READERS[name.split(".")[0]](data[1:], name, Path(folder))

        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, content in enumerate(SEEDS.values()):
            (corpus / str(number)).write_bytes(bytes([number]) + content)
        limits = [f"-timeout={SLOW:g}", "-max_len=100000", "-rss_limit_mb=0"]
        atheris.Setup([*sys.argv, *limits, str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
