/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Fragmented answers: only the first fragment has ports, so that its translation is kept for the others. */
#ifndef PENSTOCK_FRAGMENT_H
#define PENSTOCK_FRAGMENT_H

static __always_inline void name_fragment(struct fragment_key *key, const struct packet *p)
{
	key->source = p->source;
	key->destination = p->destination;
	key->identification = p->identification;
	key->protocol = p->protocol;
}

STEP int note_fragment(const struct packet *p)
{
	struct fragment fragment;
	struct fragment_key key;

	if (!p)
		return 0;
	name_fragment(&key, p);
	fragment.source = p->address;
	fragment.counter = p->counter;
	fragment.member_counter = p->member_counter;
	return !bpf_map_update_elem(&fragments, &key, &fragment, BPF_ANY);
}

STEP int recall_fragment(struct packet *p)
{
	const struct fragment *fragment;
	struct fragment_key key;

	if (!p)
		return 0;
	name_fragment(&key, p);
	fragment = bpf_map_lookup_elem(&fragments, &key);
	if (!fragment)
		return 0;
	p->address = fragment->source;
	p->counter = fragment->counter;
	p->member_counter = fragment->member_counter;
	return 1;
}

#endif
