"""Judge findings beyond the paper: what workers, ties, flipped workers, bits and bandwidth are worth."""

from collections.abc import Callable

import numpy as np

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
from mpisign.audit.claims.from_comparisons import agree, draws, widest
from mpisign.audit.figures.beyond import bandwidth, bits, flipped, workers
from mpisign.audit.frozen_point import Frozen, frozen
from mpisign.audit.intervals import Interval, estimate
from mpisign.storage.trajectory import Trajectory
from mpisign.theory.vote_moments import vote_advantage

Theory = Callable[[Frozen], float]


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
    printed=False,
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
        rests_on=draws([each.advantage for each in _points(files)]),
        evidence=[*lines(files, workers.findings), widest([each.advantage for each in _points(files)])],
        figures=figures(
            files, workers.draw, "Advantage and drift against M, beside theory.", "Points on the curves of theory."
        ),
    )


TIES = Claim(
    refutable=False,
    id="beyond-ties",
    title="A tie that becomes +1",
    equation="",
    statement="When a tie becomes +1 a vote of even M has the advantage A_{M}(p) ± C(M, M/2)(p(1−p))^{M/2} for "
    "g_{i} of either sign: where g_{i} < 0 and M = 2 it is worse than none for p < 0.7071. A tie that counts 0 or is "
    "a fair coin's has A_{M}(p).",
    printed=False,
    tested_on="jobs/ties.toml: a frozen x with g > 0, one with g < 0, p = 0.6, even M; zeros = exact, coin, plus",
    evidence=not_run("ties"),
)


def ties(results: Results) -> Claim:
    """Compare the mean advantage for each rule and M with A_M(p) and the part of ties."""
    files = files_of(results, "ties")
    if not files:
        return TIES
    return TIES._replace(
        verdict=_advantages(files, workers.expected_advantage),
        rests_on=draws([each.advantage for each in _points(files)]),
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
    statement="E[M_{k} g'v | x] = Σ_{i} |g_{i}|(A_{M}(p_{i}) E N + T_{M}(p_{i}) Cov(N, σ_{i}s_{i})) (C4); the proof "
    "has the first term alone, which is right for norms from a second draw.",
    printed=False,
    tested_on="jobs/ce-b-drift.toml: CE-B at frozen x, M = 1, 3, 5 and 15, and decoupled with M = 3",
    evidence=not_run("ce-b-drift"),
)


def covariance(results: Results) -> Claim:
    """Compare the mean drift at each x with C4's."""
    files = files_of(results, "ce-b-drift")
    if not files:
        return COVARIANCE
    return COVARIANCE._replace(
        verdict=_drifts(files, lambda each: each.theory.exact),
        rests_on=draws([each.drift for each in _points(files)]),
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
    statement="B of M workers with flipped signs leave the vote the advantage of M−B votes with p and B with 1−p, by "
    "convolution: positive for every B < M/2, and more than that of M workers with the mean probability.",
    printed=False,
    tested_on="jobs/flipped.toml: a frozen x, M = 15, B = 0 to 7; jobs/flipped-logistic.toml: breast-cancer",
    evidence=not_run("flipped", "flipped-logistic"),
)


def flips(results: Results) -> Claim:
    """Compare the mean advantage for each B with the convolution."""
    files = files_of(results, "flipped")
    if not files:
        return FLIPS
    on_data, refused = beside(results, "flipped-logistic", _on_data)
    every = [*files, *on_data]
    return FLIPS._replace(
        verdict=_advantages(files, flipped.exact),
        rests_on=draws([each.advantage for each in _points(files)]),
        evidence=[
            *lines(every, flipped.findings),
            widest([each.advantage for each in _points(files)]),
            *refused,
        ],
        figures=figures(
            every,
            flipped.draw,
            "Against the number of flipped workers.",
            "A curve for each p or method: the vote's advantage falls, a final gap rises.",
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
    printed=False,
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
        rests_on="95 % intervals over the repeats",
        evidence=lines(files, bits.findings),
        figures=figures(
            files,
            bits.draw,
            "Gap against bits, and bits to a gap.",
            "The gap of each method against bits, and how many bits each takes to a gap, as bars.",
        ),
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
    printed=False,
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
        rests_on="95 % intervals over the repeats",
        evidence=lines(files, bandwidth.findings),
        figures=figures(
            files,
            bandwidth.draw,
            "Time to the gap against bandwidth.",
            "The time of SGD falls with the bandwidth and crosses that of scaled signSGD.",
        ),
    )


def wins_below(file: Trajectory) -> Interval:
    """Return the bandwidth below which scaled signSGD is faster than SGD, in bits a second.

    It is 0 where there is none, also in a resample where scaled signSGD is faster only above a bandwidth, or does not
    reach the gap.
    """
    _, row, reference = bandwidth.lowest(file)
    found = bandwidth.crossover(row[scaled_sign(file, row)], row[reference])
    return estimate(np.where(np.isnan(found), 0.0, found))
