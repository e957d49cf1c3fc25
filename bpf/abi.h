/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the agent and the program share: the layout of every map's values. src/dataplane/xdp/memory/layout.ts says the
 * same in TypeScript, and a test compares the two by this file's BTF.
 *
 * Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). Addresses and ports are in network byte order,
 * everything else is in the machine's. The agent maps the arrays into its memory and writes them there; see README.md.
 */
#ifndef PENSTOCK_ABI_H
#define PENSTOCK_ABI_H

/* Raised whenever the meaning or the layout of anything in this file changes: the agent then builds the maps anew. */
#define ABI_VERSION 3

union address {
	__u8 bytes[16];
	__u32 words[4];
	__u64 halves[2];
};

/*
 * Whatever the agent changes under running packets has two places and a version: epoch << 1 | newer, where `newer` is
 * the place that holds the newer content. A packet reads control.epoch once; it uses places[newer] where the version's
 * epoch is at most that (0: settled, always), else the other one. The place that is not in use is only written when no
 * packet can still be reading it, so one load of the version decides everything and nothing is ever read half.
 */
typedef __u32 version_t;

/* One value. Only `epoch`, `gate`, `hop_cache` and `routes` are read per packet; the rest is the agent's memory. */
struct control {
	__u32 abi;
	__u32 epoch;         /* the newest change that packets may see; the one store that makes a commit visible */
	__u32 gate;          /* 0: everything is passed up, while a first load is on its way */
	__u32 hop_cache;     /* not 0, and lately changed: next hops may be remembered for HOP_LIFETIME, see nexthop.h */
	__u32 routes;        /* bank (bit 31), number of routes in it (low byte), of prefixes elsewhere (second byte) */
	__u32 flow_seed;     /* of the flow table's hash; random, for the life of the flow table */
	__u8 mark[6];        /* source MAC address of translated frames that are handed to the kernel to route; secret */
	__u8 pad[2];
	__u64 instance;      /* stamp: state directory, revision, shape */
	__u64 revision;
	__u64 sequence;
	__u64 spare[9];
	union address tunnels[2]; /* source of outer headers, of IPv4 and of IPv6; zero: not known */
};

enum target_kind {
	TARGET_NONE = 0,     /* removed, or not there yet */
	TARGET_NAT = 1,      /* one to one, no flow state */
	TARGET_TRACKED = 2,  /* one to one, with a flow entry: another frontend leads to the same backend port */
	TARGET_BALANCED = 3,
	TARGET_HAND_UP = 4,  /* nftables does it: masquerading */
	TARGET_LEAVE = 5,    /* nftables does it, and answers go to the clients: idle timeouts, limits */
	/* Balanced; the destination address stays, and answers do not come by. From here on see floats_by(). */
	TARGET_FLOATING = 6, /* by the member's MAC address */
	TARGET_ENCAPSULATED = 7, /* within a packet to the member */
};

enum affinity {
	AFFINITY_FIVE_TUPLE = 0,
	AFFINITY_CLIENT_IP = 1,
	AFFINITY_CLIENT_IP_PROTOCOL = 2,
	AFFINITY_MACHINE = 255, /* HAND_UP, LEAVE: leads to a machine, not to a ring */
};

struct target {
	__u32 to;            /* NAT, TRACKED: index into `machines`; BALANCED: index into `rings`; LEAVE: by affinity */
	__be16 port;         /* 0: the packet's own */
	__u8 kind;
	__u8 affinity;
	__u32 counter;       /* row in `counters` */
	__u32 serial;        /* unique to this target for its life: flow entries of an earlier one are dead */
};

/*
 * An endpoint at which clients knock: open addressing, see table.h. `reach` belongs to the place, not to the entry in
 * it: how many further probes the keys whose first probe is here may need. protocol 0: no entry. port 0: every port.
 */
struct frontend {
	union address address;
	__be16 port;
	__u8 protocol;       /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 reach;
	version_t version;
	struct target targets[2];
	__be32 inet[2];      /* of each target: its machine's IPv4 address, to spare packets the way to `machines`; or 0 */
};

/* What the source of a packet from a machine tells. Same hashing as `frontend`. port 0: every port. */
#define PROTOCOL_MACHINE 255 /* with port 0: the entry of the address itself; `ways` hold index into `machines` */
#define WAY_EXISTS 0x80000000u
#define WAY_SHARED 0x40000000u /* several frontends lead here: ask the flow table first. Of a machine: it is in a ring */
#define WAY_INDEX 0x0fffffffu
#define WAY_NOBODY 0x0fffffffu /* no frontend owns the flows that the flow table does not know */

struct backend {
	union address address;
	__be16 port;
	__u8 protocol;
	__u8 reach;
	version_t version;
	__u32 ways[2];       /* 0, or WAY_EXISTS | flags | index into `frontends` of the one that owns the stateless flows */
};

struct next_hop {
	__u32 device;        /* interface index as the FIB names it (a VLAN device, perhaps) */
	__u8 destination[6];
	__u8 source[6];
	__u16 mtu;
	__u16 pad;
};

/*
 * Where a machine is reached. Written by the program only (the agent makes it zero): `fresh` is
 * (coarse clock at which it ends, in ns) << 1 | newer; 0: unknown.
 */
struct machine {
	union address address;
	__u64 fresh;
	struct next_hop hops[2];
};

/*
 * Two banks of ROUTES_MAX, longest prefix first. The agent fills the idle bank, then stores control.routes. At the end of
 * a bank, backwards: up to ELSEWHERE_MAX prefixes, of which `prefix` and `mask` count, that may lead over interfaces where
 * the program does not run; the FIB has the last word. ELSEWHERE_ALL instead of their number: every address may.
 */
#define ELSEWHERE_MAX 4
#define ELSEWHERE_ALL 255
#define ROUTES_MAX 16
#define ROUTE_ASK 0          /* neighbours on the link: ask the FIB for each packet */
#define ROUTE_GATEWAY 1      /* one next hop for all of it, remembered as a machine's */
struct route {
	union address prefix;
	union address mask;
	__u64 fresh;
	struct next_hop hops[2];
	__u32 kind;
	__u32 pad;
	union address gateway; /* only what the FIB answers with these two is remembered: it may know better routes by now */
	__u32 device;
	__u32 pad2;
	__u64 spare[2];
};

struct ring_range {
	__u32 first;         /* of its slots, in units of whole `slots` values (16 slots) */
	__u32 size;          /* 0: no member gets new flows */
};

struct ring {
	version_t version;
	__u32 number;        /* Ring.number */
	struct ring_range ranges[2];
	__u64 spare;
};

struct slots {
	__u32 members[16];   /* index into `members` */
};

#define MEMBER_TCP 1         /* its TCP flows go on */
#define MEMBER_UDP 2
#define MEMBER_DRAINED 4     /* neither, but it is there */
/* A machine in a ring. */
struct member {
	version_t version;
	__u8 states[2];
	__u16 pad;
	__u32 machine;
	__u32 serial;        /* flow entries of an earlier member at this place are dead */
	__u32 counter;       /* row in `counters` */
	__u32 ring;          /* index into `rings` */
	__u64 spare;
};

struct counter {
	__u64 packets;       /* both directions */
	__u64 bytes;         /* of the frame without its Ethernet and VLAN headers */
	__u64 flows;
	__u64 spare;
};

enum flow_kind {
	FLOW_DIRECT = 1,     /* to or from a member's port, not through a frontend: its packets are left alone */
	FLOW_NAT = 2,
	FLOW_BALANCED = 3,
	FLOW_BACK = 4,       /* where a re-ported flow is found by its answers */
};

enum flow_state {
	STATE_EMPTY = 0,
	STATE_BUSY = 1,      /* being written */
	STATE_NEW = 2,       /* one side has spoken, or TCP is not open yet */
	STATE_REPLIED = 3,   /* UDP: the machine has answered */
	STATE_OPEN = 4,      /* only now may it displace others' NEW entries, and is never displaced by them */
	STATE_CLOSING = 5,   /* the machine has sent a FIN or RST */
	STATE_LEAVING = 6,   /* the client has, or somebody in its name: open again by what the machine sends next */
};

struct flow {
	union address client;
	union address machine;   /* its address */
	__be16 client_port;      /* as the client sends */
	__be16 frontend_port;
	__be16 machine_port;
	__be16 sent_port;        /* the client's port as the machine sees it: another one only if re-ported */
	__u32 frontend;          /* index into `frontends` and serial of its target; DIRECT: neither */
	__u32 frontend_serial;
	__u32 to;                /* BALANCED: index into `members`; NAT: into `machines` */
	__u32 member_serial;     /* BALANCED */
	__u8 protocol;
	__u8 kind;
	__u16 pad;
	__u32 spare;
};

/*
 * Both directions of a flow hash to the same bucket (client, its port, protocol), so that a flow is one entry, never
 * half a pair. words[i] tells about flows[i]: tag << 32 | state << 24 | last seen, in units of 2^30 ns, modulo 2^24.
 */
#define FLOW_WAYS 7
struct bucket {
	__u64 words[FLOW_WAYS];
	__u64 spare;
	struct flow flows[FLOW_WAYS];
};

/* addresses: one byte per hash of an address. A set bit says "perhaps"; none says "surely not". */
#define ADDRESS_FRONTEND 1
#define ADDRESS_MACHINE 2
#define ADDRESS_RING 4
struct cells {
	__u8 cells[64];
};

/* seen: when a client last sent through a stateless frontend, in units of 2^30 ns modulo 2^16; two cells per flow. */
#define SEEN_LIFETIME 120
struct stamps {
	__u16 stamps[32];
};

/* devices: interfaces that packets leave by, at (index & DEVICE_MASK) or one of the DEVICE_PROBES - 1 places behind. */
#define DEVICE_MASK 1023
#define DEVICE_PROBES 4
#define DEVICE_RECEIVES 1    /* the program runs here: frames to its MAC address are looked at */
#define DEVICE_SENDS 2       /* can be redirected to */
#define DEVICE_LOSES_RETURNS 4 /* not by XDP_TX: a veth whose peer has no program loses such frames without a word */
struct tag {
	__be16 protocol;
	__be16 id;
};
struct device {
	__u32 index;         /* as the FIB names it; written last */
	__u32 physical;      /* whose wire it is: itself, the VLAN device's parent, or the bond whose port it is */
	__u32 flags;
	__u32 tags;          /* VLAN tags that frames carry there: 0 to 2 */
	struct tag tag[2];   /* outer first */
	__u8 mac[6];
	__u16 mtu;
	__u64 spare[4];
};

/* vlans: which interface a tagged frame belongs to. */
struct vlan_key {
	__u32 physical;
	struct tag tag[2];   /* outer first, the rest 0; id without priority bits */
};

/* fragments: the first fragment's translation, for the others, which have no ports. */
struct fragment_key {
	union address source;
	union address destination;
	__u32 identification;
	__u32 protocol;
};
struct fragment {
	union address source; /* to be written */
	__u32 counter;
	__u32 member_counter;
};

/* reasons: what became of packets that are ours or might be. Index of a per-CPU counter. */
enum reason {
	REASON_FORWARDED = 0,        /* these two are not counted: each packet sent on is in its rows of `counters` */
	REASON_TRANSMITTED,          /* sent back by the interface it came in (XDP_TX) */
	/* handed to nftables untouched */
	REASON_HAIRPIN,              /* the client is a machine itself */
	REASON_HAND_UP_RULE,         /* the rule masquerades */
	REASON_FRAGMENT,             /* towards a frontend; or a later one whose first has not been seen */
	REASON_HOP_LIMIT,
	REASON_TOO_BIG,
	REASON_UNROUTABLE,           /* not forwarded by the FIB: local, unreachable, forwarding is off */
	REASON_UNKNOWN_FLOW,         /* balanced TCP in its midst, which the flow table does not know */
	REASON_FLOW_TABLE_FULL,
	REASON_NO_MEMBER,
	REASON_DIRECT,               /* to or from a member's port, not through a frontend */
	REASON_NO_SUCH_ENDPOINT,     /* a frontend's address, but no rule */
	REASON_ICMP,                 /* an error that could not be matched, or any other ICMP to a frontend */
	/* translated, marked, and handed to the kernel to route */
	REASON_ROUTED_NEIGHBOUR,     /* the next hop's MAC address is not known yet */
	REASON_ROUTED_DEVICE,        /* the way out cannot be redirected to */
	REASON_ROUTED_OPTIONS,       /* IP options or extension headers */
	REASON_ROUTED_TOO_BIG,       /* to be fragmented */
	/* handed to nftables untouched, as those above */
	REASON_ELSEWHERE,            /* the way to one of the ends leads over an interface where the program does not run */
	/* events besides the verdict */
	REASON_FLOW_DISPLACED,       /* a flow entry that was not over yet gave way */
	REASON_REPORTED,             /* a client's port was changed because its flow collided with another */
	/* handed to nftables untouched, as those above */
	REASON_IDLE_RULE,            /* the rule has an idle timeout of its own, or limits */
	REASONS
};

#endif
