"""Hosts with slow links on this machine: messages cross them, hosts and links are lost, nothing is left behind; what is
found in the results."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter

import h5py
import numpy as np
import pytest

from alone import SGD_AND_SIGNS, run_alone, run_without
from digests import digests
from launch import HELPERS, ROOT, call, mpisign, programs
from mpisign.storage.trajectory import Trajectory
from mpisign.tools.bench import results_file
from mpisign.tools.bench.timing import Time, Traffic

NETWORK = ROOT / "jobs" / "network"
PREFIX = f"test{os.getpid()}"
DIMENSION = 7000
"""About the longest list that a trajectory file holds as an attribute."""


def hosts(*arguments, **environment):
    return call(["bash", NETWORK / "hosts.sh", *arguments], **{"HOSTS": PREFIX} | environment)


def nothing_is_left():
    left = call(["ip", "netns", "list"]).stdout
    kept = [path for path in (f"/etc/netns/{PREFIX}-{i}" for i in range(3)) if os.path.exists(path)]
    return PREFIX not in left and not kept


@pytest.fixture
def three():
    """Hosts at 100 Mbit/s; skips, with the reason, where there can be none."""
    possible = hosts("possible")
    if possible.returncode:
        pytest.skip(possible.stderr.strip())
    try:
        assert hosts("up", 3).returncode == 0
        assert hosts("shape", "100mbit").returncode == 0
        yield [f"{PREFIX}-{i}" for i in range(3)]
    finally:
        assert hosts("down").returncode == 0
    assert nothing_is_left()


@pytest.fixture
def job(tmp_path):
    """Two workers on a quadratic, dense and with signs; its f* needs no ranks."""
    runs = "".join(
        f'[[runs]]\nmethod = "{method}"\nlabel = "{method}"\nworkers = 2\n'
        'step = { kind = "constant", alpha = 1e-3 }\n'
        for method in ("gd", "scaled-sign")
    )
    eigenvalues = [1.0] * DIMENSION
    noise = 'oracle = { kind = "additive", noise = "normal", size = 0.1 }'
    path = tmp_path / "job.toml"
    path.write_text(f'problem = {{ kind = "separable", eigenvalues = {eigenvalues} }}\n{noise}\n{runs}')
    return path


def across(mpi, *arguments):
    folder = programs(mpi)
    command = [NETWORK / "across", folder / "mpiexec", folder / "python", "-m", "mpi4py", "-m", "mpisign", *arguments]
    done = call(command, HOSTS=PREFIX, timeout=60)
    assert done.returncode == 0, done.stderr


def crossed(names):
    """Bytes that the server's link has carried, either way."""
    counters = dict(line.split(maxsplit=1) for line in hosts("bytes").stdout.splitlines())
    assert list(counters) == names
    return sum(map(int, counters[names[0]].split()))


def ends(path):
    return [repeat.sha256 for run in Trajectory(path) for repeat in run.finished()]


@pytest.mark.ranks
@pytest.mark.parametrize("mpi", ["mpich", "openmpi"])
def test_the_trajectory_is_that_of_one_process_and_crosses_the_links(mpi, three, job, tmp_path):
    settings = ["--set", "iterations=20", "--set", "log.every=20"]
    before = crossed(three)
    across(mpi, "run", job, "-o", tmp_path / "hosts.h5", *settings)
    after = crossed(three)
    alone = run_alone(tmp_path, job.read_text(), *settings[1::2])
    assert ends(tmp_path / "hosts.h5") == ends(alone)
    assert len(ends(alone)) == 2
    # Replies are not in it: MPI broadcasts along trees, so that they need not all leave by the server's link.
    assert after - before > sum(run.repeats[0].columns["bits_up"][-1] for run in Trajectory(alone)) / 8


@pytest.mark.ranks
def test_counted_bytes_are_those_of_the_model(three, script, tmp_path):
    """70000 signs take 8752 bytes; headers and acknowledgements are a tenth, and more where messages are small."""
    path = tmp_path / "many-hosts-3x1-100mbit.json"
    across("mpich", "bench", "--only", "links", "--dimensions", 10 * DIMENSION, "-o", path)
    counts = {(each.what, each.exchange): each for each in results_file.read(path).traffic}
    plane, (server, sharded) = 8752, (counts["collectives", name] for name in ("server", "sharded"))
    assert len(counts) == 4
    assert all(len(each.sent) == 3 for each in counts.values())
    # two rows come to the root, and its reply leaves once or twice
    assert 2 * plane < server.received[0] < 3.2 * plane
    assert plane < server.sent[0] < 2.4 * plane
    assert all(4 / 3 * plane < sent < 1.6 * plane for sent in sharded.sent)
    status, out, err = script("hosts", path, "-o", tmp_path)
    assert (status, err, out.count("predicted / measured")) == (0, "", 4)


@pytest.mark.ranks
def test_dense_messages_are_many_times_as_long_on_the_wire(three, job, tmp_path):
    """As the links count them, without the start of the ranks and the records: 64 bits against one a coordinate."""
    head, *runs = job.read_text().split("[[runs]]")
    counts = []
    for run, iterations in ((runs[1], 1), (runs[1], 41), (runs[0], 41)):
        job.write_text(f"{head}[[runs]]{run}")
        before = crossed(three)
        settings = ["--set", f"iterations={iterations}", "--set", f"log.every={iterations}"]
        across("mpich", "run", job, "-o", tmp_path / "out.h5", "--overwrite", *settings)
        counts.append(crossed(three) - before)
    start, signs, dense = counts
    assert (dense - start) / (signs - start) > 20
    assert dense - start > 40 * 8 * DIMENSION * 3  # two rows come up, and a reply goes down at least once


LOSING = """
iterations = 400
problem = { kind = "logistic", data = "wine" }
oracle = { kind = "stopping:Stopping", batch = 2 }
[log]
every = 50
[[runs]]
label = "the run"
method = "signum"
workers = 2
step = { kind = "constant", alpha = 1e-3 }
"""


@pytest.fixture
def losing(three, tmp_path):
    """Run LOSING with ULFM on a rank of each host, until worker 1, on the last, comes to an end of `stopping.py` at its
    ask number 200."""

    def run(end, text=LOSING, **variables):
        (tmp_path / "job.toml").write_text(text)
        stopping = {"STOPPING": end, "STOPPING_AFTER": "200", "STOPPING_WORKER": "1", **variables}
        folder = programs("openmpi")
        ranks = [folder / "mpiexec", "--with-ft", "ulfm", folder / "python", "-m", "mpi4py", "-m", "mpisign"]
        job = ["run", "job.toml", "-o", "out.h5", "--on-failure", "continue"]
        return call([NETWORK / "across", *ranks, *job], cwd=tmp_path, HOSTS=PREFIX, PYTHONPATH=HELPERS, **stopping)

    return run


def undisturbed(folder):
    """Whether the file is that of one process from which nothing was lost."""
    (folder / "alone").mkdir()
    return digests(folder / "out.h5") == digests(run_alone(folder / "alone", (folder / "job.toml").read_text()))


@pytest.mark.ranks
def test_the_vote_goes_on_without_a_worker_of_another_host(losing, tmp_path):
    done = losing("kill")
    assert done.returncode == 0, done.stderr
    assert "mpisign: rank 2 of 3 is lost; the other 2 go on from the last checkpoint\n" in done.stderr
    ((k, left),) = Trajectory(tmp_path / "out.h5").runs[0].repeats[0].workers_from
    assert (0 <= k < 200, left) == (True, 1)
    run_without(tmp_path / "alone.h5", LOSING, k, (0,))
    assert digests(tmp_path / "out.h5") == digests(tmp_path / "alone.h5")


@pytest.mark.ranks
def test_the_loss_of_a_host_with_its_daemon_ends_all_and_resume_goes_on(losing, three, tmp_path):
    """Open MPI's launcher does not outlive its daemons. Its status is not looked at: it may be 0. It takes seconds, in
    which the others go on; the run is longer."""
    done = losing("kill the host", LOSING.replace("400", "3000"), STOPPING_PACE="0.005")
    assert "mpisign: wrote" not in done.stderr
    deadline = time.monotonic() + 30
    while any(call(["ip", "netns", "pids", host]).stdout for host in three):
        assert time.monotonic() < deadline, "something runs on the hosts still"
        time.sleep(0.1)
    assert Trajectory(tmp_path / "out.h5").runs[0].finished() == []
    resumed = mpisign("run", "job.toml", "-o", "out.h5", "--resume", cwd=tmp_path, PYTHONPATH=HELPERS)
    assert resumed.returncode == 0, resumed.stderr
    assert Trajectory(tmp_path / "out.h5").runs[0].repeats[0].workers_from == []
    assert undisturbed(tmp_path)


@pytest.mark.ranks
def test_a_link_that_is_down_for_a_while_loses_nobody(losing, tmp_path):
    """Its worker notes that the run is not over after a second without it."""
    link = f"ip -n {PREFIX}-switch link set port2"
    done = losing(
        "start",
        STOPPING_COMMAND=f"{link} down; sleep 1; [ -e out.h5.part ] && touch waited; {link} up",
        STOPPING_PACE="0.002",
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "waited").exists()
    assert undisturbed(tmp_path)


def test_what_runs_on_a_host_ends_with_it(three):
    command = [NETWORK / "enter", "-x", three[1], "hostname; echo started; sleep 100; echo over"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert [running.stdout.readline() for _ in range(2)] == [f"{three[1]}\n", "started\n"]
        assert hosts("down").returncode == 0
        assert running.stdout.read() == ""
    assert nothing_is_left()


def test_names_that_are_taken_are_refused(three):
    again = hosts("up", 2)
    assert (again.returncode, hosts("names").stdout.split()) == (2, three)
    assert "are there already" in again.stderr


def test_hosts_that_could_not_be_finished_are_removed(three, tmp_path):
    assert hosts("down").returncode == 0
    stub(tmp_path, "ip", f'case "$*" in *port1*) exit 1;; esac; exec {shutil.which("ip", path=path())} "$@"')
    assert hosts("up", 3, PATH=path(tmp_path)).returncode != 0
    assert nothing_is_left()


def path(*folders):
    return os.pathsep.join([*map(str, folders), os.environ["PATH"], "/usr/sbin"])


def stub(folder, name, script):
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize(
    ("missing", "said"),
    [("root", "expected root"), ("tc", "no command tc"), ("namespaces", "makes no network namespaces")],
)
def test_where_it_cannot_be_done_the_job_says_so_and_is_skipped(missing, said, tmp_path):
    for name in ("bash", "dirname", "cat"):
        (tmp_path / name).symlink_to(shutil.which(name))
    stub(tmp_path, "id", f"echo {1000 if missing == 'root' else 0}")
    for tool in {"ip", "tc", "unshare"} - {missing}:
        stub(tmp_path, tool, "exit 1")
    shutil.copytree(ROOT / "jobs", tmp_path / "checkout" / "jobs")
    script = tmp_path / "checkout" / "jobs" / "network" / "hosts.sh"
    script.write_text(script.read_text().replace("PATH=$PATH:/usr/sbin:/sbin\n", ""))
    done = call(["bash", "jobs/slow-network.sh"], cwd=tmp_path / "checkout", PATH=str(tmp_path))
    assert done.returncode == 0
    assert said in done.stderr
    assert done.stderr.endswith("skipped\n")
    assert [entry.name for entry in (tmp_path / "checkout").iterdir()] == ["jobs"]


LOGGED = """#!/bin/sh
echo "$(basename "$0") $*" >> log
for word; do
    case $last,$word in -o,* | 2000,*.h5*) : > "$word" ;; esac
    last=$word
done
case "$*" in *"$HANGS"*) exec sleep 10 ;; *"$FAILS"*) exit 1 ;; esac
"""


@pytest.fixture
def checkout(tmp_path):
    """The job over stubs of hosts, ranks and commands, which log what they are asked."""
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    (tmp_path / "bin").mkdir()
    for place in ("bin/mpisign", "bin/python", "jobs/network/across"):
        (tmp_path / place).write_text(LOGGED)
        (tmp_path / place).chmod(0o755)
    (tmp_path / "jobs" / "network" / "hosts.sh").write_text(LOGGED)
    (tmp_path / "jobs" / "environment.sh").write_text("say() { :; }\nenvironment() { BIN=$PWD/bin; }\n")
    (tmp_path / "log").touch()
    return tmp_path


def slow_network(checkout, *options, fails="nothing", hangs="nothing"):
    """Starts the job, and returns its process."""
    variables = {"RATES": "unshaped 10mbit", "FAILS": fails, "HANGS": hangs}
    return subprocess.Popen(["bash", "jobs/slow-network.sh", *options], cwd=checkout, env=os.environ | variables)


def test_the_job_goes_through_the_rates_and_removes_its_hosts(checkout):
    assert slow_network(checkout, "--repeats", "0:2").wait(60) == 0
    log = (checkout / "log").read_text().splitlines()
    hosts_ = [line for line in log if line.startswith("hosts.sh")]
    assert hosts_ == [f"hosts.sh {word}" for word in ("possible", "up 5", "unshape", "shape 10mbit", "down")]
    benches = [line for line in log if " bench " in line]
    assert ["2000,1000000" in line for line in benches] == [True, False]
    runs = [line for line in log if " run jobs/slow-network.toml " in line]
    assert [line.split()[0] for line in runs] == ["mpisign", "across", "across"]
    assert all("--repeats 0:2" in line for line in runs)
    assert {path.name for path in (checkout / "results").iterdir()} == {
        "epsilon-wide.h5",
        *(f"slow-network-{name}.h5" for name in ("alone", "unshaped", "10mbit")),
        *(f"slow-network-{name}.json" for name in ("unshaped", "10mbit")),
    }


def test_the_job_removes_its_hosts_when_ranks_fail_and_takes_it_up_again(checkout):
    assert slow_network(checkout, fails="10mbit.h5").wait(60) == 1
    log = (checkout / "log").read_text().splitlines()
    assert log[-1] == "hosts.sh down"
    assert not (checkout / "results" / "slow-network-10mbit.h5").exists()
    assert slow_network(checkout).wait(60) == 0
    again = (checkout / "log").read_text().splitlines()[len(log) :]
    assert [line.split()[-1] for line in again if line.startswith("across")] == [
        f"results/slow-network-10mbit.{kind}.unfinished" for kind in ("h5", "json")
    ]


def test_the_job_removes_its_hosts_when_it_is_ended(checkout):
    job = slow_network(checkout, hangs="10mbit.h5")
    deadline = time.monotonic() + 60
    while "10mbit.h5" not in (checkout / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 143
    assert (checkout / "log").read_text().splitlines()[-1] == "hosts.sh down"


def test_the_figure_of_many_hosts_compares_counts_with_payload(script, tmp_path):
    path = tmp_path / "many-hosts-3x1-8mbit.json"
    sharded = [4.0 / 3.0 * 8000] * 3  # 64000 signs: two thirds of a plane, out and back
    # by the model in slices of 42 cache lines, with a number in front, and a number and a count around the reply
    made = [Traffic("collectives", "sharded", 3, 64000, sharded, sharded, [0.1, 0.2])]
    results_file.write(path, made, {})
    assert results_file.read(path).traffic == made
    status, out, err = script("hosts", path, "-o", tmp_path)
    assert (status, err) == (0, "")
    assert re.search(r"3 ranks on 3 hosts, d = 64000: 21333 bytes, payload by the model 21600, -1.2%; 0.1 s, ", out)
    assert (tmp_path / "many-hosts.png").stat().st_size > 10_000
    for name, said in (("other.json", "expected a name such as"), ("many-hosts-2x1-1mbit.json", "bench --only links")):
        results_file.write(tmp_path / name, [], {})
        status, _, err = script("hosts", tmp_path / name, "-o", tmp_path)
        assert (status, err.count("\n"), said in err) == (2, 1, True)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["up", "0"], {}, "expected how many hosts"),
        (["up"], {}, "got nothing"),
        (["down"], {"HOSTS": "a/b"}, "expected letters and digits"),
        (["shape"], {}, "expected a rate"),
        ([], {}, "hosts.sh down"),
    ],
)
def test_wrong_use_is_refused(arguments, environment, said):
    done = hosts(*arguments, **environment)
    assert done.returncode not in (0, 3)
    assert said in done.stderr


PACES = {"SGD, alpha = 8": 1e-4, "scaled signSGD, alpha = 8": 3e-4}
"""Seconds an iteration without messages, made up."""


@pytest.fixture
def results(tmp_path):
    """Trajectory files whose seconds are as bits alone predict, and unshaped links ten times as slow as one process."""
    made = run_alone(tmp_path, SGD_AND_SIGNS)
    for name, slower, rate in [("alone", 1, np.inf), ("unshaped", 10, np.inf)] + [
        (f"{number}mbit", 1, number * 1e6) for number in (1, 3, 10, 30, 100)
    ]:
        copy = tmp_path / f"slow-network-{name}.h5"
        shutil.copy(made, copy)
        with h5py.File(copy, "r+") as file:
            for label, pace in PACES.items():
                for repeat in file[f"runs/{label}/repeats"].values():
                    bits = repeat["bits_up"][:] + repeat["bits_down"][:]
                    del repeat.attrs["columns_sha256"]
                    repeat["seconds"][:] = repeat["k"][:] * pace * slower + bits / rate
    return sorted(tmp_path.glob("slow-network-*.h5"))


def test_the_crossover_is_found_where_it_was_put(results, script, tmp_path):
    status, out, err = script("network", *results, "-o", tmp_path)
    assert (status, err) == (0, "")
    counts = Counter(line.split(":")[0] for line in out.splitlines())
    assert all(counts[f"{rate} Mbit/s"] == 1 for rate in (1, 3, 10, 30, 100))
    assert counts["unshaped"] == 1
    (line,) = (line for line in out.splitlines() if "faster than SGD below" in line)
    found, predicted, slower = (
        float(part.split(" [")[0])
        for part in line.replace("bits ", "below ").replace("links ", "below ").split("below ")[1:]
    )
    assert found == pytest.approx(predicted, rel=0.2)
    assert slower == pytest.approx(predicted / 10, rel=0.01)
    assert (tmp_path / "network.png").stat().st_size > 10_000


def test_beyond_the_rates_that_were_measured_there_is_no_number(results, script, tmp_path):
    """Signs win over slow links alone, whatever the repeats; what is predicted stays a number."""
    slow = [path for path in results if path.stem.endswith(("alone", "-1mbit", "-3mbit"))]
    status, out, err = script("network", *slow, "-o", tmp_path)
    assert (status, err) == (0, "")
    said = r"faster than SGD at every rate measured: inf \[inf, inf\] Mbit/s \(in 7\d% of the resamples\), measured; "
    assert re.search(said, out)
    from mpisign.audit.figures.beyond.network import below

    assert below(np.zeros(400), "rate") == "at no rate: 0 [0, 0] Mbit/s"
    assert below(np.full(400, np.nan), "rate") == "at no rate, or only above some"


def test_rounds_are_read_from_beside(results, script, tmp_path):
    times = [Time("allreduce float32", "", 5, 1000, [3.0, 4.0, 5.0]), Time("round", "server", 5, 1000, [1.0, 2.0, 1.0])]
    for path in results[:3]:
        results_file.write(path.with_suffix(".json"), times, {})
    status, out, err = script("network", *results, "-o", tmp_path)
    assert (status, err) == (0, "")
    assert out.count("Allreduce of float32, d = 1000, 4e+03 ms; over a round of signs, server 3\n") == 3


def test_crossings(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "analysis")
    from mpisign.audit.figures.beyond.network import crossing

    rates = np.array([1.0, 10.0, 100.0])
    ratios = np.array([[4.0, 9.0, 0.5], [2.0, 3.0, 0.3], [0.5, 2.0, 0.1]])
    assert crossing(rates, ratios) == pytest.approx([10**1.5, np.inf, 0])


def test_files_that_do_not_belong_together_are_refused(results, script, tmp_path):
    def refusal(*files):
        status, out, err = script("network", *files, "-o", tmp_path / "figures")
        assert (status, out, err.count("\n")) == (2, "", 1)
        return err

    assert "slow-network-alone.h5 too" in refusal(*[path for path in results if "alone" not in path.name])
    other = shutil.copy(results[0], tmp_path / "other.h5")
    assert "expected a name such as" in refusal(other)
    with h5py.File(results[0], "r+") as file:
        file["runs/SGD, alpha = 8/repeats/0000"].attrs["sha256"] = "0"
    assert "bit for bit" in refusal(*results)
