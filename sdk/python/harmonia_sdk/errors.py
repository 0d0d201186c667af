"""What a call can end with: the error tree of the mesh. The class says what the caller can do about it."""

from harmonia_chassis.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    FailedPrecondition,
    HarmoniaError,
    Internal,
    InvalidInput,
    NotFound,
    Overloaded,
    PermissionDenied,
    QuotaExceeded,
    Reason,
    Unauthenticated,
    Unavailable,
)

__all__ = [
    "Cancelled",
    "Conflict",
    "DeadlineExceeded",
    "FailedPrecondition",
    "HarmoniaError",
    "Internal",
    "InvalidInput",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "QuotaExceeded",
    "Reason",
    "Unauthenticated",
    "Unavailable",
]
