/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who has lately sent through a frontend that keeps no flow state: a Bloom filter with time stamps. Answers that begin
 * a conversation (TCP SYN|ACK) or stand for themselves (UDP) are translated only for clients that stand in it; of UDP,
 * they keep them there.
 */
#ifndef PENSTOCK_SEEN_H
#define PENSTOCK_SEEN_H

/* Both cells of a flow are in one cache line, so that a flow costs one miss. */
struct seen_cells {
	__u32 line;
	__u8 first;
	__u8 second;
};

/*
 * Of a frontend's index, the bits that stay when the table grows (it has 4,096 places at least): who was seen before is
 * known afterwards.
 */
#define SEEN_FRONTEND 4095
#define STAMPS (sizeof(struct stamps) / sizeof(__u16))

/* Never 0, which is an empty cell. */
static __always_inline __u16 seen_time(__u64 now)
{
	__u16 time = now >> 30;

	return time ? time : 1;
}

static __always_inline struct seen_cells seen_cells(const union address *client, __be16 client_port,
						    __be16 frontend_port, __u32 protocol, __u32 frontend, __u32 seed)
{
	__u64 hash = client->halves[1] ^ (__u64)seed << 32;
	struct seen_cells cells;

	hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15;
	if (client->halves[0])
		hash = (hash ^ client->halves[0] ^ hash >> 32) * 0x9e3779b97f4a7c15;
	hash ^= hash >> 32 ^ client_port ^ (__u32)frontend_port << 16 ^ (__u64)(frontend & SEEN_FRONTEND) << 32 ^ (__u64)protocol << 60;
	hash *= 0xff51afd7ed558ccd;
	hash ^= hash >> 33;
	hash *= 0xc4ceb9fe1a85ec53;
	cells.line = hash >> 32 & seen_mask;
	cells.first = hash >> 27 & (STAMPS - 1);
	cells.second = hash >> 22 & (STAMPS - 1);
	return cells;
}

static __always_inline struct stamps *seen_line(struct seen_cells cells)
{
	__u32 line = cells.line;

	return bpf_map_lookup_elem(&seen, &line);
}

static __always_inline bool is_fresh(__u16 stamp, __u16 time)
{
	return stamp && (__u16)(time - stamp) <= SEEN_LIFETIME;
}

/* The older of the two stamps, if both are fresh, else 0. */
static __always_inline __u16 seen_when(struct seen_cells cells, __u64 now)
{
	const struct stamps *line = seen_line(cells);
	__u16 time = seen_time(now), first, second;

	if (!line)
		return 0;
	first = READ_ONCE(line->stamps[cells.first]);
	second = READ_ONCE(line->stamps[cells.second]);
	if (!is_fresh(first, time) || !is_fresh(second, time))
		return 0;
	return (__u16)(time - first) > (__u16)(time - second) ? first : second;
}

/* Written only when the time has changed, so that CPUs need not fight for the line. */
static __always_inline void note_seen(struct seen_cells cells, __u64 now)
{
	struct stamps *line = seen_line(cells);
	__u16 time = seen_time(now);

	if (!line)
		return;
	if (READ_ONCE(line->stamps[cells.first]) != time)
		WRITE_ONCE(line->stamps[cells.first], time);
	if (READ_ONCE(line->stamps[cells.second]) != time)
		WRITE_ONCE(line->stamps[cells.second], time);
}

#endif
