"""The file that a command writes: what is checked before any work."""

import os
from pathlib import Path

from mpisign.settings import BadInput


def check_output(output: Path, overwrite: bool) -> None:
    """Raises BadInput for a folder, for a file that exists unless `overwrite`, and where nothing can be written."""
    try:
        if output.is_dir():
            raise BadInput(str(output), "expected a file name for the output, but this is a folder")
        if output.exists() and not overwrite:
            raise BadInput(str(output), "this output exists already; give --overwrite to replace it")
        nearest = next(folder for folder in output.absolute().parents if folder.exists())
    except OSError as error:
        raise BadInput(str(output), f"cannot write this output: {error.strerror}") from None
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise BadInput(str(nearest), "expected a folder that can be written into, for the output")
