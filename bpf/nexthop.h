/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Where a packet goes next: found before anything is written, so that what cannot be sent on can be handed up as it is. */
#ifndef PENSTOCK_NEXTHOP_H
#define PENSTOCK_NEXTHOP_H

#define HOP_LIFETIME (1ull << 27)  /* ns, about 134 ms: how late a change of routes or neighbours may be seen */
#define HOP_CLAIM (1ull << 23)     /* ns: for so long after its end a next hop may be in the hands of one CPU */

#define HOP_KNOWN 0
#define HOP_ELSEWHERE 1            /* known, but not by the route that was expected: for this packet alone */
#define NO_GATEWAY 2
/* Else the answer is -reason: REASON_ROUTED_...: translate and let the kernel route; others: hand up as it is. */
#define IS_ROUTED(reason) ((reason) >= REASON_ROUTED_NEIGHBOUR && (reason) <= REASON_ROUTED_TOO_BIG)

/* Also false for an end beyond all that is written: of another clock, say. */
static __always_inline bool is_good(__u64 fresh, __u64 now)
{
	return (fresh >> 1) - now - 1 < HOP_LIFETIME;
}

/*
 * The agent's word that it follows the host's routes: control.hop_cache, another one every half second. What is not said
 * anew for three seconds, by this program's clock, counts no more; an agent that has died says nothing.
 */
#define WORD_LIFETIME (3ull << 30)
#define WORD_ALWAYS 0xffffffffu    /* for tests */

static volatile struct {
	__u64 since;
	__u32 word;
} heard;

static __always_inline bool may_remember(const struct control *c, __u64 now)
{
	__u32 word = READ_ONCE(c->hop_cache);

	if (!word || word == WORD_ALWAYS)
		return word;
	if (heard.word != word) {
		heard.since = now;
		heard.word = word;
	}
	return now - heard.since < WORD_LIFETIME;
}

/*
 * `fresh` is read before and after, so that what is taken is one next hop: a place is written again at the earliest when
 * `fresh` has changed twice.
 */
static __always_inline bool recall_hop(const __u64 *fresh, const struct next_hop *hops, struct packet *p)
{
	__u64 before = READ_ONCE(*fresh);

	if (!is_good(before, p->now))
		return false;
	p->hop = hops[before & 1];
	asm volatile("" ::: "memory");
	return READ_ONCE(*fresh) == before && p->hop.device;
}

/* In the place that nobody reads, by the one CPU that claims it: `fresh` then has an end that is past for every packet. */
static __always_inline void remember_hop(__u64 *fresh, struct next_hop *hops, const struct packet *p)
{
	__u64 before = READ_ONCE(*fresh), newer = ~before & 1;
	__u64 claimed = (p->now - HOP_CLAIM / 2) << 1 | !newer;

	if (is_good(before, p->now) || p->now - (before >> 1) <= HOP_CLAIM)
		return;
	if (__sync_val_compare_and_swap(fresh, before, claimed) != before)
		return;
	hops[newer] = p->hop;
	/* An atomic operation, so that the place is written before. The agent may have made it zero meanwhile. */
	__sync_val_compare_and_swap(fresh, claimed, (p->now + HOP_LIFETIME) << 1 | newer);
}

static __always_inline const union address *next_destination(const struct packet *p)
{
	return p->flags & NEW_DESTINATION ? &p->address : &p->destination;
}

/* What is put before the packet's own header. */
static __always_inline __u32 outer_length(const struct packet *p)
{
	if (p->floats != FLOATS_WITHIN)
		return 0;
	return is_ipv6(p) ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

/* The kernel may: the outer IPv4 header allows it, whatever the inner one says (RFC 2003, 3.1 has it otherwise). */
static __always_inline bool may_be_fragmented(const struct packet *p)
{
	return p->flags & MAY_BE_FRAGMENTED || (p->floats == FLOATS_WITHIN && !is_ipv6(p));
}

/* Where `gateway` is given: HOP_ELSEWHERE unless that is the answer, on the interface `device`. */
STEP int ask_fib(struct xdp_md *ctx, struct packet *p, const union address *gateway, __u32 device)
{
	struct bpf_fib_lookup question;
	const union address *source, *destination;
	int answer;

	if (!p)
		return -REASON_UNROUTABLE;
	__builtin_memset(&question, 0, sizeof(question));
	source = p->flags & NEW_DESTINATION ? &p->source : &p->address;
	destination = next_destination(p);
	question.l4_protocol = p->protocol;
	question.sport = p->new_source_port;
	question.dport = p->new_destination_port;
	question.tot_len = p->length + outer_length(p);
	question.ifindex = p->device;
	if (is_ipv6(p)) {
		question.family = AF_INET6;
		question.flowinfo = bpf_htonl((__u32)p->tos << 20);
		__builtin_memcpy(question.ipv6_src, source, sizeof(*source));
		__builtin_memcpy(question.ipv6_dst, destination, sizeof(*destination));
	} else {
		question.family = AF_INET;
		question.tos = p->tos;
		question.ipv4_src = source->words[3];
		question.ipv4_dst = destination->words[3];
	}
	answer = bpf_fib_lookup(ctx, &question, sizeof(question), 0);
	p->hop.device = question.ifindex;
	p->hop.mtu = question.mtu_result;
	__builtin_memcpy(p->hop.destination, question.dmac, ETH_ALEN);
	__builtin_memcpy(p->hop.source, question.smac, ETH_ALEN);
	switch (answer) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		if (!gateway)
			return HOP_KNOWN;
		/* The kernel has written the gateway in the destination's place. */
		if (question.ifindex != device || (is_ipv6(p) ?
		    !same_address((void *)question.ipv6_dst, gateway) : question.ipv4_dst != gateway->words[3]))
			return HOP_ELSEWHERE;
		return HOP_KNOWN;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return find_device(question.ifindex) ? -REASON_ROUTED_NEIGHBOUR : -REASON_ELSEWHERE;
	case BPF_FIB_LKUP_RET_UNSUPP_LWT:
		return -REASON_ELSEWHERE;
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		if (!may_be_fragmented(p))
			return -REASON_TOO_BIG;
		/* Where to, it did not say. */
		question.tot_len = 0;
		answer = bpf_fib_lookup(ctx, &question, sizeof(question), 0);
		if ((answer == BPF_FIB_LKUP_RET_SUCCESS || answer == BPF_FIB_LKUP_RET_NO_NEIGH) &&
		    find_device(question.ifindex))
			return -REASON_ROUTED_TOO_BIG;
		return -REASON_ELSEWHERE;
	}
	return -REASON_UNROUTABLE;
}

/*
 * The source of a packet to a frontend is an address of this host, or of nobody. The kernel turns such packets away; sent
 * on, the machine's answers would come back to ourselves. Asked only where the cell says "perhaps".
 */
STEP int is_source_own(struct xdp_md *ctx, struct packet *p)
{
	struct bpf_fib_lookup question;

	if (!p)
		return 1;
	return ask_way_to_source(ctx, p, &question) == BPF_FIB_LKUP_RET_NOT_FWDED;
}

/* The index of the longest prefix's route in the bank in use; NOWHERE: none. The host's own addresses ask the FIB. */
static __always_inline __u32 route_to(const union address *destination, __u32 current)
{
	__u32 number = current & 0xff, i, index;
	const struct route *route;

	for (i = 0; i < ROUTES_MAX; i++) {
		if (i >= number)
			break;
		index = (current >> 31) * ROUTES_MAX + i;
		route = bpf_map_lookup_elem(&routes, &index);
		if (!route)
			break;
		if ((destination->halves[0] & route->mask.halves[0]) == route->prefix.halves[0] &&
		    (destination->halves[1] & route->mask.halves[1]) == route->prefix.halves[1])
			return index;
	}
	return NOWHERE;
}

/* By the gateway of all of its route, or NO_GATEWAY. */
STEP int hop_by_gateway(struct xdp_md *ctx, struct packet *p, __u32 current)
{
	struct route *route;
	__u32 index;
	int answer;

	if (!p)
		return -REASON_UNROUTABLE;
	index = route_to(next_destination(p), current);
	if (index == NOWHERE)
		return NO_GATEWAY;
	route = bpf_map_lookup_elem(&routes, &index);
	if (!route || route->kind != ROUTE_GATEWAY)
		return NO_GATEWAY;
	if (recall_hop(&route->fresh, route->hops, p))
		return HOP_KNOWN;
	answer = ask_fib(ctx, p, &route->gateway, route->device);
	if (answer == HOP_KNOWN)
		remember_hop(&route->fresh, route->hops, p);
	return answer == HOP_ELSEWHERE ? HOP_KNOWN : answer;
}

/* To a machine: its gateway's, so that of a million machines behind it one hop is remembered; else its own. */
static __always_inline int hop_to_machine(struct xdp_md *ctx, struct packet *p, struct machine *machine,
					  const struct control *c)
{
	int answer;

	if (!may_remember(c, p->now))
		return ask_fib(ctx, p, 0, 0);
	answer = hop_by_gateway(ctx, p, READ_ONCE(c->routes));
	if (answer != NO_GATEWAY)
		return answer;
	if (recall_hop(&machine->fresh, machine->hops, p))
		return HOP_KNOWN;
	answer = ask_fib(ctx, p, 0, 0);
	if (answer == HOP_KNOWN)
		remember_hop(&machine->fresh, machine->hops, p);
	return answer;
}

/* To a client. What may be an address of this host is not sent on by a route that is there for all others. */
static __always_inline int hop_to_client(struct xdp_md *ctx, struct packet *p, const struct control *c)
{
	int answer = NO_GATEWAY;

	if (!(p->destination_cell & ADDRESS_FRONTEND) && may_remember(c, p->now))
		answer = hop_by_gateway(ctx, p, READ_ONCE(c->routes));
	return answer == NO_GATEWAY ? ask_fib(ctx, p, 0, 0) : answer;
}

#endif
