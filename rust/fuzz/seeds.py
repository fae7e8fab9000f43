"""The kept inputs: one file for each target, one input a line, in hexadecimal.

``seeds.py unpack TARGET FOLDER`` writes each into a file of its own, as libFuzzer wants them; ``seeds.py pack
TARGET FOLDER`` keeps those of a folder, which libFuzzer's ``-set_cover_merge=1`` has made small, instead.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

KEPT = Path(__file__).with_name("seeds")


def main(way: str, target: str, folder: Path) -> None:
    """Pack or unpack."""
    file = KEPT / f"{target}.hex"
    if way == "pack":
        lines = sorted(
            {each.read_bytes().hex() for each in folder.iterdir()}, key=lambda line: (len(line), line)
        )
        file.write_text("\n".join(sorted(lines, key=lambda line: (len(line), line))) + "\n")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for line in file.read_text().splitlines():
        content = bytes.fromhex(line)
        (folder / hashlib.sha1(content).hexdigest()).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
