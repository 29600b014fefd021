"""`brain-tumor clean`: list one image of each set of duplicates or related images, or link these images elsewhere."""

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from brain_tumor.commands.cached_audit import audit_once
from brain_tumor.commands.inputs import (
    SOURCE_HELP,
    ReadOptions,
    add_read_options,
    is_table,
    name_files,
    open_inputs,
    parse_read_options,
)
from brain_tumor.commands.out_paths import check_out_table
from brain_tumor.commands.run_command import run_command
from brain_tumor.core.errors import UserError
from brain_tumor.core.outputs import atomic_outputs, write_csv
from brain_tumor.studies.image_lists import find_reasons

log = logging.getLogger(__name__)
COLUMNS = ["path", "label", "patient", "duplicate_id", "group", "kept", "reason"]
KEYS = {"duplicates": "duplicate_id", "group": "group"}
DESCRIPTION = f"""
List one image of each set of duplicates, or of each group of related images (--per group: adjacent slices, images of
one patient or series). The kept image is the one with the most pixels; of several, the one with the smallest content
hash, so that names and order do not matter. Unreadable and blank images, and duplicates with different labels, are not
kept; a column names the reason. No file is ever changed or deleted.
{SOURCE_HELP}"""


def main(argv: Sequence[str] | None = None) -> int:
    """List the images to keep of the source that the command line names.

    Args:
        argv: the arguments after `brain-tumor clean`; those of the process if None.

    Returns:
        0 if the list was written. After an error the process exits with code 1.
    """
    parser = argparse.ArgumentParser(
        prog="brain-tumor clean", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder, archive or table; nothing in it is changed")
    parser.add_argument("--out", type=Path, required=True, help=f"CSV file to write: {', '.join(COLUMNS)}")
    parser.add_argument("--per", choices=KEYS, default="duplicates", help="of what one is kept (default: %(default)s)")
    parser.add_argument(
        "--link", type=Path, help="new folder for symbolic links to the kept files, which must be files of a folder"
    )
    add_read_options(parser)
    args = parser.parse_args(argv)
    options = parse_read_options(args, parser)
    run_command(lambda: clean_source(args.source, args.out, options, args.per, args.link))
    return 0


def clean_source(source: Path, out: Path, options: ReadOptions, per: str, link: Path | None) -> None:
    """Audit images, write which of them are kept, and link these.

    Args:
        source: folder, archive or table.
        out: CSV file for the list.
        options: how the source is read.
        per: a key of KEYS.
        link: folder that is made for symbolic links to the kept files, None for none.

    Raises:
        UserError: a source that cannot be read, or links that cannot be made.
    """
    check_out_table(out, [source])
    root = source if source.is_dir() else source.parent
    if link is not None:
        _check_link(link, source, root)
    with open_inputs([source], options) as inputs:
        table, _ = audit_once(inputs.index, inputs.images.read, "clean", options.use_cache)
        kept = choose_kept(table, KEYS[per])
    if link is not None and (missing := [path for path in kept if path not in inputs.files]):
        raise UserError(f"--link: {missing[0]} is not a file in {root}, but part of a file")
    table = table.assign(kept=table["path"].isin(set(kept)), reason=find_reasons(table))
    related = "another image of its duplicates is kept" if per == "duplicates" else "another image of its group is kept"
    table["reason"] = table["reason"].where(table["kept"] | (table["reason"] != ""), related)
    with atomic_outputs(out) as (path,):
        write_csv(path, name_files(table[COLUMNS], inputs))
    if link is not None:
        link_files(root, [inputs.files[path] for path in kept], link)
    log.info("written: %s: %d of %d images kept", out, len(kept), len(table))
    for reason, count in table.loc[~table["kept"], "reason"].value_counts().items():
        log.info("not kept: %d × %s", count, reason)


def _check_link(link: Path, source: Path, root: Path) -> None:
    """Raise a UserError unless `link` can become a folder of links to the files of a source in the folder `root`."""
    if os.path.lexists(link):
        raise UserError(f"--link {link} exists already: name a new folder")
    if link.resolve().is_relative_to(root.resolve()):
        raise UserError(f"--link {link} is inside {root}: the next run would read the links")
    if source.is_file() and not is_table(source):
        raise UserError(f"--link: {source} is an archive, whose files cannot be linked: unpack it first")


def choose_kept(table: pd.DataFrame, key: str) -> list[str]:
    """Return the paths of the images that are kept: of each value of `key` the largest usable one, sorted."""
    usable = table[find_reasons(table) == ""]
    usable = usable.assign(pixel_count=-usable["width"] * usable["height"])
    return sorted(usable.sort_values(["pixel_count", "sha256", "path"]).drop_duplicates(key)["path"])


def link_files(root: Path, paths: Sequence[str], link: Path) -> None:
    """Make symbolic links to files of a folder, in the same folders below `link`."""
    for path in paths:
        target = link / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.symlink_to((root / path).resolve())
        except OSError as error:
            raise UserError(f"{target} cannot be made ({error.strerror}): use the list instead of --link") from None
