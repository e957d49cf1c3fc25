/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The maps, and the settings that the agent fixes before the program is loaded. */
#ifndef PENSTOCK_MAPS_H
#define PENSTOCK_MAPS_H

/*
 * Each mask is a power of two less one: of entries, of buckets, of `stamps` values, and (address_mask) of single cells.
 * The verifier takes settings for constants, so that what they switch off costs nothing.
 */
const volatile __u32 frontend_mask;
const volatile __u32 backend_mask;
const volatile __u32 address_mask;
const volatile __u32 bucket_mask;
const volatile __u32 seen_mask;
const volatile __u32 counter_shift;  /* log2 of the shards of each row of `counters` */
const volatile __u32 counters_own;   /* 1: no two CPUs share a shard, so that they need not add atomically */

const volatile __u32 jiffy_ns;       /* 10^9 / HZ; 0: unknown, and the clock is asked for by a helper */
const volatile __u32 careful;        /* 1: no packet takes the fast way; for tests, which compare the two */
const volatile __u32 build;          /* a digest of this object: tells the agent whether it runs its own build */

/* All of it stands in the agent's memory. One entry each until the agent says how many. */
#define MAPPED_ARRAY(name, entry)                      \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);      \
		__uint(map_flags, BPF_F_MMAPABLE);     \
		__uint(max_entries, 1);                \
		__type(key, __u32);                    \
		__type(value, entry);                  \
	} name SEC(".maps")

MAPPED_ARRAY(control, struct control);
MAPPED_ARRAY(frontends, struct frontend);
MAPPED_ARRAY(backends, struct backend);
MAPPED_ARRAY(machines, struct machine);
MAPPED_ARRAY(rings, struct ring);
MAPPED_ARRAY(members, struct member);
MAPPED_ARRAY(slots, struct slots);
MAPPED_ARRAY(counters, struct counter);
MAPPED_ARRAY(addresses, struct cells);
MAPPED_ARRAY(flows, struct bucket);
MAPPED_ARRAY(seen, struct stamps);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2 * ROUTES_MAX);
	__type(key, __u32);
	__type(value, struct route);
} routes SEC(".maps");

/* One byte per entry of `backends`, at its index modulo 65,536: somebody talks to that port past the frontend. */
#define CONTESTED_CELLS 65536
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CONTESTED_CELLS / sizeof(struct cells));
	__type(key, __u32);
	__type(value, struct cells);
} contested SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, DEVICE_MASK + 1);
	__type(key, __u32);
	__type(value, struct device);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct vlan_key);
	__type(value, __u32);
} vlans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} reasons SEC(".maps");

#endif
