/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Conversations with a member's port that do not go through a frontend: noted, so that their packets are left alone where
 * the way back would otherwise be taken for granted.
 */
#ifndef PENSTOCK_DIRECT_H
#define PENSTOCK_DIRECT_H

static __always_inline __u8 *contested_cell(__u32 backend)
{
	__u32 cell = backend & (CONTESTED_CELLS - 1), line = cell / sizeof(struct cells);
	struct cells *cells = bpf_map_lookup_elem(&contested, &line);

	return cells ? &cells->cells[cell % sizeof(struct cells)] : 0;
}

static __always_inline bool is_contested(__u32 backend)
{
	__u8 *cell = contested_cell(backend);

	return cell && READ_ONCE(*cell);
}

/* What is known of a machine's port, or of all of its ports: 0, or its way; `index` of its entry in `backends`. */
static __always_inline __u32 way_of(const union address *machine, __u32 hash, __be16 port, const struct packet *p,
				    __u32 *index)
{
	__u32 key = key_of(port, p->protocol), i, way;

	for (i = 0; i < 2; i++, key = key_of(0, p->protocol)) {
		*index = find_backend(machine, hash, key, p->epoch);
		if (*index == NOWHERE)
			continue;
		way = visible_way(*index, p->epoch);
		if (way & WAY_EXISTS)
			return way;
	}
	return 0;
}

/* Its key filled in by whoever calls. */
static __always_inline int note_direct(struct packet *p, struct flow *flow, __u32 backend, __u32 seed)
{
	struct jenkins j;
	__u8 *cell;

	j = flow_hash(&flow->client, flow->sent_port, flow->protocol, seed);
	flow->kind = FLOW_DIRECT;
	flow->client_port = flow->sent_port;
	flow->frontend_port = 0;
	flow->frontend = flow->frontend_serial = flow->to = flow->member_serial = 0;
	if (!insert_flow(flow, j.c, make_word(j.b, STATE_NEW, flow_time(p))))
		return hand_up(REASON_FLOW_TABLE_FULL);
	cell = contested_cell(backend);
	if (cell && !READ_ONCE(*cell))
		WRITE_ONCE(*cell, 1);
	return hand_up(REASON_DIRECT);
}

/* A packet to a machine. Whatever it is, it passes as it is. */
STEP int note_direct_client(struct packet *p, __u32 seed)
{
	struct known known;
	struct flow flow;
	struct jenkins j;
	__u32 index, state;

	__builtin_memset(&flow, 0, sizeof(flow));
	__builtin_memset(&known, 0, sizeof(known));
	if (!p || !way_of(&p->destination, p->destination_hash, p->destination_port, p, &index))
		return XDP_PASS;
	/* Between machines nothing is translated either way. */
	if (is_machine(&p->source, p->source_hash, p->source_cell, p->epoch))
		return XDP_PASS;
	flow.client = p->source;
	flow.sent_port = p->source_port;
	flow.machine = p->destination;
	flow.machine_port = p->destination_port;
	flow.protocol = p->protocol;
	j = flow_hash(&flow.client, flow.sent_port, flow.protocol, seed);
	if (find_flow(&flow, &known, j, FROM_MACHINE) &&
	    (known.kind == FLOW_DIRECT || is_taken(p, &flow, j, &known))) {
		if (known.kind != FLOW_DIRECT)
			return hand_up(REASON_DIRECT);
		state = word_state(known.word);
		state = is_ending(state) && opens(p) ? STATE_NEW : state_by_client(p, state);
		touch_flow(&known, state, flow_time(p));
		return hand_up(REASON_DIRECT);
	}
	if (p->tcp_flags & (TCP_FIN | TCP_RST))
		return hand_up(REASON_DIRECT);
	return note_direct(p, &flow, index, seed);
}

#endif
