#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Make the environment of the plugin's tests: QGIS from the system's packages where it is missing,
# and a venv of QGIS's own Python that sees it.
#
#   tools/install_qgis.sh QGIS_PYTHON VENV
set -euo pipefail
python=$1 venv=$2

have_qgis() { QT_QPA_PLATFORM=offscreen "$python" -c 'import qgis.core, osgeo.gdal' 2>/dev/null; }

missing=()
have_qgis || missing+=(qgis python3-qgis qgis-providers python3-gdal)
"$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
command -v Xvfb >/dev/null || missing+=(xvfb)
command -v openbox >/dev/null || missing+=(openbox)
command -v import >/dev/null || missing+=(imagemagick)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    # No failure: everyone can test the engine. The plugin's tests say that they are skipped.
    echo "The plugin's tests need ${missing[*]}: install them and run 'make clean test'." >&2
    exit 0
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
have_qgis || { echo "$python cannot import QGIS; name its Python with QGIS_PYTHON." >&2; exit 1; }

"$python" -m venv --clear --system-site-packages "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check \
  -c "$(dirname "$0")/../constraints.txt" pytest pytest-qgis pytest-timeout
touch "$venv/.done"
