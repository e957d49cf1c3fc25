// The answer to a change, in the format asked for.
import type { Answer } from '../../wire/client.ts';
import type { OutputFormat } from '../context.ts';
import type { Channel } from '../terminal.ts';
import { writeApplied } from './plan.ts';

export async function writeApplyAnswer(
  channel: Channel,
  answer: Answer<'ApplyResponse'>,
  options: { readonly dryRun: boolean; readonly format: OutputFormat },
): Promise<void> {
  switch (options.format) {
    case 'table':
    case 'wide':
      writeApplied(channel, answer, { dryRun: options.dryRun, format: options.format });
      return;
    case 'json':
    case 'yaml':
      await writeMessage(channel, options.format, 'ApplyResponse', answer);
  }
}

/** Writes a message in its protobuf JSON form. */
export async function writeMessage(
  channel: Channel,
  format: 'json' | 'yaml',
  type: string,
  message: object,
): Promise<void> {
  const [{ encodeMessage }, { messageType }, { writeStructured }] = await Promise.all([
    import('../file/encode.ts'),
    import('../file/schema.ts'),
    import('./structured.ts'),
  ]);
  await writeStructured(channel, format, encodeMessage(messageType(type), message));
}
