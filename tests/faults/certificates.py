"""Certificates of authorities that nobody trusts, made by OpenSSL's command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HOW_TO_GET_IT = "OpenSSL's command is not installed: apt-get install openssl, or your system's package of that name"
_DAYS = "2"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def find_openssl() -> str | None:
    """Return the path of OpenSSL's command, None if it is not installed."""
    return shutil.which("openssl")


class Authority:
    """A certificate authority whose files are in a directory.

    Attributes:
        certificate: the file with its own certificate.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self.certificate = directory / f"{name}.crt"
        self._key = directory / f"{name}.key"
        self._run(
            *("req", "-x509", *_KEY, "-days", _DAYS, "-subj", f"/CN={name}"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def issue(self, host: str) -> tuple[Path, Path]:
        """Return the files with a certificate for a host's name or address, and with its key."""
        place = self._directory / f"{self._name}-{host}"
        key, request, certificate = (place.with_name(f"{place.name}.{end}") for end in ("key", "csr", "crt"))
        names = place.with_name(f"{place.name}.names")
        names.write_text(f"subjectAltName={'IP' if host[0].isdigit() else 'DNS'}:{host}\n")
        self._run("req", *_KEY, "-subj", f"/CN={host}", "-keyout", str(key), "-out", str(request))
        self._run(
            *("x509", "-req", "-in", str(request), "-days", _DAYS, "-CAcreateserial", "-extfile", str(names)),
            *("-CA", str(self.certificate), "-CAkey", str(self._key), "-out", str(certificate)),
        )
        return certificate, key

    @staticmethod
    def _run(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], capture_output=True, check=True)
