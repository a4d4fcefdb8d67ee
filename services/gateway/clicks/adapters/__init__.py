"""What shops already emit, read as GA4's events. Each adapter is a pure function from parsed JSON to a `Reading`.

An adapter picks the few fields that are counted. All else stays behind in the body, which ends with the request;
the names of fields that say who somebody is are counted on the way.
"""
