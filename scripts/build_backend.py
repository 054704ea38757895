"""Poetry's build backend, whose editable installs import `actingweb_db` at each start of Python as wheels do."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from poetry.core.masonry import api
from poetry.core.masonry.api import (
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

# Python reads it after the file `actingweb_db.pth` of an editable install, which names the clone.
_HOOK = "actingweb_db_hook.pth"
_TEXT = b"import actingweb_db\n"


def build_editable(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Return the file name of the wheel that an editable install installs."""
    name = api.build_editable(wheel_directory, config_settings, metadata_directory)
    path = Path(wheel_directory) / name
    with ZipFile(path) as wheel:
        files = {info: wheel.read(info) for info in wheel.infolist()}
    digest = base64.urlsafe_b64encode(hashlib.sha256(_TEXT).digest()).rstrip(b"=").decode()
    with ZipFile(path, "w") as wheel:
        for info, content in files.items():
            if info.filename.endswith(".dist-info/RECORD"):
                content += f"{_HOOK},sha256={digest},{len(_TEXT)}\n".encode()
            wheel.writestr(info, content)
        wheel.writestr(_HOOK, _TEXT)
    return name
