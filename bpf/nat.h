/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Towards a machine: which target the packet's destination leads to, and the translation that needs no flow state. */
#ifndef PENSTOCK_NAT_H
#define PENSTOCK_NAT_H

/* One to one. Remembers nothing but that the client has been here, and that only where it will be asked for. */
static __always_inline void note_client(struct packet *p, __u32 frontend, const struct control *c)
{
	struct seen_cells cells;

	if (p->flags & IS_ERROR || (p->protocol == IPPROTO_TCP && !opens(p)))
		return;
	cells = seen_cells(&p->source, p->source_port, p->destination_port, p->protocol, frontend, c->flow_seed);
	if (p->protocol == IPPROTO_TCP || !seen_when(cells, p->now))
		p->flags |= STARTS_FLOW;
	note_seen(cells, p->now);
}

/* The index of the frontend that the packet is for: of its port before that of every port. */
static __always_inline __u32 frontend_of(const struct packet *p, struct target *target)
{
	__u32 key = key_of(p->destination_port, p->protocol), index, i;
	const struct frontend *frontend;

	for (i = 0; i < 2; i++, key = key_of(0, p->protocol)) {
		index = find_frontend(&p->destination, p->destination_hash, key, p->epoch);
		if (index == NOWHERE)
			continue;
		frontend = frontend_at(index);
		if (!frontend)
			continue;
		*target = *visible_target(frontend, p->epoch);
		if (target->kind != TARGET_NONE)
			return index;
	}
	return NOWHERE;
}

/*
 * To the machine, nftables and the client it is a flow like any other; to the way back it is a conversation with the
 * machine's port that goes past every frontend that keeps no flows. `packet` is not read any more.
 */
STEP int note_left(struct packet *p, const struct target *target, __u32 seed)
{
	const struct machine *machine;
	const struct member *member;
	__u32 to;

	if (!p || !target)
		return XDP_PASS;
	to = target->to;
	if (target->affinity != AFFINITY_MACHINE) {
		member = member_at(choose_member(p, target));
		if (!member)
			return XDP_PASS;
		to = member->machine;
	}
	machine = bpf_map_lookup_elem(&machines, &to);
	if (!machine)
		return XDP_PASS;
	p->destination = machine->address;
	p->destination_hash = hash_address(&machine->address);
	if (target->port)
		p->destination_port = target->port;
	return note_direct_client(p, seed);
}

static __always_inline int toward_frontend(struct xdp_md *ctx, struct packet *p)
{
	const struct control *c;
	struct target target;
	struct machine *machine;
	__u32 zero = 0, index, to;
	int hop, machine_or_reason;

	c = bpf_map_lookup_elem(&control, &zero);
	if (!p || !c)
		return XDP_PASS;
	index = frontend_of(p, &target);
	if (index == NOWHERE)
		return GO_ON;
	if (target.kind == TARGET_HAND_UP)
		return hand_up(REASON_HAND_UP_RULE);
	if (target.kind == TARGET_LEAVE) {
		if (!(p->flags & IS_ERROR))
			note_left(p, &target, c->flow_seed);
		return hand_up(REASON_IDLE_RULE);
	}
	p->floats = floats_by(&target);
	/* What nftables cannot do is done here, also for a machine. */
	if (p->floats != FLOATS_WITHIN && is_machine(&p->source, p->source_hash, p->source_cell, p->epoch))
		return hand_up(REASON_HAIRPIN);
	if (p->source_cell & ADDRESS_FRONTEND && is_source_own(ctx, p))
		return hand_up(REASON_UNROUTABLE);
	p->flags |= NEW_DESTINATION;
	p->counter = target.counter;
	to = target.to;
	if (target.kind == TARGET_NAT) {
		note_client(p, index, c);
	} else {
		machine_or_reason = machine_of_flow(p, &target, index, c->flow_seed);
		if (machine_or_reason < 0)
			return hand_up(-machine_or_reason);
		to = machine_or_reason;
	}
	if (p->flags & IS_FIRST_FRAGMENT)
		return hand_up(REASON_FRAGMENT);
	if (p->hop_limit <= 1)
		return hand_up(REASON_HOP_LIMIT);
	machine = bpf_map_lookup_elem(&machines, &to);
	if (!machine)
		return XDP_PASS;
	p->address = machine->address;
	if (target.port)
		p->new_destination_port = target.port;
	hop = hop_to_machine(ctx, p, machine, c);
	return leave(ctx, p, hop);
}

#endif
