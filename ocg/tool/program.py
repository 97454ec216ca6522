"""A program that runs, with all it has started. Only what takes no time to import is used."""

import os

# What `signal` calls them; that module takes as long to import as all the rest.
SIGKILL, SIGTERM = 9, 15
_SIGPIPE, _SIGXFSZ = 13, 25


class Program:
    """It is started at once, in a session and a process group of its own. Raises OSError when it cannot be.

    `output` and `errors` are the ends of pipes that what it writes comes out of; they are the same where errors are not
    apart. `input`, if it is to have any, is the end of one that goes in. `process` becomes readable when it ends.
    """

    def __init__(self, argv: list[str], *, is_interactive: bool, parts_errors: bool) -> None:
        self.output, its_output = os.pipe()
        self.errors, its_errors = os.pipe() if parts_errors else (self.output, its_output)
        its_input, self.input = os.pipe() if is_interactive else (os.open(os.devnull, os.O_RDONLY), -1)
        ends = (its_input, its_output, its_errors)
        self.pid = os.posix_spawnp(
            argv[0],
            argv,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, end, at) for at, end in enumerate(ends)],
            setsid=True,
            setsigdef=(_SIGPIPE, _SIGXFSZ),  # Python ignores them, and what it starts would as well
        )
        self.process = os.pidfd_open(self.pid)
        for end in set(ends):
            os.close(end)
        if is_interactive:
            os.set_blocking(self.input, False)

    def signal(self, number: int) -> None:
        """Send a signal to it and to what it has started."""
        try:
            os.killpg(self.pid, number)
        except (OSError, ValueError):  # all have ended, or there is no such signal
            return

    def status(self) -> int | None:
        """Return its exit status, or the negative number of the signal that ended it; None while it runs.

        It is left as it is, so that its number is nobody else's as long as we may send signals.
        """
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def close_input(self) -> None:
        """Let it know that nothing more comes."""
        if self.input >= 0:
            os.close(self.input)
            self.input = -1
