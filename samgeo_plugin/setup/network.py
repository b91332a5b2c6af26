# SPDX-License-Identifier: GPL-2.0-or-later
"""QGIS's proxy and certificates as environment variables for pip and downloads."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from qgis.core import QgsApplication

from .. import settings


def proxy_variables() -> dict[str, str]:
    """``HTTP_PROXY`` and its like from QGIS's network settings; empty where it uses none."""
    if not settings.qgis_flag("proxy/proxyEnabled"):
        return {}
    kind = str(settings.qgis_value("proxy/proxyType", ""))
    host = str(settings.qgis_value("proxy/proxyHost", "")).strip()
    if kind == "DefaultProxy" or not host:
        return {}  # the system's own variables are handed on as they are
    scheme = "socks5h" if kind == "Socks5Proxy" else "http"
    port = str(settings.qgis_value("proxy/proxyPort", "")).strip()
    user = str(settings.qgis_value("proxy/proxyUser", ""))
    secret = str(settings.qgis_value("proxy/proxyPassword", ""))
    account = f"{quote(user, safe='')}:{quote(secret, safe='')}@" if user else ""
    url = f"{scheme}://{account}{host}" + (f":{port}" if port else "")
    variables = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "http_proxy": url, "https_proxy": url}
    excluded = settings.qgis_value("proxy/noProxyUrls", []) or []
    if isinstance(excluded, str):
        excluded = excluded.split("|")
    hosts = [re.sub(r"^\w+://", "", entry).split("/")[0] for entry in excluded if entry]
    if hosts:
        variables["NO_PROXY"] = variables["no_proxy"] = ",".join(hosts)
    return variables


def certificate_variables(folder: Path) -> dict[str, str]:
    """The authorities that QGIS trusts, where the user has added some, as a file for pip."""
    manager = QgsApplication.authManager()
    if manager.isDisabled() or not manager.databaseCAs():
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "certificates.pem"
    path.write_bytes(bytes(manager.trustedCaCertsPemText()))
    return {name: str(path) for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}


def without_secrets(text: str) -> str:
    """The text with accounts in addresses and the user's home taken out, fit to be pasted."""
    text = re.sub(r"(\w+://)[^/\s:@]+(:[^/\s@]*)?@", r"\1***@", text)
    home = str(Path.home())
    if len(home) < 2:
        return text
    # On Windows QGIS writes it with slashes, and the texts of errors with doubled backslashes.
    forms = (home, home.replace("\\", "\\\\"), home.replace("\\", "/"))
    flags = re.IGNORECASE if "\\" in home else 0
    return re.sub("|".join(map(re.escape, forms)), "~", text, flags=flags)
