/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Times an XDP program: BPF_PROG_TEST_RUN repeats on the packet as the last run has left it, so this writes the frame's
 * headers anew, of the next flow in a list, and then tail-calls the program. What this costs is known from a run with
 * `nothing` in the program's place, and subtracted.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* In front of the payload: Ethernet and the longest IP and transport headers, in whole 8-byte words. */
#define HEADER_WORDS 10
#define FLOWS_MAX (1 << 20)
#define PROGRAMS 32

/* What differs from packet to packet; of IPv6 addresses the last four bytes. The reader walks it from the start, so
 * that it is in the cache before it is asked for, and so that any order costs the same. */
struct flow {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 spare;
};

struct plan {
	__u64 header[HEADER_WORDS];
	__u32 program;
	__u32 flows;
	__u32 next;
	__u32 device;
	__u32 checksum;
	__u32 spare;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOWS_MAX);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PROGRAMS);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} arrived SEC(".maps");

/* Of IPv4, over a header whose addresses and checksum the template leaves 0; `sum` is over the rest. */
static __always_inline __sum16 checksum(__u32 sum, const struct flow *flow)
{
	sum += (flow->source & 0xffff) + (flow->source >> 16);
	sum += (flow->destination & 0xffff) + (flow->destination >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* `source`, `destination` and `ports` are where the frame has them. */
static __always_inline int run(struct xdp_md *ctx, int source, int destination, int ports)
{
	void *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 *words = frame;
	__u32 zero = 0, at;
	struct plan *plan = bpf_map_lookup_elem(&plans, &zero);
	struct flow *flow;

	if (!plan || frame + HEADER_WORDS * 8 > end)
		return XDP_ABORTED;
	at = plan->next;
	if (at >= plan->flows)
		at = 0;
	plan->next = at + 1;
	flow = bpf_map_lookup_elem(&flows, &at);
	if (!flow)
		return XDP_ABORTED;
#pragma unroll
	for (int word = 0; word < HEADER_WORDS; word++)
		words[word] = plan->header[word];
	*(__be32 *)(frame + source) = flow->source;
	*(__be32 *)(frame + destination) = flow->destination;
	*(__u32 *)(frame + ports) = *(__u32 *)&flow->source_port;
	if (source == 26)
		*(__sum16 *)(frame + 24) = checksum(plan->checksum, flow);
	bpf_tail_call(ctx, &programs, plan->program);
	return XDP_ABORTED;
}

SEC("xdp")
int ipv4(struct xdp_md *ctx)
{
	return run(ctx, 26, 30, 34);
}

SEC("xdp")
int ipv6(struct xdp_md *ctx)
{
	return run(ctx, 34, 50, 54);
}

SEC("xdp")
int nothing(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* A generator, in a run with live frames: the frame leaves by a device, for whoever is at the other end. */
SEC("xdp")
int transmit(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct plan *plan = bpf_map_lookup_elem(&plans, &zero);

	return plan ? bpf_redirect(plan->device, 0) : XDP_ABORTED;
}

/* The other end: counts and drops what looks like the generator's frames, whoever has translated them meanwhile. */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	void *frame = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&arrived, &zero);

	if (!count || frame + 34 > end)
		return XDP_PASS;
	/* IPv4 without options, UDP. */
	if (*(__be16 *)(frame + 12) != bpf_htons(0x0800) || *(__u8 *)(frame + 14) != 0x45 ||
	    *(__u8 *)(frame + 23) != 17)
		return XDP_PASS;
	__sync_fetch_and_add(count, 1);
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
