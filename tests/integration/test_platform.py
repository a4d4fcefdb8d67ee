"""The embedded platform: rights, isolation, idempotence, repair."""


def test_the_platform_answers(platform):
    """Kafka and both clusters serve."""
    assert {each.instance: each.state for each in platform.stack.status()}["kafka"] == "ready"
    topic = platform.new_topic()
    assert platform.admin.partitions()[topic] == 12
    assert platform.new_database().startswith("postgresql://")
    assert platform.new_user(reads=[topic]).username
