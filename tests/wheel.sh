#!/usr/bin/env bash
# Builds the sdist and the wheel, checks them, installs the wheel in a fresh environment, and uses it in another folder:
# what a user has who never sees a checkout. Needs the environment that tests/run.sh makes.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$bin/python" -c "import build, twine" 2>/dev/null || "$bin/python" -m pip install --quiet --disable-pip-version-check build twine
"$bin/python" -m build --outdir "$folder/dist" . >"$folder/build.log" 2>&1 || { cat "$folder/build.log" >&2; exit 1; }
"$bin/python" -m twine check --strict "$folder"/dist/*
tar -tzf "$folder"/dist/*.tar.gz | grep "/tests/run.sh$" >/dev/null

"$bin/python" -m venv "$folder/fresh"
"$folder/fresh/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$folder"/dist/*.whl
PATH="$folder/fresh/bin:$PATH"
unset PYTHONPATH
mkdir "$folder/work"
cd "$folder/work"
mpisign init quickstart
mpisign run quickstart.toml -o results/quickstart.h5 --repeats 0:2 --set iterations=200
mpisign plot results/quickstart.h5 -o figures
test -s figures/quickstart-gaps.png
mpisign init ce-a
mpisign run ce-a.toml -o results/ce-a.h5 --repeats 0:4 --set iterations=200
mpisign check results/ce-a.h5 | grep "Theorem 2(1)"
mpisign report results -o report
test -s report/report.html
python -c "import mpisign; print(mpisign.load('results/ce-a.h5'))"
mpisign --print-completion bash | grep _mpisign >/dev/null
echo "the wheel works in a folder of its own"
