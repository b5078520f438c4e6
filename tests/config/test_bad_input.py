"""What does not fit is refused: status 2, one line that names the key and what was expected, no file touched."""

import gzip
import hashlib
import inspect
import sys

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzzing import toml
from launch import call, mpirun, mpisign, programs
from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.config.validation import InputError
from mpisign.data.bundled import BUNDLED
from mpisign.data.file import DataWriter, Layout
from mpisign.engine import planning
from mpisign.problems import PROBLEMS

GOOD = """
seed = 1
repeats = 2
iterations = 3
problem = { kind = "separable", eigenvalues = [1.0, 2.0] }
oracle = { kind = "full" }
start = { kind = "zeros" }
log = { every = 1 }
[[runs]]
label = "one"
method = "gd"
workers = 2
step = { kind = "constant", alpha = 0.1 }
[[runs]]
label = "two"
method = "sign"
step = { kind = "harmonic", c = 1.0 }
"""


def job(change):
    """The good job with the first line of each key changed: removed for None, on top for a new key; or a whole text."""
    if isinstance(change, str):
        return change
    lines = GOOD.splitlines()
    for key, value in change.items():
        new = [] if value is None else [f"{key} = {value}"]
        at = next((i for i, line in enumerate(lines) if line.startswith(f"{key} =")), None)
        lines[slice(0, 0) if at is None else slice(at, at + 1)] = new
    return "\n".join(lines)


def constant(alpha):
    return {"step": f'{{ kind = "constant", alpha = {alpha} }}'}


def quadratic(matrix):
    return {"problem": f'{{ kind = "quadratic", matrix = {matrix} }}'}


def separable(eigenvalues):
    return {"problem": f'{{ kind = "separable", eigenvalues = {eigenvalues} }}'}


def logistic(data, **more):
    return {"problem": f'{{ kind = "logistic", data = "{data}" }}'} | more


def minibatch(batch):
    return logistic("wine", oracle=f'{{ kind = "minibatch", batch = {batch}, sampling = "shard" }}')


RUN = ["run", "job.toml", "-o", "out.h5"]

CASES = [
    # keys
    ("unknown key", {"sede": "1"}, RUN, ["job.toml: sede:", "unknown key", "did you mean seed?"]),
    ("unknown run key", {"label": '"one"\nzeross = 1'}, RUN, ["job.toml: runs.0.zeross:", "unknown key"]),
    (
        "unknown method key",
        {"method": '"sign"\nzeross = "exact"'},
        RUN,
        ["runs.0.zeross:", "unknown key", "did you mean zeros?"],
    ),
    (
        "unknown problem key",
        {"problem": '{ kind = "separable", eigenvalue = [1.0] }'},
        RUN,
        ["problem.eigenvalue:", "unknown key", "did you mean eigenvalues?"],
    ),
    ("unknown oracle key", {"oracle": '{ kind = "full", batch = 2 }'}, RUN, ["oracle.batch:", "unknown key"]),
    (
        "unknown step key",
        {"step": '{ kind = "constant", alfa = 1.0 }'},
        RUN,
        ["runs.0.step.alfa:", "unknown key", "did you mean alpha?"],
    ),
    ("unknown start key", {"start": '{ kind = "zeros", size = 1.0 }'}, RUN, ["start.size:", "unknown key"]),
    ("unknown log key", {"log": "{ evry = 1 }"}, RUN, ["log.evry:", "unknown key", "did you mean every?", "points"]),
    ("near run key", {"label": '"one"\nworker = 2'}, RUN, ["runs.0.worker:", "did you mean workers?"]),
    *(
        (f"dotted path {path}", {"method": f'"{path}"'}, RUN, ["runs.0.method:", "expected", path])
        for path in (":x", ".a:b", "os:path", "os:nothing", "os:getcwd", "builtins:dict")
    ),
    ("deep TOML", "name = " + "[" * 5000, RUN, ["job.toml:", "TOML"]),
    ("an integer of 5000 digits", {"seed": "9" * 5000}, RUN, ["job.toml:", "TOML"]),
    ("a key on two lines", '"a\\nb" = 1', RUN, ["job.toml:", "a\\nb", "unknown key"]),
    *((f"huge {key}", {key: str(2**70)}, RUN, [f"{key}:", "expected"]) for key in ("repeats", "workers")),
    ("huge c", {"step": f'{{ kind = "harmonic", c = {2**2000} }}'}, RUN, ["runs.0.step.c:", "expected"]),
    ("iterations missing", {"iterations": None}, RUN, ["runs.0.iterations:", "missing"]),
    ("problem missing", {"problem": None}, RUN, ["problem:", "missing", "kind"]),
    ("step missing", {"step": None}, RUN, ["runs.0.step:", "missing"]),
    ("method missing", {"method": None}, RUN, ["runs.0.method:", "missing", *METHODS]),
    ("alpha missing", {"step": '{ kind = "constant" }'}, RUN, ["runs.0.step.alpha:", "missing"]),
    ("problem kind missing", {"problem": "{ matrix = [[1.0]] }"}, RUN, ["problem.kind:", "missing", *PROBLEMS]),
    ("oracle kind missing", {"oracle": "{ batch = 2 }"}, RUN, ["oracle.kind:", "missing", *ORACLES]),
    ("step kind missing", {"step": "{ alpha = 1.0 }"}, RUN, ["runs.0.step.kind:", "missing", *STEPS]),
    ("start kind missing", {"start": "{ x = [1.0, 1.0] }"}, RUN, ["start.kind:", "missing", *STARTS]),
    ("runs missing", 'problem = { kind = "toy" }', RUN, ["job.toml: runs:", "expected", "[[runs]]"]),
    ("runs empty", 'runs = []\nproblem = { kind = "toy" }', RUN, ["job.toml: runs:", "expected", "[[runs]]"]),
    ("runs no tables", 'runs = [1]\nproblem = { kind = "toy" }', RUN, ["job.toml: runs:", "expected", "[[runs]]"]),
    # kinds
    ("unknown method", {"method": '"scaled-sgn"'}, RUN, ["runs.0.method:", "did you mean scaled-sign?", *METHODS]),
    (
        "unknown problem",
        {"problem": '{ kind = "seperable" }'},
        RUN,
        ["problem.kind:", "did you mean separable?", *PROBLEMS],
    ),
    ("unknown oracle", {"oracle": '{ kind = "minbatch" }'}, RUN, ["oracle.kind:", "did you mean minibatch?", *ORACLES]),
    ("unknown step", {"step": '{ kind = "harmonc" }'}, RUN, ["runs.0.step.kind:", "did you mean harmonic?", *STEPS]),
    ("unknown start", {"start": '{ kind = "norml" }'}, RUN, ["start.kind:", "did you mean normal?", *STARTS]),
    ("unknown data set", logistic("wein"), RUN, ["problem.data:", "did you mean wine?", *BUNDLED]),
    # types
    ("seed a string", {"seed": '"1"'}, RUN, ["job.toml: seed:", "integer", "'1'"]),
    ("repeats a float", {"repeats": "2.5"}, RUN, ["repeats:", "integer", "2.5"]),
    ("repeats a whole float", {"repeats": "2.0"}, RUN, ["repeats:", "integer", "2.0"]),
    ("repeats a bool", {"repeats": "true"}, RUN, ["repeats:", "integer", "got true"]),
    ("workers a bool", {"workers": "true"}, RUN, ["runs.0.workers:", "integer", "got true"]),
    ("iterations a date", {"iterations": "2024-01-01"}, RUN, ["runs.0.iterations:", "integer"]),
    ("alpha a string", constant('"0.1"'), RUN, ["runs.0.step.alpha:", "number", "'0.1'"]),
    ("alpha a bool", constant("true"), RUN, ["runs.0.step.alpha:", "number", "got true"]),
    ("label a number", {"label": "1"}, RUN, ["runs.0.label:", "string"]),
    ("name a number", {"name": "1"}, RUN, ["name:", "string"]),
    ("step a string", {"step": '"constant"'}, RUN, ["runs.0.step:", "expected", "'constant'"]),
    ("method a number", {"method": "3"}, RUN, ["runs.0.method:", "got 3", *METHODS]),
    ("problem a string", {"problem": '"toy"'}, RUN, ["problem:", "table", "'toy'"]),
    ("log a number", {"log": "1"}, RUN, ["log:", "table", "1"]),
    ("iterates a number", {"log": "{ iterates = 1 }"}, RUN, ["log.iterates:", "boolean"]),
    ("eigenvalues a number", separable("1.0"), RUN, ["problem.eigenvalues:", "list"]),
    ("eigenvalues of strings", separable('["1"]'), RUN, ["problem.eigenvalues.0:", "number", "'1'"]),
    # values
    ("alpha zero", constant("0"), RUN, ["runs.0.step.alpha:", "greater than 0", "got 0"]),
    ("alpha negative", constant("-0.1"), RUN, ["runs.0.step.alpha:", "greater than 0", "-0.1"]),
    ("alpha nan", constant("nan"), RUN, ["runs.0.step.alpha:", "finite", "nan"]),
    ("alpha inf", constant("inf"), RUN, ["runs.0.step.alpha:", "finite", "inf"]),
    ("harmonic c zero", {"step": '{ kind = "harmonic", c = 0 }'}, RUN, ["runs.0.step.c:", "number > 0", "got 0"]),
    ("harmonic c of words", {"step": '{ kind = "harmonic", c = "6m" }'}, RUN, ["runs.0.step.c:", "6n", "6m"]),
    (
        "harmonic c a bool",
        {"step": '{ kind = "harmonic", c = true }'},
        RUN,
        ["runs.0.step.c:", "number > 0", "got true"],
    ),
    ("harmonic c nan", {"step": '{ kind = "harmonic", c = nan }'}, RUN, ["runs.0.step.c:", "number > 0", "nan"]),
    ("harmonic k0 zero", {"step": '{ kind = "harmonic", c = 1, k0 = 0 }'}, RUN, ["runs.0.step.k0:", "greater than 0"]),
    ("6n without data", {"step": '{ kind = "harmonic", c = "6n" }'}, RUN, ["runs.0.step.c:", "'6n'", "with data"]),
    ("workers zero", {"workers": "0"}, RUN, ["runs.0.workers:", "greater than or equal to 1", "got 0"]),
    ("repeats zero", {"repeats": "0"}, RUN, ["repeats:", "greater than or equal to 1", "got 0"]),
    ("iterations zero", {"iterations": "0"}, RUN, ["runs.0.iterations:", "greater than or equal to 1", "got 0"]),
    (
        "exchange unknown",
        {"exchange": '"ring"'},
        RUN,
        ["exchange:", "'ring'; known: server, sharded, node, or auto"],
    ),
    ("exchange a number", {"exchange": "2"}, RUN, ["exchange:", "'server'"]),
    ("seed negative", {"seed": "-1"}, RUN, ["seed:", "greater than or equal to 0", "-1"]),
    ("seed of 64 bits", {"seed": str(2**63)}, RUN, ["seed:", "less than", str(2**63)]),
    ("every zero", {"log": "{ every = 0 }"}, RUN, ["log.every:", "greater than or equal to 1"]),
    ("one point", {"log": "{ points = 1 }"}, RUN, ["log.points:", "greater than or equal to 2"]),
    ("batch zero", minibatch(0), RUN, ["oracle.batch:", "greater than or equal to 1", "got 0"]),
    ("batch over the shard", minibatch(90), RUN, ["oracle.batch:", "at most 89", "178", "got 90"]),
    (
        "unknown sampling",
        logistic("wine", oracle='{ kind = "minibatch", batch = 1, sampling = "shards" }'),
        RUN,
        ["oracle.sampling:", "'iid'", "'shard'"],
    ),
    (
        "minibatch without data",
        {"oracle": '{ kind = "minibatch", batch = 2 }'},
        RUN,
        ["oracle.kind:", '"full"', '"additive"'],
    ),
    ("noise size zero", {"oracle": '{ kind = "additive", size = 0 }'}, RUN, ["oracle.size:", "greater than 0"]),
    (
        "noise q too large",
        {"oracle": '{ kind = "additive", size = 1, q = 0.6 }'},
        RUN,
        ["oracle.q:", "less than or equal to 0.5"],
    ),
    ("unknown zeros", {"method": '"sign"\nzeros = "minus"'}, RUN, ["runs.0.zeros:", "'exact'", "'coin'", "'plus'"]),
    (
        "unknown scaling",
        {"problem": '{ kind = "logistic", data = "wine", scaling = "row" }'},
        RUN,
        ["problem.scaling:"],
    ),
    ("duplicate label", {"label": '"two"'}, RUN, ["runs.1.label:", "'two'", "labels differ"]),
    ("label with a slash", {"label": '"a/b"'}, RUN, ["runs.0.label:", "without /", "'a/b'"]),
    ("label empty", {"label": '""'}, RUN, ["runs.0.label:", "printable"]),
    ("label of dots", {"label": '".."'}, RUN, ["runs.0.label:", "dots"]),
    ("label of two lines", {"label": r'"a\nb"'}, RUN, ["runs.0.label:", "printable"]),
    ("matrix not square", quadratic("[[1.0, 0.0]]"), RUN, ["problem.matrix:", "square"]),
    ("matrix ragged", quadratic("[[1.0, 0.0], [0.0]]"), RUN, ["problem.matrix:", "square"]),
    ("matrix empty", quadratic("[]"), RUN, ["problem.matrix:", "square"]),
    ("matrix not symmetric", quadratic("[[1.0, 0.5], [0.0, 1.0]]"), RUN, ["problem.matrix:", "symmetric"]),
    (
        "matrix indefinite",
        quadratic("[[1.0, 2.0], [2.0, 1.0]]"),
        RUN,
        ["problem.matrix:", "positive semidefinite", "-1"],
    ),
    ("matrix zero", quadratic("[[0.0]]"), RUN, ["problem.matrix:", "not zero"]),
    ("matrix with nan", quadratic("[[1.0, nan], [nan, 1.0]]"), RUN, ["problem.matrix.0.1:", "finite", "nan"]),
    ("eigenvalue negative", separable("[1.0, -1.0]"), RUN, ["problem.eigenvalues:", ">= 0", "-1.0"]),
    ("eigenvalues empty", separable("[]"), RUN, ["problem.eigenvalues:", ">= 0", "[]"]),
    ("eigenvalues zero", separable("[0.0, 0.0]"), RUN, ["problem.eigenvalues:", "not all zero"]),
    ("eigenvalue inf", separable("[1.0, inf]"), RUN, ["problem.eigenvalues.1:", "finite", "inf"]),
    ("point too long", {"start": '{ kind = "point", x = [1.0, 2.0, 3.0] }'}, RUN, ["start.x:", "2 numbers", "got 3"]),
    ("start size negative", {"start": '{ kind = "normal", size = -1.0 }'}, RUN, ["start.size:", "equal to 0"]),
    # data files
    ("data missing", logistic("nowhere.svm"), RUN, ["problem.data:", "no file", "'nowhere.svm'", *BUNDLED]),
    ("data a folder", logistic("folder"), RUN, ["problem.data:", "no file", "'folder'"]),
    ("data of three classes", logistic("three.svm"), RUN, ["problem.data:", "three.svm", "two classes", "found 3"]),
    ("data with nan", logistic("nan.svm"), RUN, ["problem.data:", "nan.svm", "line 2", "finite"]),
    ("data line broken", logistic("broken.svm"), RUN, ["problem.data:", "broken.svm", "LIBSVM"]),
    ("data empty", logistic("empty"), RUN, ["problem.data:", "empty", "two classes"]),
    ("data HDF5 of something else", logistic("other.h5"), RUN, ["problem.data:", "other.h5", "features", "labels"]),
    ("data HDF5 cut off", logistic("cut.h5"), RUN, ["problem.data:", "cut.h5", "expected"]),
    # job files
    ("job missing", {}, ["run", "nowhere.toml", "-o", "out.h5"], ["nowhere.toml:", "No such file"]),
    ("job a folder", {}, ["run", "folder", "-o", "out.h5"], ["folder:", "directory"]),
    ("job not UTF-8", {}, ["run", "latin.toml", "-o", "out.h5"], ["latin.toml:", "UTF-8"]),
    ("job not TOML", "seed 1", RUN, ["job.toml:", "not valid TOML", "line 1"]),
    ("job with a key twice", GOOD + "label = 'three'", RUN, ["job.toml:", "not valid TOML"]),
    ("job HDF5", {}, ["run", "trajectory.h5", "-o", "out.h5"], ["trajectory.h5:", "UTF-8"]),
    # the command line
    ("set without =", {}, [*RUN, "--set", "seed"], ["--set:", "KEY=VALUE", "'seed'"]),
    ("set without key", {}, [*RUN, "--set", "=1"], ["--set:", "KEY=VALUE", "'=1'"]),
    ("set beyond the runs", {}, [*RUN, "--set", "runs.7.workers=1"], ["--set:", "leads nowhere", "'7'"]),
    ("set below a number", {}, [*RUN, "--set", "seed.x=1"], ["--set:", "leads nowhere", "'x'"]),
    ("set an unknown key", {}, [*RUN, "--set", "sede=1"], ["sede:", "unknown key", "did you mean seed?"]),
    ("set a bad value", {}, [*RUN, "--set", "runs.1.workers=two"], ["runs.1.workers:", "integer", "'two'"]),
    ("repeats of one number", {}, [*RUN, "--repeats", "1"], ["--repeats:", "A:B", "B <= 2", "'1'"]),
    ("repeats of letters", {}, [*RUN, "--repeats", "a:b"], ["--repeats:", "A:B", "'a:b'"]),
    ("repeats open", {}, [*RUN, "--repeats", "1:"], ["--repeats:", "A:B", "'1:'"]),
    ("repeats empty", {}, [*RUN, "--repeats", "1:1"], ["--repeats:", "A:B", "'1:1'"]),
    ("repeats backwards", {}, [*RUN, "--repeats", "2:1"], ["--repeats:", "A:B", "'2:1'"]),
    ("repeats out of range", {}, [*RUN, "--repeats", "0:3"], ["--repeats:", "B <= 2", "'0:3'"]),
    ("repeats negative", {}, [*RUN, "--repeats=-1:1"], ["--repeats:", "0 <= A", "'-1:1'"]),
    ("output exists", {}, ["run", "job.toml", "-o", "precious.h5"], ["precious.h5:", "exists", "--overwrite"]),
    ("output a folder", {}, ["run", "job.toml", "-o", "folder", "--overwrite"], ["folder:", "file name", "folder"]),
    ("output below a file", {}, ["run", "job.toml", "-o", "empty/out.h5"], ["empty:", "written into"]),
    ("output deep below a file", {}, ["run", "job.toml", "-o", "empty/sub/out.h5"], ["empty:", "written into"]),
    ("output of too long a name", {}, ["run", "job.toml", "-o", "x" * 300], ["cannot write"]),
    ("output is the job", {}, ["run", "job.toml", "-o", "job.toml", "--overwrite"], ["job.toml:", "job file itself"]),
    ("repeats of 5000 digits", {}, ["run", "job.toml", "-o", "o.h5", "--repeats", "0:" + "9" * 5000], ["--repeats"]),
    ("output missing", {}, ["run", "job.toml"], ["-o/--output", "required"]),
    ("bad job with overwrite", {"seed": "-1"}, ["run", "job.toml", "-o", "precious.h5", "--overwrite"], ["seed:"]),
    ("bad job into a new folder", {"seed": "-1"}, ["run", "job.toml", "-o", "new/out.h5"], ["seed:"]),
    ("unknown command", {}, ["rnu"], ["'rnu'; did you mean run? known: run,", "list", "info"]),
    ("unknown choice", {}, ["data", "synth", "--like", "epsilo", "o.h5"], ["--like", "did you mean epsilon?"]),
    ("part of an option", {}, [*RUN, "--over"], ["unrecognized arguments: --over;"]),
    ("part of an option of data", {}, ["data", "info", "--ver", "data.h5"], ["unrecognized arguments: --ver;"]),
    ("unknown option", {}, [*RUN, "--fast"], ["--fast"]),
    ("info on nothing", {}, ["info", "nowhere.h5"], ["nowhere.h5:", "no such file"]),
    ("info on a folder", {}, ["info", "folder"], ["folder:", "expected"]),
    ("info on text", {}, ["info", "job.toml"], ["job.toml:", "expected", "HDF5"]),
    ("info on an empty file", {}, ["info", "empty"], ["empty:", "expected", "HDF5"]),
    ("info on another schema", {}, ["info", "other.h5"], ["other.h5:", "expected", "mpisign-trajectory/1, found "]),
    ("info on a file cut off", {}, ["info", "cut.h5"], ["cut.h5:", "truncated"]),
    # job files, further
    ("a BOM before nonsense", "\ufeffsede = 1\n" + GOOD, RUN, ["job.toml: sede:", "unknown key"]),
    (
        "CRLF and an unknown key",
        GOOD.replace("\n", "\r\n") + "sede = 1\r\n",
        RUN,
        ["job.toml: runs.1.sede:", "unknown"],
    ),
    ("a lone carriage return", GOOD.replace("\n", "\r"), RUN, ["job.toml:", "TOML"]),
    ("a null byte", GOOD + "\0", RUN, ["job.toml:", "TOML"]),
    ("a bell in a string", 'name = "a\x07b"' + GOOD, RUN, ["job.toml:", "TOML"]),
    ("a job of nothing", "", RUN, ["job.toml: problem:", "missing"]),
    ("a job of comments", "# nothing\n", RUN, ["job.toml: problem:", "missing"]),
    ("an empty key", '"" = 1\n' + GOOD, RUN, ['job.toml: "":', "unknown key"]),
    ("a full-width key", '"\uff53eed" = 1\n' + GOOD, RUN, ["\uff53eed:", "unknown key", "did you mean seed?"]),
    ("a key that turns the line around", '"\u202eseed" = 1\n' + GOOD, RUN, ["\\u202eseed:", "unknown key"]),
    ("tables without end", "name." + "a." * 5000 + "b = 1\n" + GOOD, RUN, ["name.a.a.", "at most 32"]),
    ("a hexadecimal of 20000 bits", {"seed": "0x" + "f" * 5000}, RUN, ["seed:", "20000 bits"]),
    ("an alpha of 65 bits", constant(2**64), RUN, ["runs.0.step.alpha:", "integer", str(2**64)]),
    ("an eigenvalue of 65 bits", separable(f"[1.0, -{2**64}]"), RUN, ["problem.eigenvalues.1:", "integer"]),
    ("a long string as a number", {"seed": '"' + "9" * 5000 + '"'}, RUN, ["seed:", "integer", "..."]),
    ("job /dev/null", {}, ["run", "/dev/null", "-o", "out.h5"], ["/dev/null: problem:", "missing"]),
    ("job /dev/zero", {}, ["run", "/dev/zero", "-o", "out.h5"], ["/dev/zero:", "at most 16 MB"]),
    ("job a broken link", {}, ["run", "broken", "-o", "out.h5"], ["broken:", "No such file"]),
    ("job a link to itself", {}, ["run", "circle", "-o", "out.h5"], ["circle:", "symbolic links"]),
    ("job below a file", {}, ["run", "empty/job.toml", "-o", "out.h5"], ["empty/job.toml:", "directory"]),
    ("job of too long a name", {}, ["run", "x" * 300, "-o", "out.h5"], ["too long"]),
    ("a command as a problem", {"problem": '{ kind = "os:system", command = "touch made" }'}, RUN, ["problem.kind:"]),
    ("eval as a method", {"method": '"builtins:eval"'}, RUN, ["runs.0.method:", "subclass of Method"]),
    ("exec as a step", {"step": '{ kind = "builtins:exec" }'}, RUN, ["runs.0.step.kind:", "subclass of StepSize"]),
    ("a process as an oracle", {"oracle": '{ kind = "subprocess:run", args = "ls" }'}, RUN, ["oracle.kind:", "Oracle"]),
    ("pickle as a start", {"start": '{ kind = "pickle:loads" }'}, RUN, ["start.kind:", "subclass of InitialPoint"]),
    (
        "a class of another sort",
        {"method": '"mpisign.algorithms.step_sizes:Constant"'},
        RUN,
        ["runs.0.method:", "subclass of Method"],
    ),
    ("a module of no sense", {"method": '"a\\u0000b:c"'}, RUN, ["runs.0.method:", "a\\x00b"]),
    ("too many records", {"log": "{ every = 1 }", "iterations": str(2**31 - 1)}, RUN, ["log.every:", "records"]),
    ("an oracle list", {"oracle": "[1]"}, RUN, ["oracle:", "table", "[1]"]),
    ("a start of a date", {"start": "1979-05-27"}, RUN, ["start:", "table"]),
    ("runs a table", 'runs = {}\nproblem = { kind = "toy" }', RUN, ["runs:", "[[runs]]"]),
    ("x of words", {"start": '{ kind = "point", x = ["1", "2"] }'}, RUN, ["start.x.0:", "number"]),
    ("x missing", {"start": '{ kind = "point" }'}, RUN, ["start.x:", "missing"]),
    ("points too many", {"log": "{ points = 1000001 }"}, RUN, ["log.points:", "less than or equal to 1000000"]),
    ("workers too many", {"workers": "1000001"}, RUN, ["runs.0.workers:", "less than or equal to 1000000"]),
    ("flipped negative", {"oracle": '{ kind = "full", flipped = -1 }'}, RUN, ["oracle.flipped:", "equal to 0"]),
    ("flipped too many", {"oracle": '{ kind = "full", flipped = 3 }'}, RUN, ["oracle.flipped:", "at most 2"]),
    ("data with a null", logistic("a\\u0000b"), RUN, ["problem.data:", "no file", "a\\x00b"]),
    ("data of too long a name", logistic("x" * 300), RUN, ["problem.data:", "no file"]),
    ("data /dev/zero", logistic("/dev/zero"), RUN, ["problem.data:", "no file"]),
    ("data a broken link", logistic("broken"), RUN, ["problem.data:", "no file"]),
    ("data a trajectory", logistic("trajectory.h5"), RUN, ["problem.data:", "trajectory.h5", "features"]),
    ("data with underscores", logistic("underscore.svm"), RUN, ["problem.data:", "underscore.svm", "line 2"]),
    (
        "scaled data with a far index",
        {"problem": '{ kind = "logistic", data = "far.svm", scaling = "standardised" }'},
        RUN,
        ["problem.data:", "far.svm", "too large", "4 GB", "convert"],
    ),
    ("data that cannot be read", logistic("/proc/self/mem"), RUN, ["problem.data: /proc/self/mem: cannot read this"]),
    ("data gzipped and cut off", logistic("cut.gz"), RUN, ["problem.data:", "cut.gz", "cut off or damaged"]),
    # --set
    ("set two lines", {}, [*RUN, "--set", "seed=4\nrepeats=1"], ["seed:", "integer", "4\\nrepeats=1"]),
    ("set an empty value", {}, [*RUN, "--set", "seed="], ["seed:", "integer", "''"]),
    ("set a blank key", {}, [*RUN, "--set", " =1"], ["--set:", "KEY=VALUE"]),
    ("set an index of 5000 digits", {}, [*RUN, "--set", f"runs.{'9' * 5000}.workers=1"], ["--set:", "leads nowhere"]),
    ("set an Arabic index", {}, [*RUN, "--set", "runs.\u0661.workers=1"], ["--set:", "leads nowhere"]),
    ("set a negative index", {}, [*RUN, "--set", "runs.-1.workers=1"], ["--set:", "leads nowhere", "'-1'"]),
    ("set a number as a word", {}, [*RUN, "--set", 'seed="2"'], ["seed:", "integer", "'2'"]),
    ("set NaN", {}, [*RUN, "--set", "runs.0.step.alpha=nan"], ["runs.0.step.alpha:", "finite"]),
    ("set a run to a number", {}, [*RUN, "--set", "runs.0=3"], ["runs:", "[[runs]]"]),
    ("set twice, the last bad", {}, [*RUN, "--set", "seed=2", "--set", "seed=x"], ["seed:", "integer", "'x'"]),
    ("set very deep", {"name": None}, [*RUN, "--set", "name" + ".a" * 5000 + "=1"], ["name.a.a.", "at most 32"]),
    # the command line, further
    ("set without its word", {}, [*RUN, "--set"], ["--set", "expected one argument"]),
    ("exchange unknown on the line", {}, [*RUN, "--exchange", "ring"], ["--exchange", "'ring'", "server"]),
    ("repeats of letters in full width", {}, [*RUN, "--repeats", "\uff10:\uff11x"], ["--repeats:"]),
    ("run without a job", {}, ["run", "-o", "out.h5"], ["JOB.toml", "required"]),
    ("run with two jobs", {}, ["run", "job.toml", "other.toml", "-o", "out.h5"], ["unrecognized", "other.toml"]),
    ("output a broken link's folder", {}, ["run", "job.toml", "-o", "circle/out.h5"], ["cannot write"]),
    ("info without a file", {}, ["info"], ["FILE", "required"]),
    ("info on a broken link", {}, ["info", "broken"], ["broken:", "no such file"]),
    ("info on /dev/null", {}, ["info", "/dev/null"], ["/dev/null: this is no file; expected a trajectory file"]),
    ("info on a name with a null", {}, ["info", "a\0b"], ["a\\x00b:", "no such file"]),
    ("info on too long a name", {}, ["info", "x" * 300], ["too long"]),
    ("info on a changed file", {}, ["info", "changed.h5"], ["changed.h5:", "changed, damaged or cut off"]),
    (
        "info on a data file",
        {},
        ["info", "data.h5"],
        ["data.h5:", "mpisign-trajectory/1, found 'mpisign-data/1'; for a data file: mpisign data info"],
    ),
    ("info with an option", {}, ["info", "--verify", "trajectory.h5"], ["--verify"]),
    ("data of an unknown command", {}, ["data", "make"], ["'make'", "convert"]),
    ("data info on nothing", {}, ["data", "info", "nowhere.h5"], ["nowhere.h5", "no such file"]),
    ("data info on a folder", {}, ["data", "info", "folder"], ["folder: this is no file; expected a data file"]),
    ("data info on text", {}, ["data", "info", "three.svm"], ["three.svm", "HDF5"]),
    ("data info on a trajectory", {}, ["data", "info", "trajectory.h5"], ["trajectory.h5", "mpisign-data/1"]),
    ("data info on a changed file", {}, ["data", "info", "changed-data.h5"], ["changed-data.h5", "changed"]),
    ("convert without an output", {}, ["data", "convert", "three.svm"], ["DST.h5", "required"]),
    ("convert nothing", {}, ["data", "convert", "nowhere", "out.h5"], ["nowhere:", "no such file"]),
    (
        "convert a folder",
        {},
        ["data", "convert", "folder", "out.h5"],
        ["folder: this is no file; expected LIBSVM text"],
    ),
    ("convert three classes", {}, ["data", "convert", "three.svm", "out.h5"], ["three.svm: line 3:", "two classes"]),
    (
        "convert underscores",
        {},
        ["data", "convert", "underscore.svm", "out.h5"],
        ["underscore.svm: line 2:", "(numbers are not in digits)"],
    ),
    ("convert what is cut off", {}, ["data", "convert", "cut.gz", "out.h5"], ["cut.gz:", "cut off or damaged"]),
    ("convert over", {}, ["data", "convert", "far.svm", "precious.h5"], ["precious.h5:", "--overwrite"]),
    (
        "convert to a word's d",
        {},
        ["data", "convert", "far.svm", "out.h5", "--dimension", "two"],
        ["--dimension", "'two'"],
    ),
    ("synth like nothing", {}, ["data", "synth", "--like", "mnist", "out.h5"], ["--like", "'mnist'", "epsilon"]),
    ("synth without like", {}, ["data", "synth", "out.h5"], ["--like", "required"]),
    ("synth of no rows", {}, ["data", "synth", "--like", "rcv1", "out.h5", "--n", "0"], ["--n", "'0'"]),
    ("synth of half a row", {}, ["data", "synth", "--like", "rcv1", "out.h5", "--n", "1.5"], ["--n", "'1.5'"]),
    ("synth of a large d", {}, ["data", "synth", "--like", "rcv1", "out.h5", "--d", str(2**31)], ["--d", str(2**31)]),
    ("synth of a negative seed", {}, ["data", "synth", "--like", "rcv1", "out.h5", "--seed=-1"], ["--seed", "'-1'"]),
    ("synth over", {}, ["data", "synth", "--like", "rcv1", "precious.h5"], ["precious.h5:", "--overwrite"]),
    ("bench of nothing", {}, ["bench", "--only", "nothing"], ["--only:", "'nothing'", "kernels"]),
    ("bench on no ranks", {}, ["bench", "--ranks", "0"], ["--ranks", "'0'"]),
    ("bench of d in words", {}, ["bench", "--dimensions", "1,x"], ["--dimensions", "'1,x'"]),
    ("list with a word", {}, ["list", "methods"], ["unrecognized", "methods"]),
    # what to do about it
    ("a word for a step table", {"step": '"constant"'}, RUN, ["runs.0.step: expected a table, got 'constant'"]),
    ("a number too small", constant("-0.1"), RUN, ["expected a number greater than 0, got -0.1"]),
    ("a date as a label", {"label": "1979-05-27"}, RUN, ["runs.0.label: expected a string, got 1979-05-27"]),
    ("TOML of 5000 digits", "seed = " + "9" * 5000, RUN, ["TOML: an integer of more than 64 bits"]),
    ("no iterations", {"iterations": None}, RUN, ["runs.0.iterations: missing; give iterations", "to each run"]),
    ("a label of its own", {"label": '"two"'}, RUN, ["labels differ: give it its own"]),
    ("records to thin out", {"log": "{ every = 1 }", "iterations": str(2**31 - 1)}, RUN, ["make it larger"]),
    ("a method of no name", {"method": '"scaled-sgn"'}, RUN, ["no method called", "did you mean scaled-sign?"]),
    ("a module not found", {"method": '"mine:Decayed"'}, RUN, ["No module named 'mine'; is its folder on PYTHONPATH?"]),
    ("set beyond two runs", {}, [*RUN, "--set", "runs.7.workers=1"], ["that list has 2, numbered from 0"]),
    ("set below no table", {}, [*RUN, "--set", "seed.x=1"], ["what is there is no table"]),
    (
        "run onto a file",
        {},
        ["run", "job.toml", "-o", "precious.h5"],
        ["give --resume to go on with it, or --overwrite"],
    ),
    ("rerun onto a file", {}, ["rerun", "trajectory.h5", "-o", "precious.h5"], ["exists", "give another name"]),
    ("rerun of nothing", {}, ["rerun", "nowhere/x.h5"], ["nowhere/x.h5: no such file"]),
    (
        "synth of digits without end",
        {},
        ["data", "synth", "--like", "rcv1", "o.h5", "--n", "9" * 5000],
        ["integer from 1"],
    ),
    ("doctor with a word", {}, ["doctor", "--nothing"], ["--nothing"]),
]

BY_NAME = {name: rest for name, *rest in CASES}

MET = ["unknown key", "minibatch without data", "job missing", "output exists"]
"""Refused when the ranks have met."""

UNMET = ["unknown command", "info on text"]
"""Refused by each rank for itself."""


def tree(folder):
    """Every name below a folder, with the sha256 of what a file holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    """The bytes of the trajectory file of the good job: the other cases fail for what was changed alone."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "job.toml").write_text(GOOD)
    assert main(["run", str(folder / "job.toml"), "-o", str(folder / "out.h5")]) == 0
    return (folder / "out.h5").read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The bytes of a data file."""
    path = tmp_path_factory.mktemp("data") / "data.h5"
    with DataWriter(path, Layout(2, 1, 2, False, "float64")) as writer:
        writer.append(np.array([[1.0], [2.0]]), np.array([-1, 1], dtype=np.int8), np.array([1.0, 2.0]))
        writer.finish({"source": "two rows", "source_sha256": "", "label_values": [0.0, 1.0]})
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path, trajectory, data, monkeypatch):
    """The working directory, with the files that the cases name."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "precious.h5").write_bytes(b"years of work")
    (tmp_path / "latin.toml").write_bytes('name = "Zürich"'.encode("latin-1"))
    (tmp_path / "three.svm").write_text("1 1:1\n2 1:2\n3 1:3\n")
    (tmp_path / "nan.svm").write_text("1 1:1\n2 1:nan\n")
    (tmp_path / "broken.svm").write_text("1 1:1\n2 1=2\n")
    (tmp_path / "trajectory.h5").write_bytes(trajectory)
    (tmp_path / "cut.h5").write_bytes(trajectory[: len(trajectory) // 2])
    (tmp_path / "changed.h5").write_bytes(trajectory.replace(b"scale", b"skale"))
    (tmp_path / "data.h5").write_bytes(data)
    (tmp_path / "changed-data.h5").write_bytes(data.replace(b"two rows", b"ten rows"))
    (tmp_path / "underscore.svm").write_text("1 1:1\n2 1:1_0\n")
    (tmp_path / "far.svm").write_text("1 1:1\n2 2000000000:1\n")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"1 1:1\n2 1:2\n")[:-6])
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["schema"] = "another/1"
    monkeypatch.chdir(tmp_path)
    return tmp_path


def the_only_line(text):
    (line,) = filter(None, text.splitlines())
    return line


@pytest.mark.parametrize("name", BY_NAME)
def test_one_line_names_the_key_and_no_file_changes(name, folder, capsys):
    change, arguments, words = BY_NAME[name]
    (folder / "job.toml").write_text(job(change))
    before = tree(folder)
    status = main(arguments)
    out, err = capsys.readouterr()
    line = the_only_line(err)
    assert status == 2
    assert line.startswith("mpisign: ")
    assert [word for word in words if word not in line] == [], line
    assert "Traceback" not in err
    assert out == ""
    assert tree(folder) == before


def test_no_case_is_lost():
    assert len(BY_NAME) == len(CASES) >= 200


@pytest.mark.parametrize("name", MET + UNMET)
def test_a_process_exits_with_status_2(name, folder):
    change, arguments, words = BY_NAME[name]
    (folder / "job.toml").write_text(job(change))
    before = tree(folder)
    done = mpisign(*arguments, cwd=folder)
    line = the_only_line(done.stderr)
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith("mpisign: ")
    assert [word for word in words if word not in line] == [], line
    assert tree(folder) == before


def said_once(done, words):
    """Status 2 and mpisign's line once, whatever the launcher adds of its own."""
    text = done.stdout + done.stderr
    said = [line for line in text.splitlines() if "mpisign: " in line]
    assert done.returncode == 2, text
    assert len(said) == 1, text
    assert [word for word in words if word not in said[0]] == [], text
    assert "Traceback" not in text


# Not UNMET under Open MPI: its launcher ends all ranks at the first that exits, at times before rank 0 has spoken.
@pytest.mark.ranks
@pytest.mark.parametrize(
    ("mpi", "name"), [("mpich", name) for name in MET + UNMET] + [("openmpi", name) for name in MET[1:3]]
)
def test_three_ranks_say_it_once(mpi, name, folder):
    change, arguments, words = BY_NAME[name]
    (folder / "job.toml").write_text(job(change))
    before = tree(folder)
    said_once(mpirun(mpi, 3, *arguments, cwd=folder), words)
    assert tree(folder) == before


@pytest.mark.ranks
def test_a_launcher_of_another_library_is_refused_once(folder):
    (folder / "job.toml").write_text(GOOD)
    before = tree(folder)
    launcher, python = programs("mpich") / "mpiexec", programs("openmpi") / "python"
    done = call([launcher, "-n", 3, python, "-m", "mpi4py", "-m", "mpisign", *RUN], cwd=folder)
    said_once(done, ["launcher:", "3 processes", "Open MPI", "expected", "same library"])
    assert tree(folder) == before


@pytest.mark.parametrize("loader", [["-m", "mpi4py"], []], ids=["with mpi4py", "without mpi4py"])
def test_slurm_tasks_that_do_not_meet_are_refused(loader, folder):
    (folder / "job.toml").write_text(GOOD)
    before = tree(folder)
    done = call([sys.executable, *loader, "-m", "mpisign", *RUN], cwd=folder, SLURM_STEP_NUM_TASKS="3")
    said_once(done, ["launcher:", "3 processes", "expected", "same library"])
    assert tree(folder) == before


def complaint(text):
    """What parsing and planning a job's text complains of, or None; any other exception is the test's to fail on."""
    try:
        with np.errstate(over="ignore"):  # of a start of size 1e308
            planning.plan(experiment.parse(text, []), SerialCommunicator())
    except InputError as error:
        return str(error)
    return None


# A name with a colon is a dotted path, which imports what it names.
WORDS = st.text(max_size=4).filter(lambda text: ":" not in text)
SCALARS = st.one_of(st.integers(-2, 5), st.floats(), st.booleans(), WORDS)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["kind", "x"]), inner, max_size=2),
    max_leaves=5,
)
UNIT = st.floats(0.1, 0.9)
NUMBERS = st.floats(0.1, 2.0) | st.integers(1, 3)
FITTING = {
    "alpha": NUMBERS,
    "c": NUMBERS | st.sampled_from(["n", "6n", "0.5e1n", "0n", ".n"]),
    "k0": NUMBERS,
    "size": NUMBERS,
    "q": st.floats(0.1, 0.5),
    "batch": st.integers(1, 3),
    "sampling": st.sampled_from(["iid", "shard"]),
    "noise": st.sampled_from(["normal", "uniform", "three-point"]),
    "eigenvalues": st.lists(st.floats(0.0, 1e308), max_size=3),
    "matrix": st.sampled_from(
        [[[1.0]], [[2, 1], [1, 2]], [[1, 1], [1, 1]], [[1e308, 1e308], [1e308, 1e308]], [], [[]]]
    ),
    "x": st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=3),
    "data": st.sampled_from(["wine", "nowhere.svm"]),
    "scaling": st.sampled_from(["raw", "standardised", "unit-rows"]),
    "frequencies": st.lists(st.floats(0.0, 1e308), max_size=3),
    "regulariser": st.sampled_from(["l2", "nonconvex"]),
    "weight": st.floats(0.0, 1e308),
    "zeros": st.sampled_from(["exact", "coin", "plus"]),
    "scale": st.sampled_from(["l1", "mean"]),
}


def rarely(draw, one_in=20):
    return draw(st.integers(1, one_in)) == one_in


@st.composite
def tables(draw, makers, kind="kind"):
    """A table for one of the kinds: most values fit, some are anything, some are missing or too many."""
    name = draw(st.sampled_from(list(makers)))
    table = {kind: draw(ANYTHING) if rarely(draw) else name}
    for key, parameter in inspect.signature(makers[name]).parameters.items():
        if parameter.default is parameter.empty or draw(st.booleans()):
            table[key] = draw(ANYTHING if rarely(draw) else FITTING.get(key, UNIT))
    if rarely(draw):
        table[draw(st.sampled_from(list(FITTING)))] = draw(ANYTHING)
    if rarely(draw):
        table.pop(draw(st.sampled_from(list(table))))
    return table


COUNT = st.integers(1, 3)
METHOD, PROBLEM, ORACLE, STEP, START = (
    {name: registry[name] for name in registry} for registry in (METHODS, PROBLEMS, ORACLES, STEPS, STARTS)
)
RUNS = st.tuples(
    tables(METHOD, kind="method"),
    st.fixed_dictionaries(
        {"step": tables(STEP)},
        optional={"label": WORDS, "workers": COUNT, "oracle": tables(ORACLE), "iterations": COUNT},
    ),
).map(lambda pair: pair[0] | pair[1])
NEEDED = {"iterations": COUNT, "problem": tables(PROBLEM), "runs": st.lists(RUNS, min_size=1, max_size=2)}
OPTIONAL = {
    "name": WORDS,
    "seed": COUNT,
    "repeats": COUNT,
    "oracle": tables(ORACLE),
    "start": tables(START),
    "log": st.fixed_dictionaries({}, optional={"points": st.just(2), "every": COUNT, "iterates": st.booleans()}),
}


@st.composite
def documents(draw):
    document = draw(st.fixed_dictionaries(NEEDED, optional=OPTIONAL))
    if rarely(draw, one_in=4):
        document[draw(st.sampled_from([*NEEDED, *OPTIONAL, "label"]))] = draw(ANYTHING)
    return document


def test_random_documents_are_accepted_or_refused():
    refused = []

    @settings(max_examples=600)
    @given(documents())
    def check(document):
        said = complaint("\n".join(f"{key} = {toml(value)}" for key, value in document.items()))
        assert said is None or len(said.splitlines()) == 1
        refused.append(said is not None)

    check()
    assert set(refused) == {True, False}


@settings(max_examples=100)
@given(st.text())
def test_random_text_is_refused(text):
    assert complaint(text)


@settings(max_examples=300)
@given(st.integers(0, len(GOOD)), st.integers(0, 8), WORDS)
def test_a_job_with_a_random_edit_is_accepted_or_refused(start, length, text):
    complaint(GOOD[:start] + text + GOOD[start + length :])
