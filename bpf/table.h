/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Look-ups in the agent's open-addressing tables, and which version of an entry this packet sees. */
#ifndef PENSTOCK_TABLE_H
#define PENSTOCK_TABLE_H

#define NOWHERE 0xffffffffu
#define PROBES 32            /* places that an entry may be in */

/* The four bytes behind the address of an entry, in one load: port, protocol, reach. */
#define KEY_MASK 0x00ffffffu

static __always_inline __u32 key_of(__be16 port, __u32 protocol)
{
	return port | protocol << 16;
}

static __always_inline bool same_address(const union address *a, const union address *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

/* 0 or 1: the place of an entry that packets of this epoch see. */
static __always_inline __u32 visible(version_t version, __u32 epoch)
{
	return (version & 1) ^ (version >> 1 > epoch);
}

/*
 * Always 0, and yet computed from the epoch: an index that contains it is loaded after the epoch also on machines that
 * reorder loads, so that who sees the new epoch also sees the versions that were written before it.
 */
static __always_inline __u32 after(__u32 epoch)
{
	return epoch >> 31;
}

static __always_inline struct frontend *frontend_at(__u32 index)
{
	return bpf_map_lookup_elem(&frontends, &index);
}

static __always_inline struct backend *backend_at(__u32 index)
{
	return bpf_map_lookup_elem(&backends, &index);
}

/* The probes after the first, which `reach` of the first place says are needed. */
#define DEFINE_PROBE_FURTHER(name, entry, table, mask)                                          \
	STEP __u32 name(const union address *address, __u32 key, __u32 hash, __u32 reach)       \
	{                                                                                       \
		const struct entry *e;                                                          \
		__u32 i, index = hash;                                                          \
                                                                                                \
		if (!address)                                                                   \
			return NOWHERE;                                                         \
		for (i = 1; i < PROBES; i++) {                                                  \
			if (i > reach)                                                          \
				break;                                                          \
			index = (index + i) & mask;                                             \
			e = bpf_map_lookup_elem(&table, &index);                                \
			if (!e)                                                                 \
				break;                                                          \
			if ((*(const __u32 *)&e->port & KEY_MASK) == key &&                     \
			    same_address(&e->address, address))                                 \
				return index;                                                   \
		}                                                                               \
		return NOWHERE;                                                                 \
	}

DEFINE_PROBE_FURTHER(probe_frontends, frontend, frontends, frontend_mask)
DEFINE_PROBE_FURTHER(probe_backends, backend, backends, backend_mask)

/* `hash` is the address's, unfinished. The index, or NOWHERE. */
static __always_inline __u32 find_frontend(const union address *address, __u32 hash, __u32 key, __u32 epoch)
{
	const struct frontend *home;
	__u32 index, word;

	index = (hash_end(hash_word(hash, key)) & frontend_mask) + after(epoch);
	home = frontend_at(index);
	if (!home)
		return NOWHERE;
	word = *(const __u32 *)&home->port;
	if ((word & KEY_MASK) == key && same_address(&home->address, address))
		return index;
	if (word >> 24)
		return probe_frontends(address, key, index, word >> 24);
	return NOWHERE;
}

static __always_inline __u32 find_backend(const union address *address, __u32 hash, __u32 key, __u32 epoch)
{
	const struct backend *home;
	__u32 index, word;

	index = (hash_end(hash_word(hash, key)) & backend_mask) + after(epoch);
	home = backend_at(index);
	if (!home)
		return NOWHERE;
	word = *(const __u32 *)&home->port;
	if ((word & KEY_MASK) == key && same_address(&home->address, address))
		return index;
	if (word >> 24)
		return probe_backends(address, key, index, word >> 24);
	return NOWHERE;
}

/* What this packet sees of the entry there; 0 and TARGET_NONE: nothing. */
static __always_inline __u32 visible_way(__u32 index, __u32 epoch)
{
	const struct backend *backend = backend_at(index);

	if (!backend)
		return 0;
	return READ_ONCE(backend->ways[visible(READ_ONCE(backend->version), epoch)]);
}

static __always_inline const struct target *visible_target(const struct frontend *frontend, __u32 epoch)
{
	return &frontend->targets[visible(READ_ONCE(frontend->version), epoch)];
}

#endif
