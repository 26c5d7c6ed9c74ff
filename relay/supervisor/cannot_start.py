"""Why a start may come to nothing."""

import os


class CannotStart(Exception):
    """The relay cannot start; the message is a sentence for the operator, *exit_code* is sysexits.h's."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


BAD_CONFIG = os.EX_CONFIG  # 78: something in the configuration must be changed
NO_PERMISSION = os.EX_NOPERM  # 77: the user that started the relay may not do that
CANNOT_CREATE = os.EX_CANTCREAT  # 73: a file or a port cannot be had
UNAVAILABLE = os.EX_UNAVAILABLE  # 69: the database does not answer
