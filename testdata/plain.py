"""A contender with the rule of simple-file-lock, written for the tests: create
a ticket, list, the lowest (mtime, path) enters, delete."""
import glob, os, secrets, socket, sys, time


def enter(directory):
    target = os.path.join(directory, "target")
    name = f"{target}.lock.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(32)}.pid"
    with open(name, "x"):
        pass
    while True:
        queue = []
        for path in glob.glob(glob.escape(target) + ".lock.*.pid"):
            try:
                queue.append((os.stat(path).st_mtime_ns, path))
            except FileNotFoundError:
                pass
        if min(queue)[1] == name:
            return name
        time.sleep(0.0001)


def inside(directory):
    try:
        os.close(os.open(os.path.join(directory, "inside"), os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        with open(os.path.join(directory, "overlaps"), "a") as f:
            f.write("plain\n")
        return False


def main(directory):
    print("ready", flush=True)
    sys.stdin.readline()
    holds = 0
    while not os.path.exists(os.path.join(directory, "stop")):
        ticket = enter(directory)
        if inside(directory):
            os.remove(os.path.join(directory, "inside"))
        os.remove(ticket)
        holds += 1
    print(holds, flush=True)


main(sys.argv[1])
