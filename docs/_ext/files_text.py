"""The prose of the page on the files."""

from mpisign.storage.checksum import BYTES

HEAD = """\
# The files

Two of them are HDF5: trajectories, and data. Three are JSON: what `check --json`, `report` and `bench -o` write. The
tables are made
from small files that are written when this page is built.
"""

TRAJECTORY = """\
## The trajectory file

`mpisign run` writes it, and h5py, `h5dump` and xarray open it without this package. A run's group has its label; a
repeat's group has its number, with four digits or more: `/runs/SGD/repeats/0000/value`. An attribute that is on all
files or on some is named here; `LABEL`, `NUMBER`, `KEY` and `NAME` stand for what differs. The groups of the runs are
in the order of the job file.

Every dataset of a repeat has its full length from the start, which is the number of planned records. Its first
`records` entries are valid; beyond them is NaN, or -1 in a column of integers. `state` is what a repeat goes on from:
it is there while the repeat has not ended, and afterwards, up to 16 MiB, for more iterations. The state of a complete
repeat counts all records but the last.
"""

PROVENANCE = """\
A table of text; a key that has nothing to say is empty.
"""

AFTER_TRAJECTORY = f"""\
### Gaps, f\\* and the constants

A gap is derived, `value - f_star`. f_star is kept with the constants in `~/.cache/mpisign`, or, where that cannot be
written, in `mpisign-UID` below TMPDIR, by the data's hash; while they are searched, the steps of the search are there,
too, up to some d^2 numbers. L is exact, or an upper limit beside `L_lower`
(`mpisign/theory/smoothness.py`).

### Bits and seconds

Bits are those of Algorithm 3's messages, the same by every exchange; {{doc}}`messages` counts them. A record at x_k
has the bits that were spent to reach x_k. `seconds` is rank 0's clock, without evaluation and logging: the one column
that two runs do not share.

With `log.clocks` the columns `clock_PART` say how many seconds rank 0 has spent on a part, and `slowest_PART` the most
that a rank with workers has. A part lasts from the end of the one before it to its own end: gradient, encode, exchange
and step add up to `seconds`, and the exchange has the waiting. Evaluation and writing come on top; a record has those
of its block, and of what was written before it. No iteration is compiled then, as compiled ones cannot be split.

### Axes

`k` is the scale of the first axis of every dataset, `coordinate` that of the second axis of `x`; HDF5 keeps that in
attributes of its own (`CLASS`, `NAME`, `DIMENSION_LIST`, `REFERENCE_LIST`), and xarray reads it.

### The seal, and the file while it is written

A run works on `FILE.part`, and puts a copy in the place of `FILE` by a rename, so that `FILE` is whole at every
moment. A finished file carries a seal: its last {BYTES} bytes are one line, `mpisign-seal/1 SHA256 SIZE`, padded to a
block of 512 bytes by line ends, eight times over. SHA256 is of the SIZE bytes before it. HDF5 reads past the seal;
what h5py changes has none any more.
"""

DATA = """\
## The data file

`mpisign data convert` and `mpisign data synth` write it; `data = "FILE.h5"` of the problem `logistic` reads it. A
file is dense, with `features`, or sparse, with the three arrays of `csr`. `convert` makes a dense file where more
than a quarter is stored. It is sealed as a trajectory file is.
"""

DOCUMENTS = {
    "check": """\
## `mpisign check --json`

A list with an entry for each run and bound. An infinity or a NaN is null.
""",
    "report": """\
## `report.json`

`mpisign report` writes it beside `report.html`: a list with an entry for each claim. Text is plain; an index or an
exponent stands in braces. With `--pictures` the figures are beside it, too: `pictures/CLAIM.png` and
`pictures/CLAIM-2.png`.
""",
    "bench": """\
## `mpisign bench -o`

One table. A ratio can be compared between machines where seconds cannot.
""",
}
