"""Algorithm 3 against exact arithmetic by hand."""

import numpy as np
import pytest

from alone import iterates

EVERY = "log = { every = 1, iterates = true }"


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_columns_of_scaled_sign(tmp_path, workers):
    """lambda = (1, 4), x_0 = (3, -1), alpha = 1/8: dyadic fractions, exact in float64. For x_k see test_methods.py."""
    _, columns = iterates(
        tmp_path,
        f"""
        iterations = 3
        problem = {{ kind = "separable", eigenvalues = [1, 4] }}
        start = {{ kind = "point", x = [3, -1] }}
        {EVERY}
        [[runs]]
        method = "scaled-sign"
        workers = {workers}
        step = {{ kind = "constant", alpha = 0.125 }}
        """,
    )
    # g = (3, -4), norm 7, step 7/8; g = (17/8, -1/2), norm 21/8, step 21/64; g = (115/64, 13/16), norm 167/64, ...
    assert list(columns["scale"][:3]) == [7, 21 / 8, 167 / 64]
    assert list(columns["gradient_l1"]) == [7, 21 / 8, 167 / 64, 753 / 512 + 4 * 63 / 512]
    assert list(columns["agreement"][:3]) == [1, 1, 1]


def test_the_mean_scale_divides_by_d(tmp_path):
    x, _ = iterates(
        tmp_path,
        f"""
        iterations = 1
        problem = {{ kind = "separable", eigenvalues = [1, 1, 1, 1] }}
        start = {{ kind = "point", x = [4, -4, 4, -4] }}
        {EVERY}
        [[runs]]
        method = "scaled-sign"
        scale = "mean"
        step = {{ kind = "constant", alpha = 0.5 }}
        """,
    )
    assert list(x[1]) == [2, -2, 2, -2]


def test_an_exact_zero_stays_where_it_is(tmp_path):
    """sign(0) = 0 under "exact": a coordinate with no gradient does not move, and is a tie of the vote."""
    text = f"""
        iterations = 4
        problem = {{ kind = "separable", eigenvalues = [1, 0, 1] }}
        start = {{ kind = "point", x = [1, 5, -1] }}
        {EVERY}
        [[runs]]
        method = "sign"
        workers = 2
        zeros = "ZEROS"
        step = {{ kind = "constant", alpha = 0.25 }}
        """
    x, columns = iterates(tmp_path, text.replace("ZEROS", "exact"))
    assert (x[:, 1] == 5).all()
    assert list(x[-1]) == [0, 5, 0]
    assert list(columns["ties"]) == [1, 1, 1, 1, -1]
    x, _ = iterates(tmp_path, text.replace("ZEROS", "plus"))
    assert list(x[:, 1]) == [5, 4.75, 4.5, 4.25, 4]


def test_gd_is_exact_on_a_quadratic(tmp_path):
    x, _ = iterates(
        tmp_path,
        f"""
        iterations = 2
        problem = {{ kind = "quadratic", matrix = [[2, 1], [1, 2]] }}
        start = {{ kind = "point", x = [1, 2] }}
        {EVERY}
        [[runs]]
        method = "gd"
        workers = 2
        step = {{ kind = "harmonic", c = 0.5, k0 = 1 }}
        """,
    )
    # alpha = 1/2, 1/4; g = (4, 5), then (-5/2, -2)
    assert x.tolist() == [[1, 2], [-1, -0.5], [-0.375, 0]]


def test_records_are_the_iterates_of_one_trajectory_however_sparse(tmp_path):
    """The same run recorded at every k and at a few: where both record, all columns agree."""
    text = """
        iterations = 100
        problem = { kind = "logistic", data = "wine" }
        oracle = { kind = "minibatch", batch = 4 }
        log = LOG
        [[runs]]
        method = "scaled-sign"
        workers = 2
        step = { kind = "constant", alpha = 0.1 }
        """
    x, dense = iterates(tmp_path, text.replace("LOG", "{ every = 1, iterates = true }"))
    few, sparse = iterates(tmp_path, text.replace("LOG", "{ points = 12, iterates = true }"))
    assert 8 < len(sparse["k"]) <= 13
    assert (few == x[sparse["k"]]).all()
    for name in set(dense) - {"x", "seconds", "value", "gradient_l1", "agreement"}:
        assert np.array_equal(sparse[name], dense[name][sparse["k"]], equal_nan=True), name
    assert np.allclose(sparse["value"], dense["value"][sparse["k"]], rtol=1e-14)


def test_the_agreement_is_over_the_coordinates_with_a_gradient(tmp_path):
    """Of four, one has no gradient at x_0 = (1, 0, -2, 3); the vote +1 there counts for nothing."""
    _, columns = iterates(
        tmp_path,
        f"""
        iterations = 1
        problem = {{ kind = "separable", eigenvalues = [1, 1, 1, 1] }}
        start = {{ kind = "point", x = [1, 0, -2, 3] }}
        {EVERY}
        [[runs]]
        method = "sign"
        zeros = "plus"
        workers = 1
        oracle = {{ kind = "full" }}
        step = {{ kind = "constant", alpha = 0.5 }}
        """,
    )
    assert columns["agreement"][0] == 1.0
