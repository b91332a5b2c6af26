#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Make the environment of the plugin's tests: QGIS from the system's packages where it is missing,
# and a venv of QGIS's own Python that sees it.
#
#   scripts/install_qgis.sh QGIS_PYTHON VENV
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
    echo "Please install ${missing[*]}, then run this again." >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
have_qgis || { echo "$python cannot import QGIS; name its Python with QGIS_PYTHON." >&2; exit 1; }

"$python" -m venv --clear --system-site-packages "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check \
  pytest==8.4.2 pytest-qgis==2.1.0 pytest-timeout==2.4.0
touch "$venv/.done"
