"""What travels: pydantic models and annotations. Pure: no behaviour, no I/O, no clock, no randomness."""
