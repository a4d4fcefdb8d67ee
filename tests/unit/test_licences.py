"""Licences of dependencies are checked and listed."""

import re

from deploy import licences


def test_every_licence_is_accepted_or_noted() -> None:
    found = dict(licences.packages())
    assert len(found) > 50
    strange = {
        name: licence
        for name, licence in found.items()
        if name not in licences.NOTED and not any(word in licence for word in licences.ACCEPTED)
    }
    assert not strange


def test_the_page_lists_every_package_and_jar() -> None:
    """Compared by name: which packages are installed depends on the system."""
    listed = set(re.findall(r"^\| ([\w.:-]+) \|", licences.PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    wanted = {name for name, _ in (*licences.packages(), *licences.jars())}
    assert wanted <= listed
