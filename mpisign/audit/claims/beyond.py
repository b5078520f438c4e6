"""Judge claims beyond the paper: what workers, ties, flipped workers, bits and bandwidth are worth."""

from collections.abc import Callable

import numpy as np
import scipy.stats

from mpisign.audit.claims.claim import (
    Claim,
    Results,
    Verdict,
    above,
    beside,
    figures,
    files_of,
    first,
    lines,
    not_run,
    together,
)
from mpisign.audit.figures.beyond import bandwidth, bits, flipped, workers
from mpisign.audit.frozen_point import Frozen, frozen
from mpisign.audit.intervals import Interval, estimate
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.vote_moments import vote_advantage

Theory = Callable[[Frozen], float]


RESOLUTION = 0.1
"""A measured advantage or drift, of at most 1, confirms theory when it is known to this. It is half of 2p - 1, what one
worker is worth, for p = 0.6, the least p of these jobs: what is known less well may be nothing, or twice as much."""


def joint(samples: list[np.ndarray]) -> np.ndarray:
    """Return half-widths of Student's intervals for the means, at 95 % for all together (Bonferroni).

    Args:
        samples: m arrays of shape (n,).

    Returns:
        Half-widths, shape (m,).
    """
    tail = 0.025 / len(samples)
    return np.array([scipy.stats.t.isf(tail, len(some) - 1) * scipy.stats.sem(some) for some in samples])


def agree(samples: list[np.ndarray], theory: list[float]) -> Verdict:
    """Return the verdict on theoretical means of samples.

    It is violated where one is outside of its interval by `joint`, and confirmed when every interval is as narrow as
    RESOLUTION. An interval of width 0 comes from too few draws to have one, and decides nothing.

    Args:
        samples: m arrays of shape (n,).
        theory: The m means by theory.
    """
    half, means = joint(samples), np.array([some.mean() for some in samples])
    if (np.abs(means - theory) > np.where(half > 0, half, np.inf)).any():
        return Verdict.VIOLATED
    known = (half > 0) & (half <= RESOLUTION)
    return Verdict.CONFIRMED if known.all() else Verdict.INCONCLUSIVE


def widest(samples: list[np.ndarray]) -> str:
    """Return a line of evidence on how well all means are known together."""
    half = joint(samples)
    said = f"at 95 % for all {len(samples)} together the half-widths are {half.min():.3g} to {half.max():.3g}"
    return f"{said}; what is confirmed has them above 0 and at most {RESOLUTION:g}"


def _points(files: list[Trajectory]) -> list[Frozen]:
    """Return every repeat at a frozen x of these files."""
    return [each for file in files for each in frozen(file)]


def _advantages(files: list[Trajectory], theory: Theory) -> Verdict:
    """Return the verdict on a theory of the mean advantage E[sign(g_i) vote_i]."""
    points = _points(files)
    return agree([each.advantage for each in points], [theory(each) for each in points])


def _drifts(files: list[Trajectory], theory: Theory) -> Verdict:
    """Return the verdict on a theory of the drift E[M_k g'v] over ||g||_1 E N."""
    points = _points(files)
    return agree([each.drift for each in points], [theory(each) for each in points])


def _votes(each: Frozen) -> float:
    """Return A_M(p), the mean over the coordinates."""
    return float(np.mean(vote_advantage(each.known.p, workers.workers_of(each))))


HOW_MANY = Claim(
    refutable=False,
    id="beyond-workers",
    title="How many workers buy how much",
    equation="",
    statement="With sign(0) = 0, M independent workers that are right with probability p have the advantage "
    "E[sign(g_{i}) vote_{i}] = A_{M}(p) = 2I_{p}(κ,κ) − 1; an even M is worth M − 1.",
    tested_on="jobs/workers.toml: a frozen x, p = 0.6, M = 1 to 15, every k one more draw",
    evidence=not_run("workers"),
)


def how_many(results: Results) -> Claim:
    """Compare the mean advantage for each M with A_M(p)."""
    files = files_of(results, "workers")
    if not files:
        return HOW_MANY
    return HOW_MANY._replace(
        verdict=_advantages(files, _votes),
        evidence=[*lines(files, workers.findings), widest([each.advantage for each in _points(files)])],
        figures=figures(files, workers.draw, "Advantage and drift against M, beside theory.", "Points on two curves."),
    )


TIES = Claim(
    refutable=False,
    id="beyond-ties",
    title="A tie that becomes +1",
    equation="",
    statement="What the vote is worth does not depend on the rule for ties: it is A_{M}(p) at even M also when a "
    "tie is +1.",
    corrected="A_{M}(p) ± C(M, M/2)(p(1−p))^{M/2} for g_{i} of either sign: where g_{i} < 0 and M = 2 the vote is "
    "worse than none for p < 0.7071. A fair coin has A_{M}(p).",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/ties.toml: a frozen x with g > 0, one with g < 0, p = 0.6, even M; zeros = exact, coin, plus",
    evidence=not_run("ties"),
)


def ties(results: Results) -> Claim:
    """Compare the mean advantage for each rule and M with A_M(p), and, corrected, with A_M(p) and the part of ties."""
    files = files_of(results, "ties")
    if not files:
        return TIES
    return TIES._replace(
        verdict=_advantages(files, _votes),
        corrected_verdict=_advantages(files, workers.expected_advantage),
        evidence=[*lines(files, workers.findings), widest([each.advantage for each in _points(files)])],
        figures=figures(
            files, workers.draw, "Advantage by the rule for ties.", "Points on theory's, by the sign of g."
        ),
    )


COVARIANCE = Claim(
    refutable=False,
    id="beyond-covariance",
    title="The drift in the proof of Theorem 3",
    equation="(41)",
    statement="E[M_{k} g'v | x] = Σ_{i} |g_{i}| A_{M}(p_{i}) E M_{k}: the norms do not depend on whether signs are "
    "right.",
    corrected="Σ_{i} |g_{i}| T_{M}(p_{i}) Cov(N, σ_{i}s_{i}) belongs to it (C4); 0 for norms from a second draw.",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/ce-b-drift.toml: CE-B at frozen x, M = 1, 3, 5 and 15, and decoupled with M = 3",
    evidence=not_run("ce-b-drift"),
)


def covariance(results: Results) -> Claim:
    """Compare the mean drift at each x with the proof's, and, corrected, with C4's."""
    files = files_of(results, "ce-b-drift")
    if not files:
        return COVARIANCE
    return COVARIANCE._replace(
        verdict=_drifts(files, lambda each: each.theory.independent),
        corrected_verdict=_drifts(files, lambda each: each.theory.exact),
        evidence=[*lines(files, workers.findings), widest([each.drift for each in _points(files)])],
        figures=figures(
            files, workers.draw, "Drift beside C4 and the proof's.", "Points on C4's line, below the proof's."
        ),
    )


FLIPS = Claim(
    refutable=False,
    id="beyond-flipped",
    title="Workers that send −g̃",
    equation="",
    statement="B of M workers with flipped signs leave the vote what M workers with the mean probability "
    "(1−B/M)p + (B/M)(1−p) have.",
    corrected="More than that: the advantage of M−B votes with p and B with 1−p, by convolution; it is positive "
    "for every B < M/2.",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/flipped.toml: a frozen x, M = 15, B = 0 to 7; jobs/flipped-logistic.toml: breast-cancer",
    evidence=not_run("flipped", "flipped-logistic"),
)


def flips(results: Results) -> Claim:
    """Compare the mean advantage for each B with A_M at the mean p, and, corrected, with the convolution."""
    files = files_of(results, "flipped")
    if not files:
        return FLIPS
    on_data, refused = beside(results, "flipped-logistic", _on_data)
    every = [*files, *on_data]
    return FLIPS._replace(
        verdict=_advantages(files, flipped.averaged),
        corrected_verdict=_advantages(files, flipped.exact),
        evidence=[
            *lines(every, flipped.findings),
            widest([each.advantage for each in _points(files)]),
            *refused,
        ],
        figures=figures(
            every, flipped.draw, "Against the number of flipped workers.", "A falling curve for each method."
        ),
    )


def _on_data(file: Trajectory) -> Trajectory:
    """Return the same file.

    Raises:
        InputError: If its final gaps are not all there.
    """
    flipped.by_method(file)
    return file


FEWER_BITS = Claim(
    refutable=False,
    id="beyond-bits",
    title="Bits to a given accuracy",
    equation="",
    statement="Scaled signSGD needs fewer bits than dense SGD to the same gap.",
    tested_on="jobs/bits.toml: breast-cancer, d = 30; jobs/bits-wide.toml: epsilon's shape, d = 2000; the best of "
    "three steps a method",
    evidence=not_run("bits", "bits-wide"),
)


def fewer_bits(results: Results) -> Claim:
    """Judge whether the interval of SGD's bits over scaled signSGD's, to the lowest gap that all reach, is above 1."""
    files = files_of(results, "bits", "bits-wide")
    if not files:
        return FEWER_BITS
    return FEWER_BITS._replace(
        verdict=together(above(saved(file), 1) for file in files),
        evidence=lines(files, bits.findings),
        figures=figures(files, bits.draw, "Gap against bits, and bits to a gap.", "Falling curves, and bars of bits."),
    )


def saved(file: Trajectory) -> Interval:
    """Return SGD's bits over scaled signSGD's, to the lowest gap that all reach."""
    _, row, reference = bandwidth.lowest(file)
    scaled = scaled_sign(file, row)
    return estimate(row[reference].bits / row[scaled].bits)


def scaled_sign(file: Trajectory, row: dict[str, bits.Cost]) -> str:
    """Return the name of scaled signSGD among the methods of a file.

    Raises:
        InputError: If the file has no run of it.
    """
    named = (name for name, each in row.items() if each.run.attributes["method"] == "scaled-sign")
    return first(named, [file], "a run of scaled-sign")


CROSSING = Claim(
    refutable=False,
    id="beyond-bandwidth",
    title="The bandwidth at which one bit wins",
    equation="",
    statement="There is a bandwidth of the server's link below which scaled signSGD reaches a gap sooner than SGD.",
    tested_on="jobs/bits.toml and jobs/bits-wide.toml: measured seconds an iteration, and bits over a bandwidth",
    evidence=not_run("bits", "bits-wide"),
)


def crossing(results: Results) -> Claim:
    """Judge whether the interval of the bandwidth below which scaled signSGD is faster is above 0."""
    files = files_of(results, "bits", "bits-wide")
    if not files:
        return CROSSING
    return CROSSING._replace(
        verdict=together(above(wins_below(file), 0) for file in files),
        evidence=lines(files, bandwidth.findings),
        figures=figures(files, bandwidth.draw, "Time to the gap against bandwidth.", "Curves that cross."),
    )


def wins_below(file: Trajectory) -> Interval:
    """Return the bandwidth below which scaled signSGD is faster than SGD, in bits a second.

    It is 0 where there is none, also in a resample where scaled signSGD is faster only above a bandwidth, or does not
    reach the gap.
    """
    _, row, reference = bandwidth.lowest(file)
    found = bandwidth.crossover(row[scaled_sign(file, row)], row[reference])
    return estimate(np.where(np.isnan(found), 0.0, found))
