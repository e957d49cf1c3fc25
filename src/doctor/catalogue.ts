// Every trouble that the doctor knows: its stable code, how bad it is unless said otherwise, and why it matters.

interface Trouble {
  readonly severity: 'info' | 'warning' | 'error';
  /** What is looked at, in a few words, for the line that lists what is fine. */
  readonly about: string;
  readonly why: string;
}

/** Codes never change meaning. */
export const catalogue = {
  AGENT_UNREACHABLE: {
    severity: 'info',
    about: 'agent',
    why: 'without the agent nobody knows which machines ought to answer, so they are not looked at',
  },
  IPROUTE_MISSING: {
    severity: 'error',
    about: 'iproute2',
    why: 'the agent sets frontend addresses by the program ip, and the interfaces are read by it',
  },
  NFT_MISSING: {
    severity: 'error',
    about: 'nft',
    why: 'both data planes load their ruleset by the program nft',
  },
  NF_TABLES_MISSING: {
    severity: 'error',
    about: 'nf_tables',
    why: 'the ruleset of both data planes is one nf_tables table of the family inet',
  },
  NFT_NAT_MISSING: { severity: 'error', about: 'NAT', why: 'mappings are address translations of nf_tables' },
  NFT_CT_MISSING: {
    severity: 'error',
    about: 'conntrack marks',
    why: 'a flow carries the number of its rule in its conntrack mark',
  },
  NFT_HASH_MISSING: {
    severity: 'error',
    about: 'jhash',
    why: 'balanced rules choose the member by a hash over the flow',
  },
  NFT_SET_COUNTERS_MISSING: {
    severity: 'error',
    about: 'counters in maps',
    why: 'packets and bytes are counted by rule',
  },
  NFT_LIMITS_MISSING: {
    severity: 'error',
    about: 'limits in sets',
    why: 'rules with limits count new and concurrent flows in elements of sets',
  },
  NFT_RULESET_REFUSED: {
    severity: 'error',
    about: 'ruleset',
    why: 'without its ruleset the agent does not start',
  },
  CONNTRACK_NETLINK_MISSING: {
    severity: 'error',
    about: 'conntrack netlink',
    why: 'flows of a removed mapping are ended through it',
  },
  FLOWTABLE_MISSING: {
    severity: 'info',
    about: 'flowtable',
    why: 'established flows can bypass the rules in a flowtable, which spares the rules and the routing for every packet',
  },
  LIBBPF_MISSING: { severity: 'error', about: 'libbpf', why: 'the XDP program is loaded through libbpf' },
  BPF_MISSING: {
    severity: 'error',
    about: 'bpf system call',
    why: 'without BPF there is no XDP; the nftables plane works all the same',
  },
  BPF_JIT_OFF: {
    severity: 'warning',
    about: 'BPF JIT',
    why: 'an interpreted program costs several times as much for every packet',
  },
  BPF_ATOMICS_MISSING: {
    severity: 'error',
    about: 'BPF compare-and-swap',
    why: 'CPUs agree on flows by compare-and-swap (Linux 5.12)',
  },
  MMAPABLE_ARRAYS_MISSING: {
    severity: 'error',
    about: 'mapped BPF arrays',
    why: 'the agent writes the forwarding table through mapped memory (Linux 5.5)',
  },
  BTF_MISSING: {
    severity: 'error',
    about: 'BTF',
    why: 'the maps of the program are described in BTF (Linux 5.1, CONFIG_DEBUG_INFO_BTF is not needed)',
  },
  XDP_MISSING: { severity: 'error', about: 'XDP', why: 'the kernel takes no XDP program at all' },
  XDP_FRAGS_MISSING: {
    severity: 'info',
    about: 'XDP for jumbo frames',
    why: 'interfaces with an MTU above the page limit then work in the slower generic mode only (Linux 5.18)',
  },
  XDP_LINK_MISSING: {
    severity: 'error',
    about: 'bpf_link',
    why: 'the program is attached and replaced by a bpf_link, so that it outlives the agent (Linux 5.9)',
  },
  BPFFS_MISSING: {
    severity: 'info',
    about: 'bpffs',
    why: 'the program and its maps outlive the agent by pins under /sys/fs/bpf',
  },
  INTERFACE_MISSING: { severity: 'error', about: 'interface', why: 'nothing can be received from it' },
  INTERFACE_DOWN: { severity: 'warning', about: 'interface up', why: 'nothing is received from it' },
  XDP_FOREIGN_PROGRAM: {
    severity: 'error',
    about: 'foreign XDP programs',
    why: 'an interface takes one XDP program, and Penstock does not evict what is not its own',
  },
  XDP_GENERIC_ONLY: {
    severity: 'warning',
    about: 'native XDP',
    why: 'behind the driver the program runs several times slower, hardly faster than nftables',
  },
  XDP_TRANSMIT_MISSING: {
    severity: 'warning',
    about: 'XDP transmission',
    why: 'frames from another interface cannot be sent from here by XDP: they take the slow way through the kernel, or are lost',
  },
  VETH_TX_CHECKSUM: {
    severity: 'error',
    about: 'veth checksums',
    why: 'the peer sends frames with unfinished checksums, which are taken for corrupt after XDP has sent them on',
  },
  LRO_ON: {
    severity: 'warning',
    about: 'LRO',
    why: 'merged packets can be neither forwarded nor taken by XDP; most drivers refuse a program meanwhile',
  },
  GRO_HW_ON: {
    severity: 'warning',
    about: 'hardware GRO',
    why: 'the card merges packets before XDP sees them; most drivers refuse a program meanwhile',
  },
  MTU_ABOVE_PAGE: {
    severity: 'warning',
    about: 'MTU',
    why: 'a frame must fit into one memory page for native XDP, unless the driver takes frames of several',
  },
  QUEUES_FEW: {
    severity: 'warning',
    about: 'receive queues',
    why: 'a CPU works only for the queues it serves: the others stand idle under load',
  },
  XDP_QUEUES_SHARED: {
    severity: 'warning',
    about: 'XDP send queues',
    why: 'without a send queue of its own for every CPU, virtio_net locks for every frame that XDP sends, or refuses the program (before Linux 5.13)',
  },
  BOND_WITHOUT_XDP: {
    severity: 'warning',
    about: 'bonds',
    why: 'a bond runs XDP natively in the modes balance-rr, active-backup, balance-xor and 802.3ad, and if all its ports do; else nftables forwards what comes by it',
  },
  XDP_ON_BRIDGE: {
    severity: 'warning',
    about: 'bridges',
    why: 'a bridge has no native XDP, and XDP cannot send into one: its packets take the slow way through the kernel',
  },
  XDP_ON_VLAN: {
    severity: 'warning',
    about: 'VLANs',
    why: 'a VLAN interface has no native XDP; the program reads the tags itself on the interface below',
  },
  VLAN_TAG_STRIPPED: {
    severity: 'warning',
    about: 'VLAN tags',
    why: 'the card takes the tag off before XDP sees the frame, which then seems to belong to no VLAN',
  },
  RP_FILTER_STRICT: {
    severity: 'warning',
    about: 'reverse path filter',
    why: 'packets are dropped without a word where the way back leads through another interface',
  },
  ACCEPT_LOCAL_OFF: {
    severity: 'error',
    about: 'accept_local',
    why: 'answers that XDP has translated and the kernel routes come in with a frontend’s, a local, address and would be dropped',
  },
  FORWARDING_OFF: {
    severity: 'error',
    about: 'forwarding',
    why: 'the kernel drops every packet that is not for the gateway itself',
  },
  BRIDGE_NETFILTER_ON: {
    severity: 'warning',
    about: 'bridge netfilter',
    why: 'packets that a bridge only switches are translated and tracked as well, and those routed go through the rules twice',
  },
  CONNTRACK_FULL: {
    severity: 'error',
    about: 'conntrack fill',
    why: 'a full table refuses every new flow, those of all other services of the host included',
  },
  CONNTRACK_SMALL: {
    severity: 'warning',
    about: 'conntrack size',
    why: 'every flow takes an entry; a table too small for the machines behind it fills up under load',
  },
  CONNTRACK_BUCKETS_FEW: {
    severity: 'warning',
    about: 'conntrack buckets',
    why: 'every packet walks through a chain of entries as long as there are entries for a bucket',
  },
  TCP_LOOSE_OFF: {
    severity: 'warning',
    about: 'tcp_loose',
    why: 'connections that conntrack has not seen from the first packet on, as after a change of gateway, are cut',
  },
  TCP_BE_LIBERAL_OFF: {
    severity: 'warning',
    about: 'tcp_be_liberal',
    why: 'conntrack sees only the few packets that XDP hands up, takes them for out of window and does not translate them',
  },
  NEIGHBOUR_TABLE_SMALL: {
    severity: 'warning',
    about: 'neighbour table',
    why: 'above gc_thresh3 the kernel forgets neighbours that it needs, and packets to the machines are lost',
  },
  MACHINE_UNREACHABLE: {
    severity: 'error',
    about: 'machines',
    why: 'whatever is mapped or balanced to it is lost',
  },
  MACHINE_UNROUTED: {
    severity: 'error',
    about: 'routes to machines',
    why: 'the kernel knows no way to it, so whatever is mapped or balanced to it is lost',
  },
  CLOCK_UNSYNCHRONISED: {
    severity: 'info',
    about: 'clock',
    why: 'the times of mappings and events cannot be compared with other hosts’, and certificates may seem invalid',
  },
  CLOCKSOURCE_SLOW: {
    severity: 'warning',
    about: 'clock source',
    why: 'reading the time is then a slow access to a device, which XDP does for every new flow',
  },
} as const satisfies Readonly<Record<string, Trouble>>;

export type Code = keyof typeof catalogue;
