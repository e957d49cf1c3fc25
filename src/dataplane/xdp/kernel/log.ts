// libbpf's log, the verifier's among it, captured instead of printed to standard error.
import { koffi, memory, type Pointer } from './foreign.ts';
import { libc } from './libc.ts';
import { libbpf } from './library.ts';

/** enum libbpf_print_level: warnings and information; what is above is for those who mend libbpf. */
const mostVerbose = 1;
/** A va_list is 24 bytes on x86-64 and 32 on arm64; both pass it by its address. */
const listBytes = 32;

const readers = new Set<string[]>();
let listening = false;

/**
 * Runs `work` and hands it what libbpf has said since. libbpf has one log for the process: what two do at the same time,
 * both get.
 */
export function withLog<Result>(work: (log: () => string) => Result): Result {
  listen();
  const lines: string[] = [];
  readers.add(lines);
  const done = (): void => void readers.delete(lines);
  try {
    const result = work(() => lines.join(''));
    if (result instanceof Promise) void result.then(done, done);
    else done();
    return result;
  } catch (error) {
    done();
    throw error;
  }
}

function listen(): void {
  if (listening) return;
  const { register, pointer, proto } = koffi();
  const type = pointer(proto('int(int, void *, void *)'));
  libbpf().setPrint(register(take, type));
  listening = true;
}

function take(level: number, format: Pointer, list: Pointer): number {
  if (level > mostVerbose || readers.size === 0) return 0;
  // Formatting uses a list up, and it takes two rounds: the verifier's log has any length.
  const original = new Uint8Array(koffi().view(list, listBytes));
  const copy = memory(listBytes);
  copy.set(original);
  const length = libc().print(null, 0, format, copy);
  const text = memory(length + 1);
  copy.set(original);
  libc().print(text, length + 1, format, copy);
  const line = text.toString('utf8', 0, length).replace(/^libbpf: /, '');
  for (const lines of readers) lines.push(line);
  return 0;
}
