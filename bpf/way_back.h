/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a machine to a client: is this an answer, and through which frontend did the client ask? */
#ifndef PENSTOCK_WAY_BACK_H
#define PENSTOCK_WAY_BACK_H

#define ANSWER_UNKNOWN 0
#define ANSWER_DIRECT 1
#define ANSWER_TRANSLATED 2

/* Only with these does a machine also begin: the others are answers, if no direct flow is known. */
static __always_inline bool may_begin(const struct packet *p)
{
	return p->protocol == IPPROTO_UDP || p->tcp_flags & TCP_SYN;
}

static __always_inline __be16 port_at_frontend(const struct frontend *frontend, const struct packet *p)
{
	return frontend->port ? frontend->port : p->source_port;
}

/* Where it is noted that the client sends through this frontend. */
static __always_inline struct seen_cells asked_cells(const struct packet *p, const struct frontend *frontend,
						     __u32 index, __u32 seed)
{
	return seen_cells(&p->destination, p->destination_port, port_at_frontend(frontend, p), p->protocol, index, seed);
}

/* Whether it did lately. Datagrams that are answers keep that alive, as in conntrack: some clients only listen. */
static __always_inline bool has_asked(const struct packet *p, const struct frontend *frontend, __u32 index, __u32 seed)
{
	struct seen_cells cells = asked_cells(p, frontend, index, seed);

	if (!seen_when(cells, p->now))
		return false;
	if (p->protocol == IPPROTO_UDP && !(p->flags & IS_ERROR))
		note_seen(cells, p->now);
	return true;
}

/*
 * Of somebody who talks to the machine directly, and through the stateless frontend as well, by the same port: what
 * came last counts. True: the direct flow is over.
 */
static __always_inline bool is_outdated(const struct packet *p, const struct known *direct, __u32 owner, __u32 seed)
{
	const struct frontend *frontend;
	__u16 when;

	if (!may_begin(p) || owner == WAY_NOBODY)
		return false;
	frontend = frontend_at(owner);
	if (!frontend)
		return false;
	when = seen_when(asked_cells(p, frontend, owner, seed), p->now);
	/* After an end, the client's SYN would have made the direct one new: the machine answers another. */
	return when && (is_ending(word_state(direct->word)) || (__s16)(when - (__u16)direct->word) > 0);
}

STEP int answer_by_flow(struct packet *p, __u32 owner, __u32 seed)
{
	const struct frontend *frontend;
	const struct target *target;
	const struct member *member;
	struct known known;
	struct flow flow;
	struct jenkins j;
	__u32 state, time;

	__builtin_memset(&flow, 0, sizeof(flow));
	__builtin_memset(&known, 0, sizeof(known));
	if (!p)
		return ANSWER_UNKNOWN;
	flow.client = p->destination;
	flow.sent_port = p->destination_port;
	flow.machine = p->source;
	flow.machine_port = p->source_port;
	flow.protocol = p->protocol;
	j = flow_hash(&flow.client, flow.sent_port, flow.protocol, seed);
	if (!find_flow(&flow, &known, j, FROM_MACHINE))
		return ANSWER_UNKNOWN;
	state = state_by_machine(p, word_state(known.word));
	time = flow_time(p);
	if (known.kind == FLOW_DIRECT) {
		if (is_ending(state) && opens(p))
			state = STATE_NEW;
		if (is_outdated(p, &known, owner, seed)) {
			forget_flow(&known);
			return ANSWER_UNKNOWN;
		}
		/* Seen when the client was, so that is_outdated() can compare. */
		touch_flow(&known, state, p->protocol == IPPROTO_UDP ? known.word & FLOW_TIME : time);
		return ANSWER_DIRECT;
	}
	frontend = frontend_at(known.frontend);
	if (!frontend)
		return ANSWER_UNKNOWN;
	target = visible_target(frontend, p->epoch);
	if (target->serial != known.frontend_serial)
		return ANSWER_UNKNOWN;
	if (target->kind == TARGET_BALANCED) {
		member = member_of(&known, p);
		if (!member)
			return ANSWER_UNKNOWN;
		p->member_counter = member->counter;
	} else if (target->kind != TARGET_TRACKED && target->kind != TARGET_NAT) {
		return ANSWER_UNKNOWN;
	}
	touch_flow(&known, state, time);
	p->counter = target->counter;
	p->address = frontend->address;
	p->new_source_port = known.frontend_port;
	p->new_destination_port = known.client_port;
	return ANSWER_TRANSLATED;
}

/* The machine opens a connection from a port that a stateless frontend leads to. */
STEP int note_direct_machine(struct packet *p, __u32 backend, __u32 seed)
{
	struct flow flow;

	__builtin_memset(&flow, 0, sizeof(flow));
	if (!p)
		return XDP_PASS;
	flow.client = p->destination;
	flow.sent_port = p->destination_port;
	flow.machine = p->source;
	flow.machine_port = p->source_port;
	flow.protocol = p->protocol;
	return note_direct(p, &flow, backend, seed);
}

/* Of a frontend for every port: this port has a rule of its own, so nobody reaches the machine's through it. */
static __always_inline bool is_claimed(const struct frontend *every, const struct packet *p)
{
	const struct frontend *frontend;
	__u32 index;

	index = find_frontend(&every->address, hash_address(&every->address), key_of(p->source_port, p->protocol),
			      p->epoch);
	if (index == NOWHERE)
		return false;
	frontend = frontend_at(index);
	return frontend && visible_target(frontend, p->epoch)->kind != TARGET_NONE;
}

/* By the one frontend that leads to the machine's port and keeps no flows. GO_ON: translate. */
static __always_inline int answer_by_owner(struct packet *p, __u32 owner, __u32 backend, __u32 seed)
{
	const struct frontend *frontend = frontend_at(owner);
	const struct target *target;

	if (!frontend)
		return XDP_PASS;
	target = visible_target(frontend, p->epoch);
	if (target->kind != TARGET_NAT && target->kind != TARGET_TRACKED)
		return XDP_PASS;
	if (!frontend->port && is_claimed(frontend, p))
		return XDP_PASS;
	if (opens(p))
		return note_direct_machine(p, backend, seed);
	if (may_begin(p) && !has_asked(p, frontend, owner, seed))
		return hand_up(REASON_DIRECT);
	p->counter = target->counter;
	p->address = frontend->address;
	p->new_source_port = port_at_frontend(frontend, p);
	return GO_ON;
}

/* Sets what is to be written. GO_ON: translate. */
static __always_inline int find_answer(struct packet *p, const struct control *c)
{
	__u32 way, backend, owner;
	int answer = ANSWER_UNKNOWN;

	way = way_of(&p->source, p->source_hash, p->source_port, p, &backend);
	owner = way ? way & WAY_INDEX : WAY_NOBODY;
	if (!way && !(p->source_cell & ADDRESS_RING))
		return XDP_PASS;
	if (way & WAY_SHARED || p->source_cell & ADDRESS_RING || is_contested(backend))
		answer = answer_by_flow(p, owner, c->flow_seed);
	if (answer == ANSWER_DIRECT)
		return hand_up(REASON_DIRECT);
	if (answer == ANSWER_TRANSLATED)
		return GO_ON;
	if (owner == WAY_NOBODY)
		return XDP_PASS;
	return answer_by_owner(p, owner, backend, c->flow_seed);
}

static __always_inline int way_back(struct xdp_md *ctx, struct packet *p, const struct control *c)
{
	int verdict, hop;

	if (p->flags & IS_LATER_FRAGMENT) {
		if (!recall_fragment(p))
			return hand_up(REASON_FRAGMENT);
	} else {
		verdict = find_answer(p, c);
		if (verdict != GO_ON)
			return verdict;
	}
	if (p->hop_limit <= 1)
		return hand_up(REASON_HOP_LIMIT);
	if (p->flags & IS_FIRST_FRAGMENT)
		note_fragment(p);
	hop = hop_to_client(ctx, p, c);
	return leave(ctx, p, hop);
}

#endif
