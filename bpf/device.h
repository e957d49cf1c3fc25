/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The interfaces where the program runs, and whose packets it therefore sees; and the routes that lead over others. */
#ifndef PENSTOCK_DEVICE_H
#define PENSTOCK_DEVICE_H

#define AF_INET 2
#define AF_INET6 10

/* Nothing: the program does not run there, nor on what it sits on. */
static __always_inline const struct device *find_device(__u32 index)
{
	const struct device *device;
	__u32 i, key;

	for (i = 0; i < DEVICE_PROBES; i++) {
		key = (index + i) & DEVICE_MASK;
		device = bpf_map_lookup_elem(&devices, &key);
		if (device && device->index == index)
			return device;
	}
	return 0;
}

static __always_inline int ask_way_to_source(struct xdp_md *ctx, const struct packet *p,
					     struct bpf_fib_lookup *question)
{
	__builtin_memset(question, 0, sizeof(*question));
	question->ifindex = p->device;
	if (is_ipv6(p)) {
		question->family = AF_INET6;
		__builtin_memcpy(question->ipv6_dst, &p->source, sizeof(p->source));
	} else {
		question->family = AF_INET;
		question->ipv4_dst = p->source.words[3];
	}
	return bpf_fib_lookup(ctx, question, sizeof(*question), 0);
}

/* IPv4 addresses lie in the midst of IPv6's, and must not fall into its shorter prefixes. */
static __always_inline bool is_under(const union address *address, const struct route *route, bool ipv6)
{
	return (ipv6 || route->mask.words[2]) &&
	       (address->halves[0] & route->mask.halves[0]) == route->prefix.halves[0] &&
	       (address->halves[1] & route->mask.halves[1]) == route->prefix.halves[1];
}

/* How many prefixes of control.routes may lead elsewhere, and the place of each: from the end of the bank. */
static __always_inline __u32 elsewhere_count(__u32 current)
{
	return current >> 8 & 0xff;
}

static __always_inline __u32 elsewhere_place(__u32 current, __u32 number)
{
	return (current >> 31) * ROUTES_MAX + ROUTES_MAX - 1 - number;
}

/*
 * A flow is the program's only if the ways to both its ends lead over interfaces where it runs. Else conntrack has to see
 * both directions, although some of its packets may come by here: routing need not be symmetric. This is asked about the
 * end that the packet comes from; about the other one the search for the next hop has the answer.
 */
STEP int comes_from_elsewhere(struct xdp_md *ctx, struct packet *p, __u32 current)
{
	struct bpf_fib_lookup question;
	__u32 count = elsewhere_count(current), i, index;
	const struct route *route;
	int answer;

	if (!p)
		return 0;
	for (i = 0; i < ELSEWHERE_MAX; i++) {
		if (i >= count)
			return 0;
		index = elsewhere_place(current, i);
		route = bpf_map_lookup_elem(&routes, &index);
		if (!route || count == ELSEWHERE_ALL || is_under(&p->source, route, is_ipv6(p)))
			break;
	}
	if (i == ELSEWHERE_MAX)
		return 0;
	/* Only perhaps: a longer prefix may lead to us after all. */
	answer = ask_way_to_source(ctx, p, &question);
	if (answer == BPF_FIB_LKUP_RET_SUCCESS || answer == BPF_FIB_LKUP_RET_NO_NEIGH)
		return !find_device(question.ifindex);
	return answer == BPF_FIB_LKUP_RET_UNSUPP_LWT;
}

#endif
