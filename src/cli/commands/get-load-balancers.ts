// `penstock get lb`: what the gateway has been told.
import type { Command } from 'commander';
import { type Context, globalsOf, type OutputFormat, outputOption } from '../context.ts';
import { CommandError, exit } from '../exit.ts';
import { collectLoadBalancers, type Listed } from '../join.ts';
import { writeMessage } from '../output/answer.ts';
import { writeList } from '../output/list.ts';
import { writeLoadBalancer, writeLoadBalancers } from '../output/load-balancer.ts';

export function addGetLoadBalancers(get: Command, context: Context): void {
  get
    .command('lb')
    .aliases(['lbs', 'load-balancer', 'load-balancers'])
    .description('the load balancers that are declared')
    .argument('[name]', 'only this one, with its frontends, pools and rules')
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
-o wide adds addresses, members and what the load-balancing rules have forwarded (with
NAME also to which member, where the data plane counts that, and what limits refused);
-o yaml can be edited and given to \`penstock apply -f\`.

Examples:
  $ penstock get lb
  $ penstock get lb web -o wide
  $ penstock get lb -o yaml > gateway.yaml`,
    )
    .action(
      async (name: string | undefined, { output }: { readonly output: OutputFormat }, command: Command) => {
        const { withGateway } = await import('../connection.ts');
        const request = { name: name ?? '', withCounters: output === 'wide' };
        const listed = await withGateway(globalsOf(command), ({ client, reading }) =>
          collectLoadBalancers(client.listLoadBalancers(request, reading)),
        );
        if (name !== undefined && listed.loadBalancers.length === 0) {
          throw new CommandError(exit.refused, `NOT_FOUND: there is no load balancer ${name}`, {
            remedy: '`penstock get lb` lists them',
          });
        }
        await writeListed(context, listed, name !== undefined, output);
      },
    );
}

async function writeListed(
  { terminal: { out } }: Context,
  listed: Listed,
  single: boolean,
  output: OutputFormat,
): Promise<void> {
  const { revision, loadBalancers } = listed;
  const [first] = loadBalancers;
  switch (output) {
    case 'table':
    case 'wide':
      if (single && first !== undefined) writeLoadBalancer(out, first, listed, output === 'wide');
      else writeLoadBalancers(out, listed, output === 'wide');
      return;
    case 'json':
    case 'yaml':
      if (single && first !== undefined) await writeMessage(out, output, 'LoadBalancer', first);
      else
        await writeList(out, output, 'ListLoadBalancersResponse', 'loadBalancers', [
          { revision, loadBalancers },
        ]);
  }
}
