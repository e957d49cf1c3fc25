/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * ICMP errors quote the packet that they are about, as it was when it failed, and go to its source. So read from its end
 * the quoted packet is one that comes from the quoted destination, and is looked up as such: an error about an answer
 * like a packet to the frontend, an error about a packet to a machine like an answer.
 */
#ifndef PENSTOCK_ICMP_H
#define PENSTOCK_ICMP_H

#define ICMP_HEADER 8
#define QUOTED_L4 8          /* what is quoted at least of the transport header (RFC 792) */
#define TCP_CHECK 16         /* offset of its checksum, which may be beyond what is quoted */

static __always_inline bool is_error_ipv4(__u8 type)
{
	/* Unreachable, source quench, time exceeded, parameter problem. */
	return type == 3 || type == 4 || type == 11 || type == 12;
}

static __always_inline bool is_error_ipv6(__u8 type)
{
	/* Unreachable, too big, time exceeded, parameter problem. */
	return type >= 1 && type <= 4;
}

/* From the error's own addresses to those of the packet that it is about. 0: left alone. */
STEP int read_error(struct xdp_md *ctx, struct packet *p)
{
	const struct ipv6hdr *ip6;
	const struct iphdr *ip4;
	const __be16 *ports;
	const __u8 *type;
	void *quoted, *end;
	__u32 header, protocol;

	if (!p || p->flags & (IS_FIRST_FRAGMENT | IS_LATER_FRAGMENT))
		return 0;
	type = l4_header(ctx, p);
	end = frame_end(ctx);
	quoted = (void *)type + ICMP_HEADER;
	if (is_ipv6(p)) {
		ip6 = quoted;
		header = sizeof(*ip6);
		if ((void *)(ip6 + 1) > end || !is_error_ipv6(*type) || ip6->version != 6)
			return 0;
		if (!same_address((const union address *)&ip6->saddr, &p->destination))
			return 0;
		protocol = ip6->nexthdr;
		__builtin_memcpy(&p->source, &ip6->daddr, sizeof(p->source));
		/* Among them IPv4 in disguise, which would be looked up as IPv4's. */
		if (is_special_ipv6(&p->source))
			return 0;
	} else {
		ip4 = quoted;
		if ((void *)(ip4 + 1) > end || !is_error_ipv4(*type) || ip4->version != 4)
			return 0;
		header = ip4->ihl * 4;
		if (header < sizeof(*ip4) || ip4->frag_off & bpf_htons(FRAGMENT_OFFSET) ||
		    ip4->saddr != p->destination.words[3])
			return 0;
		protocol = ip4->protocol;
		p->source.words[3] = ip4->daddr;
	}
	if (!is_tcp_or_udp(protocol) || p->l4 - p->l3 + ICMP_HEADER + header + QUOTED_L4 > p->length)
		return 0;
	ports = quoted + header;
	if ((void *)ports + QUOTED_L4 > end)
		return 0;
	p->protocol = protocol;
	p->flags |= IS_ERROR;
	p->source_port = ports[1];
	p->destination_port = ports[0];
	p->source_hash = hash_address(&p->source);
	p->source_cell = cell_of(p->source_hash);
	return 1;
}

/* The places of the quoted ports and checksums. */
struct quotation {
	__be16 *ports;
	__sum16 *check;              /* of the transport header; null: not quoted */
	__sum16 *icmp_check;
};

/* Where `header` is the length of the quoted IP header. Every check that writing needs. */
static __always_inline bool find_quotation(const struct xdp_md *ctx, const struct packet *p, __u32 header,
					   struct quotation *q)
{
	void *l4 = l4_header(ctx, p), *end = frame_end(ctx), *ports = l4 + ICMP_HEADER + header;

	q->icmp_check = l4 + 2;
	q->ports = ports;
	if (l4 + ICMP_HEADER > end || ports + QUOTED_L4 > end)
		return false;
	if (p->protocol != IPPROTO_TCP)
		q->check = ports + offsetof(struct udphdr, check);
	else if (ports + TCP_CHECK + sizeof(__sum16) > end ||
		 p->l4 - p->l3 + ICMP_HEADER + header + TCP_CHECK + sizeof(__sum16) > p->length)
		q->check = 0;
	else
		q->check = ports + TCP_CHECK;
	return true;
}

/* `change`: of the quoted addresses; `icmp`: of all that the error's own checksum covers so far. */
static __always_inline void rewrite_quotation(const struct packet *p, const struct quotation *q, sum_t change, sum_t icmp)
{
	__sum16 before;

	/* Quoted the other way round: see read_error(). */
	change = sum_change16(change, p->destination_port, p->new_destination_port);
	change = sum_change16(change, p->source_port, p->new_source_port);
	icmp = sum_change16(icmp, p->destination_port, p->new_destination_port);
	icmp = sum_change16(icmp, p->source_port, p->new_source_port);
	q->ports[0] = p->new_destination_port;
	q->ports[1] = p->new_source_port;
	if (q->check) {
		before = *q->check;
		*q->check = p->protocol == IPPROTO_TCP ? mend(before, change) : mend_udp(before, change);
		icmp = sum_change16(icmp, before, *q->check);
	}
	*q->icmp_check = mend(*q->icmp_check, icmp);
}

/*
 * All of the error but the addresses of its own IP header, whose change only counts for the checksum (IPv6). One step for
 * each version: the verifier of Linux 6.1 does not see that a flag tested twice has one value, and would follow a packet
 * that is IPv4 at first and IPv6 later.
 */
STEP int rewrite_error_ipv4(struct xdp_md *ctx, const struct packet *p)
{
	struct quotation q;
	struct iphdr *ip;
	__sum16 before;
	sum_t change;

	if (!p)
		return 0;
	ip = l4_header(ctx, p) + ICMP_HEADER;
	if ((void *)(ip + 1) > frame_end(ctx) || !find_quotation(ctx, p, ip->ihl * 4, &q))
		return 0;
	if (p->flags & NEW_DESTINATION) {
		change = sum_change32(0, ip->saddr, p->address.words[3]);
		ip->saddr = p->address.words[3];
	} else {
		change = sum_change32(0, ip->daddr, p->address.words[3]);
		ip->daddr = p->address.words[3];
	}
	before = ip->check;
	ip->check = mend(before, change);
	rewrite_quotation(p, &q, change, sum_change16(change, before, ip->check));
	return 1;
}

static __always_inline sum_t replace_address(struct in6_addr *place, const union address *address)
{
	sum_t change = sum_change_address(0, (const union address *)place, address);

	__builtin_memcpy(place, address, sizeof(*place));
	return change;
}

STEP int rewrite_error_ipv6(struct xdp_md *ctx, const struct packet *p)
{
	struct ipv6hdr *ip, *error;
	struct quotation q;
	sum_t change, outer;

	if (!p)
		return 0;
	error = l3_header(ctx, p);
	ip = l4_header(ctx, p) + ICMP_HEADER;
	if ((void *)(ip + 1) > frame_end(ctx) || (void *)(error + 1) > frame_end(ctx) ||
	    !find_quotation(ctx, p, sizeof(*ip), &q))
		return 0;
	if (p->flags & NEW_DESTINATION) {
		change = replace_address(&ip->saddr, &p->address);
		outer = sum_change_address(change, (const union address *)&error->daddr, &p->address);
	} else {
		change = replace_address(&ip->daddr, &p->address);
		outer = sum_change_address(change, (const union address *)&error->saddr, &p->address);
	}
	rewrite_quotation(p, &q, change, outer);
	return 1;
}

static __always_inline bool rewrite_error(struct xdp_md *ctx, const struct packet *p)
{
	return is_ipv6(p) ? rewrite_error_ipv6(ctx, p) : rewrite_error_ipv4(ctx, p);
}

#endif
