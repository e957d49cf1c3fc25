import { join } from 'node:path';
import { execa } from 'execa';
import { expect, it } from 'vitest';

const program = `
  import { processTerminal } from ${JSON.stringify(join(import.meta.dirname, 'terminal.ts'))};
  const { out } = processTerminal();
  out.write(\`terminal \${out.isTerminal}, colours \${out.colours}\`);`;
const node = [process.execPath, '--input-type=module', '-e', program] as const;

/** What it says through a pipe, and on a pseudo-terminal, which script(1) makes. */
async function said(where: 'pipe' | 'terminal', env: Readonly<Record<string, string>> = {}): Promise<string> {
  const [file, ...args] = node;
  const quoted = node.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  const { stdout } =
    where === 'pipe'
      ? await execa(file, args, { env: { NO_COLOR: '', TERM: 'xterm', ...env } })
      : await execa('script', ['-qec', quoted, '/dev/null'], {
          env: { NO_COLOR: '', TERM: 'xterm', SHELL: '/bin/sh', ...env },
        });
  return stdout.trim();
}

it('takes colours on a terminal alone', async () => {
  expect(await said('pipe')).toBe('terminal false, colours false');
  expect(await said('terminal')).toBe('terminal true, colours true');
});

it('leaves them out where the user or the terminal does not want them', async () => {
  expect(await said('terminal', { NO_COLOR: '1' })).toBe('terminal true, colours false');
  expect(await said('terminal', { TERM: 'dumb' })).toBe('terminal true, colours false');
});
