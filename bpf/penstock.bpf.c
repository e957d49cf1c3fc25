// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Penstock's XDP program. The headers stand in the order in which a packet meets what is in them; README.md tells why. */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "maps.h"
#include "packet.h"
#include "count.h"
#include "hash.h"
#include "table.h"
#include "address.h"
#include "frame.h"
#include "device.h"
#include "seen.h"
#include "flow.h"
#include "balance.h"
#include "nexthop.h"
#include "checksum.h"
#include "icmp.h"
#include "tunnel.h"
#include "rewrite.h"
#include "direct.h"
#include "nat.h"
#include "fragment.h"
#include "way_back.h"
#include "fast.h"

/*
 * Only frames that are meant for this host: what a bridge or a promiscuous interface sees besides is not ours. To the FIB
 * what comes in by a port of a bond comes from the bond.
 */
static __always_inline bool is_for_us(const struct xdp_md *ctx, struct packet *p)
{
	const struct device *device = find_device(ctx->ingress_ifindex);
	const struct ethhdr *eth = (void *)(long)ctx->data;

	if (!device || !(device->flags & DEVICE_RECEIVES) || (void *)(eth + 1) > frame_end(ctx))
		return false;
	p->device = device->physical;
	return *(__u32 *)eth->h_dest == *(__u32 *)device->mac &&
	       *(__u16 *)&eth->h_dest[4] == *(__u16 *)&device->mac[4];
}

/* The interface that a tagged frame belongs to. */
STEP int find_vlan(struct xdp_md *ctx, struct packet *p)
{
	void *data = (void *)(long)ctx->data;
	const __be16 *word = data + 2 * ETH_ALEN;
	struct vlan_key key;
	const __u32 *device;

	if (!p || data + MAX_L3 > frame_end(ctx))
		return 0;
	__builtin_memset(&key, 0, sizeof(key));
	key.physical = p->device;
	key.tag[0].protocol = word[0];
	key.tag[0].id = word[1] & bpf_htons(VLAN_ID);
	if (p->tags > 1) {
		key.tag[1].protocol = word[2];
		key.tag[1].id = word[3] & bpf_htons(VLAN_ID);
	}
	/* Only a priority: the kernel takes it for untagged. */
	if (p->tags == 1 && !key.tag[0].id && key.tag[0].protocol == bpf_htons(ETH_P_8021Q))
		return 1;
	device = bpf_map_lookup_elem(&vlans, &key);
	if (!device)
		return 0;
	p->device = *device;
	return 1;
}

/* One side at least may be ours. */
static __always_inline int perhaps_ours(struct xdp_md *ctx, struct packet *p, bool frags)
{
	const struct control *c;
	__u32 zero = 0, frame_length;
	int verdict;

	c = bpf_map_lookup_elem(&control, &zero);
	if (!p || !c || !READ_ONCE(c->gate))
		return XDP_PASS;
	p->epoch = READ_ONCE(c->epoch);
	if (!is_for_us(ctx, p) || (p->tags && !find_vlan(ctx, p)))
		return XDP_PASS;
	frame_length = frags ? (__u32)bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data;
	if (is_ipv6(p) ? !read_ipv6(ctx, p, frame_length) : !read_ipv4(ctx, p, frame_length))
		return XDP_PASS;
	if (is_icmp(p)) {
		if (!read_error(ctx, p))
			return p->destination_cell & ADDRESS_FRONTEND ? hand_up(REASON_ICMP) : XDP_PASS;
	} else if (p->flags & IS_LATER_FRAGMENT) {
		if (p->destination_cell & ADDRESS_FRONTEND)
			return hand_up(REASON_FRAGMENT);
	} else if (!is_tcp_or_udp(p->protocol) || !read_ports(ctx, p)) {
		return XDP_PASS;
	}
	p->now = clock();
	p->new_source_port = p->source_port;
	p->new_destination_port = p->destination_port;
	if (p->destination_cell & ADDRESS_FRONTEND) {
		verdict = toward_frontend(ctx, p);
		if (verdict != GO_ON)
			return verdict;
	}
	if (is_machine(&p->destination, p->destination_hash, p->destination_cell, p->epoch)) {
		if (p->flags & (IS_ERROR | IS_LATER_FRAGMENT))
			return XDP_PASS;
		return note_direct_client(p, c->flow_seed);
	}
	if (p->source_cell & ADDRESS_MACHINE)
		return way_back(ctx, p, c);
	if (p->destination_cell & ADDRESS_FRONTEND)
		return hand_up(REASON_NO_SUCH_ENDPOINT);
	return XDP_PASS;
}

static __always_inline int begin(struct xdp_md *ctx, bool frags)
{
	void *data = (void *)(long)ctx->data, *end = frame_end(ctx), *l3 = data + ETH_HLEN;
	const struct ethhdr *eth = data;
	const struct vlan_header *tag;
	__u32 source, destination, tags = 0, flags = 0;
	__u8 source_cell, destination_cell, protocol;
	struct packet packet;
	__be16 type;

	if (l3 > end)
		return XDP_PASS;
	type = eth->h_proto;
	if (is_tag(type)) {
		tag = l3;
		l3 += sizeof(*tag);
		if (l3 > end)
			return XDP_PASS;
		type = tag->inner;
		tags = 1;
		if (is_tag(type)) {
			tag = l3;
			l3 += sizeof(*tag);
			if (l3 > end)
				return XDP_PASS;
			type = tag->inner;
			tags = 2;
		}
	}
	if (type == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = l3;

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		protocol = ip->protocol;
		source = hash_word(TABLE_SEED, ip->saddr);
		destination = hash_word(TABLE_SEED, ip->daddr);
	} else if (type == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = l3;

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		protocol = ip->nexthdr;
		source = hash_address((void *)&ip->saddr);
		destination = hash_address((void *)&ip->daddr);
		flags = IS_IPV6;
	} else {
		return XDP_PASS;
	}
	source_cell = cell_of(source);
	destination_cell = cell_of(destination);
	/* An error's addresses need not be ours: what it is about may be. */
	if (!(destination_cell & (ADDRESS_FRONTEND | ADDRESS_MACHINE)) && !(source_cell & ADDRESS_MACHINE) &&
	    protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6)
		return XDP_PASS;

	if (!tags && !flags && !careful) {
		int verdict = fast_way(ctx, source, destination, source_cell | destination_cell << 8);

		if (verdict != GO_ON)
			return verdict;
	}
	__builtin_memset(&packet, 0, sizeof(packet));
	packet.source_hash = source;
	packet.destination_hash = destination;
	packet.source_cell = source_cell;
	packet.destination_cell = destination_cell;
	packet.flags = flags;
	packet.tags = tags;
	packet.l3 = ETH_HLEN + tags * sizeof(*tag);
	packet.device = ctx->ingress_ifindex;
	packet.member_counter = NO_COUNTER;
	return perhaps_ours(ctx, &packet, frags);
}

SEC("xdp")
int penstock(struct xdp_md *ctx)
{
	return begin(ctx, false);
}

/* For drivers that deliver jumbo frames in pieces. */
SEC("xdp.frags")
int penstock_frags(struct xdp_md *ctx)
{
	return begin(ctx, true);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
