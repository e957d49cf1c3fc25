import { expect, it } from 'vitest';
import { RecordedTerminal } from '../testing/recorded-terminal.ts';
import { paint } from './colour.ts';
import { ProgressLine } from './progress.ts';

const shownOn = (terminal: RecordedTerminal, total: number): string => {
  {
    using progress = new ProgressLine(terminal.err);
    progress.show({ sent: 5_000, total });
    progress.show({ sent: total, total });
  }
  return terminal.stderr;
};

it('says how far long work is, and cleans the line up', () => {
  expect(shownOn(new RecordedTerminal(true), 100_000)).toBe(
    '\r\x1b[Ksent 5,000 of 100,000\r\x1b[Ksent all; the agent is at work\r\x1b[K',
  );
});

it('says nothing of short work, or where nobody watches', () => {
  expect(shownOn(new RecordedTerminal(true), 6_000)).toBe('');
  expect(shownOn(new RecordedTerminal(false), 100_000)).toBe('');
});

it('paints only where colours are taken', () => {
  expect(paint(new RecordedTerminal(true).out, 'red', 'lost')).toBe('\x1b[31mlost\x1b[0m');
  expect(paint(new RecordedTerminal(false).out, 'red', 'lost')).toBe('lost');
});
