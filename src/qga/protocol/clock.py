"""The guest's clock: guest-get-time, guest-set-time and guest-get-timezone."""

from .model import Command, Struct


class GetTime(Command[int]):
    """Get the guest's time.

    Returns: nanoseconds since 1970-01-01 00:00 UTC
    """

    NAME = "guest-get-time"
    SINCE = "1.5"


class SetTime(Command[None]):
    """Set the guest's time, as after the guest was suspended or restored from a saved state.

    With *time* the system clock is set to it, and then the hardware clock to the system clock;
    without, the system clock is set to the hardware clock, which the host keeps right.

    Members:
        time: nanoseconds since 1970-01-01 00:00 UTC
    """

    NAME = "guest-set-time"
    SINCE = "1.5"

    time: int | None = None


class Timezone(Struct):
    """The guest's time zone at this moment, daylight saving time included.

    Members:
        zone: its abbreviation, which need not be unique
        offset: seconds that local time is ahead of UTC; negative west of Greenwich
    """

    NAME = "GuestTimezone"
    SINCE = "2.10"

    zone: str | None = None
    offset: int


class GetTimezone(Command[Timezone]):
    """Get the guest's time zone.

    Returns: `GuestTimezone`
    """

    NAME = "guest-get-timezone"
    SINCE = "2.10"
