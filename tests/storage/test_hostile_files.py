"""HDF5 files that are damaged, or made to harm: refused in a line that names the file, or read as they were meant."""

import bz2
import gzip
import lzma
import resource
import subprocess
import sys
from contextlib import suppress

import h5py
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given

from alone import run_alone
from fuzzing import FACTOR, Content, choices, damage, examples
from launch import environment
from mpisign.config.validation import InputError, one_line
from mpisign.data import file as data_file
from mpisign.data import info, loading
from mpisign.data.csr import row_norms
from mpisign.data.file import DataFile, DataWriter, Layout, is_data_file
from mpisign.problems import PROBLEMS
from mpisign.storage import summary
from mpisign.storage.checksum import BYTES, check_seal, seal, unseal
from mpisign.storage.trajectory import COLUMNS, Trajectory, columns_sha256

JOB = """
    seed = 3
    repeats = 2
    iterations = 40
    problem = { kind = "separable", eigenvalues = [1.0, 2.0, 0.5] }
    oracle = { kind = "additive", size = 0.1 }
    log = { points = 9, iterates = true }
    [[runs]]
    label = "one"
    method = "scaled-sign"
    workers = 3
    step = { kind = "constant", alpha = 0.1 }
    [[runs]]
    label = "another"
    method = "gd"
    step = { kind = "harmonic", c = 1.0 }
    """


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    """The bytes of a trajectory file, as it is written: sealed."""
    return Content(run_alone(tmp_path_factory.mktemp("trajectory"), JOB).read_bytes())


@pytest.fixture(scope="module", params=["dense", "sparse"])
def data(request, tmp_path_factory):
    """The bytes of a data file of 30 rows."""
    path = tmp_path_factory.mktemp("data") / "data.h5"
    generator, sparse = np.random.default_rng(1), request.param == "sparse"
    features = generator.standard_normal((30, 6)) * (generator.random((30, 6)) < 0.5)
    csr, labels = scipy.sparse.csr_array(features), np.array([1, -1] * 15, dtype=np.int8)
    nnz = int(csr.nnz) if sparse else int((features != 0).sum())
    with DataWriter(path, Layout(30, 6, nnz, sparse, "float64")) as writer:
        writer.append(csr if sparse else features, labels, row_norms(csr.data, csr.indptr))
        writer.finish({"source": "thirty rows", "source_sha256": "", "label_values": [-1.0, 1.0]})
    return Content(path.read_bytes())


def read_trajectory(path):
    """Everything that is read of a file, as text and arrays."""
    found = Trajectory(path, iterates=True)
    said = summary.text(found)
    assert all(map(str.isprintable, said.splitlines()))
    columns = [column for run in found for repeat in run.repeats for column in repeat.columns.values()]
    gaps = [run.gap(repeat) for run in found for repeat in run.repeats]
    return said.partition(": ")[2], [column.tobytes() for column in [*columns, *gaps]]


def use_data(path):
    """The data as a problem, with its kernels, which check no bounds; returns its hash."""
    problem = PROBLEMS.make({"kind": "logistic", "data": str(path)}, "problem")
    out = np.empty(problem.dimension)
    problem.gradient(np.ones(problem.dimension), out)
    assert np.isfinite(problem.value(out))
    return problem.data_sha256()


def refused(read, path):
    """The one line that it is refused with, which names the file; None where it is read."""
    said = None
    try:
        with np.errstate(all="ignore"):
            read(path)
    except InputError as error:
        said = str(error)
    assert said is None or (path.name in said and len(said) < 1000)
    return said and one_line(said)


# damage


@examples(500)
@given(change=damage())
def test_a_damaged_trajectory_file_is_refused(tmp_path, trajectory, change):
    path = tmp_path / "damaged.h5"
    path.write_bytes(change(trajectory))
    if not path.read_bytes().startswith(trajectory[:-BYTES]):  # of a seal cut after a few bytes nothing is seen
        assert refused(read_trajectory, path)


@examples(200)
@given(change=damage())
def test_a_damaged_data_file_is_refused(tmp_path, data, change):
    path = tmp_path / "damaged.h5"
    path.write_bytes(change(data))
    if not path.read_bytes().startswith(data[:-BYTES]):
        assert refused(use_data, path)
        assert refused(DataFile, path)


def test_without_its_seal_a_file_is_read_as_it_was(tmp_path, trajectory, data):
    path, other = tmp_path / "file.h5", tmp_path / "other.h5"
    for content, read in ((trajectory, read_trajectory), (data, use_data)):
        path.write_bytes(content)
        other.write_bytes(content[:-BYTES])
        assert check_seal(path)
        assert not check_seal(other)
        assert read(path) == read(other)
        unseal(path)
        assert path.read_bytes() == other.read_bytes()
        seal(other)
        seal(other)
        assert other.read_bytes() == content


def test_a_file_that_is_changed_by_its_library_loses_its_seal(tmp_path, trajectory):
    path = tmp_path / "file.h5"
    path.write_bytes(trajectory)
    with h5py.File(path, "r+") as file:
        file.attrs["remark"] = "mine"
    assert not check_seal(path)
    assert refused(read_trajectory, path) is None


def test_a_reader_that_was_killed_while_it_could_write_is_said_to_be_so(tmp_path, trajectory, data):
    for content, read in ((trajectory, read_trajectory), (data, use_data)):
        (tmp_path / "file.h5").write_bytes(content)
        check_a_killed_reader(tmp_path / "file.h5", read)


def check_a_killed_reader(path, read):
    killed = "import h5py, os, sys; file = h5py.File(sys.argv[1], 'r+'); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", killed, path]).returncode == -9
    said = refused(read, path)
    assert 'a program that opened this file for writing ("r+") was killed, or has it open still' in said
    assert 'h5py.File(NAME, "r+").close()' in said
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (path.parent / "damaged.h5").write_bytes(damaged)
    assert "its seal does not fit" in refused(read, path.parent / "damaged.h5")
    h5py.File(path, "r+").close()
    assert refused(read, path) is None


@pytest.mark.parametrize("name", COLUMNS)
def test_a_changed_column_of_a_finished_repeat_is_named(tmp_path, trajectory, name):
    path = tmp_path / "changed.h5"
    path.write_bytes(trajectory)
    with h5py.File(path, "r+") as file:
        file["runs/another/repeats/0001"][name][2] += 1
    said = refused(read_trajectory, path)
    assert "changed.h5" in said
    assert "run another: repeat 0001: " in said
    assert "k to increase" in said if name == "k" else "columns_sha256" in said


def test_the_hash_of_columns_is_of_names_types_shapes_and_bytes():
    a, b = np.arange(3), np.arange(3.0)
    assert columns_sha256({"a": a, "b": b}) == columns_sha256({"b": b.copy(), "a": a[::1]})
    different = [{"a": a}, {"b": a}, {"a": b}, {"a": a[:2]}, {"a": a[:, None]}, {"a": a + 1}, {"a": a, "b": b}, {}]
    assert len({columns_sha256(columns) for columns in different}) == len(different)


_DAMAGED_ALONE = """
import sys, random
from pathlib import Path
sys.path[:0] = {folders!r}
import test_hostile_files as tests
content, path, base = Path({content!r}).read_bytes(), Path({path!r}), {base}
for number in range(base, base + {count}):
    generator, found = random.Random(number), bytearray(content)
    for _ in range(generator.randint(1, 8)):
        found[generator.randrange(len(found))] ^= 1 << generator.randrange(8)
    path.write_bytes(found)
    print(number, flush=True)
    tests.refused(tests.read_trajectory, path)
print("done", flush=True)
"""


@pytest.mark.skipif(
    FACTOR == 1, reason="HDF5 may hang or crash on a damaged file without a seal; with MPISIGN_FUZZ only"
)
def test_a_damaged_file_without_a_seal_never_gives_a_traceback(tmp_path, trajectory):
    """What HDF5 itself does not survive is counted, and printed: nothing but a seal helps."""
    content, path, count = tmp_path / "content.h5", tmp_path / "damaged.h5", 20 * FACTOR
    content.write_bytes(trajectory[:-BYTES])
    base, killed = 0, []
    while base < count:
        names = {"content": str(content), "path": str(path), "folders": sys.path}
        code = _DAMAGED_ALONE.format(base=base, count=count - base, **names)
        running = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        last = watched(running)
        error = running.communicate()[1]
        assert "Error" not in error, f"{last}: {error}"
        if last == "done":
            break
        killed.append(running.returncode)
        base = int(last) + 1
    print(f"of {count} damaged files HDF5 did not survive {len(killed)}")
    assert len(killed) < count / 20


def watched(running, seconds=5):
    """The last line that a process prints before it ends, or prints nothing for some seconds, and is killed."""
    import select

    last = ""
    while select.select([running.stdout], [], [], seconds + 10 * (not last))[0] and (line := running.stdout.readline()):
        last = line.strip()
    running.kill()
    return last


# made to harm


def objects(file):
    """The names of all groups and datasets."""
    names = []
    file.visit(names.append)
    return names


TEXTS = ["", "complete", "running", "a\nb", "\x1b[31m", "[[", "null", "[" * 9999, "{}", '["a"]']
NUMBERS = [-1, 0, 2**62, 1e308, float("nan"), float("inf"), True, np.float32(3), h5py.Empty("f8")]
ARRAYS = [[], [1.0], [[1]], ["a", "b"], b"bytes", np.void(b"raw"), np.zeros(2)]
BAD_ATTRIBUTES = [*TEXTS, *NUMBERS, *ARRAYS]


def link_elsewhere(parent, name, kind):
    with suppress(KeyError):
        del parent[name]
    match kind:
        case "soft":
            parent[name] = h5py.SoftLink("/runs/one")
        case "nowhere":
            parent[name] = h5py.SoftLink("/no/where")
        case "external":
            parent[name] = h5py.ExternalLink("other.h5", "/x")
        case "loop":
            parent[name] = parent.file["/"]
        case "group":
            parent.create_group(name)
        case "raw file":
            parent.create_dataset(name, (9,), "f8", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])
        case "view":
            layout = h5py.VirtualLayout((9,), "f8")
            layout[:] = h5py.VirtualSource("missing.h5", "x", (9,))
            parent.create_virtual_dataset(name, layout)
        case "huge":
            parent.create_dataset(name, (10**12,), "f8")
        case "huge chunks":
            parent.create_dataset(name, (10**12,), "i8", chunks=(10**6,), compression="gzip")
        case "words":
            parent[name] = ["a", "b"]
        case "pairs":
            parent[name] = np.zeros(9, dtype=[("a", "f8"), ("b", "i4")])
        case "wide":
            parent[name] = np.zeros((9, 2))
        case "bytes":
            parent[name] = np.zeros(9, dtype="i1")
        case "big endian":
            parent[name] = np.zeros(9, dtype=">f8")
        case "number":
            parent[name] = 3.0
        case "references":
            parent.create_dataset(name, (9,), dtype=h5py.ref_dtype)
        case "short":
            parent[name] = np.zeros(1)
        case "random":
            parent[name] = np.random.default_rng(1).integers(-(2**31), 2**31, 9)


KINDS = ["soft", "nowhere", "external", "loop", "group", "raw file", "view", "huge", "huge chunks", "words", "pairs"]
KINDS += ["wide", "bytes", "big endian", "number", "references", "short", "random"]


def spoil(choose, file):
    """One object or attribute of a file becomes another, or goes."""
    name = choose(["/", *objects(file)])
    match choose(["attribute", "attribute gone", "another", "another", "gone", "values"]):
        case "attribute":
            with suppress(TypeError, OSError):  # what cannot be written
                file[name].attrs[choose([*file[name].attrs, "new"])] = choose(BAD_ATTRIBUTES)
        case "attribute gone" if len(file[name].attrs):
            del file[name].attrs[choose([*file[name].attrs])]
        case "another" if name != "/":
            with suppress(ValueError):
                link_elsewhere(file[name].parent, name.rpartition("/")[2], choose(KINDS))
        case "gone" if name != "/":
            del file[name]
        case "values" if isinstance(file[name], h5py.Dataset) and 0 < (file[name].size or 0) < 10**6:
            values = file[name][()].ravel()
            values[choose(range(values.size))] = choose([-(2**7), -1, 0, 1, 2, 2**7 - 1])
            with suppress(OSError, TypeError):  # a view of nothing, an array of words
                file[name][...] = values.reshape(file[name].shape)


def finished_columns(path):
    """Those that are hashed, by run, number and name."""
    with h5py.File(path) as file:
        return {
            f"{label} {number} {name}": group[name][()].tobytes()
            for label, run in file["runs"].items()
            for number, group in run["repeats"].items()
            for name in COLUMNS
            if "columns_sha256" in group.attrs
        }


@examples(80)
@given(choose=choices())
def test_a_spoiled_trajectory_file_is_refused_or_says_the_same(tmp_path, trajectory, choose):
    path = tmp_path / "spoiled.h5"
    path.write_bytes(trajectory)
    before = finished_columns(path)
    with h5py.File(path, "r+") as file:
        spoil(choose, file)
        spoil(choose, file)
    if refused(read_trajectory, path) is None:
        assert finished_columns(path).items() <= before.items()


@pytest.mark.parametrize("verified", [10**9, 0], ids=["hashed", "as a large one"])
def test_a_spoiled_data_file_is_refused_or_harmless(tmp_path, data, verified, monkeypatch):
    """A large file is not hashed: then the rows may be others, but no kernel may leave them."""
    for module in (data_file, loading):
        monkeypatch.setattr(module, "VERIFIED_BYTES", verified)
    path = tmp_path / "spoiled.h5"
    path.write_bytes(data)
    before = use_data(path)

    @examples(60)
    @given(choices())
    def check(choose):
        path.write_bytes(data)
        with h5py.File(path, "r+") as file:
            spoil(choose, file)
        said = refused(use_data, path)
        if said is None and verified:
            assert use_data(path) == before
        refused(lambda path: loading.load(str(path)), path)
        refused(lambda path: info.text(DataFile(path)), path)

    check()


def limited():
    """8 GB of addresses: what a file declares is not taken."""
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, 8 * 2**30))


def bomb(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (10**6, 10**4), "f8", chunks=(10**4, 10**4), compression="gzip", fillvalue=0)
        file["labels"] = np.zeros(10**6)


def declared(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (10**12, 1), "f8")
        file.create_dataset("labels", (10**12,), "f8")


def far_index(path):
    path.write_text("1 2000000000:1\n-1 1:1\n")


def far_index_of_a_data_file(path):
    with DataWriter(path, Layout(2, 2**31 - 1, 2, True, "float64")) as writer:
        rows = scipy.sparse.csr_array(
            (np.ones(2), np.array([0, 2**31 - 2], dtype=np.int32), [0, 1, 2]), shape=(2, 2**31 - 1)
        )
        writer.append(rows, np.array([1, -1], dtype=np.int8), np.ones(2))
        writer.finish({"source": "far", "source_sha256": "", "label_values": [-1.0, 1.0]})


@pytest.mark.parametrize("make", [bomb, declared, far_index, far_index_of_a_data_file])
def test_a_small_file_that_says_to_be_large_takes_no_memory(tmp_path, make):
    make(tmp_path / "small.data")
    assert (tmp_path / "small.data").stat().st_size < 2**24
    (tmp_path / "job.toml").write_text(
        JOB.replace('kind = "separable", eigenvalues = [1.0, 2.0, 0.5]', 'kind = "logistic", data = "small.data"')
    )
    done = subprocess.run(
        [sys.executable, "-m", "mpisign", "run", "job.toml", "-o", "out.h5"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=limited,
        timeout=120,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "problem" in done.stderr
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("module", [bz2, gzip, lzma])
def test_compressed_text_that_grows_is_refused_where_it_has_grown(tmp_path, module, monkeypatch):
    monkeypatch.setattr(loading, "_TEXT_BYTES", 2**20)
    path = tmp_path / "text"
    path.write_bytes(module.compress(b"1 1:1\n-1 1:1\n" * 2**18))
    assert "more than 1 MB" in refused(lambda path: loading.load(str(path)), path)
    path.write_bytes(module.compress(b"1 1:1\n-1 1:1\n" * 2**10)[:-9])
    assert "cut off or damaged" in refused(lambda path: loading.load(str(path)), path)
    path.write_bytes(module.compress(b"1 1:1\n-1 1:1\n"))
    assert loading.load(str(path))[0].tolist() == [[1], [1]]


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [("soft", "a link to somewhere else"), ("external", "a link to somewhere else"), ("raw file", "in another file")],
)
def test_numbers_that_are_somewhere_else_are_refused_even_where_they_fit(tmp_path, trajectory, kind, complaint):
    path, other = tmp_path / "file.h5", tmp_path / "other.h5"
    for each in (path, other):
        each.write_bytes(trajectory)
    with h5py.File(path, "r+") as file:
        group = file["runs/one/repeats/0000"]
        values = group["value"][()]
        del group["value"]
        if kind == "soft":
            group["value"] = h5py.SoftLink("/runs/another/repeats/0000/value")
        elif kind == "external":
            group["value"] = h5py.ExternalLink(str(other), "/runs/one/repeats/0000/value")
        else:
            values.tofile(tmp_path / "raw")
            group.create_dataset("value", values.shape, "f8", external=[(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)])
    assert complaint in refused(read_trajectory, path)


def test_one_repeat_that_is_linked_a_thousand_times_takes_no_memory(tmp_path, trajectory):
    path = tmp_path / "many.h5"
    path.write_bytes(trajectory)
    with h5py.File(path, "r+") as file:
        repeats = file["runs/one/repeats"]
        for number in range(2, 1000):
            repeats[f"{number:04d}"] = repeats["0001"]
    assert "it claims to hold more than its bytes can" in refused(read_trajectory, path)


@pytest.mark.parametrize(
    ("where", "name", "value", "said"),
    [
        ("/", "provenance", "nonsense", "expected the attribute provenance to be JSON, found 'nonsense'"),
        ("/", "merged", "[" * 9999, "expected the attribute merged to be JSON"),
        ("/", "overrides", "3", "expected the attribute overrides to hold texts"),
        ("/", "resumed", '[{"a": []}]', "expected the attribute resumed to hold a list of provenances"),
        ("repeat", "workers_from", "abc", "expected the attribute workers_from to be pairs of whole numbers"),
        ("repeat", "workers_from", [3, 1], "expected the attribute workers_from to be pairs of whole numbers"),
        ("repeat", "diverged_at", "abc", "expected the attribute diverged_at to be a whole number, found 'abc'"),
        ("repeat", "status", "done", "expected the status running, complete or diverged, found 'done'"),
        ("repeat", "columns_sha256", "0", "its columns_sha256 does not fit"),
    ],
)
def test_an_attribute_that_no_run_writes_is_refused_by_name(tmp_path, trajectory, where, name, value, said):
    path = tmp_path / "changed.h5"
    path.write_bytes(trajectory)
    with h5py.File(path, "r+") as file:
        file["runs/one/repeats/0001" if where == "repeat" else "/"].attrs[name] = value
    assert said in refused(read_trajectory, path)


def test_a_repeat_has_a_number(tmp_path, trajectory):
    path = tmp_path / "named.h5"
    path.write_bytes(trajectory)
    with h5py.File(path, "r+") as file:
        file.move("runs/one/repeats/0001", "runs/one/repeats/abc")
    assert "run one: expected the number of a repeat, found 'abc'" in refused(read_trajectory, path)


def test_other_files_are_no_data_files(tmp_path, trajectory):
    (tmp_path / "trajectory.h5").write_bytes(trajectory)
    (tmp_path / "text").write_text("1 1:1\n")
    assert not any(is_data_file(tmp_path / name) for name in ("trajectory.h5", "text", "nowhere", "\0", "x" * 300))
