"""Exact certificates: E V_k as a fraction, a bound as a fraction, and which of the two is larger.

No seed, no statistics and no floating point: a run of scaled-sign whose stochastic gradient has finitely many values is
enumerated, and states with the same gradient are merged. `laws` are the values of one worker's gradient, `votes` those
of M workers' vote and mean norm, `quadratics` f with its constants, `expectation` E V_k, `bounds` the theorems in
fractions, and `paths` the arguments for long runs, which no enumeration reaches.
"""
