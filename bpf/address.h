/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is known about an address: cheaply and perhaps by its cell, exactly by the table of machines. */
#ifndef PENSTOCK_ADDRESS_H
#define PENSTOCK_ADDRESS_H

static __always_inline __u8 cell_of(__u32 hash)
{
	__u32 cell = hash_end(hash) & address_mask, line = cell / sizeof(struct cells);
	const struct cells *cells = bpf_map_lookup_elem(&addresses, &line);

	return cells ? cells->cells[cell % sizeof(struct cells)] : 0;
}

STEP int look_for_machine(const union address *address, __u32 hash, __u32 epoch)
{
	__u32 index;

	if (!address)
		return 0;
	index = find_backend(address, hash, key_of(0, PROTOCOL_MACHINE), epoch);
	return index != NOWHERE && visible_way(index, epoch) & WAY_EXISTS;
}

static __always_inline bool is_machine(const union address *address, __u32 hash, __u8 cell, __u32 epoch)
{
	return cell & ADDRESS_MACHINE && look_for_machine(address, hash, epoch);
}

/* Neither a source nor a destination of what is routed: this network, loopback, multicast, reserved, broadcast. */
static __always_inline bool is_special_ipv4(__be32 address)
{
	__u32 host = bpf_ntohl(address), first = host >> 24;

	return first == 0 || first == 127 || first >= 224;
}

/* ::/32 (unspecified, loopback, IPv4 in disguise, which would be taken for IPv4's), link-local, multicast. */
static __always_inline bool is_special_ipv6(const union address *address)
{
	return !address->words[0] || (address->words[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000) ||
	       address->bytes[0] == 0xff;
}

#endif
