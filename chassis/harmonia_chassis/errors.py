"""One tree of errors for the whole mesh. The class says what the caller can do about it; the reason
says what happened, in a word that programs may compare. `status.py` carries both across the wire.

HarmoniaError
  InvalidInput        INVALID_ARGUMENT     change the request
  NotFound            NOT_FOUND            it does not exist, or is not yours
  Conflict            ALREADY_EXISTS       somebody was first: read again
  FailedPrecondition  FAILED_PRECONDITION  not in this state
  PermissionDenied    PERMISSION_DENIED    ask for the right
  Unauthenticated     UNAUTHENTICATED      say who you are
  QuotaExceeded       RESOURCE_EXHAUSTED   wait until retry_after, or finish something
  Overloaded      *   RESOURCE_EXHAUSTED   too busy now: the same request again, later
  Unavailable     *   UNAVAILABLE          not reachable or not ready now
  DeadlineExceeded*   DEADLINE_EXCEEDED    it took longer than you would wait
  Cancelled           CANCELLED            you, or somebody with the right, stopped it
  Internal            INTERNAL             our fault; quote the request id

* retryable: the same request may succeed when it is sent again.
"""

from datetime import timedelta
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """What happened; `MEANINGS` has a line for each."""

    MALFORMED = "MALFORMED"
    MISSING = "MISSING"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNKNOWN_VALUE = "UNKNOWN_VALUE"
    TOO_LONG = "TOO_LONG"
    TOO_LARGE = "TOO_LARGE"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    NOT_YET_SUPPORTED = "NOT_YET_SUPPORTED"
    CONTRADICTORY = "CONTRADICTORY"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    AUDIO_UNREADABLE = "AUDIO_UNREADABLE"
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    SONG_NOT_FOUND = "SONG_NOT_FOUND"
    ARTIFACT_NOT_FOUND = "ARTIFACT_NOT_FOUND"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    WEBHOOK_NOT_FOUND = "WEBHOOK_NOT_FOUND"
    PROJECT_NOT_FOUND = "PROJECT_NOT_FOUND"
    SHARE_NOT_FOUND = "SHARE_NOT_FOUND"
    METHOD_NOT_FOUND = "METHOD_NOT_FOUND"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    NAME_TAKEN = "NAME_TAKEN"
    ETAG_MISMATCH = "ETAG_MISMATCH"
    WRONG_STATE = "WRONG_STATE"
    MODEL_DAMAGED = "MODEL_DAMAGED"
    MODEL_UNREADABLE = "MODEL_UNREADABLE"
    LICENCE_REFUSED = "LICENCE_REFUSED"
    SCOPE_MISSING = "SCOPE_MISSING"
    CALLER_REFUSED = "CALLER_REFUSED"
    GRANT_REFUSED = "GRANT_REFUSED"
    TOKEN_MISSING = "TOKEN_MISSING"  # noqa: S105  a reason, not a secret
    TOKEN_INVALID = "TOKEN_INVALID"  # noqa: S105  a reason, not a secret
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105  a reason, not a secret
    CERTIFICATE_REFUSED = "CERTIFICATE_REFUSED"
    TENANT_UNFINISHED = "TENANT_UNFINISHED"
    TOO_MANY = "TOO_MANY"
    RATE_LIMITED = "RATE_LIMITED"
    STORE_FULL = "STORE_FULL"
    STORE_UNWRITABLE = "STORE_UNWRITABLE"
    STORAGE_QUOTA = "STORAGE_QUOTA"
    NO_FREE_SLOT = "NO_FREE_SLOT"
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    NOT_READY = "NOT_READY"
    RESTARTING = "RESTARTING"
    CAPABILITIES_UNKNOWN = "CAPABILITIES_UNKNOWN"
    UNREACHABLE = "UNREACHABLE"
    DEADLINE = "DEADLINE"
    CANCELLED = "CANCELLED"
    ATTEMPTS_EXHAUSTED = "ATTEMPTS_EXHAUSTED"
    ENGINE_FAILED = "ENGINE_FAILED"
    ENCODER_FAILED = "ENCODER_FAILED"
    HOME_IN_USE = "HOME_IN_USE"
    PROCESS_FAILED = "PROCESS_FAILED"
    NATS_SERVER_UNFIT = "NATS_SERVER_UNFIT"
    INTERNAL = "INTERNAL"


MEANINGS: dict[Reason, str] = {
    Reason.MALFORMED: "The value is not written as the field asks.",
    Reason.MISSING: "A field without a default is empty.",
    Reason.OUT_OF_RANGE: "A number, or a count, is outside what the field allows.",
    Reason.UNKNOWN_VALUE: "The value is none of those the field knows; the message lists them.",
    Reason.TOO_LONG: "A text has more characters than the field allows.",
    Reason.TOO_LARGE: "A file is larger or longer than the limit.",
    Reason.NOT_SUPPORTED: "The engine cannot do this; the message names those that can.",
    Reason.NOT_YET_SUPPORTED: "A field or method of a later release.",
    Reason.CONTRADICTORY: "Two fields cannot both be as they are.",
    Reason.UNKNOWN_FIELD: "The request has a field that this server does not know.",
    Reason.MESSAGE_TOO_LARGE: "A message is over the limit of 4 MiB, or its metadata over 16 KiB.",
    Reason.AUDIO_UNREADABLE: "The file is not audio that can be decoded.",
    Reason.DIGEST_MISMATCH: "The bytes are not the ones that their SHA-256 names.",
    Reason.SONG_NOT_FOUND: "No such song, or not one of yours.",
    Reason.ARTIFACT_NOT_FOUND: "No such file, or not one of yours.",
    Reason.KEY_NOT_FOUND: "No such API key, or not one of yours.",
    Reason.MODEL_NOT_FOUND: "No model of that name; the message lists those there are.",
    Reason.WEBHOOK_NOT_FOUND: "No such webhook, or not one of yours.",
    Reason.PROJECT_NOT_FOUND: "No such project, or not one of yours.",
    Reason.SHARE_NOT_FOUND: "No such share, or not one of yours.",
    Reason.METHOD_NOT_FOUND: "This door of the service does not offer the method.",
    Reason.REQUEST_ID_REUSED: "The request_id was used before, for another request.",
    Reason.NAME_TAKEN: "Something else has that name.",
    Reason.ETAG_MISMATCH: "The resource has changed since you read it.",
    Reason.WRONG_STATE: "The resource is not in a state that allows this.",
    Reason.MODEL_DAMAGED: "A file of the model is not what its inventory says; the message names it.",
    Reason.MODEL_UNREADABLE: "The folder or repository holds no model that can be played here.",
    Reason.LICENCE_REFUSED: "The licence of the weights does not allow it to this tenant; the message names what does.",
    Reason.SCOPE_MISSING: "The token does not carry the scope that the method needs.",
    Reason.CALLER_REFUSED: "The method is not for callers of this kind.",
    Reason.GRANT_REFUSED: "The job grant is missing, expired, or not for this.",
    Reason.TOKEN_MISSING: "The call came without a token.",
    Reason.TOKEN_INVALID: "The token is not one this door accepts.",
    Reason.TOKEN_EXPIRED: "The token was valid and is no longer.",
    Reason.CERTIFICATE_REFUSED: "The client certificate does not name a service of this mesh.",
    Reason.TENANT_UNFINISHED: "The tenant has as many unfinished songs as it may have.",
    Reason.TOO_MANY: "There are as many of these as there may be; the message says how many.",
    Reason.RATE_LIMITED: "More requests in a minute than the tenant may send.",
    Reason.STORE_FULL: "The queue or the disk is as full as it may be.",
    Reason.STORE_UNWRITABLE: "The store cannot write where its files lie; the message says why.",
    Reason.STORAGE_QUOTA: "The tenant's files take as much room as they may.",
    Reason.NO_FREE_SLOT: "Every place to work is taken.",
    Reason.TOO_MANY_CALLS: "The server has as many calls open as it may have.",
    Reason.NOT_READY: "The service is starting.",
    Reason.RESTARTING: "The service is going down; another takes over.",
    Reason.CAPABILITIES_UNKNOWN: "No engine has said yet what it can do.",
    Reason.UNREACHABLE: "The service did not answer.",
    Reason.DEADLINE: "The time the caller gave is over.",
    Reason.CANCELLED: "The call or the song was cancelled.",
    Reason.ATTEMPTS_EXHAUSTED: "The stage failed as often as it may.",
    Reason.ENGINE_FAILED: "The engine could not make the song.",
    Reason.ENCODER_FAILED: "A file could not be written in the format asked for.",
    Reason.HOME_IN_USE: "Another mesh runs in this home; the message names its process.",
    Reason.PROCESS_FAILED: "A process of the local mesh does not start or stay; the message names its log.",
    Reason.NATS_SERVER_UNFIT: "nats-server is missing or older than 2.11.",
    Reason.INTERNAL: "A defect of Harmonia; the request id leads to the log line.",
}


class HarmoniaError(Exception):
    """Never raised itself. `request_id` is set at the caller, from the answer."""

    retryable: ClassVar[bool] = False
    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: Reason,
        field: str = "",
        retry_after: timedelta | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.field = field
        self.retry_after = retry_after
        self.metadata = metadata
        self.request_id = ""


class InvalidInput(HarmoniaError):
    code = "INVALID_ARGUMENT"


class NotFound(HarmoniaError):
    code = "NOT_FOUND"


class Conflict(HarmoniaError):
    code = "ALREADY_EXISTS"


class FailedPrecondition(HarmoniaError):
    code = "FAILED_PRECONDITION"


class PermissionDenied(HarmoniaError):
    code = "PERMISSION_DENIED"


class Unauthenticated(HarmoniaError):
    code = "UNAUTHENTICATED"


class QuotaExceeded(HarmoniaError):
    code = "RESOURCE_EXHAUSTED"


class Overloaded(HarmoniaError):
    code = "RESOURCE_EXHAUSTED"
    retryable = True


class Unavailable(HarmoniaError):
    code = "UNAVAILABLE"
    retryable = True


class DeadlineExceeded(HarmoniaError):
    code = "DEADLINE_EXCEEDED"
    retryable = True


class Cancelled(HarmoniaError):
    code = "CANCELLED"


class Internal(HarmoniaError):
    code = "INTERNAL"
