// The import table of the design, enforced: what may know what, and that the core reaches no I/O.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const src = resolve(import.meta.dirname, '../../src');

/** For each folder of src, the folders that it may import. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  resources: [],
  ports: ['resources'],
  forwarding: ['ports', 'resources'],
  telemetry: [],
  dataplane: ['forwarding', 'resources', 'telemetry'],
  health: ['resources', 'telemetry'],
  store: ['resources'],
  host: ['resources', 'store'],
  gateway: ['dataplane', 'forwarding', 'health', 'host', 'ports', 'resources', 'store', 'telemetry'],
  wire: [],
  api: ['dataplane', 'gateway', 'ports', 'resources', 'store', 'telemetry', 'wire'],
  agent: ['api', 'dataplane', 'gateway', 'health', 'host', 'store', 'telemetry'],
  doctor: ['dataplane', 'host'],
  cli: ['agent', 'doctor', 'wire'],
};

/** Steps 1 to 3 are pure: these folders may use these packages, and nothing of Node. */
const core: Readonly<Record<string, readonly string[]>> = {
  resources: ['ipaddr.js', 'immutable'],
  ports: ['immutable'],
  forwarding: ['immutable'],
};

/** A clock, chance, or a process would make equal inputs give unequal answers. */
const impure =
  /\b(Date\.now|new Date\(\)|Math\.random|performance\.|process\.|setTimeout|setImmediate|setInterval|fetch\()/;
/** Not specified to the bit, so two gateways could choose differently (ECMA-262, Math). */
const inexact = /\bMath\.(log|exp|pow|sin|cos|tan|cbrt|hypot)\w*\(/;

interface Import {
  readonly file: string;
  readonly specifier: string;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
  .map((file) => join(src, file));
const shipped = files.filter((file) => !/\.test\.ts$|\/testing\//.test(file));

function folderOf(file: string): string {
  return relative(src, file).split('/')[0] ?? '';
}

function importsOf(file: string): readonly Import[] {
  const text = readFileSync(file, 'utf8');
  const found = text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;]*?from\s*'([^']+)'|import\('([^']+)'\)/g);
  return [...found].map((match) => ({ file, specifier: match[1] ?? match[2] ?? '' }));
}

function target({ file, specifier }: Import): string | undefined {
  return specifier.startsWith('.') ? folderOf(resolve(dirname(file), specifier)) : undefined;
}

describe('imports point down', () => {
  it('finds the sources', () => {
    expect(shipped.length).toBeGreaterThan(40);
    expect(shipped.flatMap(importsOf).length).toBeGreaterThan(100);
  });

  it('knows every folder of src', () => {
    const folders = new Set(shipped.map(folderOf));
    expect([...folders].filter((folder) => !(folder in allowed))).toEqual([]);
  });

  it.each(Object.keys(allowed))('%s imports only what stands below it', (folder) => {
    const wrong = shipped
      .filter((file) => folderOf(file) === folder)
      .flatMap(importsOf)
      .filter((found) => {
        const to = target(found);
        return to !== undefined && to !== folder && !allowed[folder]?.includes(to);
      })
      .map(({ file, specifier }) => `${relative(src, file)} imports ${specifier}`);
    expect(wrong).toEqual([]);
  });

  it('keeps the data planes apart', () => {
    const planes = ['nftables', 'xdp'];
    const wrong = shipped.flatMap(importsOf).filter(({ file, specifier }) => {
      const from = planes.find((plane) => file.includes(`/dataplane/${plane}/`));
      return from === 'nftables' && specifier.includes('/xdp/');
    });
    expect(wrong).toEqual([]);
  });
});

it('the doctor judges without looking: only its reading part reaches the host', () => {
  const wrong = shipped
    .filter((file) => file.includes('/doctor/judge/'))
    .flatMap(importsOf)
    .filter(({ specifier }) => !specifier.startsWith('.') || specifier.includes('/read/'))
    .map(({ file, specifier }) => `${relative(src, file)} imports ${specifier}`);
  expect(wrong).toEqual([]);
});

describe('the core is pure', () => {
  const coreFiles = shipped.filter((file) => folderOf(file) in core);

  it.each(Object.keys(core))('%s uses no package but the named ones, and nothing of Node', (folder) => {
    const wrong = coreFiles
      .filter((file) => folderOf(file) === folder)
      .flatMap(importsOf)
      .filter((found) => target(found) === undefined && !core[folder]?.includes(found.specifier))
      .map(({ file, specifier }) => `${relative(src, file)} imports ${specifier}`);
    expect(wrong).toEqual([]);
  });

  it('asks no clock, no chance, no process', () => {
    const wrong = coreFiles.filter((file) => impure.test(withoutComments(file)));
    expect(wrong.map((file) => relative(src, file))).toEqual([]);
  });

  it('uses no arithmetic that differs between machines', () => {
    const wrong = coreFiles.filter((file) => inexact.test(withoutComments(file)));
    expect(wrong.map((file) => relative(src, file))).toEqual([]);
  });
});

function withoutComments(file: string): string {
  return readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
}
