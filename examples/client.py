"""Walks in a Throng world, without libraries: python3 client.py name password [host port]"""
import hashlib, itertools, socket, struct, sys, time

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
def receive(*kinds):  # the next packet of these types: (type, fields)
    while True:
        packet = fields(stream.read(*struct.unpack("<I", stream.read(4))))
        kind, content = fields(packet[1][0])[1][0], fields(packet.get(2, [b""])[0])
        if kind == 1010: sys.exit("refused: " + content[2][0].decode())  # ERROR
        if kind in kinds: return kind, content

name, password, host, port = (sys.argv[1:] + ["127.0.0.1", "8081"])[:4]
server, sequence = socket.create_connection((host, int(port))), itertools.count(1)
stream, secret = server.makefile("rb"), hashlib.sha256(password.encode()).hexdigest()
send(1006, name, secret, "1.0.0")  # REGISTER_REQUEST; no harm if the name is there already
receive(1007)
send(1000, name, secret, "1.0.0")  # LOGIN_REQUEST
login, place, known = receive(1001)[1], None, {}
if 1 not in login: sys.exit("no log-in: " + login[3][0].decode())
send(2000, login[4][0])  # ENTER_WORLD_REQUEST, with the ticket
print("in the world as player", fields(receive(2001)[1][3][0])[1][0])
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
