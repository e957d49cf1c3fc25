import { expect, it } from 'vitest';
import { isListing } from './completion.ts';

const completion = { mark: '02:00:5e:10:00:01', interfaces: ['wan0', 'lan0'] };
const listed = `table inet penstock_xdp {
	set interfaces {
		type ifname
		elements = { "lan0",
			     "wan0" }
	}

	chain prerouting {
		type filter hook prerouting priority raw; policy accept;
		ether saddr 02:00:5e:10:00:01 notrack accept
		iifname @interfaces meta nfproto ipv4 fib saddr type local drop
	}
}
`;

it('knows its own table as nft prints it', () => {
  expect(isListing(listed, completion)).toBe(true);
});

it.each([
  ['of another mark', listed.replace('5e:10', '5e:11')],
  ['without a rule', listed.replace(/\t\tiifname.*\n/, '')],
  ['with a rule more', listed.replace('\t\tiifname', '\t\tdrop\n\t\tiifname')],
  ['with an interface more', listed.replace('"lan0"', '"lan0", "lan1"')],
  ['without an interface', listed.replace(/"lan0",\n\s*/, '')],
  ['that is switched off', listed.replace('{\n', '{\n\tflags dormant\n')],
  ['that is empty', 'table inet penstock_xdp {\n}\n'],
])('does not take for its own one %s', (_, other) => {
  expect(isListing(other, completion)).toBe(false);
});
