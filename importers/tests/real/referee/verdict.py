"""What the referees share: reading what Groundline read, counting differences, and the table of known ones.

A difference is (file, what, detail). `what` is a short path such as `count`, `field NAME`, `vertices`; the table
`differences.tsv` names file, what, number of differences and the reason. A difference that the table does not know
fails; so does a line of the table that no longer occurs, or occurs another number of times.
"""

import collections
import fnmatch
import json
import os
import pathlib
import sys

SHOWN = int(os.environ.get("SHOWN", 6))  # details printed of differences of one kind


class Verdict:
    """Differences of one referee, judged against the table at the end."""

    def __init__(self, referee):
        self.referee = referee
        self.found = collections.defaultdict(list)  # (file, what) -> details
        self.counts = collections.Counter()  # what was compared, for the summary

    def differ(self, file, what, detail):
        self.found[file, what].append(detail)

    def close(self, file, what, ours, theirs, tolerance, where=""):
        if not abs(ours - theirs) <= tolerance:
            self.differ(file, what, f"{where}: {ours!r}, not {theirs!r}")

    def end(self):
        """Prints the account and ends the program: 0 where every difference is a known one."""
        table = pathlib.Path(__file__).with_name("differences.tsv")
        rows = []
        for line in table.read_text("utf-8").splitlines():
            if line and not line.startswith("#"):
                referee, file, what, number, reason = line.split("\t")
                if referee == self.referee:
                    rows.append([file, what, number, reason, 0])
        unknown = []
        for (file, what), details in sorted(self.found.items()):
            for row in rows:
                if fnmatch.fnmatchcase(file, row[0]) and fnmatch.fnmatchcase(what, row[1]):
                    row[4] += len(details)
                    break
            else:
                unknown.append((file, what, details))
        known = sum(row[4] for row in rows)
        print(f"{self.referee}: " + ", ".join(f"{n} {what}" for what, n in self.counts.items()))
        print(f"{known} known differences in {len(rows)} lines of the table, {sum(len(d) for _, _, d in unknown)} unknown")
        failures = 0
        for file, what, details in unknown:
            failures += 1
            print(f"{file}\t{what}\t{len(details)}\t?", file=sys.stderr)
            for detail in details[:SHOWN]:
                print(f"    {detail}", file=sys.stderr)
        for file, what, number, reason, got in rows:
            if number != "*" and int(number) != got or got == 0:
                failures += 1
                print(f"{file}\t{what}: {got} differences, the table knows {number}: {reason}", file=sys.stderr)
                for (f, w), details in self.found.items():
                    if fnmatch.fnmatchcase(f, file) and fnmatch.fnmatchcase(w, what):
                        print(*(f"    {d}" for d in details[:SHOWN]), sep="\n", file=sys.stderr)
        sys.exit(1 if failures else 0)


def sources():
    """The list that the test wrote: name, path, and what Groundline made of each file."""
    return json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8"))


def ours(path):
    """Account and objects of one file as `record.rs` writes them."""
    with open(path, encoding="utf-8") as lines:
        head = json.loads(next(lines))
        return head, [json.loads(line) for line in lines]
