"""The prose of the pages of the claims."""

HEAD = """\
# The audit

What the paper *On Faster Convergence of Scaled Sign Gradient Descent* (X. Li, K.-Y. Lin, L. Li, Y. Hong, J. Chen)
claims, and what was found; the last part goes beyond it. The verdicts here are those of `mpisign report` on full runs
of all jobs (`bash jobs/reproduce.sh`, three and a half minutes), and `docs/audit/report.json` is that report. A link
leads to the claim with its evidence, and to the commands that repeat it. Equation numbers are the paper's.

- {doc}`theorems`: what holds in place of Theorems 2 and 3, with proofs
- {doc}`counterexamples`: where the printed theorems fail
- {doc}`corrections`: the corrections, one by one
- {doc}`beyond-one-step`: what several steps of Theorem 1 can leave, which is less than (16)
- {doc}`found`: the measured numbers, and what goes beyond the paper
- {doc}`statistics`: how sure a verdict by measurement is
"""

CLAIMS = """\
{doc}`Every claim <../index>` has its verdict in one table. The commands below a claim run its jobs as they stand;
`bash jobs/reproduce.sh` runs all of them, Figure 2 at three batch sizes.
"""

TAIL = """\
## How a verdict is reached

A bound is `refuted` when the expected gap is above it in exact arithmetic (`mpisign certify`) or by the argument that
is shown. It is `violated` when the mean gap over the repeats is above it at one of twelve checkpoints that are set
beforehand. The test is an e-value of all twelve together, which needs nothing but a gap of at least 0; its false-alarm
rate is at most 5 %. It is `confirmed` when upper limits are below it at all of them. They are exact where noise and
step allow no gap above a known one. Elsewhere they are the bootstrap's, from 20 repeats on, and the verdict says its
condition: that nothing rarer than 1 in N weighs. {doc}`statistics` has the tests with their measured error rates. It
is `vacuous`
where a premise fails, which is named with the k from which it does: a step out of range, or p_min \\<= 1/2. Otherwise
it is `inconclusive`. Without noise every record of every start is compared.

A run that was cut short, with fewer repeats or iterations than its job says, gives no more than `inconclusive`, unless
one case refutes the claim. An equality is `confirmed` only where it is known to a tenth.
{doc}`../tutorials/check` holds a file of your own against the same bounds.

(audit-words)=

## Words

$V_k$
: The gap $f(x_k) - f^*$; in a bound $\\mathbb{E} V_k$, its mean over the random numbers of a run, from one $x_0$.

$p_{\\min}$
: The least probability, over $k$ and $i$, that the sign of $\\tilde g_i$ is that of $g_i = \\nabla_i f(x_k)$. It has
  two readings where a $g_i$ can be 0: *over g_i != 0* leaves those out; *over all i*, literally, counts such a sign as
  right only if $\\tilde g_i = 0$, which is never more. The corrected theorems ask for the first.

refuted, violated
: *Refuted* is certain: by exact arithmetic, or by an argument that is shown. *Violated* is a statistical test of a run,
  with its false-alarm rate.

repaired, corrected
: *Repaired*: the printed theorem with one more term, which makes it true (R1, R2). *Corrected*: another statement that
  holds, C0, C1 or C3 of {doc}`theorems`.

decoupled
: With the norm of the stochastic gradient from a second draw, independent of the signs; the printed theorems hold then.

Names in JSON and in `mpisign.theory.bounds`
: `theorem2` is (19), `theorem2_harmonic` (20), `theorem3` (21), each repaired with `_repaired` behind it; `floor_bound`
  is C0, `drift_bound` C1, `harmonic_shifted` C3.
"""
