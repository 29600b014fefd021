"""`brain-tumor audit`: find near-duplicates, label conflicts and unusable files in any images."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from brain_tumor.audit.findings import describe_findings
from brain_tumor.audit.summary import log_summary, summarize_audit
from brain_tumor.commands.cached_audit import audit_once
from brain_tumor.commands.gallery import list_counts, write_gallery
from brain_tumor.commands.group_centers import add_centers
from brain_tumor.commands.inputs import SOURCE_HELP, ReadOptions, add_read_options, open_inputs, parse_read_options
from brain_tumor.commands.out_paths import check_out_folder
from brain_tumor.commands.run_command import run_command
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv, write_json
from brain_tumor.studies.shared_images import add_relations, count_shared_images, log_shared_images

log = logging.getLogger(__name__)
FILES = ("audit.csv", "links.csv", "files.csv", "audit.json", "gallery.html")
DESCRIPTION = f"""
Find duplicates among images: the same bytes, the same pixels, and the same slice rescaled, re-encoded, brightened,
cropped, padded, with burned-in text, mirrored or rotated. Also find adjacent slices, label conflicts, unreadable
files, blank images, and images that do not look like a slice of a head. Several sources are audited as one, to find
the images that they share; their patients are taken to be different ones.
{SOURCE_HELP}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Audit the sources that the command line names.

    Args:
        argv: the arguments after `brain-tumor audit`; those of the process if None.

    Returns:
        0 if the sources were audited. After an error the process exits with code 1.
    """
    parser = argparse.ArgumentParser(
        prog="brain-tumor audit", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, nargs="+", help="folder, archive or table; nothing in it is changed")
    parser.add_argument("--out", type=Path, required=True, help=f"folder to write {', '.join(FILES)} to")
    add_read_options(parser)
    args = parser.parse_args(argv)
    options = parse_read_options(args, parser)
    run_command(lambda: audit_sources(args.source, args.out, options))
    return 0


def audit_sources(sources: Sequence[Path], out: Path, options: ReadOptions) -> None:
    """Audit images, and write tables, counts and examples to `out`.

    Args:
        sources: folders, archives and tables.
        out: folder for the results.
        options: how the sources are read.

    Raises:
        UserError: a source that cannot be read or has no images, `out` is inside a source or cannot be used, see
            `check_out_folder`, or an invalid layout.
    """
    for source in sources:
        if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
            raise UserError(
                f"--out {out} is inside the audited folder: the next run would audit the images written there"
            )
    check_out_folder(out, FILES, sources)
    with open_inputs(sources, options) as inputs:
        name = " and ".join(inputs.sources)
        table, links = audit_once(inputs.index, inputs.images.read, f"audit {name}", options.use_cache)
        counts = summarize_audit(table, links)
        log_summary(name, table, counts)
        if len(inputs.sources) > 1:
            table = add_relations(table)
            counts["shared"] = count_shared_images(table, list(inputs.sources))
            log_shared_images(counts["shared"])
        else:
            table = table.drop(columns="dataset")
        found = describe_findings(table, links, counts, len(inputs.skipped.table()))
        outs = [str(out / file) for file in FILES]
        with atomic_outputs(*outs) as (table_path, links_path, files_path, counts_path, gallery_path):
            write_csv(table_path, add_centers(table, links))
            write_csv(links_path, links)
            write_csv(files_path, inputs.skipped.table())
            write_json(counts_path, counts)
            write_gallery(gallery_path, table, links, counts, inputs.images.read, name, found)
    for what, count in list_counts(counts).items():
        log.info("%10s  %s", count, what)
    log.info("written: %s", ", ".join(outs))
    log.info("found: %s", found)
