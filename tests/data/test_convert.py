"""LIBSVM text becomes a data file: the same arrays, whatever the chunks, the ranks and the compression."""

import bz2
import contextlib
import errno
import fcntl
import gzip
import hashlib
import importlib.util
import lzma
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
import sklearn.datasets
from hypothesis import given, settings
from hypothesis import strategies as st

from launch import ROOT, environment, mpirun, mpisign, programs, python_of_ranks
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.validation import InputError
from mpisign.data import chunks as work_module
from mpisign.data import compression
from mpisign.data import convert as convert_module
from mpisign.data import libsvm as text_module
from mpisign.data.convert import Wanted, convert
from mpisign.data.file import DataFile
from mpisign.data.libsvm import Text
from mpisign.data.libsvm_scanner import scan
from mpisign.data.loading import load
from mpisign.data.synthetic.generate import Recipe, synthesise
from mpisign.progress import Progress

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
MANY = "".join(f"{'+1' if i % 3 else '-1'} 1:{i}.5 {2 + i % 7}:-{i}e-3 9:0.{i:017d}\n" for i in range(400))


def converted(folder, text, *, chunk=4_000_000, name="source.txt", **wanted):
    """Convert a text, in chunks of so many bytes; returns the data file."""
    source = folder / name
    source.write_bytes(text if isinstance(text, bytes) else text.encode())
    before, Text.chunk_bytes = Text.chunk_bytes, chunk
    try:
        convert(source, folder / "out.h5", Wanted(overwrite=True, **wanted), SerialCommunicator())
    finally:
        Text.chunk_bytes = before
    assert not (folder / "out.h5.part").exists()
    return DataFile(folder / "out.h5")


def lines(features, labels, first=1):
    """LIBSVM text of the entries that a CSR matrix stores, with every digit."""
    rows = []
    for i, label in enumerate(labels):
        entries = slice(features.indptr[i], features.indptr[i + 1])
        pairs = zip(features.indices[entries].tolist(), features.data[entries].tolist(), strict=True)
        rows.append(" ".join([f"{label:g}", *(f"{index + first}:{value!r}" for index, value in pairs)]) + "\n")
    return "".join(rows)


@st.composite
def matrices(draw):
    """A CSR matrix with sorted indices, whose last column and, for indices from 0, whose first is used."""
    n, d = draw(st.integers(2, 8)), draw(st.integers(1, 9))
    rows = [draw(st.lists(st.integers(0, d - 1), unique=True).map(sorted)) for _ in range(n)]
    rows[0] = sorted({*rows[0], 0, d - 1})
    indptr = np.cumsum([0, *map(len, rows)])
    values = draw(st.lists(FINITE, min_size=int(indptr[-1]), max_size=int(indptr[-1])))
    return scipy.sparse.csr_array((np.array(values), np.concatenate(rows).astype(np.int32), indptr), shape=(n, d))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_matrix_comes_back(tmp_path, dtype, sparse, first):
    @settings(max_examples=8)
    @given(matrices(), st.data(), st.sampled_from([40, 90, 10**6]))
    def check(matrix, data, chunk):
        n = matrix.shape[0]
        labels = np.array([*data.draw(st.lists(st.sampled_from([-1, 1]), min_size=n - 2, max_size=n - 2)), 1, -1])
        file = converted(tmp_path, lines(matrix, labels, first), chunk=chunk, dtype=dtype, sparse=sparse)
        found = file.features()
        assert file.layout[:3] == (*matrix.shape, matrix.nnz)
        assert found.dtype == dtype
        if sparse:
            assert (found.data == matrix.data).all()
            assert (np.signbit(found.data) == np.signbit(matrix.data)).all()
            assert (found.indices == matrix.indices).all()
            assert (found.indptr == matrix.indptr).all()
        else:
            assert (found == matrix.toarray()).all()
        assert (file.labels() == labels).all()
        assert file.row_norms() == pytest.approx(np.linalg.norm(matrix.toarray(), axis=1), rel=1e-12)
        file.verify()

    check()


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e3, 1e3).map(lambda x: f"{x:.6g}"),
    st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.from_regex(r"[+-]?\.[0-9]{1,20}", fullmatch=True),
)
STRANGE = st.sampled_from(["nan", "inf", "1_0", "", ".", "1e", "e5", "0x1", "--1", "1..2", "1:2", "qid:3", "+", "1,2"])
PLACES = st.one_of(
    st.integers(0, 12).map(str), st.sampled_from(["007", "2147483647", "2147483648", "-1", "+1", "x", ""])
)
BLANKS = st.sampled_from([" ", "  ", "\t", " \x0b\x0c"])
ENDS = st.sampled_from(["\n", " \n", "\r\n", "# a comment 1:2\n", " #\n", "\n\n", "\n  \n", "\n# 3:4\n"])


@st.composite
def any_text(draw):
    text = ""
    for _ in range(draw(st.integers(1, 4))):
        text += draw(st.sampled_from(["1", "-1", "+1", "2.5", "0"]) | STRANGE)
        places = sorted(draw(st.lists(st.integers(0, 99), max_size=5, unique=True)))
        for place in places:
            odd = draw(st.integers(0, 30)) == 0
            text += draw(BLANKS) + (draw(PLACES) if odd else str(place)) + ":" + draw(STRANGE if odd else NUMBERS)
        text += draw(ENDS)
    return text.encode()


@settings(max_examples=400)
@given(any_text())
def test_the_kernel_reads_what_scikit_learn_reads_bit_for_bit_or_says_nothing(block):
    found = scan(block)
    try:
        labels, features = text_module._by_scikit_learn(block)
    except (ValueError, OverflowError):
        assert found is None
        return
    if found is not None:
        assert found[0].tobytes() == labels.tobytes()
        for mine, theirs in zip(found[1], features, strict=True):
            assert mine.dtype == theirs.dtype
            assert mine.tobytes() == theirs.tobytes()


def test_the_kernel_reads_plain_lines_itself():
    assert scan(MANY.encode()) is not None
    assert scan(b"1 1:.5 2:-3 4:1e-300 # comment\r\n\n-1.0\n") is not None


def test_a_whole_file_is_what_scikit_learn_reads(tmp_path):
    file = converted(tmp_path, MANY, chunk=1000)
    features, labels = sklearn.datasets.load_svmlight_file(str(tmp_path / "source.txt"))
    assert (file.features() == features.toarray()).all()
    assert (file.labels() == labels).all()
    assert file.attributes["source"] == "source.txt"
    assert file.attributes["source_sha256"] == hashlib.sha256(MANY.encode()).hexdigest()


def test_the_chunks_change_nothing(tmp_path):
    chunks = [100, 137, 1000, 10**6]
    assert len({converted(tmp_path, MANY, chunk=chunk).attributes["sha256"] for chunk in chunks}) == 1


def test_a_decompressed_text_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """A crash of the machine after the rename would else leave it without its last kilobytes, and nobody the wiser."""
    (tmp_path / "source.bz2").write_bytes(bz2.compress(MANY[:500].encode()))
    synced, fsync = [], os.fsync

    def recording(descriptor):
        synced.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    compression.decompress(tmp_path / "source.bz2", tmp_path / "text", Progress(1, quiet=True))
    assert synced[0] == 500 == (tmp_path / "text").stat().st_size


@pytest.mark.parametrize("module", [bz2, gzip, lzma])
@pytest.mark.parametrize("name", ["source.bz2", "source"])
def test_every_compression_is_known_by_its_content(tmp_path, module, name):
    plain = converted(tmp_path, MANY).attributes["sha256"]
    text = MANY.encode()
    packed = module.compress(text[:5000]) + module.compress(text[5000:])
    file = converted(tmp_path, packed, chunk=1000, name=name)
    assert file.attributes["sha256"] == plain
    assert file.attributes["source_sha256"] == hashlib.sha256(packed).hexdigest()
    with pytest.raises(InputError, match="cut off or damaged"):
        converted(tmp_path, packed[:-20], name=name)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"out.h5", "source.txt", name})


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path, pack):
    plain = converted(tmp_path, MANY).attributes["sha256"]
    assert converted(tmp_path, pack(b"\xef\xbb\xbf" + MANY.encode()), chunk=1000).attributes["sha256"] == plain
    assert (load(str(tmp_path / "source.txt"))[0] == DataFile(tmp_path / "out.h5").features()).all()
    with pytest.raises(InputError, match="line 2: "):
        converted(tmp_path, pack(b"1 1:1\n\xef\xbb\xbf-1 1:2\n"))


# how it begins -> what it is said to be
OTHER_TEXT = {
    b"PK\x03\x04\x14\x00": "a zip archive; unpack it",
    b"\xff\xfe1\x00": "text in UTF-16; write it as UTF-8",
    b"\xfe\xff\x001": "text in UTF-16; write it as UTF-8",
}


@pytest.mark.parametrize("start", OTHER_TEXT)
def test_what_is_packed_or_written_in_another_way_is_refused_by_name(tmp_path, start):
    for read in (lambda: converted(tmp_path, start + b"rest"), lambda: load(str(tmp_path / "source.txt"))):
        with pytest.raises(InputError, match=rf"source\.txt: expected LIBSVM text.*; this is {OTHER_TEXT[start]}$"):
            read()
    assert [path.name for path in tmp_path.iterdir()] == ["source.txt"]


def test_zstd_is_read_where_python_has_it_and_else_refused_by_name(tmp_path):
    raw = b"-1 1:1\n1 1:2\n"
    frame = b"\x28\xb5\x2f\xfd\x20" + bytes([len(raw)]) + (len(raw) << 3 | 1).to_bytes(3, "little") + raw
    if importlib.util.find_spec("compression"):
        assert converted(tmp_path, frame).layout.n == 2
    else:
        with pytest.raises(InputError, match="this is compressed by zstd; give zstd -d the file"):
            converted(tmp_path, frame)


def test_a_plain_text_with_a_suffix_of_compression_is_read(tmp_path):
    assert converted(tmp_path, MANY, name="source.bz2").layout.n == 400


@pytest.mark.parametrize("low_high", [("0", "1"), ("1", "2"), ("-1", "+1"), ("2.5", "7"), ("-3", "-2")], ids=str)
@pytest.mark.parametrize("chunk", [5, 1000])
def test_the_larger_label_is_plus(tmp_path, low_high, chunk):
    order = [1, 0, 0, 1, 1]
    file = converted(tmp_path, "".join(f"{low_high[k]} 1:2\n" for k in order), chunk=chunk)
    assert file.labels().tolist() == [1, -1, -1, 1, 1]
    assert file.attributes["label_values"].tolist() == sorted(map(float, low_high))
    assert file.attributes["positive"] == 3


@pytest.mark.parametrize("chunk", [8, 1000])
def test_one_index_0_anywhere_makes_all_indices_start_at_0(tmp_path, chunk):
    file = converted(tmp_path, "1 1:2\n-1 2:3\n1 2:1\n", chunk=chunk, sparse=False)
    assert file.features().tolist() == [[2, 0], [0, 3], [0, 1]]
    assert file.attributes["first_index"] == 1
    file = converted(tmp_path, "1 1:2\n-1 2:3\n1 0:1\n", chunk=chunk, sparse=False)
    assert file.features().tolist() == [[0, 2, 0], [0, 0, 3], [1, 0, 0]]
    assert file.attributes["first_index"] == 0


def test_dense_or_sparse_by_the_density_unless_told(tmp_path):
    quarter, more = "1 4:2\n-1 1:3\n", "1 4:2\n-1 1:3 2:1\n"
    assert converted(tmp_path, quarter).layout.sparse
    assert not converted(tmp_path, more).layout.sparse
    assert not converted(tmp_path, quarter, sparse=False).layout.sparse
    assert converted(tmp_path, more, sparse=True).layout.sparse


def test_a_dimension_above_the_highest_index(tmp_path):
    assert converted(tmp_path, "1 4:2\n-1 1:3\n", dimension=7).layout[:3] == (2, 7, 2)
    assert converted(tmp_path, "1 4:2\n-1 1:3\n", dimension=4).layout[:3] == (2, 4, 2)


def test_rows_without_entries_comments_and_a_last_line_without_its_end(tmp_path):
    file = converted(tmp_path, "# a\n\n1\n-1 qid:3 2:5 # b\n  \n+1 1:1", chunk=6, sparse=False)
    assert file.features().tolist() == [[0, 0], [0, 5], [1, 0]]
    assert file.labels().tolist() == [1, -1, 1]
    assert converted(tmp_path, "1\n-1\n").layout[:3] == (2, 1, 0)


GOOD = "# a comment\n1 1:2 3:4\n\n-1 2:1\n1 1:1\n"
# what is wrong -> text appended to five good lines, its line's number, a word of the complaint, further settings
REFUSED = {
    "a value that is no number": ("-1 1:1\n1 1:x\n-1 1:1\n", 7, "with increasing indices: '1 1:x'", {}),
    "no value": ("1 3:\n", 6, "with increasing indices: '1 3:'", {}),
    "no colon": ("1 3\n", 6, "with increasing indices: '1 3'", {}),
    "words": ("-1 1:1\n\nhello world\n", 8, "hello world", {}),
    "indices out of order": ("1 2:2 1:1\n", 6, "(indices are not increasing): '1 2:2 1:1'", {}),
    "an index twice": ("1 2:2 2:1\n", 6, "(indices are not increasing)", {}),
    "a negative index": ("1 -2:2\n", 6, "-2", {}),
    "an index beyond 32 bits": ("1 99999999999:2\n", 6, "(an index does not fit into 32 bits): '1 99999999999:2'", {}),
    "a NaN": ("-1 1:1\n1 1:2 2:nan\n", 7, "finite", {}),
    "an infinity": ("1 1:-inf\n", 6, "finite", {}),
    "a number beyond float64": ("1 1:1e999\n", 6, "finite in float64", {}),
    "a number beyond float32": ("1 1:1e39\n", 6, "finite in float32", {"dtype": "float32"}),
    "a NaN as label": ("nan 1:1\n", 6, "finite", {}),
    "an infinite label": ("inf 1:1\n", 6, "finite", {}),
    "a third class": ("-1 1:1\n# c\n2 1:1\n3 1:1\n2 1:5\n", 8, "found 2", {}),
    "a fourth class": ("0 1:1\n3 1:1\n", 6, "-1 and 1 so far, found 0", {}),
    "several labels": ("1,2 1:1\n", 6, "1,2", {}),
    "a carriage return within": ("1 1:1\r1 1:2\n1 1:x\n", 6, "increasing", {}),
    "bytes": ("\x00\x01\n", 6, "expected", {}),
    "an index above --dimension": (
        "-1 2:1\n1 2:1 4:1 5:1\n",
        7,
        "from 1 to 3 (--dimension), found 4",
        {"dimension": 3},
    ),
    "an index above it from 0": ("1 0:1\n", 2, "from 0 to 2 (--dimension), found 3", {"dimension": 3}),
}


@pytest.mark.parametrize("chunk", [3, 20, 10**6])
@pytest.mark.parametrize("wrong", REFUSED)
def test_a_broken_line_is_refused_by_its_number(tmp_path, wrong, chunk):
    added, number, word, wanted = REFUSED[wrong]
    with pytest.raises(InputError) as refused:
        converted(tmp_path, GOOD + added, chunk=chunk, **wanted)
    said = str(refused.value)
    assert said.startswith(f"{tmp_path / 'source.txt'}: line {number}: ")
    assert word in said
    assert len(said.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["source.txt"]


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "no line with data"), ("# only\n\n", "no line with data"), ("1 1:2\n1 1:3\n", "two classes, all are 1")],
)
def test_no_data_and_one_class_are_refused(tmp_path, text, word):
    with pytest.raises(InputError, match=word):
        converted(tmp_path, text)
    assert [path.name for path in tmp_path.iterdir()] == ["source.txt"]


def arguments(folder, *more):
    (folder / "source.txt").write_text(MANY)
    (folder / "there.h5").write_text("precious")
    (folder / "empty").touch()
    (folder / "broken.txt").write_text("1 1:1\n-1 x\n")
    return ["data", "convert", *(str(folder / word) if "." in word or word == "empty" else word for word in more)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.txt", "out.h5"], "no such file"),
        (["empty", "out.h5"], "no line with data"),
        (["broken.txt", "out.h5"], "line 2"),
        (["source.txt", "there.h5"], "--overwrite"),
        (["source.txt", "source.txt", "--overwrite"], "expected another output than the source"),
        (["source.txt", "out.h5", "--dimension", "0"], "--dimension"),
        (["source.txt", "out.h5", "--dimension", "2"], "line 1: expected indices from 1 to 2"),
        (["source.txt", "out.h5", "--dense", "--sparse"], "not allowed with"),
        (["source.txt", "out.h5", "--dtype", "float16"], "--dtype"),
        (["source.txt"], "DST.h5"),
    ],
)
def test_the_command_refuses_in_one_line(tmp_path, capsys, words, said):
    assert main(arguments(tmp_path, *words)) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert len(printed.splitlines()) == 1
    assert (tmp_path / "there.h5").read_text() == "precious"
    assert (tmp_path / "source.txt").read_text() == MANY
    assert not (tmp_path / "out.h5").exists()


def test_a_line_is_refused_for_what_is_wrong_with_itself(tmp_path):
    """Scikit-learn stops at the last of these lines, and its reason is of that one."""
    said = r"line 3: expected numbers that are finite in float64: '1 1:nan'$"
    with pytest.raises(InputError, match=said):
        converted(tmp_path, "1 1:1\n-1 1:2\n1 1:nan\n-1 1:3\n1 2:1 1:1\n")


@pytest.mark.parametrize("name", ["source.txt", "source.bz2"])
def test_what_the_system_refuses_to_read_is_not_called_damaged(tmp_path, monkeypatch, name):
    def refuse(*given):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / name).write_bytes(bz2.compress(b"1 1:1\n") if name == "source.bz2" else b"1 1:1\n")
    opener = "opener" if name == "source.bz2" else "_plain"
    reader = contextlib.nullcontext(SimpleNamespace(read=refuse))
    monkeypatch.setattr(compression, opener, lambda path: (lambda path: reader) if opener == "opener" else reader)
    with pytest.raises(InputError) as caught:
        compression.content(tmp_path / name, 100)
    assert str(caught.value) == f"{tmp_path / name}: cannot read this file: Input/output error"


@pytest.mark.ranks
def test_under_mpirun_it_is_refused_once(tmp_path):
    done = mpirun("mpich", 2, *arguments(tmp_path, "broken.txt", "out.h5"))
    assert done.returncode == 2, done.stderr
    assert len([line for line in done.stderr.splitlines() if "mpisign: " in line]) == 1


@pytest.mark.ranks
@pytest.mark.parametrize(("mpi", "ranks"), [("mpich", 1), ("mpich", 3), ("openmpi", 1), ("openmpi", 3)])
def test_under_mpirun_it_is_the_same_file(tmp_path, mpi, ranks):
    alone = converted(tmp_path, MANY).attributes["sha256"]
    done = launched(mpi, ranks, *arguments(tmp_path, "source.txt", "three.h5"))
    assert "wrote" in done.communicate(timeout=60)[0]
    assert DataFile(tmp_path / "three.h5").attributes["sha256"] == alone


def launched(mpi, ranks, *words, pause=0.0, real=False):
    """Start mpisign with chunks of 500 bytes, alone or under mpiexec, with a pause before each chunk."""
    code = f"""
import sys, time
from mpisign.cli.main import main
from mpisign.data import convert
parse, convert.Text.chunk_bytes = convert._parse, 500
convert._parse = lambda *given: (time.sleep({pause}), parse(*given))
sys.exit(main({[*map(str, words)]!r}))
"""
    start = [sys.executable]
    if mpi:
        folder = programs(mpi)
        python = [folder / "python"] if real else python_of_ranks(mpi)
        start = [folder / "mpiexec", "-n", str(ranks), *python, "-m", "mpi4py"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen([*start, "-c", code], cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, **pipes)


def until_unlocked(lock):
    """Ranks end a moment after the launcher that was killed."""
    limit = time.monotonic() + 60
    with lock.open("ab") as file:
        while time.monotonic() < limit:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.01)
    pytest.fail(f"{lock} is locked still")


@pytest.mark.ranks
@pytest.mark.parametrize("mpi", [None, "mpich"])
def test_killed_in_the_middle_it_goes_on_to_the_same_file(tmp_path, mpi):
    packed = bz2.compress(MANY.encode())
    expected = converted(tmp_path, packed, name="source.bz2").attributes["sha256"]
    (tmp_path / "out.h5").unlink()
    words = ["data", "convert", tmp_path / "source.bz2", tmp_path / "out.h5"]
    running, part = launched(mpi, 2, *words, pause=0.2, real=True), tmp_path / "out.h5.part"
    limit = time.monotonic() + 60
    while not (part / "000003").exists() and running.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    until_unlocked(part / "lock")
    done = {path.name: path.stat().st_mtime_ns for path in part.iterdir() if path.name.isdecimal()}
    assert 3 <= len(done) < len(MANY) // 500
    assert not (tmp_path / "out.h5").exists()
    # Another number of ranks goes on.
    before, Text.chunk_bytes = Text.chunk_bytes, 500
    made = []
    original = convert_module._parse
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convert_module, "_parse", lambda *given: (made.append(given[2]), original(*given)))
            convert(words[2], words[3], Wanted(), SerialCommunicator())
    finally:
        Text.chunk_bytes = before
    assert not {int(name) for name in done} & set(made)
    assert DataFile(tmp_path / "out.h5").attributes["sha256"] == expected
    assert not part.exists()


def interrupted(folder, **wanted):
    """Unfinished work: all chunks of MANY, but no file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convert_module, "_assemble", fail)
        with pytest.raises(KeyboardInterrupt):
            converted(folder, MANY, **wanted)
    return folder / "out.h5.part"


def fail(*given):
    raise KeyboardInterrupt


def test_work_on_something_else_is_not_taken_up(tmp_path):
    expected = converted(tmp_path, "1 1:1.5\n-1 1:2\n", dtype="float32").attributes["sha256"]
    assert (interrupted(tmp_path) / "000000").exists()
    assert converted(tmp_path, "1 1:1.5\n-1 1:2\n", dtype="float32").attributes["sha256"] == expected
    interrupted(tmp_path)
    assert converted(tmp_path, MANY, dtype="float32").features().dtype == np.float32


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "out.h5.part").mkdir()
    (tmp_path / "out.h5.part" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="expected a folder with unfinished work"):
        converted(tmp_path, MANY)
    assert (tmp_path / "out.h5.part" / "letter.txt").read_text() == "dear"


def test_a_file_in_the_place_of_the_work_is_refused_and_stays(tmp_path):
    """As a killed `mpisign run` leaves one."""
    (tmp_path / "out.h5.part").write_text("half a file")
    with pytest.raises(InputError, match=r"out\.h5\.part: expected a folder .*; remove this file if no job writes it$"):
        converted(tmp_path, MANY)
    assert (tmp_path / "out.h5.part").read_text() == "half a file"


@pytest.mark.parametrize("second", ["convert", "synth"])
def test_of_two_jobs_that_make_one_file_the_second_is_refused_and_harms_nothing(tmp_path, monkeypatch, second):
    packed, seen, original = bz2.compress(MANY.encode()), [], convert_module._parse
    expected = converted(tmp_path, packed, name="source.bz2").attributes["sha256"]
    part = tmp_path / "out.h5.part"
    makers = {
        "convert": lambda output: convert(
            tmp_path / "source.bz2", output, Wanted("float32", overwrite=True), SerialCommunicator()
        ),
        "synth": lambda output: synthesise(Recipe("rcv1", 3, 5, 1, "float64"), output, True, SerialCommunicator()),
    }

    def parse_while_another_begins(*given):
        before = sorted(part.iterdir())
        with pytest.raises(InputError) as caught:
            makers[second](tmp_path / "out.h5")
        said = f"cannot write this output; another job is writing it: {part / 'lock'} is locked"
        assert (caught.value.key, caught.value.complaint) == (str(tmp_path / "out.h5"), said)
        assert sorted(part.iterdir()) == before
        seen.append(given)
        original(*given)

    monkeypatch.setattr(convert_module, "_parse", parse_while_another_begins)
    assert converted(tmp_path, packed, chunk=8000, name="source.bz2").attributes["sha256"] == expected
    assert len(seen) > 1


def test_a_file_that_another_job_made_meanwhile_is_not_written_over(tmp_path, monkeypatch):
    """Between the look for the output and the lock."""
    converted(tmp_path, MANY)
    whole, lock = (tmp_path / "out.h5").read_bytes(), work_module.ChunkStore._locked
    (tmp_path / "out.h5").unlink()

    def locked(work, new):
        (tmp_path / "out.h5").write_bytes(whole)
        return lock(work, new)

    monkeypatch.setattr(work_module.ChunkStore, "_locked", locked)
    with pytest.raises(InputError, match=r"another job has written this output meanwhile; give another name$"):
        convert(tmp_path / "source.txt", tmp_path / "out.h5", Wanted(), SerialCommunicator())
    assert (tmp_path / "out.h5").read_bytes() == whole
    assert not (tmp_path / "out.h5.part").exists()


def test_the_lock_ends_with_the_job_and_its_work_stays(tmp_path):
    part = interrupted(tmp_path)
    assert not (part / "lock").exists()
    assert sorted(path.name for path in part.iterdir()) == ["000000", "made-from"]


def test_what_the_work_was_made_from_is_written_once(tmp_path, monkeypatch):
    """A job that is killed while it writes a label again would leave an empty one, and the next would begin anew."""
    part = interrupted(tmp_path)
    before = (part / "made-from").stat()
    interrupted(tmp_path)
    assert os.path.samestat((part / "made-from").stat(), before)
    assert (part / "made-from").stat().st_mtime_ns == before.st_mtime_ns


def test_a_label_that_was_cut_off_does_not_make_the_folder_somebody_else_s(tmp_path):
    (tmp_path / "out.h5.part").mkdir()
    (tmp_path / "out.h5.part" / "made-from.tmp").write_text("ab")
    assert converted(tmp_path, MANY).layout.n == 400


def test_work_that_is_cut_off_while_it_is_removed_is_not_somebody_else_s(tmp_path, monkeypatch):
    """Whichever file is the last one that goes."""
    part, unlink = interrupted(tmp_path, chunk=8000), Path.unlink

    def unlink_one(path):
        if gone:
            raise KeyboardInterrupt
        gone.append(path)
        unlink(path)

    while len(list(part.iterdir())) > 1:
        gone = []
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", unlink_one)
            with pytest.raises(KeyboardInterrupt):
                work_module.ChunkStore(tmp_path / "out.h5").remove()
        assert (part / "made-from").exists()
    assert converted(tmp_path, MANY).layout.n == 400


def test_nothing_is_called_done_when_the_source_cannot_be_read(tmp_path, monkeypatch):
    def refuse(*given):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "source.txt")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    with pytest.raises(InputError, match=r"^source\.txt: Permission denied$"):
        converted(tmp_path, MANY)
    assert not (tmp_path / "out.h5.part").exists()


def test_an_unfinished_file_is_none(tmp_path):
    part = interrupted(tmp_path)
    assert not (tmp_path / "out.h5").exists()
    assert main(["data", "info", str(part)]) == 2


@pytest.fixture
def full_disk(tmp_path):
    """A folder with room for so many bytes."""
    folder = tmp_path / "full"
    folder.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("no right to mount a small file system")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("cannot mount a small file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("room", [20, 88])
def test_a_full_disk_is_told_and_the_work_goes_on_later(tmp_path, full_disk, room):
    """Room for a part of the chunks, and for the chunks but not for the file."""
    text = "".join(f"{2 * (i % 2) - 1} " + " ".join(f"{j}:{i * j}" for j in range(1, 51)) + "\n" for i in range(100))
    (tmp_path / "source.txt").write_text(text)
    expected = converted(tmp_path, text).attributes["sha256"]
    words = ["data", "convert", tmp_path / "source.txt", full_disk / "x.h5"]
    subprocess.run(["mount", "-o", f"remount,size={room}k", full_disk], check=True)
    done = mpisign(*words)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device" in done.stderr
    assert not (full_disk / "x.h5").exists()
    subprocess.run(["mount", "-o", "remount,size=1m", full_disk], check=True)
    assert mpisign(*words).returncode == 0
    assert DataFile(full_disk / "x.h5").attributes["sha256"] == expected
    assert [path.name for path in full_disk.iterdir()] == ["x.h5"]


@pytest.mark.parametrize("step", ["save", "finish"])
def test_a_failing_disk_is_told_in_one_line(tmp_path, monkeypatch, capsys, step):
    def refuse(*given):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(work_module.ChunkStore, step, refuse)
        assert main(arguments(tmp_path, "source.txt", "out.h5")) == 2
    printed = capsys.readouterr().err
    assert "Input/output error; what is done is kept in" in printed
    assert len(printed.splitlines()) == 1
    assert not (tmp_path / "out.h5").exists()
    assert main(arguments(tmp_path, "source.txt", "out.h5")) == 0
    DataFile(tmp_path / "out.h5").verify()


def test_more_than_the_disk_has_is_refused_before_it_is_taken(tmp_path, full_disk):
    """On a small file system of its own: a reservation that fails could keep everything that was left."""
    subprocess.run(["mount", "-o", "remount,size=1m", full_disk], check=True)
    (tmp_path / "source.txt").write_text("1 1:1\n-1 2000000:2\n")
    before = shutil.disk_usage(full_disk).free
    with pytest.MonkeyPatch.context() as patch:
        for known in (True, False):  # free room may be known, or not (a quota)
            if not known:
                patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**15))
            done = main(["data", "convert", str(tmp_path / "source.txt"), str(full_disk / "x.h5"), "--dense"])
            assert done == 2
            assert not (full_disk / "x.h5").exists()
            assert before - os.statvfs(full_disk).f_bavail * os.statvfs(full_disk).f_frsize < 100_000
