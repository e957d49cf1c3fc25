// The shell script that a guest runs.
import { compiledDirectory } from './compiled.ts';

/** What a command sees of the caller's environment: where programs are, and what tests are steered by. */
const passed = /^(PATH|HOME|LANG|LC_.+|CI|NODE_OPTIONS|NO_COLOR|FORCE_COLOR|PENSTOCK_.+)$/;

/** Runs the command in the current directory, with the environment that guests promise. */
export function commandScript(kernel: string, command: readonly string[]): string {
  const environment = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => passed.test(name))),
    TERM: 'dumb',
    NODE_COMPILE_CACHE: compiledDirectory,
    PENSTOCK_VM: kernel,
    PENSTOCK_VM_OUTPUT: '/vm-output',
  };
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${quote(value ?? '')}`);
  // No option of exec, whatever the command's name begins with.
  return [
    `cd -- ${quote(process.cwd())} || exit 125`,
    `export ${settings.join(' ')}`,
    'unset PENSTOCK_VM_DIRECTORY PENSTOCK_VM_MODULES',
    `exec -- ${command.map(quote).join(' ')}`,
    '',
  ].join('\n');
}

/** As one word of a shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
