"""Take the folder that a wheel was built in out of its list of parts: ``without_paths.py WHEEL FOLDER``.

maturin writes the folder into the CycloneDX file (the names of the workspace's own crates), so that two
builds in two folders are two wheels. Here it becomes ``/anydraft``, and the file's
line in ``RECORD`` is made anew.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path


def main(wheel: Path, folder: str) -> None:
    """Write the wheel anew, in its order and with its times."""
    with zipfile.ZipFile(wheel) as given:
        parts = [(info, given.read(info)) for info in given.infolist()]
    changed = {
        info.filename: data.replace(f"path+file://{folder}/".encode(), b"path+file:///anydraft/")
        for info, data in parts
        if ".dist-info/sboms/" in info.filename
    }
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as written:
        for info, data in parts:
            whole = recorded(data, changed) if info.filename.endswith("/RECORD") else data
            written.writestr(info, changed.get(info.filename, whole))


def recorded(record: bytes, changed: dict[str, bytes]) -> bytes:
    """The lines of ``RECORD`` with the hashes and sizes of what was changed."""
    lines = record.decode().splitlines()
    for i, line in enumerate(lines):
        name = line.split(",")[0]
        if name in changed:
            digest = base64.urlsafe_b64encode(hashlib.sha256(changed[name]).digest()).rstrip(b"=").decode()
            lines[i] = f"{name},sha256={digest},{len(changed[name])}"
    return ("\n".join(lines) + "\n").encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
