/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is counted: rows of rules and members, and why packets were handed up. */
#ifndef PENSTOCK_COUNT_H
#define PENSTOCK_COUNT_H

static __always_inline void count_reason(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&reasons, &reason);

	if (count)
		(*count)++;
}

/* To nftables, as it came. */
static __always_inline int hand_up(__u32 reason)
{
	count_reason(reason);
	return XDP_PASS;
}

static __always_inline void count_row(__u32 row, const struct packet *p)
{
	__u32 key = row << counter_shift;
	struct counter *counter;

	if (counter_shift)
		key |= bpf_get_smp_processor_id() & ((1u << counter_shift) - 1);
	counter = bpf_map_lookup_elem(&counters, &key);
	if (!counter)
		return;
	if (counters_own) {
		counter->packets++;
		counter->bytes += p->length;
		if (p->flags & STARTS_FLOW)
			counter->flows++;
	} else {
		__sync_fetch_and_add(&counter->packets, 1);
		__sync_fetch_and_add(&counter->bytes, p->length);
		if (p->flags & STARTS_FLOW)
			__sync_fetch_and_add(&counter->flows, 1);
	}
}

static __always_inline void count_packet(const struct packet *p)
{
	count_row(p->counter, p);
	if (p->member_counter != NO_COUNTER)
		count_row(p->member_counter, p);
}

#endif
