"""The bundled data sets, and files in two formats."""

import h5py
import numpy as np
import pytest
import scipy.sparse
import sklearn.datasets
import sklearn.preprocessing

from mpisign.comm.communicator import SerialCommunicator
from mpisign.comm.shared_arrays import unshared
from mpisign.config.validation import InputError
from mpisign.data.bundled import BUNDLED, SPARSE
from mpisign.data.convert import Wanted, convert
from mpisign.data.loading import load, opened
from mpisign.problems import PROBLEMS


def one_hot_digits(return_X_y):
    """By scikit-learn's own encoder, each pixel with all of its 17 levels; rows of length 1."""
    pixels, target = sklearn.datasets.load_digits(return_X_y=return_X_y)
    encoder = sklearn.preprocessing.OneHotEncoder(categories=[range(17)] * 64, sparse_output=False)
    return encoder.fit_transform(pixels) / 8, target


# name -> (scikit-learn's loader, n, d, whether the target is the class +1, how many are)
EXPECTED = {
    "breast-cancer": (sklearn.datasets.load_breast_cancer, 569, 30, lambda target: target == 1, 357),
    "digits-one-hot": (one_hot_digits, 1797, 1088, lambda target: np.isin(target, [0, 2, 4, 6, 8]), 891),
    "digits": (sklearn.datasets.load_digits, 1797, 64, lambda target: np.isin(target, [0, 2, 4, 6, 8]), 891),
    "wine": (sklearn.datasets.load_wine, 178, 13, lambda target: target == 0, 59),
}
every_set = pytest.mark.parametrize("name", list(EXPECTED))
every_dense_set = pytest.mark.parametrize("name", sorted(set(EXPECTED) - SPARSE))

FEATURES = np.array([[1.0, 0.0, 5.0], [0.0, 2.5, 5.0], [-3.0, 0.0, 5.0], [4.0, 1.0, 5.0]])
FIRST, SECOND = "first", "second"
CLASSES = [FIRST, SECOND, SECOND, FIRST]
SIGNS = [-1.0, 1.0, 1.0, -1.0]


def libsvm(path, features, labels):
    """One line a point, `label index:value ...`, indices from 1, zeros left out."""
    lines = []
    for row, label in zip(features, labels, strict=True):
        entries = [f"{index}:{value!r}" for index, value in enumerate(row.tolist(), 1) if value]
        lines.append(" ".join([f"{label:g}", *entries]))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def hdf5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, values in datasets.items():
            file[name] = values
    return str(path)


def both_formats(folder, features, labels):
    yield libsvm(folder / "data.txt", features, labels)
    yield hdf5(folder / "data.h5", features=features, labels=labels)


def test_every_bundled_set_is_expected():
    assert set(EXPECTED) == set(BUNDLED)


@every_set
def test_a_bundled_set_is_scikit_learn_s(name):
    loader, n, d, positive, count = EXPECTED[name]
    expected, target = loader(return_X_y=True)
    features, labels = load(name, "raw")
    assert features.shape == (n, d)
    assert features.dtype == labels.dtype == np.float64
    assert (features == expected).all()
    assert (labels == np.where(positive(target), 1, -1)).all()
    assert (labels == 1).sum() == count


@every_dense_set
def test_standardised_features_have_mean_0_and_variance_1(name):
    raw, standardised = load(name, "raw")[0], load(name, "standardised")[0]
    varies = np.ptp(raw, axis=0) > 0
    assert np.abs(standardised.mean(axis=0)).max() < 1e-12
    assert standardised.var(axis=0) == pytest.approx(np.where(varies, 1.0, 0.0), abs=1e-12)
    fit = [np.corrcoef(a, b)[0, 1] for a, b in zip(raw.T[varies], standardised.T[varies], strict=True)]
    assert fit == pytest.approx(np.ones(varies.sum()))


@every_dense_set
def test_unit_rows_are_the_standardised_rows_at_length_1(name):
    standardised, rows = load(name, "standardised")[0], load(name, "unit-rows")[0]
    lengths = np.linalg.norm(standardised, axis=1, keepdims=True)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(len(rows)), rel=1e-14)
    assert rows * lengths == pytest.approx(standardised, abs=1e-12)


@every_set
def test_scaling_leaves_the_labels(name):
    raw, standardised, rows = (load(name, scaling)[1] for scaling in ("raw", "standardised", "unit-rows"))
    assert (standardised == raw).all()
    assert (rows == raw).all()


def test_a_sparse_set_stays_sparse_unless_it_is_scaled():
    features, labels = load("digits-one-hot", "raw")
    arrays = unshared(lambda: opened("digits-one-hot"))
    n, d = features.shape
    rows = scipy.sparse.csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(n, d))
    assert (rows.nnz, *arrays["dimension"]) == (64 * 1797, 1088)
    assert (rows.toarray() == labels[:, None] * features).all()
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(n), rel=1e-15)
    assert ((features > 0).sum(axis=0) == 0).sum() == 198
    assert (features > 0).sum(axis=0)[features.any(axis=0)].min() == 1
    assert unshared(lambda: opened("digits-one-hot", "standardised"))["rows"].shape == (n, d)


def test_bundled_sets_have_unit_rows_and_files_are_raw_by_default(tmp_path):
    assert (load("wine")[0] == load("wine", "unit-rows")[0]).all()
    assert (load("digits-one-hot")[0] == load("digits-one-hot", "raw")[0]).all()
    for path in both_formats(tmp_path, FEATURES, SIGNS):
        assert (load(path)[0] == FEATURES).all()


@pytest.mark.parametrize("low_high", [(0, 1), (1, 2), (-1, 1), (2.5, 7)], ids=str)
def test_two_classes_become_signs_the_larger_label_plus(tmp_path, low_high):
    labels = [low_high[name == SECOND] for name in CLASSES]
    for path in both_formats(tmp_path, FEATURES, labels):
        features, signs = load(path)
        assert (features == FEATURES).all()
        assert signs.tolist() == SIGNS


def test_hdf5_of_other_number_types(tmp_path):
    counts = np.arange(8, dtype=np.uint8).reshape(4, 2)
    path = hdf5(tmp_path / "counts.h5", features=counts, labels=np.array([0, 1, 1, 0], dtype=np.int8))
    features, labels = load(path)
    assert features.dtype == labels.dtype == np.float64
    assert (features == counts).all()
    assert labels.tolist() == SIGNS


def test_libsvm_text_with_comments_and_a_feature_that_a_line_leaves_out(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("# a comment\n1 3:0.5\n-1 1:2e-3 2:-7 # another\n")
    features, labels = load(str(path))
    assert features.tolist() == [[0, 0, 0.5], [2e-3, -7, 0]]
    assert labels.tolist() == [1, -1]


@pytest.mark.parametrize("density", [0.1, 0.3])
@pytest.mark.parametrize("first", [0, 1])
def test_text_named_in_a_job_is_what_convert_makes_of_it(tmp_path, density, first):
    """Bit for bit, so that f* and the trajectories are the same ones; sparse text takes no memory of its zeros."""
    source, made = tmp_path / "data.txt", tmp_path / "data.h5"
    step = round(100 * density)
    entries = [[(i + j) % 100 for j in range(step)] for i in range(20)]
    lines = (f"{i % 2} " + " ".join(f"{c + first}:{c + i}.5" for c in sorted(row)) for i, row in enumerate(entries))
    source.write_text("\n".join([*lines, f"1 {first}:0 {99 + first}:-3"]))
    convert(source, made, Wanted(), SerialCommunicator())
    text, converted = (unshared(lambda path=path: opened(str(path))) for path in (source, made))
    assert ("indptr" in text) == (density < 0.25)
    assert {name: (array.dtype, array.tolist()) for name, array in text.items()} == {
        name: (array.dtype, array.tolist()) for name, array in converted.items()
    }


def test_sparse_text_is_scaled_as_dense_numbers(tmp_path):
    path = libsvm(tmp_path / "data.txt", np.diag([1.0, 2.0, 3.0, 4.0, 5.0]), [0, 1, 0, 1, 1])
    assert "indptr" in unshared(lambda: opened(path))
    assert unshared(lambda: opened(path, "standardised"))["rows"].shape == (5, 5)


def test_a_constant_feature_and_a_zero_row_stay_finite(tmp_path):
    centred = np.array([[0.0, 5.0], [2.0, 5.0], [-2.0, 5.0]])
    path = hdf5(tmp_path / "data.h5", features=centred, labels=[0, 1, 1])
    assert (
        load(
            hdf5(tmp_path / "tenth.h5", features=[[0.1, 1.0]] * 5 + [[0.1, 2.0]] * 5, labels=[0, 1] * 5), "standardised"
        )[0][:, 0]
        == 0
    ).all()
    assert load(path, "standardised")[0] == pytest.approx(np.array([[0, 0], [1.5**0.5, 0], [-(1.5**0.5), 0]]))
    assert load(path, "unit-rows")[0] == pytest.approx(np.array([[0, 0], [1, 0], [-1, 0]]))


def test_a_file_becomes_a_problem(tmp_path):
    for path in both_formats(tmp_path, FEATURES, SIGNS):
        problem = PROBLEMS.make({"kind": "logistic", "data": path}, "problem")
        assert (problem.samples, problem.dimension) == FEATURES.shape
        assert problem.value(np.zeros(3)) == pytest.approx(np.log(2))


def truncated(path):
    hdf5(path, features=FEATURES, labels=SIGNS)
    path.write_bytes(path.read_bytes()[:1500])


def a_group(path):
    with h5py.File(path, "w") as file:
        file.create_group("features")
        file["labels"] = SIGNS


WITH_NAN, WITH_INFINITY = FEATURES.copy(), FEATURES.copy()
WITH_NAN[1, 1], WITH_INFINITY[1, 1] = np.nan, np.inf
# what is wrong -> how to write it
REFUSED = {
    "three classes, text": lambda path: libsvm(path, FEATURES, [0, 1, 2, 0]),
    "three classes, HDF5": lambda path: hdf5(path, features=FEATURES, labels=[0, 1, 2, 0]),
    "one class, text": lambda path: libsvm(path, FEATURES, [1, 1, 1, 1]),
    "one class, HDF5": lambda path: hdf5(path, features=FEATURES, labels=[1, 1, 1, 1]),
    "NaN, text": lambda path: libsvm(path, WITH_NAN, SIGNS),
    "NaN, HDF5": lambda path: hdf5(path, features=WITH_NAN, labels=SIGNS),
    "infinity, text": lambda path: libsvm(path, WITH_INFINITY, SIGNS),
    "infinity, HDF5": lambda path: hdf5(path, features=WITH_INFINITY, labels=SIGNS),
    "broken value": lambda path: path.write_text("1 1:2\n-1 1:x\n"),
    "broken line": lambda path: path.write_text("1 1:2\nhello\n"),
    "no colon": lambda path: path.write_text("1 1:2\n-1 3\n"),
    "indices out of order": lambda path: path.write_text("1 2:2 1:1\n-1 1:3\n"),
    "not text": lambda path: path.write_bytes(bytes(range(256))),
    "HDF5 without labels": lambda path: hdf5(path, features=FEATURES),
    "HDF5 without features": lambda path: hdf5(path, labels=SIGNS),
    "HDF5 with words": lambda path: hdf5(path, features=FEATURES, labels=[b"a", b"b", b"b", b"a"]),
    "HDF5 with one row as a vector": lambda path: hdf5(path, features=FEATURES[0], labels=SIGNS[:3]),
    "HDF5 with a label too few": lambda path: hdf5(path, features=FEATURES, labels=SIGNS[:3]),
    "HDF5 with labels in a column": lambda path: hdf5(path, features=FEATURES, labels=[[label] for label in SIGNS]),
    "HDF5 without columns": lambda path: hdf5(path, features=FEATURES[:, :0], labels=SIGNS),
    "HDF5 with a group": a_group,
    "a label that is no number, text": lambda path: path.write_text("1 1:2\nnan 1:3\n-1 1:1\n"),
    "a label that is no number, HDF5": lambda path: hdf5(path, features=FEATURES, labels=[1, np.nan, 1, -1]),
    "an infinite label": lambda path: path.write_text("1 1:2\ninf 1:3\n"),
    "an index beyond any": lambda path: path.write_text("1 1:2 99999999999:2\n-1 1:3\n"),
    "empty": lambda path: path.touch(),
    "truncated HDF5": truncated,
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("wrong", REFUSED)
@pytest.mark.parametrize("scaling", [None, "unit-rows"])
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path, wrong, scaling):
    path = tmp_path / "given.data"
    REFUSED[wrong](path)
    with pytest.raises(InputError, match=r"given\.data") as refused:
        load(str(path), scaling)
    assert refused.value.key == "data"


def test_a_near_miss_of_a_bundled_name_is_hinted_at():
    with pytest.raises(InputError, match="did you mean wine") as refused:
        load("wines")
    assert all(name in str(refused.value) for name in BUNDLED)
