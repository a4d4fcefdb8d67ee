"""Makes lists of published numbers: what is hot, what is searched for more than before, what is viewed together.

Reads   statistics, recommendations-rows-changelog    Writes  recommendations, recommendations-rows-changelog
Keeps   numbers of crowds of the last 30 days, in memory; the changelog holds them for the next start
Opens   nothing: it has no key, no database and no address to ask for one
Never   adds to a number: a number said twice is the same number, so nothing that Faust does twice is counted twice
"""
