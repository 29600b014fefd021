"""`brain-tumor audit`: find near-duplicates, label conflicts and unusable files in any folder of images."""

import argparse
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brain_tumor.audit.audit import audit_images
from brain_tumor.audit.findings import describe_findings
from brain_tumor.audit.summary import log_summary, summarize_audit
from brain_tumor.core.cli import run_cli
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.datasets.readers.folder import FolderFiles
from brain_tumor.datasets.readers.folder_index import IndexedImages, find_images, index_images
from brain_tumor.datasets.readers.folder_labels import infer_labels, match_labels
from brain_tumor.datasets.readers.volumes import OnlyPatient, Volumes
from brain_tumor.datasets.skipped import SkippedFiles
from brain_tumor.imaging.volumes import AXES
from brain_tumor.plotting.contact_sheets import plot_pairs
from brain_tumor.plotting.link_examples import AUDIT_TITLE, choose_link_examples

log = logging.getLogger(__name__)
FILES = ("audit.csv", "links.csv", "files.csv", "audit.json", "audit.png")
MAX_LABELS = 20  # that the log names
MIN_IMAGES_OF_ONE_PATIENT = 3  # from which it is noticed that there is no other patient
LAYOUT_HELP = """
pattern of the paths, if the folders are understood wrongly: {label} and {file} and, if there are such folders, {split}
and {patient}; * is any folder, **/ any number of folders, as in '**/{split}/{label}/{file}'
"""
DESCRIPTION = """
Find duplicates among images: the same bytes, the same pixels, and the same slice rescaled, re-encoded, brightened,
cropped, padded, with burned-in text, mirrored or rotated. Also find adjacent slices, label conflicts, unreadable
files, blank images, and images that do not look like a slice of a head.

Images are recognized by their content. Frames of DICOM files, slices of volumes and pages of other files are audited
one by one. All other files are listed with the reason.

The first folder of a path is the label, except train, training, val, valid, validation, test and testing, which name
the split: <class>/... or train/<class>/... Folders around all classes are passed over. The log names the labels.
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
    parser.add_argument("--plane", choices=AXES, default="axial", help="of the slices of volumes (default: axial)")
    parser.add_argument("--slices", type=int, default=5, help="number of slices per volume (default: %(default)s)")
    parser.add_argument("--layout", help=LAYOUT_HELP)
    parser.add_argument(
        "--no-header-patients", action="store_true", help="do not group DICOM files by the patient in their headers"
    )
    args = parser.parse_args(argv)
    if args.slices < 1:
        parser.error("--slices must be 1 or more")
    volumes = Volumes(plane=args.plane, count=args.slices)
    run_cli(lambda: audit_folder(args.folder, args.out, volumes, args.layout, not args.no_header_patients))
    return 0


def audit_folder(folder: Path, out: Path, volumes: Volumes, layout: str | None, patient_from_header: bool) -> None:
    """Audit a folder of images, and write tables, counts and examples to `out`.

    Args:
        folder: the folder.
        out: folder for the results.
        volumes: which slices of volumes are audited.
        layout: pattern of the paths, see `match_labels`; None to infer labels and splits from the folders.
        patient_from_header: whether DICOM files of one patient belong together.

    Raises:
        UserError: `folder` is not a folder or has no images, `out` is inside it or is a file, or an invalid layout.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out {out} is inside the audited folder: the next run would audit the images written there")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file, and must be a folder")
    name, skipped, files = folder.resolve().name, SkippedFiles(), FolderFiles(folder, leave_out_folders=True)
    names = find_images(files, skipped)
    only_patients: list[OnlyPatient] = []
    labels = infer_labels(names) if layout is None else match_labels(names, layout, skipped)
    with tempfile.TemporaryDirectory() as converted:
        images = IndexedImages(folder, Path(converted))
        index = index_images(files, labels, images, volumes, skipped, patient_from_header, only_patients.append)
        skipped.log_summary(name)
        if index.empty:
            raise UserError(f"no image below {folder}, which has {describe_skipped(skipped)}")
        log_labels(name, index)
        for found in only_patients:
            warn_of_one_patient(name, found)
        table, links = audit_images(index, images.read, f"audit {name}")
        counts = summarize_audit(table, links)
        log_summary(name, table, counts)
        outs = [str(out / file) for file in FILES]
        with atomic_outputs(*outs) as (table_path, links_path, files_path, counts_path, sheet_path):
            write_csv(table_path, table)
            write_csv(links_path, links)
            write_csv(files_path, skipped.table())
            write_json(counts_path, counts)
            plot_pairs(sheet_path, choose_link_examples(table, links), images.read, f"{name}: {AUDIT_TITLE}")
    log.info("written: %s", ", ".join(outs))
    log.info("found: %s", describe_findings(table, links, counts, len(skipped.table())))


def describe_skipped(skipped: SkippedFiles) -> str:
    """Return the number of files that were left out by reason."""
    return ", ".join(f"{len(paths)} × {reason}" for reason, paths in skipped.by_reason()) or "no files"


def log_labels(name: str, index: pd.DataFrame) -> None:
    """Log the number of images by label and split, and how to name the label folders if these are not right."""
    counts = pd.crosstab(index["label"], index["split"])
    texts = []
    for label, row in zip(counts.index, counts.to_dict("records"), strict=True):
        by_split = ", ".join(f"{split or 'no split'} {count}" for split, count in row.items() if count)
        texts.append(f"{label or 'no label'} {sum(row.values())}" + (f" ({by_split})" if any(counts.columns) else ""))
    more = f", and {len(texts) - MAX_LABELS} more" if len(texts) > MAX_LABELS else ""
    log.info("%s: labels: %s%s", name, ", ".join(texts[:MAX_LABELS]), more)
    log.info("If these are not the labels, name the folders, as in --layout '{label}/{file}': see --help")


def warn_of_one_patient(name: str, found: OnlyPatient) -> None:
    """Log a warning if several images have the only patient that DICOM headers name, or a placeholder."""
    if found.images >= MIN_IMAGES_OF_ONE_PATIENT:
        log.warning(
            "%s: the DICOM headers of %d images name %s, so that all are one group. If they are of several patients, "
            "name their folders by {patient} in --layout, or use --no-header-patients",
            name,
            found.images,
            "one patient" if found.is_only else "a placeholder as their patient, such as Anonymous",
        )
