// What the fake agent has, for tests of several commands.

export const declared = {
  name: 'web',
  frontends: [{ name: 'public', address: 'fd00::1', addressOwnership: 1 }],
  backendPools: [
    {
      name: 'machines',
      members: [{ id: 'vm-1', address: '10.0.0.4', weight: 1, adminState: 1, pins: { ssh: 501 } }],
    },
  ],
  inboundNatRules: [
    {
      name: 'ssh',
      frontend: 'public',
      protocol: 1,
      backendPort: 22,
      pool: {
        backendPool: 'machines',
        frontendPortRangeStart: 500,
        frontendPortRangeEnd: 1499,
        portsPerMember: 1,
      },
      flow: { sourceNat: 1 },
      whenUnhealthy: 1,
    },
    { name: 'one', frontend: 'public', protocol: 2, backendPort: 53, single: { frontendPort: 53 } },
  ],
  loadBalancingRules: [
    {
      name: 'http',
      frontend: 'public',
      protocol: 1,
      frontendPort: 80,
      backendPort: 8080,
      backendPool: 'machines',
      sessionPersistence: 2,
      drainPeriod: { seconds: 90, nanos: 500_000_000 },
      limits: { allowedClients: ['fd00::/8'], newFlowsPerSecond: 10, newFlowsBurst: 10, concurrentFlows: 5 },
    },
  ],
};

export const mapping = {
  loadBalancer: 'web',
  rule: 'ssh',
  frontendAddress: '203.0.113.10',
  protocol: 1,
  frontendPort: 500,
  member: 'vm-1',
  backendAddress: '10.0.0.4',
  backendPort: 22,
  assigned: { seconds: 1_767_225_600 },
  counters: { packets: 1234, bytes: 2048, flows: 7 },
};
