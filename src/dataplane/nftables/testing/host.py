"""One machine of a test lab: reads a command per line, answers a line of JSON each. Runs inside a network namespace."""
import json, socket, sys, threading, time

LIMIT = 0.7
sockets, senders = {}, {}


def family(address):
    return socket.AF_INET6 if ':' in address else socket.AF_INET


def peer_text(peer):
    return '%s/%d' % (peer[0], peer[1])


def serve_tcp(server, name):
    def talk(conn, peer):
        try:
            while True:
                if not conn.recv(2048):
                    break
                conn.sendall(json.dumps([name, peer_text(peer)]).encode())
        except OSError:
            pass
        conn.close()
    while True:
        conn, peer = server.accept()
        threading.Thread(target=talk, args=(conn, peer), daemon=True).start()


def serve_udp(server, name):
    while True:
        _, peer = server.recvfrom(65535)
        server.sendto(json.dumps([name, peer_text(peer)]).encode(), peer)


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


def ask(key):
    s = sockets[key]
    s.send(b'x' * 100)
    answer = s.recv(2048)
    if not answer:
        raise ConnectionError('closed')
    return json.loads(answer)


def close(key):
    sockets.pop(key).close()
    return 'closed'


def spread(transport, address, port, count):
    """Opens `count` flows one after the other; gives [source address, source port, member] of each."""
    found = []
    for number in range(count):
        mine = connect('spread', transport, address, port)
        found.append(mine + [ask('spread')[0]])
        close('spread')
    return found


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
                name = json.loads(s.recvfrom(2048)[0])[0]
                state['answers'][name] = state['answers'].get(name, 0) + 1
            except OSError:
                pass
            time.sleep(0.002)
        s.close()
    threading.Thread(target=run, daemon=True).start()
    return 'sending'


def heard(key):
    """What the sender has noted since it was last asked."""
    state = senders[key]
    found = {'sent': state['sent'], 'answers': state['answers']}
    state['sent'], state['answers'] = 0, {}
    return found


commands = dict(listen=listen, connect=connect, ask=ask, close=close, spread=spread, send=send, heard=heard)
print(json.dumps({'answer': 'ready'}), flush=True)
for line in sys.stdin:
    name, *args = json.loads(line)
    try:
        print(json.dumps({'answer': commands[name](*args)}), flush=True)
    except Exception as error:
        print(json.dumps({'error': '%s: %s' % (type(error).__name__, error)}), flush=True)
