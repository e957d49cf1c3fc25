/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The flow table: buckets of seven, found by the client's side of the flow, written without locks. Whoever changes a word
 * from what it was to BUSY may write that flow, and makes it valid by its new word; whoever reads a flow looks at its
 * word again afterwards.
 */
#ifndef PENSTOCK_FLOW_H
#define PENSTOCK_FLOW_H

/* In units of 2^30 ns, about 1.07 s, as last seen is. */
#define TCP_NEW_LIFETIME 56
#define UDP_NEW_LIFETIME 28
#define UDP_OPEN_LIFETIME 112
#define TCP_OPEN_LIFETIME 402331  /* 5 days */
#define FLOW_TIME 0xffffffu

/* The tag's highest bit, so that nobody has to look into a flow to know for how long it is good. */
#define TAG_UDP 0x80000000u

/* Which side's packet a flow is looked up for. */
#define FROM_CLIENT 0
#define FROM_MACHINE 1

/* What a look-up brings back of a flow, read in one piece. */
struct known {
	__u64 word;
	__u32 to;
	__u32 member_serial;
	__u32 place;
	__u32 frontend;
	__u32 frontend_serial;
	__be16 client_port;
	__be16 frontend_port;
	__be16 sent_port;
	__u8 kind;
	__u8 pad[5];
};

static __always_inline __u32 flow_time(const struct packet *p)
{
	return p->now >> 30 & FLOW_TIME;
}

static __always_inline __u32 word_state(__u64 word)
{
	return word >> 24 & 0xff;
}

static __always_inline __u32 word_age(__u64 word, __u32 time)
{
	return (time - (__u32)word) & FLOW_TIME;
}

static __always_inline __u64 make_word(__u64 tag, __u64 state, __u32 time)
{
	return tag << 32 | state << 24 | time;
}

static __always_inline struct bucket *bucket_at(__u32 index)
{
	return bpf_map_lookup_elem(&flows, &index);
}

static __always_inline struct jenkins flow_hash(const union address *client, __be16 port, __u8 protocol, __u32 seed)
{
	struct jenkins j = hash_client(client, port, protocol, seed);

	j.b = (j.b & ~TAG_UDP) | (protocol == IPPROTO_UDP ? TAG_UDP : 0);
	j.c &= bucket_mask;
	return j;
}

static __always_inline bool is_same_flow(const struct flow *flow, const struct flow *wanted, __u32 side)
{
	if (flow->protocol != wanted->protocol || !same_address(&flow->client, &wanted->client))
		return false;
	if (side == FROM_CLIENT)
		return flow->client_port == wanted->client_port && flow->frontend_port == wanted->frontend_port &&
		       flow->frontend == wanted->frontend && (flow->kind == FLOW_NAT || flow->kind == FLOW_BALANCED);
	return flow->machine_port == wanted->machine_port && flow->sent_port == wanted->sent_port &&
	       same_address(&flow->machine, &wanted->machine);
}

/* Where a flow is looked for first, so that the processor can fetch it together with the words. */
static __always_inline __u32 first_way(__u32 tag)
{
	return (tag & 0xffff) * FLOW_WAYS >> 16;
}

static __always_inline bool try_way(const struct flow *wanted, struct known *known, const struct bucket *bucket,
				    __u32 place, __u32 tag, __u32 side)
{
	__u32 way = place & 7;
	const struct flow *flow;
	__u64 word;

	if (way >= FLOW_WAYS)
		return false;
	flow = &bucket->flows[way];
	word = READ_ONCE(bucket->words[way]);
	if (word >> 32 != tag || word_state(word) < STATE_NEW)
		return false;
	/* What is wanted is read here, not held over a whole loop: see ROLLED. */
	asm volatile("" ::: "memory");
	if (!is_same_flow(flow, wanted, side))
		return false;
	known->word = word;
	known->place = place;
	known->frontend = flow->frontend;
	known->frontend_serial = flow->frontend_serial;
	/* Together: the agent writes both while packets read, where a rule comes to another ring of its pool. */
	*(__u64 *)&known->to = READ_ONCE(*(const __u64 *)&flow->to);
	known->client_port = flow->client_port;
	known->frontend_port = flow->frontend_port;
	known->sent_port = flow->sent_port;
	known->kind = flow->kind;
	asm volatile("" ::: "memory");
	word = READ_ONCE(bucket->words[way]);
	return word >> 32 == tag && word_state(word) >= STATE_NEW;
}

STEP int search_bucket(const struct flow *wanted, struct known *known, __u32 index, __u32 tag, __u32 side)
{
	struct bucket *bucket = bucket_at(index);
	__u32 i;

	if (!wanted || !known || !bucket)
		return 0;
	ROLLED
	for (i = 0; i < FLOW_WAYS; i++)
		if (try_way(wanted, known, bucket, index << 3 | i, tag, side))
			return 1;
	return 0;
}

/* True if found. The place is its bucket * 8 + its way. */
static __always_inline bool find_flow(const struct flow *wanted, struct known *known, struct jenkins j, __u32 side)
{
	struct bucket *bucket = bucket_at(j.c);

	if (bucket && try_way(wanted, known, bucket, j.c << 3 | first_way(j.b), j.b, side))
		return true;
	return search_bucket(wanted, known, j.c, j.b, side);
}

/* A flow changes its state, or was just seen. Whoever comes second on another CPU may be forgotten: it tells the same. */
static __always_inline void touch_flow(const struct known *known, __u32 state, __u32 time)
{
	__u64 word = make_word(known->word >> 32, state, time);
	struct bucket *bucket;
	__u32 way = known->place & 7;

	if (word == known->word || way >= FLOW_WAYS)
		return;
	bucket = bucket_at(known->place >> 3);
	if (bucket)
		__sync_val_compare_and_swap(&bucket->words[way], known->word, word);
}

static __always_inline void forget_flow(const struct known *known)
{
	struct bucket *bucket = bucket_at(known->place >> 3);
	__u32 way = known->place & 7;

	if (bucket && way < FLOW_WAYS)
		__sync_val_compare_and_swap(&bucket->words[way], known->word, 0);
}

/*
 * How dear a flow is: its class (empty, closing and leaving 1, new 3, open 5, being written 7; one less if it has not been seen
 * for its lifetime), and in a class by age. Without branches, which the verifier would follow seven times over.
 */
#define CLASSES 0x71153371u
#define DEAR_NEW (3u << 24)
#define DEAR_OPEN (5u << 24)      /* from here on not to be displaced */
#define LIFETIMES_TCP ((__u64)TCP_OPEN_LIFETIME << 32 | TCP_NEW_LIFETIME)
#define LIFETIMES_UDP ((__u64)UDP_OPEN_LIFETIME << 32 | UDP_NEW_LIFETIME)

static __always_inline __u32 dearness(__u64 word, __u32 time)
{
	__u32 state = word_state(word) & 7, age = word_age(word, time);
	__u64 lifetimes = LIFETIMES_TCP ^ ((LIFETIMES_TCP ^ LIFETIMES_UDP) & -(word >> 63));
	__u32 lifetime = lifetimes >> (state / STATE_OPEN * 32);
	__u32 class = CLASSES >> state * 4 & 7;

	class -= (__u64)((__s64)lifetime - age) >> 63;
	return class << 24 | (FLOW_TIME - age);
}

/* The way that is given up most easily, or FLOW_WAYS where none is. */
STEP __u32 find_victim(__u32 index, __u32 first, __u32 time)
{
	const struct bucket *bucket = bucket_at(index);
	__u32 i, way = FLOW_WAYS, dear, least = DEAR_OPEN;

	if (!bucket || (first < FLOW_WAYS && !READ_ONCE(bucket->words[first])))
		return first;
	ROLLED
	for (i = 0; i < FLOW_WAYS; i++) {
		dear = dearness(READ_ONCE(bucket->words[i]), time);
		if (dear >= least)
			continue;
		least = dear;
		way = i;
	}
	return way;
}

/* False where every way of the bucket holds a flow that is not to be displaced. */
STEP int insert_flow(const struct flow *flow, __u32 index, __u64 word)
{
	struct bucket *bucket = bucket_at(index);
	__u32 attempt, way, dear;
	__u64 victim;

	if (!flow || !bucket)
		return 0;
	ROLLED
	for (attempt = 0; attempt < 3; attempt++) {
		way = find_victim(index, first_way(word >> 32), word & FLOW_TIME);
		if (way >= FLOW_WAYS)
			return 0;
		victim = READ_ONCE(bucket->words[way]);
		dear = dearness(victim, word & FLOW_TIME);
		if (dear >= DEAR_OPEN ||
		    __sync_val_compare_and_swap(&bucket->words[way], victim, make_word(0, STATE_BUSY, 0)) != victim)
			continue;
		if (dear >> 24 == DEAR_NEW >> 24)
			count_reason(REASON_FLOW_DISPLACED);
		bucket->flows[way] = *flow;
		/* An atomic operation, so that the flow is written before its word. */
		__sync_lock_test_and_set(&bucket->words[way], word);
		return 1;
	}
	return 0;
}

/*
 * By a packet of the client. Nothing that it sends opens a flow, and its FIN or RST may be somebody else's, of whom only
 * the machine can tell that the numbers are wrong: it goes on.
 */
static __always_inline __u32 state_by_client(const struct packet *p, __u32 state)
{
	if (p->flags & IS_ERROR)
		return state;
	if (p->protocol == IPPROTO_TCP)
		return p->tcp_flags & (TCP_FIN | TCP_RST) && state != STATE_CLOSING ? STATE_LEAVING : state;
	return state == STATE_REPLIED ? STATE_OPEN : state;
}

/* By a packet of the machine, which does not lie: so no flood of SYN or ACK packets makes a flow that is kept. */
static __always_inline __u32 state_by_machine(const struct packet *p, __u32 state)
{
	if (p->flags & IS_ERROR)
		return state;
	if (p->protocol == IPPROTO_UDP)
		return state == STATE_NEW ? STATE_REPLIED : state;
	if (p->tcp_flags & (TCP_FIN | TCP_RST))
		return STATE_CLOSING;
	return state != STATE_CLOSING && !(p->tcp_flags & TCP_SYN) ? STATE_OPEN : state;
}

/* An end has been announced: a SYN is then of another flow. */
static __always_inline bool is_ending(__u32 state)
{
	return state >= STATE_CLOSING;
}

static __always_inline bool is_idle(const struct packet *p, const struct known *known)
{
	__u32 age = word_age(known->word, flow_time(p));

	if (p->protocol != IPPROTO_UDP)
		return false;
	return age > (word_state(known->word) == STATE_OPEN ? UDP_OPEN_LIFETIME : UDP_NEW_LIFETIME);
}

#endif
