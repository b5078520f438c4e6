"""The data file: what is written is read, and nothing unfinished, changed or foreign passes."""

import hashlib
import re
from itertools import pairwise

import h5py
import numpy as np
import pytest
import scipy.sparse

from launch import mpisign
from mpisign.config.validation import InputError
from mpisign.data import loading
from mpisign.data.csr import row_norms
from mpisign.data.file import SCHEMA, DataFile, DataWriter, Layout
from mpisign.storage import checksum

FEATURES = np.array([[1.0, 0.0, 5.0], [0.0, 0.0, 0.0], [-3.0, 0.0, 4.0], [0.0, 1.5, 0.0]])
LABELS = np.array([1, -1, -1, 1], dtype=np.int8)
NORMS = np.linalg.norm(FEATURES, axis=1)
ORIGIN = {"source": "four rows", "source_sha256": "", "label_values": [0.0, 1.0]}
forms = pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def write(path, sparse, dtype="float64", pieces=(0, 1, 4), finish=True):
    """A data file of the four rows, appended in pieces; returns its path."""
    with DataWriter(path, Layout(4, 3, 5, sparse, dtype)) as writer:
        for start, stop in pairwise(pieces):
            rows = FEATURES[start:stop].astype(dtype)
            writer.append(scipy.sparse.csr_array(rows) if sparse else rows, LABELS[start:stop], NORMS[start:stop])
        if finish:
            writer.finish(ORIGIN)
    return path


def dense(matrix):
    return matrix.toarray() if scipy.sparse.issparse(matrix) else matrix


@forms
@dtypes
def test_what_is_written_is_read(tmp_path, sparse, dtype):
    file = DataFile(write(tmp_path / "data.h5", sparse, dtype))
    assert file.layout == Layout(4, 3, 5, sparse, dtype)
    assert scipy.sparse.issparse(file.features()) == sparse
    assert file.features().dtype == dtype
    assert (dense(file.features()) == FEATURES).all()
    for start in range(4):
        for stop in range(start, 5):
            assert (dense(file.rows(start, stop)) == FEATURES[start:stop]).all()
    assert file.labels().dtype == np.int8
    assert (file.labels() == LABELS).all()
    assert (file.row_norms() == NORMS).all()
    file.verify()


@forms
def test_the_schema_as_other_readers_see_it(tmp_path, sparse):
    with h5py.File(write(tmp_path / "data.h5", sparse)) as file:
        attributes = dict(file.attrs)
        arrays = {"csr/data", "csr/indices", "csr/indptr"} if sparse else {"features"}
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert set(names) == arrays | {"labels", "row_norms"}
        assert all(file[name].chunks is None and file[name].maxshape == file[name].shape for name in names)
        if sparse:
            assert (file["csr/indices"].dtype, file["csr/indptr"].dtype) == (np.int32, np.int64)
        ordered = ["csr/data", "csr/indices", "csr/indptr"] if sparse else ["features"]
        content = b"".join(file[name][()].tobytes() for name in [*ordered, "labels", "row_norms"])
    assert attributes["sha256"] == hashlib.sha256(content).hexdigest()
    assert (attributes["schema"], attributes["status"]) == (SCHEMA, "complete") == ("mpisign-data/1", "complete")
    assert [attributes[name] for name in ("n", "d", "nnz", "positive")] == [4, 3, 5, 2]
    assert attributes["density"] == 5 / 12
    assert attributes["label_values"].tolist() == [0, 1]
    assert {"source", "source_sha256", "created", "mpisign"} < set(attributes)


@forms
def test_the_pieces_change_nothing(tmp_path, sparse):
    hashes = {
        DataFile(write(tmp_path / f"{len(pieces)}.h5", sparse, pieces=pieces)).attributes["sha256"]
        for pieces in [(0, 4), (0, 2, 4), (0, 1, 2, 3, 4)]
    }
    assert len(hashes) == 1


def test_norms_are_right_and_do_not_overflow():
    values = np.array([3e200, 4e200, 0.0, 3e-200, 4e-200, 1.0])
    assert row_norms(values, np.array([0, 2, 2, 3, 5, 6, 6])) == pytest.approx([5e200, 0, 0, 5e-200, 1, 0], rel=1e-15)
    assert row_norms(values[:0], np.array([0, 0])).tolist() == [0]


def change(name, value):
    def apply(file):
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value

    return apply


def replace(name, array):
    def apply(file):
        del file[name]
        file[name] = array

    return apply


def remove(name):
    return lambda file: file.pop(name)


# what is wrong -> how to make it so, and a word of the complaint
BROKEN = {
    "another schema": (change("schema", "mpisign-data/2"), "mpisign-data/1"),
    "not finished": (change("status", "writing"), "never finished"),
    "no status": (change("status", None), "never finished"),
    "no n": (change("n", None), "n"),
    "another n": (change("n", 5), "shape"),
    "another d": (change("d", 2), "shape"),
    "n a word": (change("n", "four"), "four"),
    "no labels": (remove("labels"), "labels"),
    "no norms": (remove("row_norms"), "row_norms"),
    "no features": (remove("features"), "features"),
    "wide labels": (replace("labels", LABELS.astype(np.int64)), "int8"),
    "a label too few": (replace("labels", LABELS[:3]), "shape"),
    "features of integers": (replace("features", FEATURES.astype(int)), "float32 or float64"),
    "features of another shape": (replace("features", FEATURES.T), "shape"),
}


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_file_that_does_not_fit_is_refused(tmp_path, wrong):
    path = write(tmp_path / "data.h5", sparse=False)
    apply, word = BROKEN[wrong]
    with h5py.File(path, "r+") as file:
        apply(file)
    for read in (lambda: DataFile(path), lambda: loading.load(str(path))):
        with pytest.raises(InputError, match=word) as refused:
            read()
        assert refused.value.key == "data"
        assert str(path) in str(refused.value)


@forms
def test_an_unfinished_file_is_refused(tmp_path, sparse):
    path = write(tmp_path / "data.h5", sparse, finish=False)
    with pytest.raises(InputError, match="never finished"):
        loading.load(str(path))
    done = mpisign("data", "info", path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


@pytest.mark.parametrize("length", [0, 100, 2000])
def test_a_file_that_was_cut_off_is_refused(tmp_path, length):
    path = write(tmp_path / "data.h5", sparse=True)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"data\.h5"):
        DataFile(path)


def test_a_changed_content_is_found(tmp_path, monkeypatch):
    path = write(tmp_path / "data.h5", sparse=False)
    with h5py.File(path, "r+") as file:
        file["features"][2, 2] = 4.5
    with pytest.raises(InputError, match="changed"):
        loading.load(str(path))
    done = mpisign("data", "info", path, "--verify")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "sha256" in done.stderr
    # A large file is not hashed at every load.
    monkeypatch.setattr(loading, "VERIFIED_BYTES", 100)
    assert loading.load(str(path))[0][2, 2] == 4.5


@pytest.mark.parametrize(
    ("name", "array"),
    [("csr/indices", [0, 9, 0, 2, 1]), ("csr/indices", [0, -1, 0, 2, 1]), ("csr/indptr", [0, 4, 2, 4, 5])],
)
def test_a_broken_csr_is_refused_also_without_the_hash(tmp_path, name, array):
    path = write(tmp_path / "data.h5", sparse=True)
    with h5py.File(path, "r+") as file:
        file[name][:] = array
    with pytest.raises(InputError, match="CSR"):
        DataFile(path).features()


@forms
@dtypes
def test_it_becomes_dense_float64_data(tmp_path, sparse, dtype):
    path = write(tmp_path / "data.h5", sparse, dtype)
    features, labels = loading.load(str(path))
    assert features.dtype == labels.dtype == np.float64
    assert features.flags.c_contiguous
    assert (features == FEATURES).all()
    assert (labels == LABELS).all()
    assert np.linalg.norm(loading.load(str(path), "unit-rows")[0], axis=1) == pytest.approx(np.ones(4))


def test_info_says_what_is_there(tmp_path):
    done = mpisign("data", "info", write(tmp_path / "data.h5", sparse=True, dtype="float32"), "--verify")
    assert done.returncode == 0, done.stderr
    for said in ("sparse", "float32", "0.416667", "2 rows, 50.0 %", "0 to 5.09902", "four rows", "verified"):
        assert said in done.stdout
    assert re.search(r"^  n +4$.*^  d +3$", done.stdout, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("given", ["missing.h5", "words.txt"])
def test_info_of_something_else_is_refused(tmp_path, given):
    (tmp_path / "words.txt").write_text("hello")
    done = mpisign("data", "info", tmp_path / given)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert given in done.stderr


@pytest.mark.parametrize(("place", "value"), [(0, 1), (-1, 4), (2, 9), (1, -1)])
def test_rows_that_do_not_begin_where_the_last_ended_are_refused(tmp_path, place, value):
    """Without a hash, as a large file is read: an entry that no row has would be lost without a word."""
    path = write(tmp_path / "data.h5", sparse=True)
    with h5py.File(path, "r+") as file:
        file["csr/indptr"][place] = value
    with pytest.raises(InputError, match="indptr does not increase from 0 to nnz"):
        DataFile(path).features()


def test_a_data_file_is_hashed_once(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        checksum, "_sha256", lambda path, size, hash_=checksum._sha256: hashed.append(path) or hash_(path, size)
    )
    path = write(tmp_path / "data.h5", sparse=False)
    for scaling in ("raw", "unit-rows"):
        hashed.clear()
        loading.opened(str(path), scaling)
        assert hashed == [path]


def test_what_is_too_large_says_what_helps(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_DENSE_BYTES", 8)
    path, other, text = (tmp_path / name for name in ("data.h5", "other.h5", "text.svm"))
    write(path, sparse=False)
    with h5py.File(other, "w") as file:
        file["features"], file["labels"] = FEATURES, LABELS
    text.write_text("1 1:1 2:1\n-1 1:1\n")
    helps = {path: 'set scaling = "raw"', other: "write it as LIBSVM text", text: r"\); mpisign data convert first"}
    for name, what in helps.items():
        with pytest.raises(InputError, match=f"too large .*limit 4 GB.*{what}"):
            loading.opened(str(name), "standardised")
