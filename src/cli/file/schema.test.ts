// The schema as it comes from the proto files.
import { describe, expect, it } from 'vitest';
import { penstock } from '../../wire/generated/proto.js';
import { enumChoices, enumNumber } from './enum-name.ts';
import { type MessageType, messageType, snakeCase } from './schema.ts';

describe('the schema', () => {
  it('has every field under the name that the generated messages use', () => {
    const check = (type: MessageType, message: object): void => {
      for (const field of type.fields) expect(field.name in message, `${type.name}.${field.name}`).toBe(true);
    };
    check(messageType('Member'), new penstock.v1.Member());
    check(messageType('InboundNatRule'), new penstock.v1.InboundNatRule());
    check(messageType('PoolTargets'), new penstock.v1.PoolTargets());
    check(messageType('Plan'), new penstock.v1.Plan());
    check(messageType('Event'), new penstock.v1.Event());
  });

  it('finds fields by both spellings', () => {
    const type = messageType('PoolTargets');
    expect(type.field('maximum_machines')).toBe(type.field('maximumMachines'));
    expect(type.field('maximumMachines')?.oneof).toBe('size');
    expect(type.field('size')).toBeUndefined();
  });

  it('knows enum names in every spelling', () => {
    const field = messageType('LoadBalancingRule').field('sessionPersistence');
    if (field?.value.kind !== 'enum') throw new Error('not an enum');
    const { type } = field.value;
    for (const name of ['CLIENT_IP', 'client_ip', 'client-ip', 'SESSION_PERSISTENCE_CLIENT_IP']) {
      expect(enumNumber(type, name)).toBe(2);
    }
    expect(enumNumber(type, 'constructor')).toBeUndefined();
    expect(enumChoices(type)).toEqual(['NONE', 'CLIENT_IP', 'CLIENT_IP_PROTOCOL']);
  });
});

describe('snakeCase', () => {
  it.each([
    ['frontendPortRangeEnd', 'frontend_port_range_end'],
    ['name', 'name'],
    ['NoHealthyBackends', 'no_healthy_backends'],
    ['floatingIp', 'floating_ip'],
  ])('%s', (camel, snake) => {
    expect(snakeCase(camel)).toBe(snake);
  });
});
