/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Targets with flow state: balanced ones, and one-to-one ones whose way back is ambiguous. */
#ifndef PENSTOCK_BALANCE_H
#define PENSTOCK_BALANCE_H

#define REPORT_TRIES 8

static __always_inline bool serves(const struct member *member, __u8 protocol, __u32 epoch)
{
	__u8 states = READ_ONCE(member->states[visible(READ_ONCE(member->version), epoch)]);

	return states & (protocol == IPPROTO_TCP ? MEMBER_TCP : MEMBER_UDP);
}

static __always_inline struct member *member_at(__u32 index)
{
	return bpf_map_lookup_elem(&members, &index);
}

/* The member of a known flow, if the flow may still go there. */
static __always_inline const struct member *member_of(const struct known *known, const struct packet *p)
{
	const struct member *member = member_at(known->to);

	if (!member || member->serial != known->member_serial || !serves(member, p->protocol, p->epoch))
		return 0;
	return member;
}

/*
 * The slot's member for a new flow: the hash of src/forwarding/hash.ts, over the words of the fields in written order.
 * Zeros behind the last word do not change it, so every case ends in three words.
 */
STEP __u32 choose_member(const struct packet *p, const struct target *target)
{
	const union address *from, *to;
	const struct slots *chosen;
	struct ring_range range;
	const struct ring *ring;
	__u32 key, slot, hash;
	struct jenkins j;
	bool five, all;

	if (!p || !target)
		return NOWHERE;
	key = target->to;
	ring = bpf_map_lookup_elem(&rings, &key);
	if (!ring)
		return NOWHERE;
	range = ring->ranges[visible(READ_ONCE(ring->version), p->epoch)];
	if (!range.size)
		return NOWHERE;

	from = &p->source;
	to = &p->destination;
	five = target->affinity == AFFINITY_FIVE_TUPLE;
	all = target->affinity != AFFINITY_CLIENT_IP;
	if (!is_ipv6(p)) {
		if (five) {
			jenkins_start(&j, 20, TABLE_SEED);
			jenkins_add(&j, from->words[3], p->source_port, to->words[3]);
			jenkins_mix(&j);
			jenkins_add(&j, p->destination_port, p->protocol, 0);
		} else {
			jenkins_start(&j, all ? 12 : 8, TABLE_SEED);
			jenkins_add(&j, from->words[3], to->words[3], all ? p->protocol : 0);
		}
	} else {
		jenkins_start(&j, five ? 44 : all ? 36 : 32, TABLE_SEED);
		jenkins_add(&j, from->words[0], from->words[1], from->words[2]);
		jenkins_mix(&j);
		if (five) {
			jenkins_add(&j, from->words[3], p->source_port, to->words[0]);
			jenkins_mix(&j);
			jenkins_add(&j, to->words[1], to->words[2], to->words[3]);
			jenkins_mix(&j);
			jenkins_add(&j, p->destination_port, p->protocol, 0);
		} else {
			jenkins_add(&j, from->words[3], to->words[0], to->words[1]);
			jenkins_mix(&j);
			jenkins_add(&j, to->words[2], to->words[3], all ? p->protocol : 0);
		}
	}
	jenkins_end(&j);
	hash = j.c;

	slot = (__u64)hash * range.size >> 32;
	key = range.first + slot / 16;
	chosen = bpf_map_lookup_elem(&slots, &key);
	return chosen ? chosen->members[slot % 16] : NOWHERE;
}

/* Else nftables does it, or nobody. */
static __always_inline bool keeps_flows(const struct target *target)
{
	return target->kind == TARGET_NAT || target->kind == TARGET_TRACKED || target->kind == TARGET_BALANCED;
}

/*
 * Whether another flow that goes on stands where answers to `flow` would be looked up. One that is over, or whose
 * target is gone, makes room. `other` is the caller's: a second one on the stack would be too much of it.
 */
static __always_inline bool is_taken(const struct packet *p, const struct flow *flow, struct jenkins j,
				     struct known *other)
{
	const struct frontend *frontend;
	const struct target *target;

	__builtin_memset(other, 0, sizeof(*other));
	if (!find_flow(flow, other, j, FROM_MACHINE))
		return false;
	if (!is_ending(word_state(other->word)) && !is_idle(p, other)) {
		if (other->kind == FLOW_DIRECT)
			return true;
		frontend = frontend_at(other->frontend);
		target = frontend ? visible_target(frontend, p->epoch) : 0;
		if (target && keeps_flows(target) && target->serial == other->frontend_serial)
			return other->frontend != flow->frontend || other->client_port != flow->client_port ||
			       other->frontend_port != flow->frontend_port;
	}
	forget_flow(other);
	return false;
}

static __always_inline __u8 floats_by(const struct target *target)
{
	return target->kind >= TARGET_FLOATING ? target->kind - TARGET_FLOATING + FLOATS_NEIGHBOUR : 0;
}

static __always_inline bool leads_to_ring(const struct target *target)
{
	return target->kind == TARGET_BALANCED || target->kind >= TARGET_FLOATING;
}

/* The flow as far as the client's packet tells. */
static __always_inline void describe_flow(struct flow *flow, const struct packet *p, const struct target *target,
					  __u32 frontend)
{
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->client = p->source;
	flow->client_port = p->source_port;
	flow->frontend_port = p->destination_port;
	flow->machine_port = target->port ? target->port : p->destination_port;
	flow->frontend = frontend;
	flow->frontend_serial = target->serial;
	flow->protocol = p->protocol;
	flow->kind = leads_to_ring(target) ? FLOW_BALANCED : FLOW_NAT;
}

/* Fixes where a new flow goes, and by which port of the client the machine shall see it: index into `machines`, or -reason. */
STEP int start_flow(struct packet *p, const struct target *target, __u32 frontend, __u32 seed)
{
	const struct machine *machine;
	const struct member *member;
	struct jenkins home, j;
	struct known other;
	__u32 i, port, to;
	struct flow flow;

	if (!p || !target)
		return -REASON_NO_MEMBER;
	describe_flow(&flow, p, target, frontend);
	to = flow.to = target->to;
	if (leads_to_ring(target)) {
		/* nftables may know the flow, but it cannot encapsulate. */
		if (p->protocol == IPPROTO_TCP && !opens(p) && p->floats != FLOATS_WITHIN)
			return -REASON_UNKNOWN_FLOW;
		flow.to = choose_member(p, target);
		member = member_at(flow.to);
		if (!member || !serves(member, p->protocol, p->epoch))
			return -REASON_NO_MEMBER;
		flow.member_serial = member->serial;
		p->member_counter = member->counter;
		to = member->machine;
	}
	machine = bpf_map_lookup_elem(&machines, &to);
	if (!machine)
		return -REASON_NO_MEMBER;
	/* Without the machine's address where answers do not come by: what it says for itself is none of them. */
	if (!p->floats)
		flow.machine = machine->address;

	home = j = flow_hash(&flow.client, flow.client_port, flow.protocol, seed);
	port = bpf_ntohs(flow.client_port);
	for (i = 0; i < REPORT_TRIES; i++) {
		flow.sent_port = bpf_htons(port);
		if (p->floats || !is_taken(p, &flow, j, &other))
			break;
		/* In its midst, and conntrack knows its ends: the rule was nftables' when it began. */
		if (!i && other.kind == FLOW_DIRECT && p->protocol == IPPROTO_TCP && !opens(p))
			return -REASON_DIRECT;
		port = 1024 + hash_end(home.b + i * 0x9e3779b1u) % (65536 - 1024);
		j = flow_hash(&flow.client, bpf_htons(port), flow.protocol, seed);
	}
	if (i == REPORT_TRIES)
		return -REASON_FLOW_TABLE_FULL;
	/* First, so that a flow which does not fit leaves nothing that the client's next packet would follow. */
	if (flow.sent_port != flow.client_port) {
		count_reason(REASON_REPORTED);
		flow.kind = FLOW_BACK;
		if (!insert_flow(&flow, j.c, make_word(j.b, STATE_NEW, flow_time(p))))
			return -REASON_FLOW_TABLE_FULL;
		flow.kind = leads_to_ring(target) ? FLOW_BALANCED : FLOW_NAT;
	}
	if (!insert_flow(&flow, home.c, make_word(home.b, state_by_client(p, STATE_NEW), flow_time(p))))
		return -REASON_FLOW_TABLE_FULL;
	p->new_source_port = flow.sent_port;
	if (p->protocol == IPPROTO_UDP || opens(p))
		p->flags |= STARTS_FLOW;
	return to;
}

/*
 * The second entry of a flow whose port was changed, by which its answers are found: lives as long as the first, is made
 * anew where it was displaced, and tells the first that the machine has answered.
 */
STEP int keep_way_back(const struct packet *p, const struct target *target, __u32 frontend, __u32 seed, __u32 to)
{
	const struct machine *machine = bpf_map_lookup_elem(&machines, &to);
	struct known known;
	struct flow flow;
	struct jenkins j;
	__u32 state;
	__u64 first;
	__u32 place;

	if (!p || !target || !machine)
		return 0;
	describe_flow(&flow, p, target, frontend);
	__builtin_memset(&known, 0, sizeof(known));
	j = flow_hash(&flow.client, flow.client_port, flow.protocol, seed);
	if (!find_flow(&flow, &known, j, FROM_CLIENT))
		return 0;
	first = known.word;
	place = known.place;
	state = word_state(first);
	flow.kind = FLOW_BACK;
	flow.sent_port = known.sent_port;
	flow.to = known.to;
	flow.member_serial = known.member_serial;
	flow.machine = machine->address;
	j = flow_hash(&flow.client, flow.sent_port, flow.protocol, seed);
	if (!find_flow(&flow, &known, j, FROM_MACHINE) || known.frontend != frontend ||
	    known.client_port != flow.client_port)
		return !is_taken(p, &flow, j, &known) && insert_flow(&flow, j.c, make_word(j.b, state, flow_time(p)));
	if (word_state(known.word) > state)
		state = word_state(known.word);
	touch_flow(&known, state, flow_time(p));
	known.word = first;
	known.place = place;
	touch_flow(&known, state, flow_time(p));
	return 1;
}

/* The machine that the flow of this packet goes to: index into `machines`, or UNKNOWN_FLOW. */
#define UNKNOWN_FLOW -1000

STEP int follow_flow(struct packet *p, const struct target *target, __u32 frontend, __u32 seed)
{
	const struct member *member = 0;
	struct known known;
	struct flow flow;
	struct jenkins j;
	__u32 state;

	if (!p || !target)
		return UNKNOWN_FLOW;
	describe_flow(&flow, p, target, frontend);
	__builtin_memset(&known, 0, sizeof(known));
	j = flow_hash(&flow.client, flow.client_port, flow.protocol, seed);
	if (!find_flow(&flow, &known, j, FROM_CLIENT))
		return UNKNOWN_FLOW;
	state = word_state(known.word);
	if (known.kind == FLOW_BALANCED)
		member = member_of(&known, p);
	if (known.frontend_serial != target->serial || known.kind != flow.kind ||
	    (known.kind == FLOW_BALANCED && !member) || is_idle(p, &known) ||
	    (is_ending(state) && opens(p))) {
		forget_flow(&known);
		return UNKNOWN_FLOW;
	}
	touch_flow(&known, state_by_client(p, state), flow_time(p));
	p->new_source_port = known.sent_port;
	if (!member)
		return known.to;
	p->member_counter = member->counter;
	return member->machine;
}

/*
 * A flow in its midst that conntrack may know, or begins to know by this packet: its answers are left to conntrack as well,
 * also where another frontend owns the answers of that port. Conntrack chooses by the same ring.
 */
STEP int leave_to_conntrack(struct packet *p, const struct target *target, __u32 seed)
{
	const struct machine *machine;
	const struct member *member;
	struct known known;
	struct flow flow;
	struct jenkins j;
	__u32 to;

	if (!p || !target)
		return 0;
	member = member_at(choose_member(p, target));
	if (!member)
		return 0;
	to = member->machine;
	machine = bpf_map_lookup_elem(&machines, &to);
	if (!machine)
		return 0;
	describe_flow(&flow, p, target, 0);
	flow.frontend_port = 0;
	flow.frontend_serial = 0;
	flow.kind = FLOW_DIRECT;
	flow.machine = machine->address;
	flow.sent_port = flow.client_port;
	j = flow_hash(&flow.client, flow.client_port, flow.protocol, seed);
	__builtin_memset(&known, 0, sizeof(known));
	if (!is_taken(p, &flow, j, &known))
		return insert_flow(&flow, j.c, make_word(j.b, STATE_NEW, flow_time(p)));
	if (known.kind == FLOW_DIRECT)
		touch_flow(&known, state_by_client(p, word_state(known.word)), flow_time(p));
	return 1;
}

/* Known or new. Index into `machines`, or -reason. */
static __always_inline int machine_of_flow(struct packet *p, const struct target *target, __u32 frontend, __u32 seed)
{
	int machine = follow_flow(p, target, frontend, seed);

	if (machine == UNKNOWN_FLOW && p->flags & IS_ERROR)
		return -REASON_ICMP;
	if (machine == UNKNOWN_FLOW) {
		machine = start_flow(p, target, frontend, seed);
		if (machine == -REASON_UNKNOWN_FLOW && !p->floats)
			leave_to_conntrack(p, target, seed);
		return machine;
	}
	if (p->new_source_port != p->source_port)
		keep_way_back(p, target, frontend, seed, machine);
	return machine;
}

#endif
