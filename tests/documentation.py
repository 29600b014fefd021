"""The documentation, and the commands in it."""

import re

from project import ROOT

PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "docs/**/*.md",
        "stages/*/README.md",
        "lists/README.md",
        "benchmarks/README.md",
    )
    for path in ROOT.glob(pattern)
)
# Pages that mention commands of the past.
HISTORY = ("docs/engineering-log.md", "docs/migration.md")
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
BLOCK_OR_SPAN = re.compile(rf"{BLOCK.pattern}|`([^`]+)`", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(make|dvc|python3?|pip|git|brain-tumor|[A-Z_]+=\S+) ")
PLACEHOLDERS = ("…", "<stage>")


def read_commands() -> list[str]:
    """Return each command of the documentation once, in the order of the pages.

    These are the lines of the shell blocks (```sh) without comments, and commands in the text, unless they have a
    placeholder or only mention the beginning of a command that is in a block.
    """
    lines, commands = [], []
    for page in PAGES:
        for language, block, span in BLOCK_OR_SPAN.findall((ROOT / page).read_text(encoding="utf-8")):
            if language == "sh":
                lines += _split(block)
                commands += _split(block)
            elif page not in HISTORY and COMMAND.match(span) and not any(text in span for text in PLACEHOLDERS):
                commands.append(" ".join(span.split()))
    is_beginning = {command: any(line.startswith(command) for line in lines) for command in commands}
    return [command for command in dict.fromkeys(commands) if command in lines or not is_beginning[command]]


def _split(block: str) -> list[str]:
    """Return the commands of a block; a line that ends with a backslash continues in the next one."""
    lines = (re.sub(r"(^|\s)#\s.*", "", line) for line in block.replace("\\\n", " ").splitlines())
    return [" ".join(line.split()) for line in lines if line.strip()]
