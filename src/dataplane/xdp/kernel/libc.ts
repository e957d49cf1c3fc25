// What of libc is needed beside libbpf. -1 is failure everywhere, and `errno` says why.
import { type Foreign, koffi, type Memory, type Pointer } from './foreign.ts';

export interface Libc {
  readonly mmap: Foreign<
    (at: null, length: number, protection: number, flags: number, file: number, offset: number) => Pointer
  >;
  readonly munmap: Foreign<(at: Pointer, length: number) => number>;
  readonly mount: Foreign<
    (source: string, target: string, type: string, flags: number, options: string) => number
  >;
  /** fsopen(2), fsconfig(2) and fsmount(2), which glibc has by name since 2.36. */
  readonly openFileSystem: Foreign<(call: 430, type: string, flags: number) => number>;
  readonly configureFileSystem: Foreign<
    (call: 431, context: number, command: number, key: null, value: null, more: number) => number
  >;
  readonly mountFileSystem: Foreign<
    (call: 432, context: number, flags: number, attributes: number) => number
  >;
  readonly duplicate: Foreign<(file: number, command: number, least: number) => number>;
  readonly lock: Foreign<(file: number, operation: number) => number>;
  readonly socket: Foreign<(family: number, type: number, protocol: number) => number>;
  readonly socketOption: Foreign<
    (socket: number, level: number, name: number, value: Memory, size: Memory) => number
  >;
  readonly send: Foreign<(socket: number, bytes: Memory, length: number, flags: number) => number>;
  readonly receive: Foreign<(socket: number, bytes: Memory, length: number, flags: number) => number>;
  readonly ioctl: Foreign<(file: number, request: number, argument: Memory) => number>;
  readonly enterNamespace: Foreign<(file: number, kind: number) => number>;
  readonly interfaceName: Foreign<(index: number, name: Memory) => Pointer | null>;
  readonly print: Foreign<(into: Memory, size: number, format: Memory, list: Memory) => number>;
}

let loaded: Libc | undefined;

export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

export function errno(): number {
  return koffi().errno();
}

function load(): Libc {
  const library = koffi().load('libc.so.6');
  return {
    mmap: library.func('void *mmap(void *, size_t, int, int, int, int64_t)') as Libc['mmap'],
    munmap: library.func('int munmap(void *, size_t)') as Libc['munmap'],
    mount: library.func(
      'int mount(const char *, const char *, const char *, unsigned long, const char *)',
    ) as Libc['mount'],
    openFileSystem: library.func('long syscall(long, const char *, unsigned int)') as Libc['openFileSystem'],
    configureFileSystem: library.func(
      'long syscall(long, int, unsigned int, const char *, const void *, int)',
    ) as Libc['configureFileSystem'],
    mountFileSystem: library.func(
      'long syscall(long, int, unsigned int, unsigned int)',
    ) as Libc['mountFileSystem'],
    duplicate: library.func('int fcntl(int, int, int)') as Libc['duplicate'],
    lock: library.func('int flock(int, int)') as Libc['lock'],
    socket: library.func('int socket(int, int, int)') as Libc['socket'],
    socketOption: library.func('int getsockopt(int, int, int, void *, void *)') as Libc['socketOption'],
    send: library.func('long send(int, void *, size_t, int)') as Libc['send'],
    receive: library.func('long recv(int, void *, size_t, int)') as Libc['receive'],
    ioctl: library.func('int ioctl(int, unsigned long, void *)') as Libc['ioctl'],
    enterNamespace: library.func('int setns(int, int)') as Libc['enterNamespace'],
    interfaceName: library.func('void *if_indextoname(unsigned int, void *)') as Libc['interfaceName'],
    print: library.func('int vsnprintf(void *, size_t, void *, void *)') as Libc['print'],
  };
}
