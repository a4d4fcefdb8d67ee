"""Where identity ends: what a browser sends becomes cells that nobody can be followed by, before Kafka sees it.

page        one message of a browser              site        what a shop says about itself
routes      a URL becomes a template              terms       a search term loses what is personal
cells       a page becomes what is counted        tags        who did it, for one cell and window only
contribution  a cell sealed until a crowd shares it   addresses   read where they are needed, kept nowhere
kept_key    the tag key, until it dies            crowd       who waits together, to the end of the hour
departures  on the way to Kafka                   anonymiser  all of it, in order

Keeps   visitors in memory, until their cells leave or the hour ends; nothing of it on disk
Never   lets an address, user agent, id or exact time into a record, log, metric, error or repr
"""
