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

/* All of the error but the addresses of its own IP header, whose change only counts for the checksum (IPv6). */
STEP int rewrite_error(struct xdp_md *ctx, const struct packet *p)
{
	void *quoted, *l4, *end, *l3;
	struct ipv6hdr *ip6, *outer;
	__sum16 *icmp_check, *l4_check, before;
	union address old;
	sum_t change, icmp = 0;
	struct iphdr *ip4;
	__be16 *ports;
	__u32 header;

	if (!p)
		return 0;
	l3 = l3_header(ctx, p);
	l4 = l4_header(ctx, p);
	end = frame_end(ctx);
	quoted = l4 + ICMP_HEADER;
	icmp_check = l4 + 2;
	if (is_ipv6(p)) {
		ip6 = quoted;
		header = sizeof(*ip6);
		outer = l3;
		if ((void *)(ip6 + 1) > end || (void *)(outer + 1) > end)
			return 0;
	} else {
		ip4 = quoted;
		if ((void *)(ip4 + 1) > end)
			return 0;
		header = ip4->ihl * 4;
	}
	ports = quoted + header;
	if ((void *)ports + QUOTED_L4 > end)
		return 0;
	l4_check = (void *)ports + (p->protocol == IPPROTO_TCP ? TCP_CHECK : offsetof(struct udphdr, check));
	if (p->protocol == IPPROTO_TCP &&
	    ((void *)(l4_check + 1) > end ||
	     p->l4 - p->l3 + ICMP_HEADER + header + TCP_CHECK + sizeof(__sum16) > p->length))
		l4_check = 0;

	if (is_ipv6(p)) {
		__builtin_memcpy(&old, p->flags & NEW_DESTINATION ? &ip6->saddr : &ip6->daddr, sizeof(old));
		change = sum_change_address(0, &old, &p->address);
		icmp = change;
		__builtin_memcpy(p->flags & NEW_DESTINATION ? &ip6->saddr : &ip6->daddr, &p->address, sizeof(old));
		__builtin_memcpy(&old, p->flags & NEW_DESTINATION ? &outer->daddr : &outer->saddr, sizeof(old));
		icmp = sum_change_address(icmp, &old, &p->address);
	} else {
		change = sum_change32(0, p->flags & NEW_DESTINATION ? ip4->saddr : ip4->daddr, p->address.words[3]);
		if (p->flags & NEW_DESTINATION)
			ip4->saddr = p->address.words[3];
		else
			ip4->daddr = p->address.words[3];
		before = ip4->check;
		ip4->check = mend(before, change);
		icmp = sum_change16(change, before, ip4->check);
	}
	/* Quoted the other way round: see read_error(). */
	change = sum_change16(change, p->destination_port, p->new_destination_port);
	change = sum_change16(change, p->source_port, p->new_source_port);
	icmp = sum_change16(icmp, p->destination_port, p->new_destination_port);
	icmp = sum_change16(icmp, p->source_port, p->new_source_port);
	ports[0] = p->new_destination_port;
	ports[1] = p->new_source_port;
	if (l4_check) {
		before = *l4_check;
		*l4_check = p->protocol == IPPROTO_TCP ? mend(before, change) : mend_udp(before, change);
		icmp = sum_change16(icmp, before, *l4_check);
	}
	*icmp_check = mend(*icmp_check, icmp);
	return 1;
}

#endif
