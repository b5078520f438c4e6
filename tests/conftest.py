"""What holds for every test: minima are kept in a folder of this session, not in the user's; what starts ranks is
marked, so that nothing but other ranks runs meanwhile; and hypothesis takes the same examples in every run, however
long each lasts."""

import os
import runpy
import sys
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from matplotlib.figure import Figure

import launch
import legends

os.environ.setdefault("MPISIGN_COMPILE", "never")  # tests that compile say so: most runs are too short for it

settings.register_profile(
    "the same", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("the same")


LONG = {"test_compiled_loop", "test_pages", "test_bound_checks", "test_file_systems", "test_report", "test_parallel"}
LONG_OF_RANKS = {"test_kills", "test_one_trajectory", "test_faults", "test_under_mpiexec", "test_bench"}
"""Files that take long: they come first, so that of two processes none waits for the other at the end."""


SLOW = LONG | {
    "test_api",
    "test_audit_commands",
    "test_bad_input",
    "test_bits",
    "test_caches",
    "test_certificates",
    "test_certify",
    "test_command_line",
    "test_convert",
    "test_elsewhere",
    "test_examples",
    "test_faults",
    "test_fetch",
    "test_float32",
    "test_fuzz",
    "test_gaps",
    "test_hostile_files",
    "test_ill_conditioned",
    "test_names",
    "test_remarks",
    "test_resume",
    "test_run_comparison",
    "test_scripts",
    "test_sliced",
    "test_synthetic",
    "test_trajectory",
    "test_workers",
}
"""Files that `tests/run.sh --fast` leaves out: they start commands, draw, compile or prove, which takes seconds."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in LONG | LONG_OF_RANKS)
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker("slow")


def pytest_runtest_setup(item):
    launch.marked = item.get_closest_marker("ranks") is not None


@pytest.fixture(scope="session", autouse=True)
def _own_cache():
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        yield


@pytest.fixture(autouse=True)
def _entries_of_legends_differ(monkeypatch):
    """In every figure that a test writes in this process."""
    savefig = Figure.savefig

    def save(figure, *arguments, **options):
        assert legends.twins(figure) == []
        return savefig(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", save)


@pytest.fixture
def script(monkeypatch, capsys):
    """Run a script of analysis/ as a command, in this process; returns its exit status and what it printed."""

    def run(name, *arguments):
        path = launch.ROOT / "analysis" / f"{name}.py"
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        monkeypatch.syspath_prepend(path.parent)
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(path), run_name="__main__")
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run
