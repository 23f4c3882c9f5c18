"""Walks in a Throng world, without libraries: python3 client.py name password [host port]"""
import hashlib, itertools, socket, struct, sys, time
from unicodedata import normalize

def varint(n):  # protobuf's numbers: seven bits a byte, the lowest first
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
def message(*values):  # fields 1, 2, 3, … from an int, a float, text or bytes each
    out = b""
    for n, value in enumerate(values, 1):
        data = value.encode() if isinstance(value, str) else value
        if isinstance(value, int): out += varint(n << 3) + varint(value)
        elif isinstance(value, float): out += varint(n << 3 | 5) + struct.pack("<f", value)
        else: out += varint(n << 3 | 2) + varint(len(data)) + data
    return out
def fields(data):  # a message as {number: [values]}
    found, rest = {}, iter(data)
    number = lambda byte: byte & 127 | (number(next(rest)) << 7 if byte > 127 else 0)
    for key in map(number, rest):
        value = {1: 8, 5: 4}.get(key & 7) or number(next(rest))  # a number or a length
        if key & 7: value = bytes(itertools.islice(rest, value))
        found.setdefault(key >> 3, []).append(value)
    return found
def send(kind, *values):  # a frame: its length, then Packet { header, payload }
    header = kind, len(message(*values)), next(sequence), int(time.time() * 1000)
    packet = message(message(*header), message(*values))
    server.sendall(struct.pack("<I", len(packet)) + packet)
def connect(address):  # packets are counted from 1 over each connection
    global server, stream, sequence
    server, sequence = socket.create_connection(address, 5), itertools.count(1)
    server.settimeout(30)
    stream = server.makefile("rb")
def read():  # the next packet: (type, fields); REDIRECT says where to go on
    global last
    size, = struct.unpack("<I", stream.read(4))
    data = stream.read(size)
    if len(data) < size: raise OSError("cut short")
    packet = fields(data)
    header, content = fields(packet[1][0]), fields(packet.get(2, [b""])[0])
    kind, last = header[1][0], header[3][0]
    if kind == 1012: gateways.insert(0, (content[1][0].decode(), content[2][0]))
    return kind, content
def resume():  # goes on with the session, at this gateway or another
    known = last
    for wait in (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
        time.sleep(wait)
        for gateway in list(gateways):
            try:
                connect(gateway)
                send(1008, token, known)  # RESUME_REQUEST
                kind, answer = read()  # RESUME_RESPONSE, or ERROR: not now
            except (OSError, struct.error): continue
            if kind == 1009: return answer.get(4) or sys.exit("the session is over; log in")
    sys.exit("no gateway goes on with the session")
def receive(*kinds):  # the next packet of these types; a lost connection is made anew
    global token
    while True:
        try: kind, content = read()
        except (OSError, struct.error):
            if not token: sys.exit("the connection was lost")
            token, = resume()
            continue
        if kind == 1010: sys.exit("refused: " + content[2][0].decode())  # ERROR
        if kind in kinds: return kind, content

name, password, host, port = (sys.argv[1:] + ["127.0.0.1", "8081"])[:4]
gateways, token, secret = [(host, int(port))], None, hashlib.sha256(normalize("NFC", password).encode()).hexdigest()
connect(gateways[0])
send(1006, name, secret, "1.0.0")  # REGISTER_REQUEST; no harm if the name is there already
receive(1007)
send(1000, name, secret, "1.0.0")  # LOGIN_REQUEST
login, place, known = receive(1001)[1], None, {}
if 1 not in login: sys.exit("no log-in: " + login[3][0].decode())
gateways += [(at[3][0].decode(), at[4][0]) for at in map(fields, login.get(6, []))]
send(2000, login[4][0])  # ENTER_WORLD_REQUEST, with the ticket
entered = receive(2001)[1]
token, = entered[6]  # for the resumption of a lost connection
print("in the world as player", fields(entered[3][0])[1][0])
send(2003, 12.0, 8.0)  # MOVE_TO
while place != (12, 8):
    kind, seen = receive(2021, 2023)  # ENTITY_ENTER, SYNC_POSITIONS
    zone, records = (seen[11][0], seen[13]) if kind == 2021 else (seen[1][0], seen[3])
    for record in records:  # 64 bits: handle, x and y in centimetres, rotation
        if kind == 2021: known[zone, record[:2]] = seen  # what the handle means from now on
        entity, bits = known[zone, record[:2]], int.from_bytes(record, "little")
        who, corner = entity[3][0].decode(), struct.unpack("<ff", entity[14][0] + entity[15][0])
        x, y = corner[0] + (bits >> 16 & 0xfffff) / 100, corner[1] + (bits >> 36 & 0xfffff) / 100
        if kind == 2021 or who == name: print(f"{who} is at {x:.1f} {y:.1f}")
        if who == name: place = round(x), round(y)
send(1002)  # LOGOUT_REQUEST
print("left" if 1 in receive(1003)[1] else "not left")
