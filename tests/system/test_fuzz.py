"""Random and damaged job files and LIBSVM text: read as it is meant, or refused in a line; see helpers/fuzzing.py."""

import json
import re
import tomllib
from copy import deepcopy
from math import isfinite

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import examples, toml
from launch import ROOT
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config import experiment
from mpisign.config.validation import InputError, one_line
from mpisign.data.convert import Wanted, convert
from mpisign.data.file import DataFile
from mpisign.data.libsvm import Text, parse
from mpisign.data.loading import load
from mpisign.engine import planning
from mpisign.tools.bench import results_file

JOBS = {path.name: path.read_text() for path in sorted((ROOT / "jobs").glob("*.toml"))}
TOKEN = re.compile(r'"[^"\n]*"|[\w.+-]+|\s+|.', re.DOTALL)

NUMBERS = "nan -inf -0.0 1e999 1e308 5e-324 9223372036854775807 -9223372036854775809 1_0 0x7f 10000000 2147483647 -1 0"
WORDS_OF_TOML = (
    'true [] {} 1979-05-27 07:32:00 [[runs]] [log] \' # = """ workers iterations kind label method step log every data'
)
STRINGS = ["os:system", "builtins:eval", "subprocess:run", "json:loads", ":", "6n", "\0", "\n", "/dev/zero", "x" * 300]
ODD = ["{ kind = 3 }", "[[1.0, 2.0], [2.0, 1.0]]", "0x" + "f" * 5000, "[" * 300, "a." * 300 + "b", "\n", "\r", "\0"]
LETTERS = ["\ufeff", "\u202e", "\uff11", "\uff4b\uff49\uff4e\uff44", "\u00e9", "\u0663"]

TOKENS = st.one_of(
    st.sampled_from([*NUMBERS.split(), *WORDS_OF_TOML.split(), *map(json.dumps, STRINGS), *ODD, *LETTERS]),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=5).filter(lambda text: ":" not in text),
)


def job_texts():
    return st.sampled_from(list(JOBS.values()))


@st.composite
def edited_jobs(draw):
    """A real job file, with one to four tokens deleted, doubled, replaced, added or swapped."""
    tokens = TOKEN.findall(draw(job_texts()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(tokens) - 1))
        match draw(st.sampled_from(["delete", "double", "replace", "replace", "add", "swap"])):
            case "delete":
                tokens[at] = ""
            case "double":
                tokens[at] *= 2
            case "replace":
                tokens[at] = draw(TOKENS)
            case "add":
                tokens[at] += draw(TOKENS)
            case "swap":
                other = draw(st.integers(0, len(tokens) - 1))
                tokens[at], tokens[other] = tokens[other], tokens[at]
    return "".join(tokens)


VALUES = st.one_of(
    st.none(),  # the key goes
    st.sampled_from(
        [0, -1, 2**31, 2**63, 2**200, 1e308, float("nan"), float("inf"), "", "6n", "wine", "\0", "x" * 300]
    ),
    st.sampled_from([True, [], {}, [[]], [[1.0]], [1, "a"], {"kind": "toy"}, {"x": {"y": {}}}, ["os:system"]]),
    st.integers(-3, 30),
    st.floats(),
    st.text(max_size=4).filter(lambda text: ":" not in text),
    st.recursive(st.integers(0, 1), lambda inner: st.lists(inner, max_size=3), max_leaves=9),
)


def paths(value, path=()):
    """Every key's path in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


@st.composite
def changed_jobs(draw):
    """A real job file, with the values of one to three keys changed, whatever they are."""
    document = tomllib.loads(draw(job_texts()))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from([*paths(document), ("new",)]))
        node = document
        for key in parents:
            node = node[key]
        value = deepcopy(draw(VALUES))
        if value is not None:
            node[last] = value
        elif isinstance(node, dict):
            node.pop(last, None)
    return "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in document.items())


@st.composite
def overrides(draw):
    keys = st.sampled_from(
        ["runs", "0", "1", "\u0663", "-1", "step", "alpha", "seed", "log", "every", "", "problem", "kind", "9" * 5000]
    )
    key = ".".join(draw(st.lists(keys | st.text(max_size=3), min_size=1, max_size=4)))
    return draw(st.sampled_from(["{}={}", "{}={}", "{}={}", "{}{}"])).format(key, draw(TOKENS))


def refusal(function):
    """The InputError that it raises, or None; anything else is the test's to fail on."""
    try:
        function()
    except InputError as error:
        return error
    return None


def planned_or_refused(text, changes=()):
    """Reads and plans a job; what is refused is refused in one line that names a key, or as no TOML."""
    with np.errstate(over="ignore"):  # of a start of size 1e308
        refused = refusal(lambda: planning.plan(experiment.parse(text, list(changes)), SerialCommunicator()))
    if refused:
        assert one_line(str(refused)).isprintable()
        assert len(str(refused)) < 2000
        assert refused.key or "not valid TOML" in str(refused)


@examples(300)
@given(edited_jobs())
def test_a_job_whose_tokens_are_edited_is_planned_or_refused(text):
    planned_or_refused(text)


@examples(300)
@given(changed_jobs())
def test_a_job_whose_values_are_changed_is_planned_or_refused(text):
    planned_or_refused(text)


@examples(200)
@given(job_texts(), st.lists(overrides(), min_size=1, max_size=3))
def test_any_set_is_planned_or_refused(text, changes):
    planned_or_refused(text, changes)


@examples(150)
@given(st.binary(max_size=200) | edited_jobs().map(str.encode))
def test_a_file_of_any_bytes_is_read_or_refused_by_name(tmp_path, content):
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    refused = refusal(lambda: experiment.read(path))
    assert refused is None or refused.key == str(path)


BLANKS = " \t\r\x0b\x0c"


def number(word):
    """A number in plain digits, as float reads it; ValueError for anything else, and for what is not finite."""
    digits = word[1:] if word[:1] in "+-" else word
    mantissa, _, exponent = digits.lower().partition("e")
    whole, _, part = mantissa.partition(".")
    shift = exponent[1:] if exponent[:1] in "+-" else exponent
    plain = all(c in "0123456789" for c in whole + part + shift)
    if not plain or not whole + part or ("e" in digits.lower()) != bool(shift) or not isfinite(float(word)):
        raise ValueError(word)
    return float(word)


def row(line, dtype):
    """(label, [(index, value), ...]) of a line, or None for one without data; by a grammar of its own."""
    for blank in BLANKS:
        line = line.replace(blank, " ")
    words = line.split("#")[0].split(" ")
    words = [word for word in words if word]
    if not words:
        return None
    label, entries = number(words.pop(0)), []
    if words and words[0].startswith("qid:"):
        if not words[0][4:] or any(c not in "0123456789" for c in words[0][4:]):
            raise ValueError(words[0])
        words.pop(0)
    for word in words:
        place, colon, value = word.partition(":")
        place = place.removeprefix("+")
        if not colon or not place or any(c not in "0123456789" for c in place) or int(place) >= 2**31:
            raise ValueError(word)
        with np.errstate(over="ignore"):
            entry = np.dtype(dtype).type(number(value))
        if not np.isfinite(entry) or (entries and int(place) <= entries[-1][0]):
            raise ValueError(word)
        entries.append((int(place), entry))
    return label, entries


def rows(block, dtype):
    """All rows of a text of whole lines, or the number of the first line that is none."""
    found = []
    for i, line in enumerate(block.decode("latin-1").split("\n")[:-1], 1):
        try:
            found.append(row(line, dtype))
        except ValueError:
            return i
    return [each for each in found if each]


WORDS = st.one_of(
    st.sampled_from(
        ["1", "-1", "+1", "2.5", "0", "1e3", "1e", "nan", "inf", "1_0", "0x1", "--1", "1.", ".5", ".", "1,2"]
    ),
    st.sampled_from(
        ["qid:3", "qid:x", "qid:", "1:2:3", ":", "1:", ":1", "+1:2", "-0:1", "1_0:2", "2147483648:1", "#", "1:1#"]
    ),
    st.sampled_from(
        [
            "1:1e400",
            "1:1e39",
            "2:-1e-400",
            "3:\u0663",
            "4:1\x00",
            "5:\u00e9",
            "1e22:1",
            "99999999999999999999:1",
            "1:+.5e+1",
        ]
    ),
    st.floats().map(repr),
    st.integers(0, 2**32).map(lambda i: f"{i}:1"),
)


@st.composite
def texts(draw):
    """LIBSVM text: lines that are right, of which some words or bytes are changed."""
    lines = []
    for _ in range(draw(st.integers(1, 5))):
        places = sorted(draw(st.sets(st.integers(0, 40), max_size=5)))
        entries = [f"{i}:{draw(st.floats(-1e6, 1e6, width=32) | st.integers(-9, 9))!r}" for i in places]
        words = [draw(st.sampled_from(["1", "-1", "+1.0"])), *entries]
        if draw(st.integers(0, 3)) == 0:
            words[draw(st.integers(0, len(words) - 1))] = draw(WORDS)
        lines.append(draw(st.sampled_from([" ", "  ", "\t", " \r", "\x0b"])).join(words))
    text = (draw(st.sampled_from(["\n", "\r\n", "\n\n", " # c\n"])).join(lines) + "\n").encode()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.binary(max_size=3)) + text[at + draw(st.integers(0, 3)) :]
    return text


@examples(400)
@given(texts() | st.binary(max_size=40), st.sampled_from(["float32", "float64"]))
def test_libsvm_text_is_read_to_the_bit_or_refused_by_its_line(block, dtype):
    block += b"" if block.endswith(b"\n") else b"\n"
    expected = rows(block, dtype)
    if isinstance(expected, int):
        with pytest.raises(InputError, match=rf"^text: line {expected}: ") as refused:
            parse(block, dtype, "text")
        assert one_line(str(refused.value)).isprintable()
        return
    labels, csr = parse(block, dtype, "text")
    entries = [entry for _, some in expected for entry in some]
    assert labels.tobytes() == np.array([label for label, _ in expected], dtype=np.float64).tobytes()
    assert csr.indices.tobytes() == np.array([place for place, _ in entries], dtype=np.int32).tobytes()
    assert csr.values.tobytes() == np.array([value for _, value in entries], dtype=dtype).tobytes()
    assert csr.indptr.tolist() == np.cumsum([0, *(len(some) for _, some in expected)]).tolist()


@examples(30)
@given(texts(), st.sampled_from([7, 40, 10**6]), st.booleans())
def test_a_converted_text_is_its_rows_or_refused(tmp_path, block, chunk, sparse):
    source, output = tmp_path / "text", tmp_path / "out.h5"
    source.write_bytes(block)
    output.unlink(missing_ok=True)
    expected = rows(block if block.endswith(b"\n") else block + b"\n", "float64")
    before, Text.chunk_bytes = Text.chunk_bytes, chunk
    try:
        refused = refusal(lambda: convert(source, output, Wanted(sparse=sparse), SerialCommunicator()))
    finally:
        Text.chunk_bytes = before
    assert output.exists() == (refused is None)
    if isinstance(expected, int):
        assert f"line {expected}: " in str(refused) or "of two classes" in str(refused)
    if refused:
        return
    places = [place for _, some in expected for place, _ in some]
    first, high = min([1, *places]), max(label for label, _ in expected)
    file = DataFile(output)
    file.verify()
    assert file.labels().tolist() == [1 if label == high else -1 for label, _ in expected]
    assert file.layout.d == max([first, *places]) + 1 - first
    if file.layout.n * file.layout.d < 10**6:
        dense = np.zeros(file.layout[:2])
        for out, (_, some) in zip(dense, expected, strict=True):
            out[[place - first for place, _ in some]] = [value for _, value in some]
        found = file.features()
        assert ((found.toarray() if sparse else found) == dense).all()
        assert (load(str(source))[0] == dense).all()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
RECORD = {
    "schema": "mpisign-bench/1",
    "machine": {"cores": 2, "date": "today"},
    "ratios": [{"what": "a", "median": 1.0, "low": 0.5, "high": 2, "goal": "x"}],
    "times": [{"what": "round", "exchange": "server", "ranks": 2, "dimension": 64, "seconds": [1e-3, 2e-3]}],
    "unmeasured": [{"what": "b", "why": "c"}],
}


@examples(200)
@given(st.data())
def test_a_bench_record_is_read_or_refused(tmp_path, data):
    document = json.loads(json.dumps(RECORD))
    *parents, last = data.draw(st.sampled_from([*paths(document)]))
    node = document
    for key in parents:
        node = node[key]
    node[last] = data.draw(JSON)
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    refused = refusal(lambda: results_file.read(path))
    if refused:
        assert refused.key == str(path)
        return
    found = results_file.read(path)
    for time in found.times:
        assert time.median > 0
        assert time.dimension > 0
    assert found.machine["cores"] > 0
    assert all(isfinite(ratio.median + ratio.low + ratio.high) for ratio in found.ratios)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"", b"null", b'{"schema": NaN}', b"\0"])
def test_other_json_is_refused_as_a_bench_record(tmp_path, content):
    (tmp_path / "bench.json").write_bytes(content)
    with pytest.raises(InputError, match=r"bench\.json"):
        results_file.read(tmp_path / "bench.json")


def test_a_bench_record_that_fits_is_read(tmp_path):
    (tmp_path / "bench.json").write_text(json.dumps(RECORD))
    assert results_file.read(tmp_path / "bench.json").times[0].dimension == 64
