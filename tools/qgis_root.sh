#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Run the plugin's tests in another QGIS, in a Debian of its own (as root, about 3 GB):
#
#   tools/qgis_root.sh trixie /work/roots             # QGIS 3.40
#   tools/qgis_root.sh trixie-backports /work/roots   # QGIS 3.44, where backports has it
#
# Without the real engine: the fake worker stands in for it.
set -euo pipefail
suite=$1
root=$2/$suite
mirror=${MIRROR:-http://deb.debian.org/debian}
here=$(cd "$(dirname "$0")/.." && pwd)
shift 2

in_root() {
  chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive QT_QPA_PLATFORM=offscreen XDG_RUNTIME_DIR=/tmp "$@"
}

if [ ! -e "$root/.installed" ]; then
  [ -d "$root/usr" ] || debootstrap --variant=minbase --include=ca-certificates "${suite%-backports}" "$root" "$mirror"
  cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
  target=()
  if [ "$suite" != "${suite%-backports}" ]; then
    echo "deb $mirror $suite main" > "$root/etc/apt/sources.list.d/backports.list"
    target=(-t "$suite")
  fi
  in_root apt-get update -qq
  in_root apt-get install -y -qq --no-install-recommends "${target[@]}" \
    python3-qgis qgis-providers python3-gdal python3-venv python3-pytest python3-pip git
  in_root python3 -m venv --clear --system-site-packages /opt/tests
  # pip of this machine: its settings for package indexes need not exist in the root.
  python3 -m pip download -q --no-deps -d "$root/opt/wheels" pytest==8.4.2 pytest-qgis==2.1.0 pytest-timeout==2.4.0
  in_root /opt/tests/bin/python -m pip install -q --no-deps --no-index --find-links /opt/wheels \
    pytest pytest-qgis pytest-timeout
  touch "$root/.installed"
fi
rm -rf "$root/project"
mkdir -p "$root/project"
(cd "$here" && cp -r samgeo_plugin core tests tools metadata.txt pyproject.toml constraints.txt LICENSE "$root/project/")
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
trap 'umount "$root/proc"' EXIT
in_root sh -c 'cd /project && /opt/tests/bin/python -c "from qgis.core import Qgis; print(Qgis.QGIS_VERSION)" &&
  /opt/tests/bin/python -m pytest -q -p no:cacheprovider --confcutdir=tests/plugin tests/plugin "$@"' sh "$@"
