/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Internet checksums, mended by what has changed (RFC 1624): what was wrong before stays wrong. */
#ifndef PENSTOCK_CHECKSUM_H
#define PENSTOCK_CHECKSUM_H

/* A sum of 16-bit words in ones' complement, not folded yet; ours never have more than a hundred words. */
typedef __u64 sum_t;

static __always_inline sum_t sum_change32(sum_t sum, __u32 before, __u32 after)
{
	return sum + (__u32)~before + after;
}

static __always_inline sum_t sum_change16(sum_t sum, __u16 before, __u16 after)
{
	return sum + (__u16)~before + after;
}

static __always_inline sum_t sum_change_address(sum_t sum, const union address *before, const union address *after)
{
	sum = sum_change32(sum, before->words[0], after->words[0]);
	sum = sum_change32(sum, before->words[1], after->words[1]);
	sum = sum_change32(sum, before->words[2], after->words[2]);
	return sum_change32(sum, before->words[3], after->words[3]);
}

static __always_inline __sum16 mend(__sum16 check, sum_t change)
{
	sum_t sum = change + (__u16)~check;

	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* UDP: 0 means none, which only IPv4 allows and which stays; a sum that comes out as 0 is written as its other zero. */
static __always_inline __sum16 mend_udp(__sum16 check, sum_t change)
{
	__sum16 result;

	if (!check)
		return 0;
	result = mend(check, change);
	return result ? result : 0xffff;
}

#endif
