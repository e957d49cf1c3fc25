/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The hashes: of the agent's tables, of flows, and the one by which every gateway and nftables choose alike. */
#ifndef PENSTOCK_HASH_H
#define PENSTOCK_HASH_H

/* Of frontends, backends and cells. Cheap rather than strong: whoever may add entries is trusted. */
#define TABLE_SEED 0x50656e73u

static __always_inline __u32 hash_word(__u32 hash, __u32 word)
{
	hash = (hash ^ word) * 0x9e3779b1u;
	return hash ^ hash >> 15;
}

static __always_inline __u32 hash_end(__u32 hash)
{
	hash = (hash ^ hash >> 13) * 0x85ebca6bu;
	return hash ^ hash >> 16;
}

static __always_inline bool is_mapped_ipv4(const union address *address)
{
	return !address->halves[0] && address->words[2] == bpf_htonl(0xffff);
}

/* Unfinished: hash_end() makes it the address's, and a key put in before makes it the endpoint's. */
static __always_inline __u32 hash_address(const union address *address)
{
	__u32 hash = TABLE_SEED;

	if (!is_mapped_ipv4(address)) {
		hash = hash_word(hash, address->words[0]);
		hash = hash_word(hash, address->words[1]);
		hash = hash_word(hash, address->words[2]);
	}
	return hash_word(hash, address->words[3]);
}

/* Jenkins' lookup3, as in the kernel's include/linux/jhash.h: nothing but this chooses members. */
struct jenkins {
	__u32 a, b, c;
};

static __always_inline __u32 rotate(__u32 value, int bits)
{
	return value << bits | value >> (32 - bits);
}

static __always_inline void jenkins_start(struct jenkins *j, __u32 bytes, __u32 seed)
{
	j->a = j->b = j->c = 0xdeadbeef + bytes + seed;
}

static __always_inline void jenkins_add(struct jenkins *j, __u32 a, __u32 b, __u32 c)
{
	j->a += a;
	j->b += b;
	j->c += c;
}

static __always_inline void jenkins_mix(struct jenkins *j)
{
	j->a = (j->a - j->c) ^ rotate(j->c, 4);
	j->c += j->b;
	j->b = (j->b - j->a) ^ rotate(j->a, 6);
	j->a += j->c;
	j->c = (j->c - j->b) ^ rotate(j->b, 8);
	j->b += j->a;
	j->a = (j->a - j->c) ^ rotate(j->c, 16);
	j->c += j->b;
	j->b = (j->b - j->a) ^ rotate(j->a, 19);
	j->a += j->c;
	j->c = (j->c - j->b) ^ rotate(j->b, 4);
	j->b += j->a;
}

static __always_inline void jenkins_end(struct jenkins *j)
{
	j->c = (j->c ^ j->b) - rotate(j->b, 14);
	j->a = (j->a ^ j->c) - rotate(j->c, 11);
	j->b = (j->b ^ j->a) - rotate(j->a, 25);
	j->c = (j->c ^ j->b) - rotate(j->b, 16);
	j->a = (j->a ^ j->c) - rotate(j->c, 4);
	j->b = (j->b ^ j->a) - rotate(j->a, 14);
	j->c = (j->c ^ j->b) - rotate(j->b, 24);
}

/* The flow table's: c says which bucket, b is the tag. The seed is secret, so that nobody can aim at a bucket. */
static __always_inline struct jenkins hash_client(const union address *client, __u32 port, __u32 protocol, __u32 seed)
{
	__u32 last = port | protocol << 16;
	struct jenkins j;

	if (is_mapped_ipv4(client)) {
		jenkins_start(&j, 8, seed);
		jenkins_add(&j, client->words[3], last, 0);
	} else {
		jenkins_start(&j, 20, seed);
		jenkins_add(&j, client->words[0], client->words[1], client->words[2]);
		jenkins_mix(&j);
		jenkins_add(&j, client->words[3], last, 0);
	}
	jenkins_end(&j);
	return j;
}

#endif
