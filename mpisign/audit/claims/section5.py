"""Judge Section V: Figure 1 (Example 4), Figures 2 and 3 (Example 5)."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise

import numpy as np

from mpisign.audit.claims.claim import (
    Claim,
    Drawing,
    Results,
    Verdict,
    confirmed_if,
    figures,
    files_of,
    lines,
    not_run,
    together,
)
from mpisign.audit.claims.from_comparisons import count, said, table_of, verdict_of
from mpisign.audit.claims.section2 import linear
from mpisign.audit.figures.paper import example5, figure1, figure2, figure3
from mpisign.audit.run_comparison import ComparisonResult, Finding, better, similar
from mpisign.storage.trajectory import RunRecord, Trajectory

FIGURE_1 = Claim(
    id="figure-1",
    title="Figure 1 (Example 4)",
    equation="",
    statement="On f = x² + 3 sin² x with α = 0.05 scaled signGD converges linearly, as GD and EF-signGD do; "
    "signGD and SIGNUM oscillate near the minimum.",
    corrected="In one dimension ‖g‖_{1} sign(g) = g and error feedback keeps nothing: GD, scaled signGD and "
    "EF-signGD are one iteration. signGD and SIGNUM do oscillate.",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/figure1.toml: five starts, α = 0.05; SIGNUM with β = 0.5, 0.9 and 0.99",
    corrected_rests_on="bit for bit, every record of five starts",
    evidence=not_run("figure1"),
)


def figure_1(results: Results) -> Claim:
    """Compare the rate of GD and the two like it, and the least late gap of the others; corrected: equal bits."""
    files = files_of(results, "figure1")
    if not files:
        return FIGURE_1
    one = all(all(figure1.same(file)) for file in files)
    restless = all(figure1.late(run).min() > 1e-6 for file in files for run in figure1.oscillating(file))
    falling = [run for file in files for run in figure1.five(file) if run.attributes["method"] in figure1.ONE_ITERATION]
    fast = together(linear(run.gap(repeat)) for run in falling for repeat in run.finished())
    printed = together([fast, confirmed_if(restless)])
    return FIGURE_1._replace(
        verdict=Verdict.VACUOUS if one and printed is Verdict.CONFIRMED else printed,
        corrected_verdict=confirmed_if(one and restless),
        evidence=lines(files, figure1.findings),
        figures=figures(
            files,
            figure1.draw,
            "The gap of five methods, and of SIGNUM by its momentum. Thick: the first start. GD, scaled signGD and "
            "EF-signGD lie on one another.",
            "Two panels of gaps on a logarithmic axis: three identical falling lines, and lines that stay between"
            " 1e-4 and 10.",
        ),
    )


_on_figure_2 = partial(
    Claim,
    refutable=False,
    rests_on="95 % intervals over 10 repeats",
    corrected_rests_on="95 % intervals over 10 repeats",
    equation="",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/figure2.toml: data of epsilon's shape, n = 20000, d = 200; a file for each batch size. A claim "
    "holds when the 95 % interval of the ratio of final gaps says so; similar: within a factor of 2",
    evidence=not_run("figure2"),
)

FIGURE_2A = _on_figure_2(
    id="figure-2-a",
    title="Figure 2(a) (Example 5)",
    statement="With α = 2, scaled signSGD is similar to SGD and better than signSGD and signSGDM; EF-signSGD is "
    "comparable to SGD.",
    corrected="EF-signSGD is comparable to SGD at every batch size. Scaled signSGD with α read per coordinate is "
    "similar to SGD and better than signSGD with single samples; with larger batches it is neither.",
)


def figure_2a(results: Results) -> Claim:
    """Judge the intervals of the ratios of final gaps in panel (a)."""
    entry = _compared(FIGURE_2A, results, "(a) ", _says_2a)
    return entry._replace(
        figures=figures(
            files_of(results, "figure2"),
            figure2.draw,
            "Median gap over the repeats, with the band of their 10 % and 90 % quantiles: (a) and (b), above with"
            " α read per coordinate, below as printed; with what the paper leaves open.",
            "Four panels of gaps of five methods against iterations, on logarithmic axes, and a table of settings.",
        )
    )


def _says_2a(batch: float, claim: str) -> bool | None:
    """Return what the corrected (a) says of a claim: per coordinate they hold with single samples only.

    On signSGDM it says nothing (None).
    """
    if claim.startswith("EF-"):
        return True
    return batch == 1 if _read(claim) and "signSGDM" not in claim else None


FIGURE_2B = _on_figure_2(
    id="figure-2-b",
    title="Figure 2(b) (Example 5)",
    statement="With α_{k} = 6n/(k+1), scaled signSGD is similar to SGD and better than signSGD and signSGDM; "
    "EF-signSGD is comparable to SGD.",
    corrected="As printed scaled signSGD overflows. Read per coordinate it is similar to SGD at every batch size, as "
    "EF-signSGD is, and with larger batches better than signSGD and signSGDM.",
)


def figure_2b(results: Results) -> Claim:
    """Judge the intervals of the ratios of final gaps in panel (b)."""
    entry = _compared(FIGURE_2B, results, "(b) ", _says_2b)
    lost = [overflow(file) for file in files_of(results, "figure2")]
    return entry._replace(evidence=[*entry.evidence, *filter(None, lost)])


def _says_2b(batch: float, claim: str) -> bool | None:
    """Return what the corrected (b) says of a claim: as printed it overflows, so that none of its claims holds.

    On being better than signSGD with single samples it says nothing (None).
    """
    if claim.startswith("scaled signSGD, as printed"):
        return False
    return True if claim.startswith("EF-") or "similar" in claim or batch > 1 else None


def _read(claim: str) -> bool:
    """Return whether a claim is about scaled signSGD with its step per coordinate."""
    return claim.startswith("scaled signSGD, per coordinate")


def overflow(file: Trajectory) -> str:
    """Return a line on where the run with 6n/(k+1) as printed is no longer finite; "" when it stays finite."""
    run = next((run for run in file if run.label == "(b) scaled signSGD, as printed"), None)
    ends = [repeat.diverged_at for repeat in run.repeats if repeat.diverged_at is not None] if run else []
    if run is None or not ends:
        return ""
    where = f"from k = {min(ends)} to {max(ends)} in {len(ends)} of {len(run.repeats)} repeats"
    return f"{file.path.stem}: scaled signSGD as printed is not finite {where}"


FIGURE_2 = _on_figure_2(
    id="figure-2",
    title="Figure 2, (a) against (b)",
    statement="With the constant step of (a) every method converges faster than with the diminishing one of (b).",
    corrected="signSGDM and signSGD as printed do at every batch size; SGD and EF-signSGD with single samples and "
    "batches of 64, and with batches of 1024 the diminishing step is faster.",
)


def figure_2(results: Results) -> Claim:
    """Judge the intervals of the ratios of final gaps, (a) over (b)."""
    entry = _compared(FIGURE_2, results, "", _says_2)
    files = files_of(results, "figure2")
    drawing = Drawing(
        "Every claim on Figure 2: geometric mean of the ratio of final gaps over the repeats, with its 95 % "
        "interval. Left of 1 is better; in the shaded band similar; filled where the claim holds.",
        "A row for each claim with a mark for each batch size, on a logarithmic axis of ratios from 0.01 to 1000.",
        lambda: example5.draw(example5.table(files)),
    )
    return entry._replace(figures=[drawing] if files else [])


def _says_2(batch: float, claim: str) -> bool | None:
    """Return whether the corrected statement has the constant step as the faster one.

    It does for sign methods as printed, and for dense ones except with the largest batch.
    """
    if claim.startswith(("signSGDM", "signSGD, as printed")):
        return True
    return batch < 1024 if claim.startswith(("SGD", "EF-")) else None


def _compared(entry: Claim, results: Results, panel: str, says: Callable[[float, str], bool | None]) -> Claim:
    """Return a claim on Figure 2 with its verdicts over all batch sizes.

    Args:
        entry: The claim as stated.
        results: Trajectory files by the name of their job.
        panel: "(a) " or "(b) ", or "" for the one against the other.
        says: Given a batch size and a claim, whether the corrected statement makes it (True), denies it (False), or
            is silent (None).
    """
    files = files_of(results, "figure2")
    batches = {file.path.stem: float(file.runs[0].attributes.get("oracle.batch", np.inf)) for file in files}
    files = sorted(files, key=lambda file: batches[file.path.stem])
    found = {file.path.stem: _of_panel(figure2.claims(figure2.by_step(file)), panel) for file in files}
    if not found:
        return entry
    printed, read = ([_without(findings, reading) for findings in found.values()] for reading in figure2.READINGS)
    right = [said(made, partial(says, batches[stem])) for stem, made in found.items()]
    return entry._replace(
        verdict=verdict_of(printed),
        corrected_verdict=verdict_of(right),
        evidence=[
            f"as printed: {count(printed)}; per coordinate: {count(read)}",
            f"of the corrected statement: {count(right)}",
        ],
        table=table_of(found),
    )


def _of_panel(claims: list[ComparisonResult], panel: str) -> dict[str, Finding]:
    """Return the findings of one panel by their claim, without the panel's name."""
    mine = [claim for claim in claims if (claim[0][:4] if claim[0].startswith(("(a)", "(b)")) else "") == panel]
    return {claim.removeprefix(panel): finding for claim, finding in mine}


def _without(findings: Mapping[str, Finding], reading: str) -> list[Finding]:
    """Return the findings that are not about this reading of the step."""
    return [finding for claim, finding in findings.items() if reading not in claim]


FIGURE_3 = Claim(
    refutable=False,
    id="figure-3",
    title="Figure 3 (Example 5)",
    equation="",
    statement="More workers improve the performance of Algorithm 3.",
    corrected="From one odd M to the next they do; an even M gains next to nothing over M − 1, for A_{2n} = A_{2n−1}.",
    corrected_verdict=Verdict.NOT_RUN,
    tested_on="jobs/figure3.toml: data of epsilon's shape, n = 20000, d = 200, α = 2 read per coordinate, M = 1 to 33",
    rests_on="95 % intervals over 10 repeats",
    corrected_rests_on="95 % intervals over 10 repeats",
    evidence=not_run("figure3"),
)


def figure_3(results: Results) -> Claim:
    """Judge ratios of final gaps: each M over the one before; corrected, odd over odd, and even M over M - 1."""
    files = files_of(results, "figure3")
    if not files:
        return FIGURE_3
    runs = {file.path.stem: figure3.by_workers(file) for file in files}
    printed = {stem: dict(figure3.claims(some)) for stem, some in runs.items()}
    odd = {stem: dict(odd_steps(some)) for stem, some in runs.items()}
    even = {stem: dict(even_steps(some)) for stem, some in runs.items()}
    findings, steps, pairs = ([list(each.values()) for each in found.values()] for found in (printed, odd, even))
    return FIGURE_3._replace(
        verdict=verdict_of(findings),
        corrected_verdict=together([verdict_of(steps), verdict_of(pairs)]),
        evidence=[
            f"each M against the one before: {count(findings)}",
            f"of the corrected statement: each odd M against the odd one before: {count(steps)}; each even M within "
            f"a factor of {NOTHING} of M - 1: {count(pairs)}",
        ],
        table=table_of({stem: printed[stem] | odd[stem] | even[stem] for stem in printed}),
        figures=figures(
            files,
            figure3.draw,
            "Left: median gap by M, even M dashed. Right: final gaps and their geometric mean against M.",
            "Gaps of eight numbers of workers against iterations, falling lower the more there are; final gap "
            "against M in steps from one odd M to the next.",
        ),
    )


NOTHING = 1.1
"""Within this factor an even M gains next to nothing over M - 1. An odd M gains over M - 2 what the advantage does, and
that is 3/2 from M = 1 to 3 and 5/4 from 3 to 5 for p near 1/2: this is less than half of either."""


def odd_steps(runs: list[RunRecord]) -> list[ComparisonResult]:
    """Return, from each odd M to the next, whether there is an improvement."""
    odd = [run for run in runs if run.attributes["workers"] % 2]
    return [(f"{more.label} better than {fewer.label}", better(more, fewer)) for fewer, more in pairwise(odd)]


def even_steps(runs: list[RunRecord]) -> list[ComparisonResult]:
    """Return, for each even M, whether it is as good as M - 1, where both were run."""
    known = {run.attributes["workers"]: run for run in runs}
    pairs = [(run, known[M - 1]) for M, run in known.items() if M % 2 == 0 and M - 1 in known]
    return [
        (f"{run.label} the same as {one.label}, within {NOTHING}", similar(run, one, NOTHING)) for run, one in pairs
    ]
