"""How a contract says no: a code and a declared field path, never the value that broke it."""


class ContractError(ValueError):
    """The data breaks its contract.

    `code` is a constant. `path` consists of declared field names, `*` for a position in a list and `?` for a
    name that nobody declared (a sender can put a person's name there), joined by dots; empty for the whole.
    """

    def __init__(self, code: str, path: str = "") -> None:
        super().__init__(f"{code} at {path}" if path else code)
        self.code = code
        self.path = path
