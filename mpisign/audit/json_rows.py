"""Write what was found of a job or a file as JSON, for other programs."""

import json
from pathlib import Path

from mpisign.config.validation import InputError


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Write a list of rows to the file that `--json` names, and make its folder where it is missing.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError("--json", f"cannot write {path}: {error.strerror}") from None
