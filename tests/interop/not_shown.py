"""What no request shows: the last table of docs/differences.md. Used by `document`.

Each row: what, qemu-ga, qga-agent.
"""

NOT_SHOWN = (
    (
        "clients of a socket",
        "one at a time; the next one waits without an answer",
        "any number at once, each with its own turn",
    ),
    (
        "a client that does not read",
        "holds up everybody; the agent spins and ignores SIGTERM",
        "costs a bounded amount of memory; others are served",
    ),
    (
        "a client of a socket that leaves without having read its replies",
        "ends the agent, with exit code 0",
        "is forgotten",
    ),
    (
        "permissions of a unix socket",
        "by umask",
        "0600",
    ),
    (
        "SIGTERM while frozen",
        "ignored: only SIGKILL ends the agent, and leaves the guest frozen",
        (
            "thaws, then ends; as a service of systemd it leaves the freeze to the next agent, and "
            "the guardian thaws when none comes within 10 s"
        ),
    ),
    (
        "a freeze that nobody ends",
        "lasts for ever",
        (
            "ends after `fsfreeze-timeout` seconds (10 minutes by default), by a process of"
            " its own that also thaws when the agent was killed; a guest-fsfreeze-thaw after that"
            " returns 0"
        ),
    ),
    (
        "a file system that does not freeze",
        "waits for ever, and answers nobody",
        (
            "the freeze is given up after `fsfreeze-mount-timeout` (2 minutes by default), the "
            "error names it, everything else is thawed; other clients are served meanwhile"
        ),
    ),
    (
        "the order of freezing",
        "the one mounted last first",
        (
            "the same, but what is in a file of another file system before that one; there "
            "qemu-ga may hang for ever"
        ),
    ),
    (
        "which file systems are frozen",
        "all that can be",
        "those that `fsfreeze-include` and `fsfreeze-exclude` in the configuration leave",
    ),
    (
        "commands of its own",
        "none",
        (
            "`qga-fsfreeze-freeze`, `-renew`, `-thaw`, `-report`; not with `--compat` of a version "
            "before 10.2"
        ),
    ),
    (
        "guest-fsfreeze-status after a failed thaw",
        "`thawed`",
        (
            "`error`, as the schema of 2011 says; the thaw's reply names each mount point "
            "and its error, and thaw may be repeated"
        ),
    ),
    (
        "`version` in guest-info",
        "its own",
        (
            "the upstream version whose schema is implemented: 10.2.0; `qga-agent "
            "--version` prints both"
        ),
    ),
    (
        "commands",
        "those of its version",
        "the 43 that Linux has today (10.2), and its own; with `--compat` those of that version",
    ),
    (
        "older dialects",
        "none",
        "`--compat VERSION` speaks as the agent of that version did, from 1.0 on",
    ),
    (
        "text for a blocked command",
        "7.2: `Command X has been disabled`; since 9.1 with `: the command is not allowed`",
        "as since 9.1",
    ),
    (
        "state file",
        "rewritten at each guest-file-open",
        "handles are reserved in blocks of 64; an agent that was killed leaves a gap",
    ),
    (
        "writes to files",
        "buffered: an error may appear at the flush, or nowhere",
        "an error appears at the write; guest-file-flush has nothing left to do",
    ),
    (
        "closing a file again whose close has failed",
        "uses memory that is freed, and may end the agent",
        "the handle is gone since the first close",
    ),
    (
        "a large guest-file-read",
        "the whole reply is built first",
        "is sent while it is read; an error after the first piece makes it a short read",
    ),
    (
        "programs: descriptors with capture-output `stdout` or `stderr`",
        "8.1 and later: a stray one is watched and closed",
        "0, 1 and 2, whatever is captured",
    ),
    (
        "programs that leave others behind, which hold the output",
        "`exited: false` as long as they live",
        (
            "the result comes 5 s after the program's end at the latest; what is printed "
            "later is read and dropped"
        ),
    ),
    (
        "programs: results that nobody fetches",
        "all are kept",
        "the 64 that ended last are kept",
    ),
    (
        "programs: `env` entries that are no NAME=VALUE",
        "passed on",
        "left out: no program finds them",
    ),
    (
        "programs: signal mask and SIGXFSZ",
        "inherited",
        "empty, and the default",
    ),
    (
        "an fsfreeze hook that hangs",
        "hangs the agent for ever",
        (
            "is killed after `fsfreeze-timeout`, the freeze is refused and the hook told of"
            " the thaw; other clients are served meanwhile"
        ),
    ),
    (
        "an fsfreeze hook that leaves something behind which holds its output",
        "hangs the newest version",
        "is not waited for",
    ),
    (
        "the fsfreeze hook at thaws that nobody asked for",
        "is not run",
        (
            "is run with `thaw` after the guardian's thaw, at the agent's end, by the next "
            "agent if one was killed, and after a freeze that froze nothing when no thaw "
            "follows in time; so it may run twice"
        ),
    ),
    (
        "a directory of fsfreeze hooks",
        "by way of a script, which tells nobody of failures",
        (
            "the same; or, with `fsfreeze-hook-dir`, run by the agent, each with a time, an order"
            " and a result of its own, and told of the thaw in reverse order, once"
        ),
    ),
    (
        "files in the state directory",
        "`qga.state`, `qga.state.isfrozen`",
        (
            "also `qga.state.hooked`, while the hook is to be told of a thaw, and "
            "`qga.state.freeze`, the report of the last freeze"
        ),
    ),
    (
        "the account of what the host has had done",
        "to syslog, which may block; lost while frozen",
        (
            "to journald with fields, else to syslog; never waited for, held while frozen; "
            "control characters as `\\xNN`"
        ),
    ),
    (
        "the log with `-v`",
        "whole requests, secrets included",
        "names of commands",
    ),
    (
        "SIGHUP",
        "ends the agent without cleaning up",
        "opens the log file again; without one, stops the agent, which thaws",
    ),
    (
        "`-D` with `daemon=true`",
        "deletes the pid file of a running agent",
        "leaves it",
    ),
    (
        "`-d` when the pid file is locked",
        "exit code 0",
        "exit code 1",
    ),
    (
        "`-h` and `-V` with a broken configuration file",
        "exit code 1",
        "print what they should",
    ),
    (
        "blanks around names in lists of commands",
        "make the name useless",
        "are dropped",
    ),
    (
        "routes: a missing /proc/net/route or ipv6_route",
        "is an error, or ends the agent",
        "is an empty part of the list",
    ),
    (
        "routes: flags and metrics of 32 bits",
        "sign-extended: 18446744071564165121, -1",
        "unsigned: 2149580801, 4294967295",
    ),
    (
        "os-release with single quotes, bad lines or bytes that are no UTF-8",
        "the quote stays in the value; a bad line voids the file",
        "read as a shell would; the other lines count, bytes become U+FFFD",
    ),
    (
        "guest-get-users without utmp",
        "nobody",
        "users with a session of systemd-logind",
    ),
    (
        "time zones: `TZ` with a rule but no dates",
        "UTC",
        "as the C library has it",
    ),
    (
        "file systems that are mounted several times, or mounted over",
        "7.2: an entry each, with the sizes of what covers it",
        (
            "one entry for each device (as newer versions); without sizes, and not trimmed,"
            " where something else covers it"
        ),
    ),
    (
        "guest-get-disks without udev",
        "no alias",
        "the kernel's name for a volume",
    ),
    (
        "disks below PCI roots that are not at the top (ARM without ACPI, VMD)",
        "no address",
        "their address",
    ),
    (
        "guest-fstrim",
        "holds up everything until it ends",
        "other clients are served",
    ),
    (
        "suspending when every supported way fails",
        "may look like success",
        "is an error, with the kernel's reason",
    ),
    (
        "guest-get-time, guest-set-time",
        "microseconds; hwclock is needed",
        ("nanoseconds; the RTC is set and read by itself. A guest without one can be given a time"),
    ),
    (
        "guest-set-user-password: what chpasswd printed",
        "is quoted",
        "is not quoted if the password is in it",
    ),
    (
        "authorized_keys",
        "links are followed; no newline at the end; empty lines come up",
        "no link in the user's home is followed; one key a line, a newline after each",
    ),
    (
        "authorized_keys that belongs to somebody else, or is no file",
        "is used",
        "is refused",
    ),
    (
        "guest-set-memory-blocks",
        "`error-code` beside `success`",
        "only where there is an error",
    ),
    (
        (
            "a freeze while another client's guest-fstrim, -set-time, -suspend-* or the "
            "like is under way"
        ),
        "waits for it, as one request waits for another",
        "is an error that names the command; on one channel it waits",
    ),
    (
        "an unplugged virtio port, with the unit of the package",
        "stops the agent; a quick replug may be missed",
        "the agent waits for the port",
    ),
    (
        "`systemctl restart` of the agent, with the unit of the package",
        "ends programs of guest-exec",
        "leaves them running",
    ),
    (
        "an os-release without end, or more than 256 KiB; a /etc/localtime that is no file",
        "are waited for, or fill the memory",
        "count as absent, and as UTC",
    ),
    (
        "garbage on the channel",
        "an error reply for each byte or token",
        "one for each line, or for each run of 0xFF",
    ),
    (
        "a message beyond 64 MiB, 2 Mi tokens or 1024 levels",
        "an error, and one more for each remaining token",
        "one error",
    ),
)
