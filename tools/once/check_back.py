"""A log that was put back: what had been asked of the part that is gone is judged no more."""


class Past:
    """The parts of the run whose log is gone: from the copy until it was back in place."""

    def __init__(self, lines, messages):
        self.parts = []
        for line in lines:
            if line["t"] == "back":
                kept = [message["q"] for message in messages if message["s"] == "CB_LOG" and message["ts"] < line["w0"]]
                self.parts.append((line["copied"], line["t1"], max(kept, default=0)))

    def part(self, line):
        return next((part for part in self.parts if line["t0"] < part[1] and line["t1"] > part[0]), None)

    def since(self, line):
        """Where the log ended when it was last put back before something began; None if it never was."""
        ends = [part for part in self.parts if part[1] <= line["t0"]]
        return ends[-1] if ends else None

    def covers(self, line):
        return self.part(line) is not None

    def spanned(self, line):
        """Where the log ended when it was put back while something was under way; None if it was not."""
        return next((part[2] for part in self.parts if line["t0"] < part[1] < line["t1"]), None)

    def lost(self, attempt):
        """Whether what an answer says is of the part that is gone."""
        part = self.part(attempt)
        if part is None:
            return False
        said = [attempt["a"].get(key, 0) for key in ("seq", "revision")]
        return max(said) > part[2]


def check_back(requests, past, cases, report):
    """What was acknowledged and is gone, and came again."""
    for attempt in requests.changes:
        if attempt["out"] != "ok":
            continue
        log = cases.get((attempt["w"], attempt["c"]))
        record = log.by_id.get(attempt["id"]) if log and attempt["id"] else None
        if past.lost(attempt):
            report.count("acknowledged, and gone with the log")
            if record is not None and record.time > attempt["w1"]:
                report.count("gone with the log, and happened again")
        elif record is not None and attempt["a"].get("repeated") and any(
            record.seq <= end < attempt["a"].get("revision", 0) and attempt["t0"] > back for _, back, end in past.parts
        ):
            report.count("repeats of what the copy had, after it was put back")
