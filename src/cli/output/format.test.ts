// How single values and columns read.
import { describe, expect, it } from 'vitest';
import { RecordedTerminal } from '../testing/recorded-terminal.ts';
import { age, byteCount, counted, endpoint, plainText, time } from './format.ts';
import { Table } from './table.ts';

describe('format', () => {
  it.each([
    [endpoint('10.0.0.1', 80), '10.0.0.1:80'],
    [endpoint('fd00::1', 80), '[fd00::1]:80'],
    [byteCount(1023), '1023 B'],
    [byteCount(1024), '1.0 KiB'],
    [byteCount(5 * 1024 ** 4), '5.0 TiB'],
    [counted(1, 'port'), '1 port'],
    [counted(3000, 'port'), '3,000 ports'],
    [time({ seconds: 0 }), '1970-01-01T00:00:00Z'],
    [time(null), '-'],
    [age({ seconds: 100 }, 145_000), '45s'],
    [age({ seconds: 0 }, 3_600_000), '60m'],
    [age({ seconds: 0 }, 86_400_000), '24h'],
    [age({ seconds: 0 }, 10 * 86_400_000), '10d'],
    [plainText('a\u001b[31m\nb'), 'a\\x1b[31m\\x0ab'],
  ])('%s', (text, expected) => {
    expect(text).toBe(expected);
  });
});

describe('Table', () => {
  it('writes titles once and widens for later batches', () => {
    const terminal = new RecordedTerminal();
    const table = new Table(terminal.out, [{ title: 'NAME' }, { title: 'N', align: 'right' }]);
    table.write([]);
    table.write([['a', '1']]);
    table.write([['longer', '22']]);
    expect(terminal.stdout).toBe('NAME   N\na      1\nlonger   22\n');
    expect(table.rows).toBe(2);
  });
});
