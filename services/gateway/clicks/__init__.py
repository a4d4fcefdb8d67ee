"""Where identity ends: what a browser sends becomes cells that nobody can be followed by, before Kafka sees it.

page        one message of a browser              site        what a shop says about itself
routes      a URL becomes a template              terms       a search term loses what is personal
cells       a page becomes what is counted        tags        who did it, for one cell and window only
crowd       cells wait for a crowd, shuffled      anonymiser  all of it, in order

Keeps   visitors in memory, until their cells leave or the hour ends; nothing of it on disk
Never   lets an address, user agent, id or exact time into a record, log, metric, error or repr
"""
