#!/usr/bin/env bash
# Builds the documentation into build/docs, with the tutorials run; a warning is an error. Needs the environment that
# tests/run.sh makes, and installs the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
"$bin/python" -m pip install --quiet --disable-pip-version-check -e ".[docs]"
PATH="$bin:$PATH" "$bin/python" -m sphinx -q -W --keep-going -b html docs build/docs 2> >(grep -v "IPKernelApp\|traitlets\|^$" >&2)
echo "built build/docs/index.html"
