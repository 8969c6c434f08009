"""What the checks about compression of ../../README.md share, in both programs on Python."""

from content import binary

NAMES = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
]
# Each choice about what the two compressors may remember.
TAKEOVER = ["", NAMES[0], NAMES[1], f"{NAMES[0]}; {NAMES[1]}"]


def join(*terms):
    return "; ".join(term for term in terms if term)


def windows(smallest_of_client):
    """Every pair of windows, named or not."""
    servers = [""] + [f"{NAMES[2]}={bits}" for bits in range(8, 16)]
    clients = [""] + [f"{NAMES[3]}={bits}" for bits in range(smallest_of_client, 16)]
    return [join(server, client) for server in servers for client in clients]


def parameters(settings):
    """The arguments of websockets' factories for settings in the words of an answer."""
    named = [term.partition("=") for term in settings.split("; ") if term]
    return {name: int(bits) if equals else True for name, equals, bits in named}


def terms(socket, is_client):
    """What a connection has agreed on, in the same words; what goes without saying is not named."""
    (deflate,) = socket.protocol.extensions
    server, client = ("remote", "local") if is_client else ("local", "remote")
    agreed = [
        (NAMES[0], getattr(deflate, f"{server}_no_context_takeover")),
        (NAMES[1], getattr(deflate, f"{client}_no_context_takeover")),
        (NAMES[2], getattr(deflate, f"{server}_max_window_bits")),
        (NAMES[3], getattr(deflate, f"{client}_max_window_bits")),
    ]
    named = [(name, value) for name, value in agreed if value is not False and value != 15]
    return join(*(name if value is True else f"{name}={value}" for name, value in named))


def messages():
    """The messages that are echoed: those of `../../peer/src/deflate/content.rs`."""
    return ["", people(40), people(41), people(2500), binary(3000)]


def people(count):
    return "".join(f'{{"id":{number},"name":"Ännchen","online":true}}\n' for number in range(count))
