"""The quick check of a sealed value's form says what the published pattern says."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from schemas.sealed import SEALED_FORM, has_sealed_form
from services.kernel.sealing.jwe import seal
from services.kernel.sealing.keys import DataKey
from services.kernel.sealing.place import Place

_PATTERN = re.compile(SEALED_FORM.removesuffix("$") + r"\Z")
_HEAD = SEALED_FORM[1:].partition("[")[0]
SEALED = seal(DataKey(bytes(32)), Place("orders/" + "0" * 32 + "/ship_to"), b"{}")
_letters = st.text("Aaz9-_", max_size=3)


def _of(length: int) -> st.SearchStrategy[str]:
    return st.integers(length - 1, length + 1).map(lambda letters: "A" * letters)


_tokens = st.builds(
    lambda *parts: ".".join(parts),
    st.one_of(st.just(_HEAD), _letters).flatmap(lambda head: _letters.map(lambda rest: head + rest)),
    st.sampled_from(["", "", "", "A"]),
    _of(16),
    _letters,
    _of(22),
)


@given(_tokens)
@example(SEALED)
@example(SEALED + "\n")
@example(_HEAD + "A.." + "A" * 16 + ".." + "A" * 22)
def test_the_quick_check_agrees_with_the_pattern(token: str) -> None:
    """Plaintext where a sealed value belongs is refused, whichever of the two looks (T1)."""
    assert has_sealed_form(token) == bool(_PATTERN.match(token))


@given(st.data())
def test_they_agree_on_damaged_tokens_too(data: st.DataObject) -> None:
    """One character changed, added or taken away anywhere."""
    token = "A".join([_HEAD, ".." + "B" * 16 + "." + "C" * 4 + "." + "D" * 22])
    at = data.draw(st.integers(0, len(token)))
    put = data.draw(st.sampled_from(["", ".", "=", "+", "é", " ", "\n", "A"]))
    damaged = token[:at] + put + token[at + data.draw(st.integers(0, 1)) :]
    assert has_sealed_form(damaged) == bool(_PATTERN.match(damaged))
