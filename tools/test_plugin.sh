#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The plugin's tests in one QGIS: without a window, then a real one under Xvfb.
#
#   tools/test_plugin.sh VENV [pytest's arguments]
#
# The real engine is used where SAMGEO_PYTHON (or .venv) names a Python that has it; without it,
# those tests are skipped and say so.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift
if [ ! -x "$venv/bin/python" ]; then
  echo "SKIPPED: the plugin's tests need QGIS, which is not on this machine."
  exit 0
fi
if [ -z "${SAMGEO_PYTHON:-}" ] && [ -x .venv/bin/python ]; then
  export SAMGEO_PYTHON="$PWD/.venv/bin/python"
fi
export QT_QPA_PLATFORM=offscreen XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$(mktemp -d)}"
# tests/conftest.py belongs to the engine's tests and needs its packages.
exec "$venv/bin/python" -m pytest -q -p no:cacheprovider --confcutdir=tests/plugin tests/plugin "$@"
