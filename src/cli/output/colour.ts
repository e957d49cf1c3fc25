// Colours, where the terminal takes them.
import type { Channel } from '../terminal.ts';

const codes = { bold: 1, red: 31, green: 32, yellow: 33, dim: 2 } as const;

/** The text in a colour, or plain where colours are not wanted. */
export function paint(channel: Channel, colour: keyof typeof codes, text: string): string {
  return channel.colours && text !== '' ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text;
}
