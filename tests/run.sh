#!/usr/bin/env bash
# Make the environment if it is not there, and run the whole test suite.
set -euo pipefail
cd "$(dirname "$0")/.."
stamp=.venv/installed-$(sha256sum pyproject.toml | cut -c1-16)
if [ ! -e "$stamp" ]; then
    python3 -m venv .venv
    .venv/bin/pip install --quiet -e '.[mpich,test,dev]'
    touch "$stamp"
fi
.venv/bin/python -m pytest "$@"
