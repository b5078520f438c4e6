#!/usr/bin/env bash
# Builds the documentation into build/docs, with the tutorials run; a warning, a dead link and a formula that cannot be set
# are errors. Needs the environment that tests/run.sh makes, and installs the rest.
#
#   bash tests/docs.sh
#   bash tests/docs.sh --twice      builds it again, and compares the pages
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
"$bin/python" -c "import furo, myst_nb" 2>/dev/null || "$bin/python" -m pip install --quiet --disable-pip-version-check -e ".[docs]"

# build FOLDER: the site, from nothing.
build() {
    rm -rf "$1"
    PATH="$bin:$PATH" "$bin/python" -m sphinx -q -W --keep-going -b html -d "$1.doctrees" docs "$1" \
        2> >(grep -v "IPKernelApp\|traitlets\|^$" >&2)
}

build build/docs
"$bin/python" tests/site.py build/docs
if [ "${1:-}" = --twice ]; then
    build build/docs-again
    diff -r build/docs build/docs-again
    echo "built twice, the same"
fi
echo "built build/docs/index.html"
