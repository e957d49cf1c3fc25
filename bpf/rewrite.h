/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The one place where frames are written. Every check comes before the first byte. */
#ifndef PENSTOCK_REWRITE_H
#define PENSTOCK_REWRITE_H

/* To the kernel, which sends it on: by its source MAC nftables knows that there is nothing left to translate. */
#define TO_KERNEL 0
#define TO_WIRE 1

static __always_inline bool rewrite_ports(const struct xdp_md *ctx, const struct packet *p, sum_t change)
{
	void *l4 = l4_header(ctx, p), *end = frame_end(ctx);
	struct tcphdr *tcp = l4;
	struct udphdr *udp = l4;

	change = sum_change16(change, p->source_port, p->new_source_port);
	change = sum_change16(change, p->destination_port, p->new_destination_port);
	if (p->protocol == IPPROTO_TCP) {
		if (l4 + sizeof(*tcp) > end)
			return false;
		tcp->source = p->new_source_port;
		tcp->dest = p->new_destination_port;
		tcp->check = mend(tcp->check, change);
	} else {
		if (l4 + sizeof(*udp) > end)
			return false;
		udp->source = p->new_source_port;
		udp->dest = p->new_destination_port;
		udp->check = mend_udp(udp->check, change);
	}
	return true;
}

static __always_inline bool rewrite_ipv4(const struct xdp_md *ctx, const struct packet *p, int whither)
{
	struct iphdr *ip = l3_header(ctx, p);
	sum_t change;

	if ((void *)(ip + 1) > frame_end(ctx))
		return false;
	change = p->floats ? 0 :
		 sum_change32(0, p->flags & NEW_DESTINATION ? ip->daddr : ip->saddr, p->address.words[3]);
	if (!(p->flags & (IS_LATER_FRAGMENT | IS_ERROR)) && !rewrite_ports(ctx, p, change))
		return false;
	if (!p->floats && p->flags & NEW_DESTINATION)
		ip->daddr = p->address.words[3];
	else if (!p->floats)
		ip->saddr = p->address.words[3];
	if (whither == TO_WIRE) {
		ip->ttl--;
		change = sum_change16(change, bpf_htons(0x0100), 0);
	}
	ip->check = mend(ip->check, change);
	return true;
}

static __always_inline bool rewrite_ipv6(const struct xdp_md *ctx, const struct packet *p, int whither)
{
	struct ipv6hdr *ip = l3_header(ctx, p);
	sum_t change;

	if ((void *)(ip + 1) > frame_end(ctx))
		return false;
	change = p->floats ? 0 :
		 sum_change_address(0, p->flags & NEW_DESTINATION ? &p->destination : &p->source, &p->address);
	if (!(p->flags & (IS_LATER_FRAGMENT | IS_ERROR)) && !rewrite_ports(ctx, p, change))
		return false;
	if (!p->floats)
		__builtin_memcpy(p->flags & NEW_DESTINATION ? &ip->daddr : &ip->saddr, &p->address, sizeof(p->address));
	if (whither == TO_WIRE)
		ip->hop_limit--;
	return true;
}

static __always_inline bool rewrite(struct xdp_md *ctx, const struct packet *p, int whither)
{
	/* The one who is told of it sent what it is about, with the address that stays. */
	if (p->flags & IS_ERROR && !p->floats && !rewrite_error(ctx, p))
		return false;
	return is_ipv6(p) ? rewrite_ipv6(ctx, p, whither) : rewrite_ipv4(ctx, p, whither);
}

/* The tags of the way out in place of those of the way in. Moves the beginning of the frame. */
STEP int retag(struct xdp_md *ctx, struct packet *p, __u32 tags)
{
	int shorter;

	if (!p)
		return 0;
	shorter = ((int)p->tags - (int)tags) * (int)sizeof(struct vlan_header);
	if (bpf_xdp_adjust_head(ctx, shorter))
		return 0;
	p->l3 -= shorter;
	p->l4 -= shorter;
	p->tags = tags;
	return 1;
}

static __always_inline bool rewrite_ethernet(const struct xdp_md *ctx, const struct packet *p,
					     const struct device *device)
{
	void *data = (void *)(long)ctx->data, *end = frame_end(ctx);
	struct ethhdr *eth = data;
	__be16 type = is_ipv6(p) ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	__be16 *word = data + 2 * ETH_ALEN;

	if (data + MAX_L3 > end)
		return false;
	__builtin_memcpy(eth->h_dest, p->hop.destination, ETH_ALEN);
	__builtin_memcpy(eth->h_source, p->hop.source, ETH_ALEN);
	if (device->tags > 0) {
		*word++ = device->tag[0].protocol;
		*word++ = device->tag[0].id;
	}
	if (device->tags > 1) {
		*word++ = device->tag[1].protocol;
		*word++ = device->tag[1].id;
	}
	if (device->tags)
		*word = type;
	return true;
}

/*
 * Translates, and leaves the rest to the kernel: it knows how to ask for a neighbour, to fragment, to read options. What
 * keeps its destination would not leave the host that way, unless within another packet.
 */
STEP int let_kernel_route(struct xdp_md *ctx, struct packet *p, __u32 reason)
{
	const struct control *c;
	__u32 zero = 0;
	struct ethhdr *eth;

	c = bpf_map_lookup_elem(&control, &zero);
	if (!p || !c)
		return XDP_PASS;
	if (p->floats == FLOATS_NEIGHBOUR)
		return hand_up(reason);
	if (!rewrite(ctx, p, p->floats ? TO_WIRE : TO_KERNEL) || (p->floats && !encapsulate(ctx, p)))
		return XDP_PASS;
	eth = (void *)(long)ctx->data;
	if ((void *)(eth + 1) > frame_end(ctx))
		return XDP_PASS;
	__builtin_memcpy(eth->h_source, c->mark, ETH_ALEN);
	count_packet(p);
	return hand_up(reason);
}

/* `hop` is what the search for the next hop said. */
static __always_inline int leave(struct xdp_md *ctx, struct packet *p, int hop)
{
	const struct device *device;
	const struct control *c;
	__u32 zero = 0, current;

	c = bpf_map_lookup_elem(&control, &zero);
	if (!c)
		return XDP_PASS;
	current = READ_ONCE(c->routes);
	if (p->floats == FLOATS_WITHIN && !c->tunnels[is_ipv6(p)].words[3])
		return hand_up(REASON_UNROUTABLE);
	/* Only of a flow whose answers come by. */
	if (elsewhere_count(current) && !p->floats && comes_from_elsewhere(ctx, p, current))
		return hand_up(REASON_ELSEWHERE);
	if (p->floats == FLOATS_WITHIN && hop == -REASON_ELSEWHERE)
		hop = -REASON_ROUTED_DEVICE;
	if (hop != HOP_KNOWN)
		return IS_ROUTED(-hop) ? let_kernel_route(ctx, p, -hop) : hand_up(-hop);
	device = find_device(p->hop.device);
	if (!device)
		return p->floats == FLOATS_WITHIN ? let_kernel_route(ctx, p, REASON_ROUTED_DEVICE) :
						    hand_up(REASON_ELSEWHERE);
	if (p->length + outer_length(p) > p->hop.mtu) {
		if (!may_be_fragmented(p))
			return hand_up(REASON_TOO_BIG);
		return let_kernel_route(ctx, p, REASON_ROUTED_TOO_BIG);
	}
	if (p->flags & HAS_OPTIONS && p->floats != FLOATS_WITHIN)
		return let_kernel_route(ctx, p, REASON_ROUTED_OPTIONS);
	if (!(device->flags & DEVICE_SENDS))
		return let_kernel_route(ctx, p, REASON_ROUTED_DEVICE);
	if (device->tags != p->tags && !retag(ctx, p, device->tags))
		return let_kernel_route(ctx, p, REASON_ROUTED_DEVICE);
	if (!rewrite(ctx, p, TO_WIRE) || (p->floats == FLOATS_WITHIN && !encapsulate(ctx, p)) ||
	    !rewrite_ethernet(ctx, p, device))
		return XDP_PASS;
	count_packet(p);
	if (device->physical == ctx->ingress_ifindex && !(device->flags & DEVICE_LOSES_RETURNS))
		return XDP_TX;
	return bpf_redirect(device->physical, 0);
}

#endif
