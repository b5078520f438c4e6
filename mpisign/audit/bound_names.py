"""Name the bounds and say what fails of their premises, in one way in every table, figure and line."""

NAMES = {
    "theorem1": "Theorem 1, (16)",
    "theorem1_gradient": "Theorem 1(3), (17)",
    "theorem2": "Theorem 2(1), (19)",
    "theorem2_harmonic": "Theorem 2(2), (20)",
    "theorem3": "Theorem 3, (21)",
    "theorem2_repaired": "Theorem 2(1), repaired",
    "theorem2_harmonic_repaired": "Theorem 2(2), repaired",
    "theorem3_repaired": "Theorem 3, repaired",
    "theorem3_harmonic_repaired": "Theorem 2(2), repaired, Remark 7",
    "floor_bound": "corrected, C0",
    "drift_bound": "corrected, C1",
    "harmonic_shifted": "corrected, C3",
}
"""The name of each bound, by its function. What is `theorem2_harmonic_repaired`, read as Remark 7, in the JSON of
`mpisign check` is `theorem3_harmonic_repaired` in that of `mpisign certify`."""

CORRECTED = tuple(NAMES)[5:]
"""The bounds that are not the paper's."""


def named(bound: str, reading: str = "") -> str:
    """Return a bound's name with the reading of its constants, such as "Theorem 2(1), (19), over all i"."""
    return ", ".join(filter(None, [NAMES[bound], reading]))


def failing(premise: str, where: str = "", reading: str = "") -> str:
    """Return what fails in words, such as "p_min > 1/2 fails from k = 0 (p_min = 0.4; over all i)".

    Args:
        premise: The condition and what is the case, such as "p_min > 1/2: p_min = 0.4".
        where: Since when.
        reading: How a constant was taken.
    """
    condition, _, why = premise.partition(": ")
    said = "; ".join(filter(None, [why, reading]))
    return " ".join(filter(None, [condition, "fails", where, f"({said})" if said else ""]))
