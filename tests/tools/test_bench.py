"""The benchmark runs to its end and measures something; what it measures is no test's business."""

import re
import subprocess

import pytest

from launch import ROOT
from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.cli.main import main
from mpisign.comm.communicator import SerialCommunicator
from mpisign.config.validation import InputError
from mpisign.tools.bench import data, launched, results_file, suite, timing
from mpisign.tools.bench.baselines import example5
from mpisign.tools.bench.rounds import DENSE
from mpisign.tools.bench.suite import SECTIONS
from mpisign.tools.bench.timing import QUICK, Ratio, Time, Unmeasured


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The file of the README's command, which its tour leaves to this test, as it takes half a minute."""
    output = tmp_path_factory.mktemp("bench") / "quick.json"
    assert main(["bench", "--quick", "-o", str(output)]) == 0
    return output


@pytest.mark.ranks
def test_bench_gives_every_ratio(measured):
    found = results_file.read(measured)
    assert all("torch" in row.what for row in found.unmeasured)
    whats = [ratio.what for ratio in found.ratios]
    assert len(set(whats)) == len(whats) >= 30
    for ratio in found.ratios:
        assert 0 < ratio.low <= ratio.median <= ratio.high < 1e9
        assert re.fullmatch(r"|[<>]=? [\d.]+", ratio.goal)


@pytest.mark.ranks
def test_every_rival_is_measured_where_it_is_installed(measured):
    found = results_file.read(measured)
    rows = {row.what.partition(", Example 5")[0] for row in found.ratios}
    missing = {row.what.partition(", Example 5")[0] for row in found.unmeasured}
    for rival in example5.rivals():
        assert rival.row in (missing if rival.missing else rows)


@pytest.mark.ranks
def test_bench_times_every_exchange_at_every_d(measured):
    times = results_file.read(measured).times
    wanted = {
        (what, name) for what in ("round", "round with ties", "round in float32", "collectives") for name in EXCHANGES
    } | {(what, "") for what in DENSE}
    for ranks in QUICK.ranks:
        for d in QUICK.dimensions:
            assert wanted <= {(t.what, t.exchange) for t in times if (t.ranks, t.dimension) == (ranks, d)}
    assert all(len(time.seconds) == QUICK.slices and min(time.seconds) > 0 for time in times)


@pytest.mark.ranks
def test_the_figure_and_the_table_come_from_the_file(measured, script, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- mpisign bench: begin -->\nold\n<!-- mpisign bench: end -->\nafter\n")
    status, out, _ = script("speed", measured, "-o", tmp_path, "--readme", page)
    assert status == 0
    assert (tmp_path / "quick-speed.png").stat().st_size > 50_000
    assert re.search(r"latency [\d.e+-]+ us, bandwidth", out)
    assert re.search(r"round, server, predicted / measured: [\d.]+ \[", out)
    text = page.read_text()
    goals = [ratio for ratio in results_file.read(measured).ratios if ratio.goal]
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert text.count("\n| ") == 1 + len(goals)
    before = page.read_text()
    script("speed", measured, "-o", tmp_path, "--readme", page)
    assert page.read_text() == before


@pytest.mark.ranks
def test_the_table_in_the_readme_has_the_rows_that_the_command_writes(measured):
    """Its numbers are of a full run, and can be old; its rows, whatever their sizes, cannot."""
    rest = (ROOT / "docs" / "audit" / "found.md").read_text().split("<!-- mpisign bench: begin -->")[1]
    rows = rest.split("<!-- mpisign bench: end -->")[0].strip().splitlines()[2:]
    assert all(re.fullmatch(r"\| .+ \| [\d.e+-]+ \| [\d.e+-]+ to [\d.e+-]+ \| [<>]=? [\d.]+ \|", row) for row in rows)

    def sizeless(what):
        return re.sub(r"\d+", "#", what)

    written = {sizeless(ratio.what) for ratio in results_file.read(measured).ratios if ratio.goal}
    assert len(written) >= 15
    assert written <= {sizeless(row.split(" | ")[0].removeprefix("| ")) for row in rows}


def test_a_page_without_marks_is_refused_by_its_own_name(script, tmp_path):
    times = [Time(what, "", 1, 100, [1e-6]) for what in ("pack", "apply", "vote")]
    whats = [("collectives", "server"), ("collectives", "sharded"), ("collectives", "node"), ("allreduce float32", "")]
    times += [Time(what, exchange, 2, d, [d * 1e-8]) for what, exchange in whats for d in (100, 10000)]
    path, page = tmp_path / "bench.json", tmp_path / "page.md"
    results_file.write(path, times, {})
    for text in (None, "no marks"):
        if text is not None:
            page.write_text(text)
        status, _, err = script("speed", path, "-o", tmp_path, "--readme", page)
        assert (status, err.count("\n"), err.count(str(page)), str(path) in err) == (2, 1, 1, False)


def test_a_record_is_read_as_it_was_written(tmp_path):
    results = [
        Ratio("a / b", 1.0, 0.5, 2.0, "<= 1"),
        Time("round", "server", 3, 2000, [1e-5, 2e-5]),
        Unmeasured("c", "no c"),
    ]
    path = tmp_path / "new" / "bench.json"
    results_file.write(path, results, {"mpi": "none"})
    found = results_file.read(path)
    assert [*found.ratios, *found.times, *found.unmeasured] == results
    assert found.machine["mpi"] == "none"
    assert found.machine["cores"] >= 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "other"}', '{"schema": "mpisign-bench/1"}'])
def test_another_file_is_refused_in_one_line(text, script, tmp_path):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match="expected a file that `mpisign bench -o` wrote"):
        results_file.read(path)
    status, _, err = script("speed", path, "-o", tmp_path)
    assert (status, err.count(str(path))) == (2, 1)


def test_a_record_without_rounds_is_refused_in_one_line(script, tmp_path):
    path = tmp_path / "lone.json"
    results_file.write(path, [Ratio("a / b", 1.0, 0.5, 2.0)], {})
    status, _, err = script("speed", path, "-o", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "expected what a whole mpisign bench measures; this file has no curve of pack\n" in err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "kernel"], f"no section 'kernel'; did you mean kernels? known: {', '.join(SECTIONS)}"),
        (["--ranks", "2,0"], "expected positive whole numbers with commas between them, got '2,0'"),
        (["--ranks", "3,1"], "expected 2 ranks or more: rank 0 hosts no worker; got '3,1'"),
        (["--dimensions", "1e6"], "expected positive whole numbers"),
    ],
)
def test_what_bench_cannot_do_is_said_in_one_line(arguments, complaint, capsys):
    assert main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def hangs(*arguments, **options):
    raise subprocess.TimeoutExpired("mpiexec", options["timeout"])


def fails(*arguments, **options):
    return subprocess.CompletedProcess(["/somewhere/mpiexec"], 1, "", "rank 1:\n  no memory\n")


@pytest.mark.parametrize(
    ("launch", "why"),
    [(hangs, "no end in {} seconds"), (fails, "mpiexec ended with status 1: rank 1: no memory")],
)
def test_what_hangs_or_fails_is_not_measured_and_the_rest_goes_on(launch, why, monkeypatch):
    monkeypatch.setattr(launched, "launch", launch)
    monkeypatch.setattr(example5, "launch", launch)
    monkeypatch.setattr(example5, "_prepare", lambda folder, effort: None)
    monkeypatch.setattr(example5, "_no_ranks", lambda: "")
    rounds = list(launched.rounds(QUICK._replace(ranks=(2, 3))))
    assert rounds == [Unmeasured(f"rounds on {ranks} ranks", why.format(1800)) for ranks in (2, 3)]
    rows = list(example5.example5(QUICK))
    assert {row.why for row in rows} - {"torch is not installed"} == {why.format(300)}
    assert len(rows) == len(example5.rivals())
    assert suite.line(rounds[0]).endswith(f" not measured: {why.format(1800)}")


def test_a_conversion_that_fails_is_not_measured(monkeypatch):
    monkeypatch.setattr(data.sys, "executable", "/bin/false")
    assert [row.why for row in data.conversion(QUICK)] == 2 * ["the reader ended with status 1"]


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(suite, "measure", lambda *arguments: pytest.fail("it was measured"))
    (tmp_path / "file").touch()
    for output, said in ((tmp_path, "this is a folder"), (tmp_path / "file" / "b.json", "expected a folder")):
        assert main(["bench", "-o", str(output)]) == 2
        found = capsys.readouterr()
        assert (found.out, found.err.count("\n"), said in found.err) == ("", 1, True)


@pytest.mark.parametrize(("only", "curves"), [(None, {"pack", "apply", "vote"}), ("rounds", set())])
def test_the_ranks_that_were_asked_for_rounds_only_do_not_wait_for_curves(only, curves, monkeypatch):
    monkeypatch.setattr(launched, "on_ranks", lambda *arguments: [])
    ranks = SerialCommunicator()
    monkeypatch.setattr(SerialCommunicator, "size", 2)
    assert {time.what for time in suite.measure(QUICK._replace(dimensions=(100,)), only, ranks)} == curves


def test_the_quartiles_of_two_values_lie_between_them():
    """Slices that another program disturbed would else give a time below 0."""
    found = timing.summary("what", [1.0, 5.0])
    assert 1.0 <= found.low <= found.median == 3.0 <= found.high <= 5.0
