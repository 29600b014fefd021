"""Draw the plots that differ between a commit and the working tree as PNG files, without a browser.

python .ci/draw_plots.py origin/main out
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import vl_convert


def main() -> None:
    """Ask DVC for the plots of both sides, and draw those whose files Git says are changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    changed = output("git", "diff", "--name-only", "-z", given.base, "--", "metrics", "plots").split("\0")
    tables = [path for path in changed if path.endswith(".csv") and Path(path).exists()]
    given.out.mkdir(parents=True, exist_ok=True)
    if not tables:
        print("no plot has changed")
        return
    specs = json.loads(output("dvc", "plots", "diff", given.base, "--json", "--targets", *tables))["data"]
    count = 0
    for name, parts in specs.items():
        drawn = [part["content"] for part in parts if isinstance(part.get("content"), dict)]  # pictures have none
        for number, content in enumerate(drawn):
            title = f"{name.replace('/', '-').removesuffix('.csv')}{f'-{number}' if number else ''}"
            (given.out / f"{title}.png").write_bytes(vl_convert.vegalite_to_png(sized(content), scale=1.5))
            count += 1
    print(f"{count} plots in {given.out}")


def sized(spec: dict[str, Any]) -> dict[str, Any]:
    """A page gives its plots their size; here there is none."""
    return spec | {key: size for key, size in (("width", 480), ("height", 320)) if isinstance(spec.get(key), str)}


def output(*words: str) -> str:
    """What a command prints; its own error and exit code if it fails."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr or f"{' '.join(words)} failed")
    return done.stdout


if __name__ == "__main__":
    main()
