"""The one error of the project: a code, a message that says what and why, a hint that says what to do."""

from enum import StrEnum


class Code(StrEnum):
    """What went wrong; the same word on the wire, in STATUS=, in the log and in tests."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    PREVIOUS_UNKNOWN = "previous_response_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    CONTEXT_LENGTH = "context_length_exceeded"
    BUSY = "busy"
    RATE_LIMIT = "rate_limit_exceeded"
    LIMIT = "limit_reached"
    CANCELLED = "cancelled"
    INTERNAL = "internal"
    PROVIDER = "provider_error"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    CONFIG_INVALID = "config_invalid"
    PORT_IN_USE = "port_in_use"
    UNSAFE_PATH = "unsafe_path"
    ALREADY_RUNNING = "already_running"
    NOT_RUNNING = "not_running"
    START_FAILED = "start_failed"
    STOP_FAILED = "stop_failed"
    MODEL_MISSING = "model_missing"
    MODEL_DAMAGED = "model_damaged"
    MODEL_UNKNOWN = "model_unknown"
    DOWNLOAD_FAILED = "download_failed"
    DISK_FULL = "disk_full"
    DATA_DAMAGED = "data_damaged"
    DATA_NEWER = "data_newer"

    @property
    def http_status(self) -> int:
        """The status an HTTP answer with this code has."""
        return _HTTP_STATUS.get(self, 500)

    @property
    def exit_status(self) -> int:
        """The status a process that ends with this code exits with (sysexits.h; 3 from LSB `status`)."""
        return _EXIT_STATUS.get(self, 1)


_HTTP_STATUS = {
    Code.INVALID_REQUEST: 400,
    Code.CONTEXT_LENGTH: 400,
    Code.PREVIOUS_UNKNOWN: 400,  # as OpenAI's own: clients look for both, and send it all again
    Code.UNAUTHORIZED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.MODEL_UNKNOWN: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.CONFLICT: 409,
    Code.TOO_LARGE: 413,
    Code.LIMIT: 422,
    Code.BUSY: 429,
    Code.RATE_LIMIT: 429,
    Code.CANCELLED: 499,
    Code.PROVIDER: 502,
    Code.UNAVAILABLE: 503,
    Code.MODEL_MISSING: 503,
    Code.TIMEOUT: 504,
    Code.DISK_FULL: 507,
}

EX_NOT_RUNNING = 3
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_CONFIG = 78

_EXIT_STATUS = {
    Code.INTERNAL: EX_SOFTWARE,
    Code.NOT_RUNNING: EX_NOT_RUNNING,
    Code.UNAVAILABLE: EX_UNAVAILABLE,
    Code.MODEL_MISSING: EX_UNAVAILABLE,
    Code.MODEL_UNKNOWN: EX_UNAVAILABLE,
    Code.DOWNLOAD_FAILED: EX_UNAVAILABLE,
    # What a restart cannot mend: units list 78 in RestartPreventExitStatus=.
    Code.CONFIG_INVALID: EX_CONFIG,
    Code.PORT_IN_USE: EX_CONFIG,
    Code.UNSAFE_PATH: EX_CONFIG,
    Code.ALREADY_RUNNING: EX_CONFIG,
    Code.MODEL_DAMAGED: EX_CONFIG,
    Code.DATA_DAMAGED: EX_CONFIG,
    Code.DATA_NEWER: EX_CONFIG,
}


class OcgError(Exception):
    """Raised where something goes wrong; turned into text, JSON or an exit status in one place each.

    `param` names the attribute of a request that is to blame, where one is.
    """

    def __init__(self, code: Code, message: str, hint: str = "", *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.param = param

    def __str__(self) -> str:
        """One line: the message, then what to do."""
        return f"{self.message} — {self.hint}" if self.hint else self.message
