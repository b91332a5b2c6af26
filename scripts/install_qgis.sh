#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Have QGIS for the plugin's tests, and an environment of QGIS's own Python with pytest-qgis.
#
#   scripts/install_qgis.sh /usr/bin/python3 .venv-qgis
#
# Installs QGIS with apt where it is missing and may be (Debian, root or sudo); elsewhere it says
# so, leaves no environment, and the plugin's tests are skipped by name.
set -euo pipefail
python=$1
venv=$2

has_qgis() { "$python" -c 'import qgis.core' 2>/dev/null; }
has_window() { command -v Xvfb >/dev/null && command -v openbox >/dev/null; }

if ! has_qgis || ! has_window; then
  if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      qgis python3-qgis qgis-providers python3-gdal python3-venv xvfb openbox xdotool x11-utils >/dev/null
  fi
fi
if ! has_qgis; then
  echo "QGIS is not here and cannot be installed: the plugin's tests will be skipped." >&2
  echo "On Debian: apt-get install qgis python3-qgis xvfb openbox" >&2
  exit 0
fi
"$python" -m venv --clear --system-site-packages "$venv"
# --ignore-installed: Debian's own pytest is older than what pytest-qgis wants.
"$venv/bin/python" -m pip install -q --disable-pip-version-check --ignore-installed \
  -c constraints.txt pytest pytest-qgis pytest-timeout
touch "$venv/.done"
