"""Findings by name, and counts."""

from collections import Counter, defaultdict

# What each finding means; the self-test plants one of the first eight each.
MEANINGS = {
    "DOUBLE_ID": "a firing id is in a case's log twice",
    "LOST_RECORD": "a record that others name or that was stored is not in the log",
    "CHANGED_RECORD": "a record's bytes are not those that the next one has the hash of",
    "STALE_READ": "a strong read, case, marking or history is older than what was acknowledged before it",
    "FALSE_NO": "a final no of a change that is in the log, or that was possible all the while",
    "TWO_PLACES": "the view has a token in two places",
    "ACKNOWLEDGED_MISSING": "an acknowledged change is not in the log where the answer says",
    "WRONG_LINKS": "links, page, pages or unlisted do not name exactly the right records",
    "DONE_TWICE": "what was asked for once is in the log twice",
    "BROKEN_CHAIN": "a record does not name the one before it",
    "DOES_NOT_FOLLOW": "the marking, the status or a token's data do not follow by the net's rules",
    "NOT_AS_ASKED": "a record says other than its request",
    "WRONG_REPEATED": "`repeated` or what is said with it is not what the log says",
    "OTHER_ACCEPTED": "a different request under a used id was not refused",
    "WRONG_CONFLICT": "a conflict does not name the first use of its id",
    "WRONG_READ": "a read says what the log never had",
    "STALE_ANSWER": "an answer shows a state older than its own record, or than what was acknowledged before",
    "VIEW_DIFFERS": "the view is not what the log's heads say",
    "UNEXPECTED_ERROR": "an error that no request of these should get",
    "PASSED_OVER": "a case was read or changed though its log has what is no record and is not put aside",
    "WRONG_ASIDE": "what a record puts aside is not exactly what can't be read or does not follow",
    "FEED_LACKS": "a subscription left out a record",
    "FEED_TWICE": "a subscription gave a record twice",
    "FEED_ORDER": "a subscription gave records in another order than the log",
    "WENT_BACK_UNSAID": "a subscription that gave what the log lost went on without a word",
    "LISTING_LACKS": "a listing lacks what belonged to it all the while",
    "UNREADABLE": "a message that is no record",
}


class Report:
    def __init__(self):
        self.findings = defaultdict(list)
        self.counts = Counter()

    def find(self, name, text):
        if name not in MEANINGS:
            raise KeyError(name)
        self.findings[name].append(text)

    def count(self, name, by=1):
        self.counts[name] += by

    def print(self, most=5):
        for name, number in sorted(self.counts.items()):
            print(f"{name:58} {number}")
        for name, texts in self.findings.items():
            print(f"\n{name}: {len(texts)} ({MEANINGS[name]})")
            for text in texts[:most]:
                print(f"  {text}")
            if len(texts) > most:
                print(f"  and {len(texts) - most} more")
