"""The data sets that are known by a name: where LIBSVM Data (Chang and Lin) publishes them, and their sizes."""

from typing import TYPE_CHECKING, NamedTuple

from mpisign.config.validation import InputError

if TYPE_CHECKING:
    from mpisign.data.file import Layout

BASE = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"


class Published(NamedTuple):
    """A training set of LIBSVM Data.

    Attributes:
        files: its file below BASE; several names where it has been renamed, the first that is there is taken.
        n: rows.
        d: features.
        nnz: entries, as the text has them; None where the number was not verified.
    """

    files: tuple[str, ...]
    n: int
    d: int
    nnz: int | None = None

    def addresses(self) -> list[str]:
        """Return where it is looked for, in this order."""
        return [BASE + file for file in self.files]

    def refuse_other(self, name: str, found: "Layout") -> None:
        """Raise InputError where a text is not of the published sizes; d is what its indices were checked against."""
        expected = {"n": (self.n, found.n), "entries": (self.nnz, found.nnz)}
        wrong = [
            f"{what} = {is_} ({to_be} published)" for what, (to_be, is_) in expected.items() if to_be not in (None, is_)
        ]
        if wrong:
            raise InputError(
                name, f"this is not the published data set: {', '.join(wrong)}; by its address it is taken as it is"
            )


# n and d are those of LIBSVM Data's page, as public packages that load these files repeat them (libsvmdata for Python,
# LIBSVMdata.jl). nnz was counted in public copies of a9a, w8a and ijcnn1; of the others there was no whole copy at hand
# to count, so that they are checked by n, and d as a limit of the indices, alone. Nothing was downloaded from BASE.
# covtype is the file whose features are scaled to [0, 1]; ijcnn1 is training and validation set in one, as n says.
# Large files of LIBSVM Data were renamed from .bz2 to .xz over the years: both names of epsilon are tried.
PUBLISHED = {
    "a9a": Published(("a9a",), 32_561, 123, 451_592),
    "covtype": Published(("covtype.libsvm.binary.scale.bz2",), 581_012, 54),
    "epsilon": Published(("epsilon_normalized.xz", "epsilon_normalized.bz2"), 400_000, 2000),
    "gisette": Published(("gisette_scale.bz2",), 6000, 5000),
    "ijcnn1": Published(("ijcnn1.bz2",), 49_990, 22, 649_870),
    "mushrooms": Published(("mushrooms",), 8124, 112),
    "phishing": Published(("phishing",), 11_055, 68),
    "rcv1": Published(("rcv1_train.binary.bz2",), 20_242, 47_236),
    "real-sim": Published(("real-sim.bz2",), 72_309, 20_958),
    "w8a": Published(("w8a",), 49_749, 300, 579_586),
}
"""name -> the data set."""


def table() -> str:
    """Return the known data sets as a table: name, n, d, entries, file."""
    rows = [("name", "n", "d", "entries", "file")]
    rows += [(name, f"{p.n}", f"{p.d}", f"{p.nnz or '-'}", p.files[0]) for name, p in PUBLISHED.items()]
    name, n, d, nnz = (max(len(row[i]) for row in rows) for i in range(4))
    lines = [f"{r[0]:{name}}  {r[1]:>{n}}  {r[2]:>{d}}  {r[3]:>{nnz}}  {r[4]}" for r in rows]
    return "\n".join([*lines, f"published at {BASE}"])
