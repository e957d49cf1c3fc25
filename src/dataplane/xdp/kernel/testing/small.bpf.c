// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// A program for the tests of the binding: one map of each kind, and a verdict that the test chooses.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct cell {
	__u32 verdict;
	__u32 seen;
	__u32 ifindex;
#ifdef WIDER
	__u32 more;
#endif
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cell);
} cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u64);
	__type(value, __u32);
} verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

const volatile __u32 which = 0;
const volatile __u8 mark = 0;
const volatile __u64 wide = 0;

static __always_inline int run(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 index = which, one = 1;
	struct cell *cell = bpf_map_lookup_elem(&cells, &index);
	__u64 *count = bpf_map_lookup_elem(&counts, &one);
	__u64 key = wide;
	__u32 *verdict = bpf_map_lookup_elem(&verdicts, &key);

#ifdef BROKEN
	return data[0]; /* nobody has compared it with the end */
#endif
	if (count)
		*count += 1;
	if (verdict)
		return *verdict;
	if (!cell)
		return XDP_ABORTED;
	__sync_fetch_and_add(&cell->seen, 1);
	cell->ifindex = ctx->ingress_ifindex;
	if (data + 14 <= end && mark)
		data[0] = mark;
	return cell->verdict;
}

SEC("xdp")
int penstock(struct xdp_md *ctx)
{
	return run(ctx);
}

SEC("xdp.frags")
int penstock_frags(struct xdp_md *ctx)
{
#ifdef BROKEN_FRAGS
	return *(__u8 *)(long)ctx->data;
#endif
	return run(ctx);
}

char terms[] SEC("license") = "Dual BSD/GPL";
