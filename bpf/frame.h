/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From bytes to struct packet. What is malformed, truncated or strange is not read further: nftables shall judge it. */
#ifndef PENSTOCK_FRAME_H
#define PENSTOCK_FRAME_H

#define VLAN_ID 0x0fff
#define FRAGMENT_DF 0x4000
#define FRAGMENT_MORE 0x2000
#define FRAGMENT_OFFSET 0x1fff
#define V6_FRAGMENT_MORE 1
#define V6_FRAGMENT_OFFSET 0xfff8
#define MAX_EXTENSIONS 4

struct vlan_header {
	__be16 id;
	__be16 inner;
};

struct extension {
	__u8 next;
	__u8 length;
	__be16 offset;               /* of a fragment header, and its identification */
	__be32 identification;
};

static __always_inline bool is_tag(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

static __always_inline bool is_tcp_or_udp(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

static __always_inline bool is_icmp(const struct packet *p)
{
	return p->protocol == (is_ipv6(p) ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* The first packet of a TCP connection. */
static __always_inline bool opens(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
}

/* Ports and flags. The whole header must be there, so that the checksum can be mended. */
static __always_inline bool read_ports(const struct xdp_md *ctx, struct packet *p)
{
	void *l4 = l4_header(ctx, p), *end = frame_end(ctx);
	const struct tcphdr *tcp = l4;
	const struct udphdr *udp = l4;
	__u32 rest = p->length - (p->l4 - p->l3);
	__u32 header;

	if (p->protocol == IPPROTO_UDP) {
		if (l4 + sizeof(*udp) > end || rest < sizeof(*udp))
			return false;
		p->source_port = udp->source;
		p->destination_port = udp->dest;
		header = bpf_ntohs(udp->len);
		return header >= sizeof(*udp) && (header <= rest || p->flags & IS_FIRST_FRAGMENT);
	}
	if (l4 + sizeof(*tcp) > end)
		return false;
	header = tcp->doff * 4;
	p->source_port = tcp->source;
	p->destination_port = tcp->dest;
	p->tcp_flags = ((__u8 *)tcp)[13];
	return header >= sizeof(*tcp) && header <= rest;
}

static __always_inline bool read_ipv4(const struct xdp_md *ctx, struct packet *p, __u32 frame_length)
{
	const struct iphdr *ip = l3_header(ctx, p);
	__u32 header, fragment;

	if ((void *)(ip + 1) > frame_end(ctx))
		return false;
	header = ip->ihl * 4;
	fragment = bpf_ntohs(ip->frag_off);
	p->length = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || p->length < header || p->l3 + p->length > frame_length)
		return false;
	if (is_special_ipv4(ip->saddr) || is_special_ipv4(ip->daddr))
		return false;
	p->source.words[2] = p->destination.words[2] = bpf_htonl(0xffff);
	p->source.words[3] = ip->saddr;
	p->destination.words[3] = ip->daddr;
	p->protocol = ip->protocol;
	p->tos = ip->tos;
	p->hop_limit = ip->ttl;
	p->l4 = p->l3 + header;
	if (header > sizeof(*ip))
		p->flags |= HAS_OPTIONS;
	if (!(fragment & FRAGMENT_DF))
		p->flags |= MAY_BE_FRAGMENTED;
	if (fragment & (FRAGMENT_MORE | FRAGMENT_OFFSET)) {
		p->identification = ip->id;
		p->flags |= fragment & FRAGMENT_OFFSET ? IS_LATER_FRAGMENT : IS_FIRST_FRAGMENT;
	}
	return true;
}

/*
 * Hop-by-hop, destination and fragment headers. Not those that say that the addresses are not the whole truth
 * (routing) or must not change (authentication).
 */
STEP int read_extensions(struct xdp_md *ctx, struct packet *p)
{
	const struct extension *extension;
	__u32 i, offset;

	if (!p)
		return 0;
	for (i = 0; i < MAX_EXTENSIONS; i++) {
		if (p->protocol != IPPROTO_HOPOPTS && p->protocol != IPPROTO_DSTOPTS &&
		    p->protocol != IPPROTO_FRAGMENT)
			return 1;
		extension = l4_header(ctx, p);
		if ((void *)(extension + 1) > frame_end(ctx))
			return 0;
		if (p->protocol == IPPROTO_FRAGMENT) {
			offset = bpf_ntohs(extension->offset);
			if (p->flags & (IS_FIRST_FRAGMENT | IS_LATER_FRAGMENT))
				return 0;
			p->identification = extension->identification;
			/* Neither: an "atomic fragment" (RFC 6946), which is whole. */
			if (offset & V6_FRAGMENT_OFFSET)
				p->flags |= IS_LATER_FRAGMENT;
			else if (offset & V6_FRAGMENT_MORE)
				p->flags |= IS_FIRST_FRAGMENT;
			p->l4 += sizeof(*extension);
		} else {
			p->l4 += (extension->length + 1) * 8;
			p->flags |= HAS_OPTIONS;
		}
		p->protocol = extension->next;
		if (p->l4 > MAX_L4 || p->l4 - p->l3 > p->length)
			return 0;
		if (p->flags & IS_LATER_FRAGMENT)
			return 1;
	}
	return p->protocol != IPPROTO_HOPOPTS && p->protocol != IPPROTO_DSTOPTS && p->protocol != IPPROTO_FRAGMENT;
}

static __always_inline bool read_ipv6(struct xdp_md *ctx, struct packet *p, __u32 frame_length)
{
	const struct ipv6hdr *ip = l3_header(ctx, p);
	__u32 length;

	if ((void *)(ip + 1) > frame_end(ctx))
		return false;
	length = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || p->l3 + length > frame_length || length > 0xffff)
		return false;
	__builtin_memcpy(&p->source, &ip->saddr, sizeof(p->source));
	__builtin_memcpy(&p->destination, &ip->daddr, sizeof(p->destination));
	if (is_special_ipv6(&p->source) || is_special_ipv6(&p->destination))
		return false;
	p->length = length;
	p->protocol = ip->nexthdr;
	p->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	p->hop_limit = ip->hop_limit;
	p->l4 = p->l3 + sizeof(*ip);
	if (is_tcp_or_udp(p->protocol) || p->protocol == IPPROTO_ICMPV6)
		return true;
	return read_extensions(ctx, p);
}

#endif
