// `penstock watch`: what happens on the gateway, as it happens.
import { type Command, Option } from 'commander';
import type { Answer } from '../../wire/client.ts';
import { type Context, globalsOf, type OutputFormat, outputOption, wholeNumber } from '../context.ts';
import { paint } from '../output/colour.ts';
import { plainText, time } from '../output/format.ts';
import { outboundText } from '../output/outbound.ts';
import { planSummary, writePorts } from '../output/plan.ts';
import type { Channel } from '../terminal.ts';

interface Options {
  readonly lb?: string;
  readonly after?: number;
  readonly output: OutputFormat;
}

export function addWatch(program: Command, context: Context): void {
  program
    .command('watch')
    .description('print changes and warnings as they happen, until interrupted')
    .option('--lb <name>', 'only of this load balancer')
    .addOption(
      new Option(
        '--after <revision>',
        'first what happened after this revision (default: all mappings now)',
      ).argParser(wholeNumber(1, Number.MAX_SAFE_INTEGER)),
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
-o json prints one event a line.

Examples:
  $ penstock watch --lb web
  $ penstock watch --after 1041 -o json | jq -c '.applied.assigned[]?'`,
    )
    .action(async (options: Options, command: Command) => {
      const globals = globalsOf(command);
      const { withGateway } = await import('../connection.ts');
      const write = await writerOf(context.terminal.out, options.output);
      const interrupted = new AbortController();
      const interrupt = (): void => interrupted.abort();
      process.once('SIGINT', interrupt);
      process.once('SIGTERM', interrupt);
      try {
        await withGateway(globals, async ({ client }) => {
          const request = { afterRevision: options.after ?? 0, loadBalancer: options.lb ?? '' };
          const call = {
            signal: interrupted.signal,
            ...(globals.timeout === undefined ? {} : { timeout: globals.timeout }),
          };
          for await (const event of client.watch(request, call)) write(event);
        });
      } catch (error) {
        if (!interrupted.signal.aborted) throw error;
      } finally {
        process.off('SIGINT', interrupt);
        process.off('SIGTERM', interrupt);
      }
    });
}

type Event = Answer<'Event'>;

async function writerOf(out: Channel, format: OutputFormat): Promise<(event: Event) => void> {
  switch (format) {
    case 'table':
    case 'wide':
      return (event) => writeEvent(out, event, format);
    case 'json':
    case 'yaml': {
      const [{ encodeMessage }, { messageType }, { stringify }] = await Promise.all([
        import('../file/encode.ts'),
        import('../file/schema.ts'),
        import('yaml'),
      ]);
      const type = messageType('Event');
      return (event) => {
        const json = encodeMessage(type, event);
        out.write(
          format === 'json' ? `${JSON.stringify(json)}\n` : `---\n${stringify(json, { lineWidth: 0 })}`,
        );
      };
    }
  }
}

function writeEvent(out: Channel, event: Event, format: 'table' | 'wide'): void {
  const head = `${time(event.time)}  revision ${event.revision}`;
  if (event.applied) {
    out.write(`${paint(out, 'bold', head)}: ${planSummary(event.applied)}\n`);
    writePorts(out, event.applied, format);
  } else if (event.health) {
    const { loadBalancer, rule, member, eligible, reason } = event.health;
    const state = eligible ? 'gets new flows' : 'gets no new flows';
    out.write(`${head}: ${plainText(`${loadBalancer}/${rule}: ${member} ${state} (${reason})`)}\n`);
  } else if (event.outboundPorts) {
    out.write(`${head}: ${outboundText(out, event.outboundPorts)}\n`);
  } else if (event.warning) {
    const { code, message, remedy } = event.warning;
    out.write(`${head}: ${paint(out, 'yellow', plainText(code))}: ${plainText(message)}\n`);
    if (remedy !== '') out.write(`  ${plainText(remedy)}\n`);
  }
}
