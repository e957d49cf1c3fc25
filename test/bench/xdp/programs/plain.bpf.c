/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The yardsticks for Penstock's program: destination NAT of IPv4 with the kernel's own hash map and nothing else: no
 * way back, no fragments, one fixed next hop, one counter. `plain` changes entry by entry; `versioned` has entries with
 * an epoch in the same kind of map, so that many change at one instant.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct endpoint {
	__be32 address;
	__be16 port;
	__u8 protocol;
	__u8 pad;
};

struct machine {
	__be32 address;
	__be16 port;
	__u16 pad;
};

/* The key again, because a hash map's elements are recycled under their readers. */
struct versioned {
	struct endpoint key;
	__u64 epoch;
	struct machine current;
	struct machine previous;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct endpoint);
	__type(value, struct machine);
} mappings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct endpoint);
	__type(value, struct versioned);
} versions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

volatile __u64 epoch = 1;

static const __u8 next_hop[12] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };
#ifndef NEXT_DEVICE
#define NEXT_DEVICE 7
#endif

/* RFC 1624, equation 3. */
static __always_inline void mend(__sum16 *checksum, __u32 from, __u32 to, __u16 from_port, __u16 to_port)
{
	__u32 sum = (__u16)~*checksum;

	sum += (__u16)~from + (__u16)~(from >> 16) + (to & 0xffff) + (to >> 16);
	sum += (__u16)~from_port + to_port;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*checksum = ~sum;
}

static __always_inline int translate(struct xdp_md *ctx, int has_versions)
{
	void *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = frame;
	struct iphdr *ip = frame + sizeof(*ethernet);
	struct udphdr *ports = (void *)(ip + 1);
	struct endpoint key = {};
	struct machine to;
	__sum16 *checksum;
	__u32 zero = 0;
	__u64 *count;

	if ((void *)(ports + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
		return XDP_PASS;
	if (ip->frag_off & bpf_htons(0x3fff) || ip->ttl <= 1)
		return XDP_PASS;
	if (ip->protocol == IPPROTO_TCP) {
		struct tcphdr *tcp = (void *)ports;

		if ((void *)(tcp + 1) > end)
			return XDP_PASS;
		checksum = &tcp->check;
	} else if (ip->protocol == IPPROTO_UDP) {
		checksum = &ports->check;
	} else {
		return XDP_PASS;
	}
	key.address = ip->daddr;
	key.port = ports->dest;
	key.protocol = ip->protocol;
	if (has_versions) {
		__u64 now = epoch, changed;
		struct versioned *entry;
		int tries;

		for (tries = 0; tries < 3; tries++) {
			entry = bpf_map_lookup_elem(&versions, &key);
			if (!entry)
				return XDP_PASS;
			changed = *(volatile __u64 *)&entry->epoch;
			to = changed <= now ? entry->current : entry->previous;
			if (*(volatile __u64 *)&entry->key == *(__u64 *)&key &&
			    *(volatile __u64 *)&entry->epoch == changed)
				break;
		}
		if (tries == 3)
			return XDP_PASS;
	} else {
		struct machine *entry = bpf_map_lookup_elem(&mappings, &key);

		if (!entry)
			return XDP_PASS;
		to = *entry;
	}
	if (ip->protocol == IPPROTO_TCP || *checksum) {
		mend(checksum, ip->daddr, to.address, ports->dest, to.port);
		if (ip->protocol == IPPROTO_UDP && !*checksum)
			*checksum = 0xffff;
	}
	mend(&ip->check, ip->daddr, to.address, bpf_htons(0x100), 0);
	ip->ttl--;
	ip->daddr = to.address;
	ports->dest = to.port;
	__builtin_memcpy(ethernet, next_hop, sizeof(next_hop));
	count = bpf_map_lookup_elem(&packets, &zero);
	if (count)
		*count += 1;
	return bpf_redirect(NEXT_DEVICE, 0);
}

SEC("xdp")
int plain(struct xdp_md *ctx)
{
	return translate(ctx, 0);
}

SEC("xdp")
int versioned(struct xdp_md *ctx)
{
	return translate(ctx, 1);
}

char _license[] SEC("license") = "Dual BSD/GPL";
