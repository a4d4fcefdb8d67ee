"""The platform on one machine, from wheels and pinned jars: a real Kafka, two real PostgreSQL clusters, the workers.

Every file lives in one state directory; only the downloaded jars may be shared by the state directories of a
checkout (`.cache/jars`). `stack.py` is the way in.
"""
