"""Searches everything that a platform has written for a text, after proving that it would have found it.

Reads   every log segment, table, relation file, write-ahead log, log file, metrics page and file of a platform,
        and the command lines and environments of its processes
Opens   where it is asked to, every sealed value that it finds, with every key that lives; the keyring's offline reader
        counts that and does it, no key comes here
Keeps   nothing; its controls are planted before a search and removed after it, what it opens stays in memory
Never   says what stands around a find, or `nothing found` where it could not look
"""

from services.scan.findings import Find, Findings, Tally
from services.scan.scanning import scan

__all__ = ["Find", "Findings", "Tally", "scan"]
