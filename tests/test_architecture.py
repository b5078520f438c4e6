"""The import rules: which package may import which, which library belongs to which module, and no circles."""

import ast
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mpisign

PACKAGE = Path(mpisign.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py"))


@cache
def imports(path):
    """Every module that a file imports, also inside functions; not what only the type checker sees."""
    return tuple(found_in(path, ast.parse((PACKAGE.parent / path).read_text())))


def found_in(path, tree):
    seen_by_checker = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in seen_by_checker:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package):
    return {str(path) for path in MODULES if any(name.split(".")[0] == package for name in imports(path))}


LAYERS = [
    {""},
    {"compiled", "config", "theory"},
    {"comm"},
    {"aggregation", "storage"},
    {"data"},
    {"problems"},
    {"algorithms"},
    {"engine"},
    {"tools"},
    {"audit"},
    {"cli"},
]
"""The packages from the ground up; "": the modules that belong to none."""

FRONT = {"mpisign/__init__.py", "mpisign/__main__.py", "mpisign/api.py", "mpisign/plot.py"}
"""What users call stands above all packages."""


def package_of(name):
    """The package of a module or of a name in one: a folder below mpisign."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and (PACKAGE / parts[1]).is_dir() else ""


def test_a_package_imports_only_from_below():
    height = {package: i for i, layer in enumerate(LAYERS) for package in layer}
    assert set(height) == {""} | {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    for path in MODULES:
        own = path.parts[1] if len(path.parts) > 2 else ""
        for name in imports(path) if str(path) not in FRONT else ():
            if name.split(".")[0] == "mpisign":
                other = package_of(name)
                assert other == own or height[other] < height[own], f"{path} imports {name}"


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        (
            "mpi4py",
            {
                "mpisign/comm/mpi.py",
                "mpisign/comm/startup.py",
                "mpisign/tools/bench/baselines/plain.py",
                "mpisign/tools/bench/links.py",
                "mpisign/tools/bench/rounds.py",
                "mpisign/tools/doctor/rank.py",
            },
        ),
        ("torch", {"mpisign/tools/bench/baselines/ddp.py"}),
        (
            "h5py",
            {
                "mpisign/data/file.py",
                "mpisign/storage/checkpoint.py",
                "mpisign/storage/hdf5.py",
                "mpisign/storage/memory.py",
                "mpisign/storage/repeat_datasets.py",
                "mpisign/storage/trajectory.py",
                "mpisign/storage/writer.py",
                "mpisign/tools/doctor/files.py",
                "mpisign/tools/dryrun/file_size.py",
            },
        ),
        ("tomllib", {"mpisign/config/document.py"}),
        (
            "argparse",
            {
                "mpisign/audit/bounds/command.py",
                "mpisign/audit/figures/figure.py",
                "mpisign/cli/arguments.py",
                "mpisign/cli/audit.py",
                "mpisign/cli/bench.py",
                "mpisign/cli/data.py",
                "mpisign/cli/init.py",
                "mpisign/cli/main.py",
                "mpisign/cli/merge.py",
                "mpisign/cli/rerun.py",
                "mpisign/cli/run.py",
            },
        ),
        ("tqdm", {"mpisign/progress.py"}),
        (
            "numba",
            {
                "mpisign/aggregation/compiled_messages.py",
                "mpisign/aggregation/compiled_rounds.py",
                "mpisign/compiled/draws.py",
                "mpisign/compiled/native.py",
                "mpisign/compiled/parameters.py",
                "mpisign/compiled/records.py",
                "mpisign/compiled/routines.py",
                "mpisign/compiled/views.py",
                "mpisign/jit.py",
            },
        ),
        ("pooch", {"mpisign/data/remote/fetch.py"}),
        ("requests", {"mpisign/data/remote/download.py"}),
        ("llvmlite", {"mpisign/compiled/native.py", "mpisign/compiled/records.py", "mpisign/jit.py"}),
        ("sklearn", {"mpisign/data/libsvm.py", "mpisign/tools/bench/baselines/classifier.py"}),
    ],
)
def test_a_library_stays_in_its_modules(package, modules):
    assert importers(package) == modules


def test_no_folder_has_many_modules():
    for folder in {path.parent for path in MODULES}:
        assert sum(path.parent == folder and path.name != "__init__.py" for path in MODULES) < 14, folder


def test_the_theory_does_no_input_or_output():
    allowed = {"decimal", "fractions", "numpy", "scipy", "typing", "collections", "itertools", "math", "mpisign"}
    for path in MODULES:
        if path.parts[:2] == ("mpisign", "theory"):
            found = set(imports(path))
            assert {name.split(".")[0] for name in found} <= allowed
            assert all(name.startswith(("mpisign.arrays", "mpisign.theory")) for name in found if "mpisign" in name)


def test_no_circle_of_imports():
    names = {str(path.with_suffix("")).replace("/", ".").removesuffix(".__init__"): path for path in MODULES}
    graph = {name: {other for other in imports(path) if other in names} - {name} for name, path in names.items()}
    # What importing a submodule runs besides, its package's __init__, is left out: `graph` holds what is written.
    assert len(list(TopologicalSorter(graph).static_order())) == len(names)


def test_the_loop_knows_neither_method_nor_mpi():
    text = (PACKAGE / "engine" / "loop.py").read_text()
    assert "mpi4py" not in text
    assert not any(name in text for name in ("ScaledSign", "GD(", '"sign"', "Logistic"))


def test_every_package_is_installed():
    """setuptools finds them by their __init__.py, and what is no Python is listed."""
    settings = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert settings["packages"] == {"find": {"include": ["mpisign*"]}}
    assert all((path.parent / "__init__.py").exists() for path in PACKAGE.rglob("*.py"))
    data = {
        path.suffix
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc", ".nbi", ".nbc")
    }
    assert data == {".j2", ".mplstyle", ".typed", ".toml"}
    assert settings["package-data"] == {
        "mpisign": ["py.typed", "examples/*.toml"],
        "mpisign.audit": ["**/*.j2", "**/*.mplstyle"],
    }


def test_no_module_is_long():
    for path in MODULES:
        assert len((PACKAGE.parent / path).read_text().splitlines()) <= 300, path


FORBIDDEN = {"eval", "exec", "compile", "__import__"}
UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "code"}


def test_input_is_data_only():
    """Nothing that is read is run: no eval, no pickle, no shell."""
    paths = [PACKAGE.parent / path for path in MODULES] + sorted((PACKAGE.parent / "analysis").rglob("*.py"))
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name):
                assert node.id not in FORBIDDEN, f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword):
                is_true = isinstance(node.value, ast.Constant) and node.value.value is True
                assert not (node.arg in ("allow_pickle", "shell") and is_true), f"{path}:{node.value.lineno}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {name.split(".")[0] for name in names} & UNSAFE, f"{path}:{node.lineno}"
