"""What shops and their merchandisers read of a crowd: lists and counts, as an API and as a page.

Reads   statistics, recommendations     Writes  nothing
Keeps   published counts and lists for 30 days; SHA-256 of reading tokens and of the sessions of who signed in
Opens   nothing: everything it hears was published for a crowd
Sees    the address of who signs in, in memory, for a minute at most
Never   says more than was published, sums what was published, or repeats in an answer what it was asked
"""
