import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type IpAddress, parseAddress } from './address.ts';
import { type ClientRange, parseClientRange, rangeFamily, rangeTest, reducedRanges } from './client-range.ts';
import { collectFindings } from './report.ts';

function parse(text: string): string {
  let said = '';
  const range = parseClientRange(text, { name: 'f' }, (_, reason, description) => {
    said = `${reason}: ${description}`;
  });
  return range ?? said;
}

function range(text: string): ClientRange {
  const { report, refuseIfAny } = collectFindings();
  const parsed = parseClientRange(text, { name: 'f' }, report);
  refuseIfAny();
  return parsed as ClientRange;
}

const ip = (text: string): IpAddress => parseAddress(text) as IpAddress;

describe('parseClientRange', () => {
  it.each([
    ['203.0.113.0/24', '203.0.113.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['198.51.100.7/32', '198.51.100.7/32'],
    ['2001:DB8:0::/32', '2001:db8::/32'],
    ['::/0', '::/0'],
    ['fd00:10::4/128', 'fd00:10::4/128'],
  ])('takes %s as %s', (text, canonical) => {
    expect(parse(text)).toBe(canonical);
  });

  it.each([
    ['198.51.100.7/24', 'host bits must be zero: write 198.51.100.0/24'],
    ['2001:db8::1/33', 'host bits must be zero: write 2001:db8::/33'],
    ['2001:db8:8000:1::/33', 'host bits must be zero: write 2001:db8:8000::/33'],
    ['255.255.255.255/0', 'host bits must be zero: write 0.0.0.0/0'],
    ['198.51.100.7', 'has no prefix length: for this address alone write 198.51.100.7/32'],
    ['2001:db8::7', 'has no prefix length: for this address alone write 2001:db8::7/128'],
    ['10.0.0.0/33', 'the prefix length of IPv4 must be 0 to 32'],
    ['10.0.0.0/08', 'the prefix length of IPv4 must be 0 to 32'],
    ['10.0.0.0/', 'the prefix length of IPv4 must be 0 to 32'],
    ['10.0.0.0/8/8', 'the prefix length of IPv4 must be 0 to 32'],
    ['2001:db8::/129', 'the prefix length of IPv6 must be 0 to 128'],
    ['2001:db8::/-1', 'the prefix length of IPv6 must be 0 to 128'],
    ['10.0.0/8', 'must be a prefix such as 203.0.113.0/24 or 2001:db8::/32'],
    ['example.com/8', 'must be a prefix such as 203.0.113.0/24 or 2001:db8::/32'],
    ['', 'must be a prefix such as 203.0.113.0/24 or 2001:db8::/32'],
  ])('refuses %j, and says what to write', (text, remedy) => {
    expect(parse(text)).toBe(`CLIENT_RANGE_INVALID: client range ${JSON.stringify(text)}: ${remedy}`);
  });
});

const anyAddress = fc.oneof(
  fc.nat(0xffff).map((host) => ip(`10.0.${host >> 8}.${host & 255}`)),
  fc.nat(0xffff).map((host) => ip(`fd00::${host.toString(16)}`)),
);
/** The one that an address lies in, as a refusal names it. */
const anyRange = fc.tuple(anyAddress, fc.nat(20)).map(([address, host]) => {
  const text = `${address}/${(address.includes(':') ? 128 : 32) - host}`;
  return range(/write (\S+)$/.exec(parse(text))?.[1] ?? text);
});

describe('reducedRanges', () => {
  it('allows whom the whole list allows, with no range in another', () => {
    fc.assert(
      fc.property(fc.array(anyRange), fc.array(anyAddress), (ranges, addresses) => {
        const reduced = reducedRanges(ranges);
        const [whole, less] = [rangeTest(ranges), rangeTest(reduced)];
        for (const address of addresses) {
          expect(less(address)).toBe(whole(address));
          expect(whole(address)).toBe(ranges.some((one) => rangeTest([one])(address)));
        }
        for (const one of reduced) {
          const others = reduced.filter((other) => other !== one);
          expect(rangeTest(others)(ip(one.split('/')[0] ?? ''))).toBe(false);
        }
      }),
    );
  });

  // By comparing each with all others this would take minutes.
  it('takes ten thousand ranges', () => {
    const many = Array.from({ length: 10_000 }, (_, at) => range(`fd00:0:${at.toString(16)}::/48`));
    expect(reducedRanges([...many, range('fd00:0:8::/47')])).toHaveLength(10_000 - 1);
    expect(reducedRanges([...many, range('fd00::/16')])).toEqual(['fd00::/16']);
  });

  it('keeps families apart', () => {
    const all = [range('::/0'), range('10.0.0.0/8')];
    expect(reducedRanges([...all, range('fd00::/8'), range('10.1.0.0/16')])).toEqual(all.toSorted());
    expect(rangeTest([range('::/0')])(ip('10.0.0.1'))).toBe(false);
    expect(all.map(rangeFamily)).toEqual([6, 4]);
  });
});
