"""Write ``transforms/data/topics_iptc.tsv`` from the IPTC Media Topics vocabulary.

    python benchmarks/build_topics.py ../shared/data/topics/iptc_media_topics.jsonl.gz

Only facts are taken: code, top-level code and English name of each concept (CC BY 4.0, attributed
in ``transforms/data/topics.NOTICE.md``). The lexicons are written by hand and not built.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "transforms" / "data" / "topics_iptc.tsv"
HEADER = """\
# IPTC Media Topics NewsCodes, (c) International Press Telecommunications Council, CC BY 4.0.
# See topics.NOTICE.md. Columns: code, code of its top-level concept, English name.
"""


def main(source: str) -> None:
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        concepts = [json.loads(line) for line in lines]
    rows = sorted((c["code"], c["path"][0], c["name"]) for c in concepts)
    TARGET.write_text(
        HEADER + "".join("\t".join(row) + "\n" for row in rows), encoding="utf-8", newline="\n"
    )
    print(f"{TARGET}: {len(rows)} concepts")


if __name__ == "__main__":
    main(*sys.argv[1:])
