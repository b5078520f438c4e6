"""Synthetic data: the same bits from a seed, with the statistics that its docstrings state.

The seeds are fixed, so that there is no false alarm; what a tolerance covers besides chance is said where it is used.
"""

import numpy as np
import pytest
import scipy.sparse

from launch import mpirun, mpisign
from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.file import DataFile
from mpisign.data.loading import load
from mpisign.data.synthetic.epsilon import Epsilon
from mpisign.data.synthetic.generate import KINDS, Recipe, synthesise
from mpisign.data.synthetic.rcv1 import Rcv1

every_kind = pytest.mark.parametrize("like", list(KINDS))


def made(path, like, n, d, seed=1, dtype="float32"):
    synthesise(Recipe(like, n, d, seed, dtype), path, True, SerialCommunicator())
    return DataFile(path)


def dense(matrix):
    return matrix.toarray() if scipy.sparse.issparse(matrix) else matrix


@pytest.fixture(scope="module")
def epsilon():
    """Labels and features of some blocks of epsilon's shape at d = 400."""
    maker = Epsilon(400, seed=3)
    labels, features = zip(*(maker.block(number) for number in range(4)), strict=True)
    return np.concatenate(labels), np.concatenate(features)


@pytest.fixture(scope="module")
def rcv1():
    """Labels and features of rcv1's own size."""
    maker = Rcv1(Rcv1.d, seed=3)
    labels, features = zip(*(maker.block(number) for number in range(5)), strict=True)
    return np.concatenate(labels), scipy.sparse.vstack(features).tocsr()


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_has_its_shape_and_unit_rows(tmp_path, like, dtype):
    file = made(tmp_path / "x.h5", like, 50, 300, dtype=dtype)
    assert file.layout[:2] == (50, 300)
    assert file.layout.sparse == (like == "rcv1")
    assert file.features().dtype == dtype
    tolerance = {"float32": 1e-6, "float64": 1e-14}[dtype]
    assert np.abs(file.row_norms() - 1).max() < tolerance
    assert np.abs(np.linalg.norm(dense(file.features()).astype(float), axis=1) - 1).max() < tolerance
    assert set(file.labels().tolist()) == {-1, 1}
    file.verify()
    assert load(str(tmp_path / "x.h5"))[0].shape == (50, 300)


@every_kind
def test_the_rows_are_a_function_of_the_seed_and_n_only_says_where_they_end(tmp_path, like, monkeypatch):
    monkeypatch.setattr("mpisign.data.synthetic.epsilon._BLOCK_NUMBERS", 20 * 40)
    monkeypatch.setattr(Rcv1, "block_rows", 20)
    long, short = (made(tmp_path / f"{n}.h5", like, n, 40) for n in (70, 33))
    assert (dense(long.rows(0, 33)) == dense(short.features())).all()
    assert (long.labels()[:33] == short.labels()).all()
    assert long.attributes["sha256"] == made(tmp_path / "again.h5", like, 70, 40).attributes["sha256"]
    assert long.attributes["sha256"] != made(tmp_path / "other.h5", like, 70, 40, seed=2).attributes["sha256"]
    blocks = dense(long.features())
    assert not (blocks[:20] == blocks[20:40]).all()


@pytest.mark.ranks
@pytest.mark.parametrize(("like", "mpi"), [("epsilon", "mpich"), ("rcv1", "openmpi")])
def test_the_same_bits_on_three_ranks(tmp_path, like, mpi):
    n, d = (3 * 2**21 // 2000, 2000) if like == "epsilon" else (3 * 4096, 500)
    n -= 7
    words = ["data", "synth", "--like", like, tmp_path / "three.h5", "--n", n, "--d", d, "--seed", 5]
    done = mpirun(mpi, 3, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("wrote") == 1
    assert (
        made(tmp_path / "one.h5", like, n, d, seed=5).attributes["sha256"]
        == (DataFile(tmp_path / "three.h5").attributes["sha256"])
    )


@every_kind
def test_very_small_ones_are_made(tmp_path, like):
    for n, d in [(1, 1), (2, 1), (3, 2), (1, 50)]:
        assert made(tmp_path / "x.h5", like, n, d).layout[:2] == (n, d)


def test_epsilon_is_balanced_and_standardised(epsilon):
    labels, features = epsilon
    n, d = features.shape
    assert n == 4 * (2**21 // 400)
    assert abs(labels.mean()) < 5 / np.sqrt(n)
    scaled = features * np.sqrt(d)
    assert np.abs(scaled.mean(axis=0)).max() < 6 / np.sqrt(n)
    # A row's length varies with its large directions, which moves variances by a few hundredths.
    assert np.abs(scaled.var(axis=0) - 1).max() < 0.15


def test_epsilon_s_spectrum_decays_as_stated(epsilon):
    features = epsilon[1]
    eigenvalues = np.linalg.eigvalsh(features.T @ features / len(features))[::-1] * features.shape[1]
    decay = 1 / np.arange(1, 401)
    expected = 0.5 + 0.5 * 400 * decay / decay.sum()
    # Unit rows shrink the largest direction most, standardising spreads the white part.
    assert eigenvalues[:100] / expected[:100] == pytest.approx(np.ones(100), abs=0.25)
    assert 0.3 < eigenvalues[-1] < 0.6


def test_epsilon_s_classes_overlap_and_a_linear_classifier_finds_90_percent(epsilon):
    from sklearn.linear_model import LogisticRegression

    labels, features = epsilon
    half = len(labels) // 2
    found = LogisticRegression(C=100.0, max_iter=200).fit(features[:half] * 20, labels[:half])
    # The best accuracy is E[1 / (1 + exp(-5.3 |u|))] = 0.900; the one found is a little lower.
    assert found.score(features[half:] * 20, labels[half:]) == pytest.approx(0.893, abs=0.02)


def test_rcv1_has_the_published_shape(rcv1):
    labels, features = rcv1
    lengths = np.diff(features.indptr)
    assert lengths.mean() == pytest.approx(74, rel=0.05)
    assert lengths.min() >= 1
    assert lengths.std() > 20
    assert (labels == 1).mean() == pytest.approx(0.52, abs=0.02)
    assert (features.data > 0).all()
    assert features.has_canonical_format


def test_rcv1_s_frequencies_follow_a_power_law(rcv1):
    features = rcv1[1]
    counts = np.sort(np.bincount(features.indices, minlength=features.shape[1]))[::-1]
    ranks = np.arange(100, 10_000)
    slope = np.polyfit(np.log(ranks + 10), np.log(np.maximum(counts[ranks], 1)), 1)[0]
    assert slope == pytest.approx(-1, abs=0.15)
    assert counts[0] > len(features.indptr) / 3


def test_rcv1_s_values_are_larger_for_rare_words(rcv1):
    features = rcv1[1]
    counts = np.bincount(features.indices, minlength=features.shape[1])[features.indices]
    assert features.data[counts < 20].mean() > 2 * features.data[counts > 5000].mean()


def test_rcv1_can_be_learnt(rcv1):
    from sklearn.linear_model import LogisticRegression

    labels, features = rcv1
    found = LogisticRegression(C=100.0, max_iter=30).fit(features[:10_000], labels[:10_000])
    assert found.score(features[10_000:], labels[10_000:]) > 0.8


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--n", "0"], "--n"),
        (["--d", "2.5"], "--d"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**63)], "--seed"),
        (["--like", "mnist"], "invalid choice"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, capsys, more, said):
    from mpisign.cli.main import main

    assert main(["data", "synth", "--like", "epsilon", str(tmp_path / "x.h5"), *more]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert len(printed.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_help_names_the_kinds_and_their_sizes(capsys):
    """It is written by hand: the makers' imports would slow down every command."""
    from mpisign.cli.main import main

    with pytest.raises(SystemExit):
        main(["data", "synth", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert f"--like {{{','.join(KINDS)}}}" in printed
    for size in ("n", "d"):
        assert f"(default: {', '.join(f'{getattr(kind, size)} for {name}' for name, kind in KINDS.items())})" in printed


def test_the_command_says_what_it_wrote_and_does_not_write_over(tmp_path):
    words = ["data", "synth", "--like", "rcv1", tmp_path / "x.h5", "--n", 100, "--d", 50]
    assert "n = 100, d = 50, sparse (CSR), float32" in mpisign(*words).stdout
    done = mpisign(*words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "--overwrite" in done.stderr
