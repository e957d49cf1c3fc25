// Many commands of ip(8) at the cost of one process.
import { execa } from 'execa';

export async function batch(commands: readonly string[], namespace?: string): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  await execa('ip', [...where, '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
