#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run the plugin's tests in QGIS's own Python, against the engine of this checkout.
#
#   scripts/test_plugin.sh .venv-qgis .venv [pytest's arguments]
set -euo pipefail
qgis_venv=$1
engine_venv=$2
shift 2
if [ ! -x "$qgis_venv/bin/python" ]; then
  echo "SKIPPED: the plugin's tests need QGIS, which is not on this machine."
  exit 0
fi
export SAMGEO_PYTHON="$PWD/$engine_venv/bin/python"
export QT_QPA_PLATFORM=offscreen
export PYTHONDONTWRITEBYTECODE=1
exec "$qgis_venv/bin/python" -m pytest -q --confcutdir=tests/plugin -p no:cacheprovider tests/plugin tests/test_package.py "$@"
