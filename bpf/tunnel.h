/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A packet within another one to the member's own address: RFC 2003 of IPv4, RFC 2473 of IPv6. */
#ifndef PENSTOCK_TUNNEL_H
#define PENSTOCK_TUNNEL_H

#define TUNNEL_HOP_LIMIT 64

static __always_inline bool write_outer_ipv4(const struct xdp_md *ctx, const struct packet *p,
					     const union address *source)
{
	struct iphdr *ip = l3_header(ctx, p);
	const __u16 *word = (void *)ip;
	__u32 sum = 0, i;

	if ((void *)(ip + 1) > frame_end(ctx))
		return false;
	*(__u16 *)ip = bpf_htons(0x4500 | p->tos);
	ip->tot_len = bpf_htons(p->length + sizeof(*ip));
	/* May be fragmented on its way: its pieces must be told from those of others. */
	ip->id = bpf_get_prandom_u32();
	ip->frag_off = 0;
	ip->ttl = TUNNEL_HOP_LIMIT;
	ip->protocol = IPPROTO_IPIP;
	ip->check = 0;
	ip->saddr = source->words[3];
	ip->daddr = p->address.words[3];
	for (i = 0; i < sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
	return true;
}

static __always_inline bool write_outer_ipv6(const struct xdp_md *ctx, const struct packet *p,
					     const union address *source)
{
	struct ipv6hdr *ip = l3_header(ctx, p);

	if ((void *)(ip + 1) > frame_end(ctx))
		return false;
	*(__be32 *)ip = bpf_htonl(0x60000000 | (__u32)p->tos << 20);
	ip->payload_len = bpf_htons(p->length);
	ip->nexthdr = IPPROTO_IPV6;
	ip->hop_limit = TUNNEL_HOP_LIMIT;
	__builtin_memcpy(&ip->saddr, source, sizeof(*source));
	__builtin_memcpy(&ip->daddr, &p->address, sizeof(p->address));
	return true;
}

/* The last change of a frame but its Ethernet header, which moves forward. False: no room, or no address to send from. */
STEP int encapsulate(struct xdp_md *ctx, struct packet *p)
{
	__u32 zero = 0, length, room;
	const struct control *c;
	__u32 header[6];
	void *data;

	c = bpf_map_lookup_elem(&control, &zero);
	if (!p || !c)
		return 0;
	room = outer_length(p);
	data = (void *)(long)ctx->data;
	if (data + MAX_L3 > frame_end(ctx))
		return 0;
	__builtin_memcpy(header, data, MAX_L3);
	if (bpf_xdp_adjust_head(ctx, -(int)room))
		return 0;
	data = (void *)(long)ctx->data;
	length = sizeof(header);
	if (data + length > frame_end(ctx))
		return 0;
	/* Up to two tags; what is behind the header is written next. */
	__builtin_memcpy(data, header, MAX_L3);
	return is_ipv6(p) ? write_outer_ipv6(ctx, p, &c->tunnels[1]) : write_outer_ipv4(ctx, p, &c->tunnels[0]);
}

#endif
