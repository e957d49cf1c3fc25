"""One machine of a test lab: reads a command per line, answers a line of JSON each. Runs inside a network namespace."""
import json, os, socket, struct, subprocess, sys, threading, time

SLOWNESS = float(os.environ.get('PENSTOCK_SLOWNESS', 1))
LIMIT = 0.7 * SLOWNESS
sockets, senders, errors = {}, {}, []
fates = {'open': 0, 'closed': 0, 'reset': 0}


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def peer_text(peer):
    return '%s/%d' % (peer[0], peer[1])


def serve_tcp(server, name):
    def talk(conn, peer):
        fates['open'] += 1
        fate = 'closed'
        try:
            while True:
                if not conn.recv(2048):
                    break
                conn.sendall(json.dumps([name, peer_text(peer)]).encode())
        except ConnectionResetError:
            fate = 'reset'
        except OSError:
            pass
        fates['open'] -= 1
        fates[fate] += 1
        conn.close()
    while True:
        conn, peer = server.accept()
        threading.Thread(target=talk, args=(conn, peer), daemon=True).start()


def serve_udp(server, name):
    """Answers a question that needs fragments by an answer as long."""
    while True:
        question, peer = server.recvfrom(65535)
        answer = json.dumps([name, peer_text(peer)]).encode()
        server.sendto(answer.ljust(len(question)) if len(question) > 1000 else answer, peer)


def receive_all(s, count):
    left = count
    while left > 0:
        chunk = s.recv(min(left, 65536))
        if not chunk:
            raise ConnectionError('%d of %d bytes missing' % (left, count))
        left -= len(chunk)


def serve_bulk(server):
    """Takes as many bytes as the first eight say, and gives as many as the next eight say."""
    while True:
        conn, _ = server.accept()
        try:
            up, down = struct.unpack('!QQ', conn.recv(16, socket.MSG_WAITALL))
            receive_all(conn, up)
            conn.sendall(b'y' * down)
        except OSError:
            pass
        conn.close()


def listen(transport, address, port, name):
    kind = socket.SOCK_STREAM if transport == 'tcp' else socket.SOCK_DGRAM
    server = socket.socket(family(address), kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    if transport == 'tcp':
        server.listen(256)
    threading.Thread(target=serve_tcp if transport == 'tcp' else serve_udp, args=(server, name), daemon=True).start()
    return 'listening'


def connect(key, transport, address, port, source_port=0):
    s = socket.socket(family(address), socket.SOCK_STREAM if transport == 'tcp' else socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(LIMIT)
    if source_port:
        s.bind(('', source_port))
    s.connect((address, port))
    sockets[key] = s
    return list(s.getsockname()[:2])


def ask(key, size=100):
    s = sockets[key]
    s.send(b'x' * size)
    answer = s.recv(65535)
    if not answer:
        raise ConnectionError('closed')
    return json.loads(answer) + [len(answer)]


def fate(key):
    """How a connection ends, without asking anything of it."""
    try:
        return 'closed' if not sockets[key].recv(65535) else 'open'
    except ConnectionResetError:
        return 'reset'
    except TimeoutError:
        return 'open'


def close(key):
    sockets.pop(key).close()
    return 'closed'


def abort(key):
    """Closes with a reset, after which the port is free at once."""
    s = sockets.pop(key)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()
    return 'aborted'


def spread(transport, address, port, count):
    """Opens `count` flows one after the other; gives [source address, source port, member] of each."""
    found = []
    for number in range(count):
        mine = connect('spread', transport, address, port)
        found.append(mine + [ask('spread')[0]])
        close('spread')
    return found


def flood(address, count):
    """Opens flows that nobody answers: one datagram to each port from 10000 on."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as s:
        for port in range(10000, 10000 + count):
            s.sendto(b'x', (address, port))
    return 'flooded'


def recite(address, port, text):
    """Answers each question by a fixed text."""
    def serve(server):
        while True:
            conn, _ = server.accept()
            while conn.recv(2048):
                conn.sendall(text.encode())
            conn.close()
    server = socket.create_server((address, port))
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    return 'listening'


def question(key, text):
    sockets[key].sendall(text.encode())
    return sockets[key].recv(2048).decode()


def offer(address, port):
    """Listens for transfers."""
    server = socket.create_server((address, port), family=family(address))
    threading.Thread(target=serve_bulk, args=(server,), daemon=True).start()
    return 'listening'


def transfer(address, port, up, down):
    with socket.create_connection((address, port), timeout=10 * SLOWNESS) as s:
        s.sendall(struct.pack('!QQ', up, down) + b'x' * up)
        receive_all(s, down)
    return 'transferred'


def watch(version):
    """Notes ICMP errors from now on: who sent each, its type and code, and where the packet that it is about went."""
    v4 = version == 4
    s = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_RAW, 1 if v4 else 58)

    def run():
        while True:
            packet, peer = s.recvfrom(65535)
            error = packet[20:] if v4 else packet
            if (error[0] != 3) if v4 else (error[0] >= 128):
                continue
            inner = error[8:]
            to = socket.inet_ntop(s.family, inner[16:20] if v4 else inner[24:40])
            errors.append([peer[0], error[0], error[1], to])
    threading.Thread(target=run, daemon=True).start()
    return 'watching'


def noted():
    """Waits for the first, if need be, and for those that come with it."""
    until = time.monotonic() + 3 * SLOWNESS
    while not errors and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)
    found = errors[:]
    errors.clear()
    return found


def forget_paths():
    """What was learnt of path MTUs before."""
    for version in '-4', '-6':
        subprocess.run(['ip', version, 'route', 'flush', 'cache'], check=True)
    return 'forgotten'


def ping(address):
    """True where an echo comes back soon."""
    v4 = family(address) == socket.AF_INET
    mark = b'penstock'
    # Type, code, checksum, number, sequence; for IPv6 the kernel adds the checksum.
    echo = lambda checksum: struct.pack('!BBHHH', 8 if v4 else 128, 0, checksum, 1, 1) + mark
    total = sum(struct.unpack('!8H', echo(0)))
    total = (total >> 16) + (total & 0xffff)
    with socket.socket(family(address), socket.SOCK_RAW, 1 if v4 else 58) as s:
        s.settimeout(SLOWNESS)
        s.sendto(echo(~total & 0xffff), (address, 0))
        until = time.monotonic() + SLOWNESS
        try:
            while time.monotonic() < until:
                packet, peer = s.recvfrom(2048)
                answer = packet[20:] if v4 else packet
                if answer[0] == (0 if v4 else 129) and answer.endswith(mark) and peer[0] == address:
                    return True
        except OSError:
            pass
    return False


def send(key, address, port):
    """Sends a datagram every 2 ms for ever; notes who answers."""
    state = {'sent': 0, 'answers': {}, 'stop': False}
    s = socket.socket(family(address), socket.SOCK_DGRAM)
    s.settimeout(0.002)
    s.bind(('', 0))
    senders[key] = state

    def run():
        while not state['stop']:
            try:
                s.sendto(b'x', (address, port))
                state['sent'] += 1
                flags = 0
                # Whatever has come, so that on a slow machine no old answers queue up.
                while True:
                    answer, peer = s.recvfrom(2048, flags)
                    flags = socket.MSG_DONTWAIT
                    # What a machine says late, when its flow has ended, comes untranslated and is no answer.
                    if peer[:2] != (address, port):
                        continue
                    name = json.loads(answer)[0]
                    state['answers'][name] = state['answers'].get(name, 0) + 1
            except OSError:
                pass
            time.sleep(0.002)
        s.close()
    threading.Thread(target=run, daemon=True).start()
    return 'sending'


def hush(key):
    senders[key]['stop'] = True
    return 'silent'


def rest():
    for state in senders.values():
        state['stop'] = True
    return 'resting'


def heard(key):
    """What the sender has noted since it was last asked."""
    state = senders[key]
    found = {'sent': state['sent'], 'answers': state['answers']}
    state['sent'], state['answers'] = 0, {}
    return found


commands = dict(listen=listen, connect=connect, ask=ask, close=close, spread=spread, send=send, heard=heard,
                offer=offer, transfer=transfer, watch=watch, noted=noted, ping=ping,
                forget_paths=forget_paths, hush=hush, rest=rest, abort=abort, flood=flood,
                recite=recite, question=question, fate=fate, fates=lambda: fates)
print(json.dumps({'answer': 'ready'}), flush=True)
for line in sys.stdin:
    name, *args = json.loads(line)
    try:
        print(json.dumps({'answer': commands[name](*args)}), flush=True)
    except Exception as error:
        print(json.dumps({'error': '%s: %s' % (type(error).__name__, error)}), flush=True)
