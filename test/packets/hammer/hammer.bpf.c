// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Looks at two rules that are only ever changed together, by one epoch, as a packet does, and counts what it sees: the
 * same machine behind both, or nothing at both. Shares the maps of penstock.bpf.c and reads them by its own headers.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "maps.h"
#include "packet.h"
#include "count.h"
#include "hash.h"
#include "table.h"
#include "address.h"
#include "frame.h"
#include "device.h"
#include "seen.h"
#include "flow.h"
#include "balance.h"
#include "nexthop.h"
#include "checksum.h"
#include "icmp.h"
#include "tunnel.h"
#include "rewrite.h"
#include "direct.h"
#include "nat.h"
/* Only its look-ups are used. */
#pragma clang diagnostic ignored "-Wunused-function"
#include "fast.h"

#define PAIRS_MAX 1024
#define LOOKS 32

struct end {
	union address address;
	__u32 key;
	__u32 pad;
};

struct pair {
	struct end ends[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, PAIRS_MAX);
	__type(key, __u32);
	__type(value, struct pair);
} pairs SEC(".maps");

const volatile __u32 pair_count;

enum sight {
	SIGHT_BOTH = 0,      /* both lead to the same machine */
	SIGHT_NEITHER,
	SIGHT_MIXED,         /* one of them leads elsewhere, or nowhere */
	SIGHT_ASTRAY,        /* the way back of a machine leads to another one's frontend, or nowhere */
	SIGHT_DEAD,          /* a ring gives a slot to a member that is not there */
	SIGHTS
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SIGHTS);
	__type(key, __u32);
	__type(value, __u64);
} sights SEC(".maps");

static __always_inline void count(__u32 sight)
{
	__u64 *number = bpf_map_lookup_elem(&sights, &sight);

	if (number)
		(*number)++;
}

#define NO_MACHINE 0xffffffffu

/* The last word of the address of the machine to which a target leads: each test machine has one of its own. */
static __always_inline __u32 machine_at(__u32 index)
{
	const struct machine *machine = bpf_map_lookup_elem(&machines, &index);

	return machine ? machine->address.words[3] : NO_MACHINE;
}

/* A slot of the ring, any will do: all belong to the same member. */
static __always_inline __u32 machine_in_ring(__u32 ring_index, __u32 epoch)
{
	const struct ring *ring = bpf_map_lookup_elem(&rings, &ring_index);
	const struct member *member;
	const struct slots *unit;
	struct ring_range range;
	__u32 slot, index;

	if (!ring)
		return NO_MACHINE;
	range = ring->ranges[visible(READ_ONCE(ring->version), epoch)];
	if (!range.size)
		return NO_MACHINE;
	slot = (__u64)bpf_get_prandom_u32() * range.size >> 32;
	index = range.first + slot / 16;
	unit = bpf_map_lookup_elem(&slots, &index);
	if (!unit)
		return NO_MACHINE;
	index = unit->members[slot % 16];
	member = bpf_map_lookup_elem(&members, &index);
	if (!member)
		return NO_MACHINE;
	if (!member->states[visible(READ_ONCE(member->version), epoch)])
		count(SIGHT_DEAD);
	return machine_at(member->machine);
}

/* The answers of the machine must be this frontend's. */
static __always_inline bool leads_back(__u32 machine_index, __be16 port, __u32 protocol, __u32 frontend, __u32 epoch)
{
	const struct machine *machine = bpf_map_lookup_elem(&machines, &machine_index);
	union address address;
	const struct backend *backend;
	__u32 index, way;

	if (!machine)
		return false;
	address = machine->address;
	index = find_backend(&address, hash_address(&address), key_of(port, protocol), epoch);
	if (index == NOWHERE)
		return false;
	way = visible_way(index, epoch);
	/* The fast way may not find what is far from home, but nothing else. */
	backend = is_mapped_ipv4(&address) ? fast_backend(address.words[3], hash_address(&address),
							  key_of(port, protocol), epoch, &index) : 0;
	if (backend && READ_ONCE(backend->ways[visible(READ_ONCE(backend->version), epoch)]) != way)
		return false;
	return way & WAY_EXISTS && (way & WAY_INDEX) == frontend;
}

/* The machine behind an endpoint; NO_MACHINE: nothing there. */
static __always_inline __u32 look(const struct end *end, __u32 epoch)
{
	const struct frontend *frontend, *fast;
	union address address = end->address;
	struct target target;
	__u32 index;

	index = find_frontend(&address, hash_address(&address), end->key, epoch);
	if (index == NOWHERE)
		return NO_MACHINE;
	frontend = frontend_at(index);
	if (!frontend)
		return NO_MACHINE;
	target = *visible_target(frontend, epoch);
	if (target.kind == TARGET_BALANCED)
		return machine_in_ring(target.to, epoch);
	if (target.kind != TARGET_NAT)
		return NO_MACHINE;
	if (!leads_back(target.to, target.port, end->key >> 16, index, epoch))
		count(SIGHT_ASTRAY);
	if (!is_mapped_ipv4(&address))
		return machine_at(target.to);
	/* The fast way takes the machine's address from beside the target. */
	fast = fast_frontend(address.words[3], hash_address(&address), end->key, epoch, &index);
	if (fast && fast->inet[visible(READ_ONCE(fast->version), epoch)] != machine_at(target.to))
		count(SIGHT_ASTRAY);
	return machine_at(target.to);
}

SEC("xdp")
int hammer(struct xdp_md *ctx)
{
	__u32 i, zero = 0, index, epoch, one, other;
	const struct control *c = bpf_map_lookup_elem(&control, &zero);
	const struct pair *pair;

	if (!c || !pair_count)
		return XDP_ABORTED;
	for (i = 0; i < LOOKS; i++) {
		index = bpf_get_prandom_u32() % pair_count;
		pair = bpf_map_lookup_elem(&pairs, &index);
		if (!pair)
			return XDP_ABORTED;
		epoch = READ_ONCE(c->epoch);
		one = look(&pair->ends[0], epoch);
		other = look(&pair->ends[1], epoch);
		if (one != other)
			count(SIGHT_MIXED);
		else
			count(one == NO_MACHINE ? SIGHT_NEITHER : SIGHT_BOTH);
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
