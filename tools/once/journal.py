"""What the driver did and what it was answered, one JSON object a line, by the monotonic clock."""

import json
import time


def now():
    """The monotonic clock, and the wall clock for comparing with the server's times."""
    return time.monotonic(), time.time()


class Journal:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.number = 0

    def write(self, kind, **fields):
        self.number += 1
        json.dump({"t": kind, "n": self.number, **fields}, self.file, separators=(",", ":"))
        self.file.write("\n")

    def fault(self, what, target):
        self.write("fault", what=what, target=target, t0=time.monotonic(), w0=time.time())

    def close(self):
        self.file.close()


def read(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
