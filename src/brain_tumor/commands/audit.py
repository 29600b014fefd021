"""`brain-tumor audit`: find near-duplicates, label conflicts and unusable files in any folder of images."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.summary import log_summary, summarize_audit
from brain_tumor.core.cli import run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.datasets.readers.folder import FolderFiles, index_images
from brain_tumor.plotting.contact_sheets import plot_pairs
from brain_tumor.plotting.link_examples import AUDIT_TITLE, choose_link_examples

log = logging.getLogger(__name__)
FILES = ("audit.csv", "links.csv", "audit.json", "audit.png")
DESCRIPTION = """
Find duplicates among images: the same bytes, the same pixels, and the same slice rescaled, re-encoded, brightened,
cropped, padded, with burned-in text, mirrored or rotated. Also find adjacent slices, label conflicts, unreadable
files, blank images, and images that do not look like a slice of a head.

The first folder of a path is the label, except train, training, val, valid, validation, test and testing, which name
the split: <class>/... or train/<class>/...
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Audit the folder that the command line names.

    Args:
        argv: the arguments after `brain-tumor audit`; those of the process if None.

    Returns:
        0 if the folder was audited. After an error the process exits with code 1.
    """
    parser = argparse.ArgumentParser(
        prog="brain-tumor audit", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of images; nothing in it is changed")
    parser.add_argument("--out", type=Path, required=True, help=f"folder to write {', '.join(FILES)} to")
    args = parser.parse_args(argv)
    run_cli(lambda: audit_folder(args.folder, args.out))
    return 0


def audit_folder(folder: Path, out: Path) -> None:
    """Audit a folder of images, and write tables, counts and examples to `out`.

    Raises:
        UserError: `folder` is not a folder or has no images, or `out` is inside it or is a file.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out {out} is inside the audited folder: the next run would audit the images written there")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file, and must be a folder")
    files, name = FolderFiles(folder), folder.resolve().name
    table, links = audit_images(index_images(files), files.read, f"audit {name}")
    counts = summarize_audit(table, links)
    log_summary(name, table, counts)
    outs = [str(out / file) for file in FILES]
    with atomic_outputs(*outs) as (table_path, links_path, counts_path, sheet_path):
        write_csv(table_path, table)
        write_csv(links_path, links)
        write_json(counts_path, counts)
        plot_pairs(sheet_path, choose_link_examples(table, links), files.read, f"{name}: {AUDIT_TITLE}")
    log.info("written: %s", ", ".join(outs))
