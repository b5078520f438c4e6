"""The ledger's entries beyond the paper: what workers, ties, flipped workers, bits and bandwidth are worth."""

from collections.abc import Callable, Iterable

import numpy as np
import scipy.stats

import bandwidth
import bits
import flipped
import workers
from frozen import Frozen, frozen
from interval import Interval, mean
from ledger.entry import Entry, Results, Verdict, beside, confirmed_if, figures, files_of, first, lines, not_run
from mpisign.theory.bounds import vote_advantage
from mpisign.trajectory import Trajectory

Theory = Callable[[Frozen], float]


def agree(measured: Iterable[tuple[Interval, float]]) -> Verdict:
    """confirmed when every theory is in its interval at 95 % for all of them together (Bonferroni)."""
    pairs = list(measured)
    wider = scipy.stats.norm.isf(0.025 / len(pairs)) / scipy.stats.norm.isf(0.025)
    return confirmed_if(all(abs(found.value - theory) <= wider * (found.high - found.value) for found, theory in pairs))


def _advantages(files: list[Trajectory], theory: Theory) -> Verdict:
    return agree((mean(each.advantage), theory(each)) for file in files for each in frozen(file))


def _votes(each: Frozen) -> float:
    """A_M(p), the mean over i."""
    return float(np.mean(vote_advantage(each.known.p, workers.workers_of(each))))


HOW_MANY = Entry(
    id="beyond-workers",
    title="How many workers buy how much",
    equation="",
    statement="With sign(0) = 0, M independent workers that are right with probability p have the advantage "
    "E[sign(g_{i}) vote_{i}] = A_{M}(p) = 2I_{p}(κ,κ) − 1; an even M is worth M − 1.",
    tested_on="jobs/workers.toml: a frozen x, p = 0.6, M = 1 to 15, every k one more draw",
    evidence=not_run("workers"),
)


def how_many(results: Results) -> Entry:
    files = files_of(results, "workers")
    if not files:
        return HOW_MANY
    return HOW_MANY._replace(
        verdict=_advantages(files, _votes),
        evidence=lines(files, workers.findings),
        figures=figures(files, workers.draw, "Advantage and drift against M, beside theory.", "Points on two curves."),
    )


TIES = Entry(
    id="beyond-ties",
    title="A tie that becomes +1",
    equation="",
    statement="What the vote is worth does not depend on the rule for ties: it is A_{M}(p) at even M also when a "
    "tie is +1.",
    corrected="A_{M}(p) ± C(M, M/2)(p(1−p))^{M/2} for g_{i} of either sign: where g_{i} < 0 and M = 2 the vote is "
    "worse than none for p < 0.7071. A fair coin has A_{M}(p).",
    corrected_verdict=Verdict.INCONCLUSIVE,
    tested_on="jobs/ties.toml: a frozen x with g > 0, one with g < 0, p = 0.6, even M; zeros = exact, coin, plus",
    evidence=not_run("ties"),
)


def ties(results: Results) -> Entry:
    files = files_of(results, "ties")
    if not files:
        return TIES
    return TIES._replace(
        verdict=_advantages(files, _votes),
        corrected_verdict=_advantages(files, workers.expected_advantage),
        evidence=lines(files, workers.findings),
        figures=figures(
            files, workers.draw, "Advantage by the rule for ties.", "Points on theory's, by the sign of g."
        ),
    )


COVARIANCE = Entry(
    id="beyond-covariance",
    title="The drift in the proof of Theorem 3",
    equation="(41)",
    statement="E[M_{k} g'v | x] = Σ_{i} |g_{i}| A_{M}(p_{i}) E M_{k}: the norms do not depend on whether signs are "
    "right.",
    corrected="Σ_{i} |g_{i}| T_{M}(p_{i}) Cov(N, σ_{i}s_{i}) belongs to it (C4); 0 for norms from a second draw.",
    corrected_verdict=Verdict.INCONCLUSIVE,
    tested_on="jobs/ce-b-drift.toml: CE-B at frozen x, M = 1, 2 and 3, and decoupled",
    evidence=not_run("ce-b-drift"),
)


def covariance(results: Results) -> Entry:
    files = files_of(results, "ce-b-drift")
    if not files:
        return COVARIANCE
    points = [each for file in files for each in frozen(file)]
    return COVARIANCE._replace(
        verdict=agree((mean(each.drift), each.theory.independent) for each in points),
        corrected_verdict=agree((mean(each.drift), each.theory.exact) for each in points),
        evidence=lines(files, workers.findings),
        figures=figures(
            files, workers.draw, "Drift beside C4 and the proof's.", "Points on C4's line, below the proof's."
        ),
    )


FLIPS = Entry(
    id="beyond-flipped",
    title="Workers that send −g̃",
    equation="",
    statement="B of M workers with flipped signs leave the vote what M workers with the mean probability "
    "(1−B/M)p + (B/M)(1−p) have.",
    corrected="More than that: the advantage of M−B votes with p and B with 1−p, by convolution; it is positive "
    "for every B < M/2.",
    corrected_verdict=Verdict.INCONCLUSIVE,
    tested_on="jobs/flipped.toml: a frozen x, M = 15, B = 0 to 7; jobs/flipped-logistic.toml: breast-cancer",
    evidence=not_run("flipped", "flipped-logistic"),
)


def flips(results: Results) -> Entry:
    files = files_of(results, "flipped")
    if not files:
        return FLIPS
    on_data, refused = beside(results, "flipped-logistic", _on_data)
    every = [*files, *on_data]
    return FLIPS._replace(
        verdict=_advantages(files, flipped.averaged),
        corrected_verdict=_advantages(files, flipped.exact),
        evidence=[*lines(every, flipped.findings), *refused],
        figures=figures(
            every, flipped.draw, "Against the number of flipped workers.", "A falling curve for each method."
        ),
    )


def _on_data(file: Trajectory) -> Trajectory:
    """The same file; raises BadInput where its final gaps are not all there."""
    flipped.by_method(file)
    return file


FEWER_BITS = Entry(
    id="beyond-bits",
    title="Bits to a given accuracy",
    equation="",
    statement="Scaled signSGD needs fewer bits than dense SGD to the same gap.",
    tested_on="jobs/bits.toml: breast-cancer, d = 30; jobs/bits-wide.toml: epsilon's shape, d = 2000; the best of "
    "three steps a method",
    evidence=not_run("bits", "bits-wide"),
)


def fewer_bits(results: Results) -> Entry:
    files = files_of(results, "bits", "bits-wide")
    if not files:
        return FEWER_BITS
    return FEWER_BITS._replace(
        verdict=confirmed_if(all(_saved(file) > 1 for file in files)),
        evidence=lines(files, bits.findings),
        figures=figures(files, bits.draw, "Gap against bits, and bits to a gap.", "Falling curves, and bars of bits."),
    )


def _saved(file: Trajectory) -> float:
    """The lower limit of SGD's bits over scaled signSGD's, to the lowest gap that all reach."""
    _, row, reference = bandwidth.lowest(file)
    scaled = scaled_sign(file, row)
    return bits.estimate(row[reference].bits / row[scaled].bits).low


def scaled_sign(file: Trajectory, row: dict[str, bits.Cost]) -> str:
    """The name of scaled signSGD among the methods of a file; raises BadInput where it has none."""
    named = (name for name, each in row.items() if each.run.attributes["method"] == "scaled-sign")
    return first(named, [file], "a run of scaled-sign")


CROSSING = Entry(
    id="beyond-bandwidth",
    title="The bandwidth at which one bit wins",
    equation="",
    statement="There is a bandwidth of the server's link below which scaled signSGD reaches a gap sooner than SGD.",
    tested_on="jobs/bits.toml and jobs/bits-wide.toml: measured seconds an iteration, and bits over a bandwidth",
    evidence=not_run("bits", "bits-wide"),
)


def crossing(results: Results) -> Entry:
    files = files_of(results, "bits", "bits-wide")
    if not files:
        return CROSSING
    found = lines(files, bandwidth.findings)
    below = [line for line in found if "scaled" in line]
    return CROSSING._replace(
        verdict=confirmed_if(bool(below) and not any("at no bandwidth" in line for line in below)),
        evidence=found,
        figures=figures(files, bandwidth.draw, "Time to the gap against bandwidth.", "Curves that cross."),
    )
