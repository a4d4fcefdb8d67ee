"""Kafka behind one small interface, its in-memory twin beside it."""
