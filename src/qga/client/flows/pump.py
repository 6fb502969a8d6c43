"""The program that holds a pseudo-terminal in the guest, where the guest has Python. For `shell`.

`python3 -I -S -c PUMP PROGRAM ARGUMENT...` runs PROGRAM in a new terminal, whose other end are its
own standard input and output. It ends as PROGRAM does: with its exit code, or by the same signal.
When its input ends, or SIGTERM or SIGHUP comes, it hangs up, as a modem did: the kernel tells the
programs of the terminal by SIGHUP.

It is for every Python 3, so older ways are used than this package could.
"""

# MOST bounds what is on its way in one direction, in bytes; PIECE is what one write to a pipe that
# has room takes at least, which POSIX calls PIPE_BUF. GRACE and QUIET are seconds: for the end of
# programs that are hung up, for what may still come when the program has ended, between two small
# pieces that belong together, and for more of them to come.
PUMP = '''
import errno, os, pty, select, signal, sys, time
MOST, PIECE, GRACE, QUIET, DROPS, MOMENT = 65536, 4096, 1.5, 0.3, 0.02, 0.002

def stop(number, frame):
    raise SystemExit

def write(fd, data):
    try:
        return data[os.write(fd, data[:PIECE]):]
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EINTR):
            return data
        raise

def read(fd, size):
    try:
        return os.read(fd, size)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise

def carry(pid, master, woken):
    """Pass on what comes until the program has ended, or has closed its terminal."""
    typed = printed = b""
    status = None
    small, last = 0, 0.0
    while True:
        readable, writable = [woken], []
        if status is None and len(typed) < MOST:
            readable.append(0)
        if len(printed) < MOST:
            readable.append(master)
        if typed:
            writable.append(master)
        if printed:
            writable.append(1)
        wait = None if status is None or printed else QUIET
        try:
            readable, writable, _ = select.select(readable, writable, [], wait)
        except OSError as error:
            if error.errno != errno.EINTR:
                raise
            continue
        if woken in readable:
            os.read(woken, PIECE)
        if status is None:
            done, code = os.waitpid(pid, os.WNOHANG)
            if done:
                status, typed = code, b""
        if 1 in writable:
            printed = write(1, printed)
        if master in writable and typed:
            typed = write(master, typed)
        if 0 in readable and status is None:
            data = os.read(0, MOST)
            if not data:
                raise SystemExit
            typed += data
        if master in readable:
            data = read(master, MOST)
            if not data:
                while printed:
                    printed = write(1, printed)
                return status
            printed += data
            # What comes in drops, as lines of some programs do, is collected for a moment.
            now = time.time()
            small = small + 1 if len(data) < PIECE // 8 and now - last < DROPS else 0
            last = now
            if small > 8:
                time.sleep(MOMENT)
        elif status is not None and not printed and not readable:
            return status

def members(session):
    """The processes of a session."""
    for name in os.listdir("/proc"):
        try:
            with open("/proc/" + name + "/stat", "rb") as stat:
                if int(stat.read().rpartition(b")")[2].split()[3]) == session:
                    yield int(name)
        except (OSError, IndexError, ValueError):
            pass

def ended(pid, seconds):
    """The status of a program that ends in time, else None."""
    until = time.time() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.time() > until:
            return None
        time.sleep(0.02)

def hang_up(pid, master):
    """Take the terminal away; return the status of the program then."""
    for process in list(members(pid)):
        try:
            os.kill(process, signal.SIGHUP)
            os.kill(process, signal.SIGCONT)
        except OSError:
            pass
    os.close(master)
    status = ended(pid, GRACE)
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
    return os.waitpid(pid, 0)[1] if status is None else status

def main():
    pid, master = pty.fork()
    if not pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_DFL)
            except (OSError, ValueError):
                pass
        try:
            os.execvp(sys.argv[1], sys.argv[1:])
        except OSError as error:
            os.write(2, ("%s: %s\\r\\n" % (sys.argv[1], error.strerror)).encode())
        os._exit(127)
    woken, wake = os.pipe()
    for fd in (master, woken, wake):
        os.set_blocking(fd, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    os.write(wake, b"x")
    status = None
    try:
        status = carry(pid, master, woken)
        if status is None:
            status = ended(pid, QUIET)
    except (SystemExit, OSError):
        pass
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if status is None:
        status = hang_up(pid, master)
    if os.WIFSIGNALED(status):
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))

main()
'''
