"""Carries a wish to be forgotten to everyone who holds something, and signs what became of it (R3).

Reads   erasure.requests, erasure.receipts      Writes  erasure.commands, certificates
Keeps   per erased subject: request, round, who still owes an answer, who answered what
Opens   nothing, and sees nothing personal: ids, counts, grounds and dates
Never   says `certified` while an owner's answer is missing, or believes one that cannot be true
"""
