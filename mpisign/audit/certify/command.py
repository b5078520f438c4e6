"""Print the certificates of a job's runs, and write them as JSON."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from mpisign.audit.bound_names import failing, named
from mpisign.audit.certify.certificate import Certificate, outcomes
from mpisign.audit.certify.runs import certificates, of_file
from mpisign.audit.json_rows import write_rows
from mpisign.config import experiment
from mpisign.config.validation import InputError

_LONGEST = 120
"""Digits of a fraction that are printed; JSON has all of them."""


def certify(path: Path, label: str | None, upto: int | None, most: int, output: Path | None) -> None:
    """Certify the runs of a job, print what was found, and write it where `output` asks for it.

    Args:
        path: The job file.
        label: The run; None for every run that can be certified.
        upto: Largest k; None for the job's iterations.
        most: Largest number of states.
        output: Where the rows are written as JSON, or None.

    Raises:
        InputError: If no run can be certified, or the output cannot be written.
    """
    with _long_numbers():
        found = []
        try:
            for each in certificates(experiment.read(path), label, upto, most, _say):
                found.append(each)
                _say([*_body(each), ""])
        except InputError as error:
            raise of_file(path, error, "--") from None
        if output:
            write_rows(output, [row.document() for each in found for row in each.rows])


@contextmanager
def _long_numbers() -> Iterator[None]:
    """Let Python print numbers of any length: a fraction of some hundred iterations has more digits than it allows."""
    usual = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(usual)


def _say(lines: Sequence[str]) -> None:
    """Print lines at once: the next ones may take a while."""
    print("\n".join(lines), flush=True)


def _body(found: Certificate) -> list[str]:
    """Return the constants, a table, and a line on each bound."""
    last = [f"stopped: x_{found.stopped} has too many states (--states)"] if found.stopped is not None else []
    return [*_constants(found), *_table(found), *_premises(found), *outcomes(found.rows), *last]


def _constants(found: Certificate) -> list[str]:
    noise, last = found.moments[-1].noise, found.moments[-1].k - 1
    known = found.rows[0].constants
    assert noise is not None
    over = f"exact, over the states of x_0, ..., x_{last}"
    literal = "" if noise.p_min == noise.p_min_literal else f", and {noise.p_min_literal} over all i"
    return [
        f"mu = {known['mu']} and L = {known['L']}: exact, of H",
        f"p_min = {noise.p_min} over g_i != 0{literal}: {over}",
        f"sigma^2 = {_both(noise.sigma2)}: {over}",
    ]


def _table(found: Certificate) -> list[str]:
    """Return for each k E V_k, and below it each bound: as decimals and as fractions."""
    lines = []
    for moment in found.moments[1:]:
        lines.append(f"k = {moment.k}: E V_k = {_both(moment.gap)}")
        for row in found.rows:
            if row.k == moment.k:
                sign, name = ">" if row.refuted else "<=", named(row.bound, row.reading)
                lines.append(f"  {sign} {_both(row.bound_value)}: {name}")
    return lines


def _premises(found: Certificate) -> list[str]:
    return [
        f"{named(name, reading)}: says nothing; {failing(premise)}"
        for (name, reading), premise in found.premises.items()
    ]


def _both(value: Fraction) -> str:
    """Return a fraction as a decimal and as itself, or how many digits it has where these are many."""
    text = str(value)
    said = text if len(text) <= _LONGEST else f"a fraction of {len(text) - 1} digits"
    return said if text == f"{float(value):.10g}" else f"{float(value):.10g} = {said}"
