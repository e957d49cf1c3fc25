/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The way of most packets: IPv4, untagged, whole, without options, in the midst of a flow, the next hop known. It holds
 * everything in registers, calls nothing, and writes nothing before all is decided. Whatever is different (GO_ON) takes
 * the careful way, which begins anew and decides the same.
 */
#ifndef PENSTOCK_FAST_H
#define PENSTOCK_FAST_H

/* What is decided. */
struct decision {
	__u32 before;                /* the address that is replaced */
	__u32 after;
	__be16 port_before;
	__be16 port_after;
	__u32 counter;
	__u32 member_counter;        /* NO_COUNTER: none */
	__u32 next;                  /* whom it is then for */
	__u32 machine;               /* index of that one; NOWHERE: a client */
};

#define MAPPED bpf_htonl(0xffff)

static __always_inline bool is_ipv4_address(const union address *address, __be32 ipv4)
{
	return address->halves[1] == ((__u64)ipv4 << 32 | MAPPED) && !address->halves[0];
}

static __always_inline union address mapped(__be32 ipv4)
{
	union address address = {};

	address.words[2] = MAPPED;
	address.words[3] = ipv4;
	return address;
}

/* The first two probes: most entries are at home, and the next place is the next cache line. */
static __always_inline const struct frontend *fast_frontend(__be32 address, __u32 hash, __u32 key, __u32 epoch,
							    __u32 *index)
{
	const struct frontend *frontend;
	__u32 word;

	*index = (hash_end(hash_word(hash, key)) & frontend_mask) + after(epoch);
	frontend = frontend_at(*index);
	if (!frontend)
		return 0;
	word = *(const __u32 *)&frontend->port;
	if ((word & KEY_MASK) == key && is_ipv4_address(&frontend->address, address))
		return frontend;
	if (!(word >> 24))
		return 0;
	*index = (*index + 1) & frontend_mask;
	frontend = frontend_at(*index);
	if (!frontend)
		return 0;
	word = *(const __u32 *)&frontend->port;
	if ((word & KEY_MASK) == key && is_ipv4_address(&frontend->address, address))
		return frontend;
	return 0;
}

static __always_inline const struct backend *fast_backend(__be32 address, __u32 hash, __u32 key, __u32 epoch,
							  __u32 *index)
{
	const struct backend *backend;
	__u32 word;

	*index = (hash_end(hash_word(hash, key)) & backend_mask) + after(epoch);
	backend = backend_at(*index);
	if (!backend)
		return 0;
	word = *(const __u32 *)&backend->port;
	if ((word & KEY_MASK) == key && is_ipv4_address(&backend->address, address))
		return backend;
	if (!(word >> 24))
		return 0;
	*index = (*index + 1) & backend_mask;
	backend = backend_at(*index);
	if (!backend)
		return 0;
	word = *(const __u32 *)&backend->port;
	if ((word & KEY_MASK) == key && is_ipv4_address(&backend->address, address))
		return backend;
	return 0;
}

/* UDP through a frontend that keeps no flows, either way. False where the client was not here lately. */
static __always_inline bool fast_note(__be32 client, __be16 client_port, __be16 frontend_port, __u32 frontend,
				      __u32 seed, __u64 now)
{
	union address address = mapped(client);
	struct seen_cells cells = seen_cells(&address, client_port, frontend_port, IPPROTO_UDP, frontend, seed);
	struct stamps *line = seen_line(cells);
	__u16 time = seen_time(now), first, second;

	if (!line)
		return false;
	first = READ_ONCE(line->stamps[cells.first]);
	second = READ_ONCE(line->stamps[cells.second]);
	/* As seen_when() and note_seen(), with fewer branches to wait for where the line has to be fetched. */
	if (!first | !second | ((__u16)(time - first) > SEEN_LIFETIME) | ((__u16)(time - second) > SEEN_LIFETIME))
		return false;
	if ((first ^ time) | (second ^ time)) {
		WRITE_ONCE(line->stamps[cells.first], time);
		WRITE_ONCE(line->stamps[cells.second], time);
	}
	return true;
}

/* Of this client, in whatever way; `word` as it was before the flow was read. */
static __always_inline struct flow *fast_flow(__be32 client, __be16 port, __u32 protocol, __u32 seed, __u64 **word_at,
					      __u64 *word)
{
	union address address = mapped(client);
	struct jenkins j = flow_hash(&address, port, protocol, seed);
	struct bucket *bucket = bucket_at(j.c);
	__u32 way = first_way(j.b), i;
	struct flow *flow;

	if (!bucket || way >= FLOW_WAYS)
		return 0;
	*word = READ_ONCE(bucket->words[way]);
	if (*word >> 32 != j.b) {
		ROLLED
		for (i = 0; i < FLOW_WAYS; i++) {
			*word = READ_ONCE(bucket->words[i]);
			if (*word >> 32 == j.b)
				break;
		}
		if (i == FLOW_WAYS)
			return 0;
		way = i;
	}
	*word_at = &bucket->words[way];
	flow = &bucket->flows[way];
	if (word_state(*word) < STATE_NEW || !is_ipv4_address(&flow->client, client) || flow->protocol != protocol)
		return 0;
	return flow;
}

/*
 * After the flow has been read: whether it was whole. Its last-seen time is written when it has changed; of TCP, whose
 * lifetimes are long, only when it is some seconds old, because a locked operation costs as much as all the rest.
 */
#define TCP_TOUCH 4

static __always_inline bool fast_touch(__u64 *word_at, __u64 word, __u32 protocol, __u32 state, __u64 now)
{
	__u32 time = now >> 30 & FLOW_TIME, age = word_age(word, time);

	asm volatile("" ::: "memory");
	if (READ_ONCE(*word_at) >> 24 != word >> 24)
		return false;
	if (protocol == IPPROTO_UDP && age > (state == STATE_OPEN ? UDP_OPEN_LIFETIME : UDP_NEW_LIFETIME))
		return false;
	if (age >= (protocol == IPPROTO_UDP ? 1 : TCP_TOUCH))
		__sync_val_compare_and_swap(word_at, word, (word & ~(__u64)FLOW_TIME) | time);
	return true;
}

static __always_inline bool serves_still(__u32 index, __u32 serial, __u8 protocol, __u32 epoch, struct decision *d)
{
	const struct member *member = member_at(index);

	if (!member || member->serial != serial || !serves(member, protocol, epoch))
		return false;
	d->member_counter = member->counter;
	d->machine = member->machine;
	return true;
}

static __always_inline int decide_inward(const struct iphdr *ip, const struct udphdr *ports, const struct control *c,
					 __u32 hash, __u32 epoch, __u64 now, struct decision *d)
{
	const struct frontend *frontend;
	const struct target *target;
	struct flow *flow;
	__u64 *word_at, word;
	__u32 index, place, state;

	frontend = fast_frontend(ip->daddr, hash, key_of(ports->dest, ip->protocol), epoch, &index);
	if (!frontend)
		return GO_ON;
	place = visible(READ_ONCE(frontend->version), epoch);
	target = &frontend->targets[place];
	d->before = ip->daddr;
	d->port_before = ports->dest;
	d->port_after = target->port ? target->port : ports->dest;
	d->counter = target->counter;
	d->member_counter = NO_COUNTER;
	if (target->kind == TARGET_NAT) {
		if (ip->protocol == IPPROTO_UDP &&
		    !fast_note(ip->saddr, ports->source, ports->dest, index, c->flow_seed, now))
			return GO_ON;
		d->machine = target->to;
		d->next = d->after = frontend->inet[place & 1];
		return d->after ? 0 : GO_ON;
	}
	if (target->kind != TARGET_BALANCED)
		return GO_ON;
	flow = fast_flow(ip->saddr, ports->source, ip->protocol, c->flow_seed, &word_at, &word);
	if (!flow)
		return GO_ON;
	state = word_state(word);
	if (flow->kind != FLOW_BALANCED || flow->client_port != ports->source || flow->sent_port != ports->source ||
	    flow->frontend_port != ports->dest || flow->frontend != index || flow->frontend_serial != target->serial)
		return GO_ON;
	/* These change states. */
	if (ip->protocol == IPPROTO_UDP && state == STATE_REPLIED)
		return GO_ON;
	if (!serves_still(flow->to, flow->member_serial, ip->protocol, epoch, d))
		return GO_ON;
	d->next = d->after = flow->machine.words[3];
	if (!fast_touch(word_at, word, ip->protocol, state, now))
		return GO_ON;
	return 0;
}

static __always_inline int decide_back(const struct iphdr *ip, const struct udphdr *ports, const struct control *c,
				       __u32 hash, __u32 epoch, __u64 now, __u8 cell, struct decision *d)
{
	const struct frontend *frontend;
	const struct backend *backend;
	const struct target *target;
	struct flow *flow;
	__u64 *word_at, word;
	__u32 index, owner, way, state;

	backend = fast_backend(ip->saddr, hash, key_of(ports->source, ip->protocol), epoch, &index);
	d->before = ip->saddr;
	d->port_before = ports->source;
	d->next = ip->daddr;
	d->machine = NOWHERE;
	d->member_counter = NO_COUNTER;
	way = backend ? READ_ONCE(backend->ways[visible(READ_ONCE(backend->version), epoch)]) : 0;
	if (way & WAY_EXISTS && !(way & WAY_SHARED) && !(cell & ADDRESS_RING) && !is_contested(index)) {
		owner = way & WAY_INDEX;
		if (owner == WAY_NOBODY)
			return GO_ON;
		frontend = frontend_at(owner);
		if (!frontend)
			return GO_ON;
		target = visible_target(frontend, epoch);
		if (target->kind != TARGET_NAT && target->kind != TARGET_TRACKED)
			return GO_ON;
		/* Every port's: one of them may be another frontend's by now. */
		if (!frontend->port)
			return GO_ON;
		d->port_after = frontend->port;
		if (ip->protocol == IPPROTO_UDP &&
		    !fast_note(ip->daddr, ports->dest, d->port_after, owner, c->flow_seed, now))
			return GO_ON;
		d->after = frontend->address.words[3];
		d->counter = target->counter;
		return 0;
	}
	flow = fast_flow(ip->daddr, ports->dest, ip->protocol, c->flow_seed, &word_at, &word);
	if (!flow)
		return GO_ON;
	state = word_state(word);
	/* Its packets change these states. */
	if (state == STATE_NEW || state == STATE_LEAVING || flow->kind != FLOW_BALANCED || flow->client_port != ports->dest ||
	    flow->sent_port != ports->dest || flow->machine_port != ports->source ||
	    !is_ipv4_address(&flow->machine, ip->saddr))
		return GO_ON;
	frontend = frontend_at(flow->frontend);
	if (!frontend)
		return GO_ON;
	target = visible_target(frontend, epoch);
	if (target->serial != flow->frontend_serial || target->kind != TARGET_BALANCED)
		return GO_ON;
	if (!serves_still(flow->to, flow->member_serial, ip->protocol, epoch, d))
		return GO_ON;
	d->machine = NOWHERE;
	d->after = frontend->address.words[3];
	d->port_after = flow->frontend_port;
	d->counter = target->counter;
	if (!fast_touch(word_at, word, ip->protocol, state, now))
		return GO_ON;
	return 0;
}

static __always_inline void fast_count(__u32 row, __u32 length)
{
	__u32 key = row << counter_shift;
	struct counter *counter;

	if (counter_shift)
		key |= bpf_get_smp_processor_id() & ((1u << counter_shift) - 1);
	counter = bpf_map_lookup_elem(&counters, &key);
	if (!counter)
		return;
	if (counters_own) {
		counter->packets++;
		counter->bytes += length;
	} else {
		__sync_fetch_and_add(&counter->packets, 1);
		__sync_fetch_and_add(&counter->bytes, length);
	}
}

/* Where the frame came in, to the FIB; 0: it is not for us. */
static __always_inline __u32 receives(__u32 ifindex, const struct ethhdr *eth)
{
	__u32 key = ifindex & DEVICE_MASK;
	const struct device *device = bpf_map_lookup_elem(&devices, &key);

	if (!device || device->index != ifindex || !(device->flags & DEVICE_RECEIVES) ||
	    *(__u32 *)eth->h_dest != *(__u32 *)device->mac || *(__u16 *)&eth->h_dest[4] != *(__u16 *)&device->mac[4])
		return 0;
	return device->physical;
}

/* See comes_from_elsewhere(). */
static __always_inline bool fast_elsewhere(__be32 ipv4, __u32 current)
{
	union address address = mapped(ipv4);
	__u32 count = elsewhere_count(current), i, key;
	const struct route *route;

	if (!count)
		return false;
	ROLLED
	for (i = 0; i < ELSEWHERE_MAX; i++) {
		if (i >= count)
			return false;
		key = elsewhere_place(current, i);
		route = bpf_map_lookup_elem(&routes, &key);
		if (!route || count == ELSEWHERE_ALL || is_under(&address, route, false))
			return true;
	}
	return false;
}

struct way_out {
	__u32 device;
	__u32 mtu;
	__u32 macs[3];               /* destination and source */
};

static __always_inline bool fast_fib(struct xdp_md *ctx, const struct iphdr *ip, const struct udphdr *ports,
				     const struct decision *d, __u32 came_in, bool inward, __u32 length,
				     struct way_out *out)
{
	struct bpf_fib_lookup question;

	__builtin_memset(&question, 0, sizeof(question));
	question.family = AF_INET;
	question.l4_protocol = ip->protocol;
	question.sport = inward ? ports->source : d->port_after;
	question.dport = inward ? d->port_after : ports->dest;
	question.tot_len = length;
	question.ifindex = came_in;
	question.tos = ip->tos;
	question.ipv4_src = inward ? ip->saddr : d->after;
	question.ipv4_dst = d->next;
	if (bpf_fib_lookup(ctx, &question, sizeof(question), 0) != BPF_FIB_LKUP_RET_SUCCESS)
		return false;
	out->device = question.ifindex;
	out->mtu = question.mtu_result;
	out->macs[0] = *(__u32 *)question.dmac;
	out->macs[1] = *(__u16 *)&question.dmac[4] | *(__u16 *)question.smac << 16;
	out->macs[2] = *(__u32 *)&question.smac[2];
	return true;
}

static __always_inline bool fast_recall(const __u64 *fresh_at, const struct next_hop *hops, __u64 now,
					struct way_out *out)
{
	__u64 fresh = READ_ONCE(*fresh_at);
	const struct next_hop *hop = &hops[fresh & 1];

	if (!is_good(fresh, now))
		return false;
	out->device = hop->device;
	out->mtu = hop->mtu;
	out->macs[0] = *(__u32 *)&hop->destination[0];
	out->macs[1] = *(__u32 *)&hop->destination[4];
	out->macs[2] = *(__u32 *)&hop->source[2];
	asm volatile("" ::: "memory");
	return READ_ONCE(*fresh_at) == fresh;
}

/* The route of the longest prefix. */
static __always_inline const struct route *fast_route(__be32 ipv4, __u32 current)
{
	__u32 key = (current >> 31) * ROUTES_MAX, number = current & 0xff, i;
	__u64 half = (__u64)ipv4 << 32 | MAPPED;
	const struct route *route;

	ROLLED
	for (i = 0; i < ROUTES_MAX; i++, key++) {
		if (i >= number)
			return 0;
		route = bpf_map_lookup_elem(&routes, &key);
		if (!route || (!route->prefix.halves[0] && (half & route->mask.halves[1]) == route->prefix.halves[1]))
			return route;
	}
	return 0;
}

/* Remembered, or the FIB's where nothing may be remembered. What has to be remembered anew is the careful way's. */
static __always_inline bool fast_hop(struct xdp_md *ctx, const struct iphdr *ip, const struct udphdr *ports,
				     const struct decision *d, const struct control *c, __u32 came_in, __u64 now,
				     __u32 length, struct way_out *out)
{
	bool inward = d->machine != NOWHERE;
	const struct machine *machine;
	const struct route *route;
	__u32 key = d->machine;

	if (may_remember(c, now)) {
		route = fast_route(d->next, READ_ONCE(c->routes));
		if (route && route->kind == ROUTE_GATEWAY)
			return fast_recall(&route->fresh, route->hops, now, out);
		if (inward) {
			machine = bpf_map_lookup_elem(&machines, &key);
			return machine && fast_recall(&machine->fresh, machine->hops, now, out);
		}
	}
	return fast_fib(ctx, ip, ports, d, came_in, inward, length, out);
}

/* The careful way will look for the flow there: until then the processor can have fetched it, which takes longest. */
static __always_inline void fetch_bucket(const struct iphdr *ip, const struct udphdr *ports)
{
	union address client = mapped(ip->saddr);
	const struct control *c;
	struct bucket *bucket;
	struct jenkins j;
	__u32 zero = 0, way;

	c = bpf_map_lookup_elem(&control, &zero);
	if (!c)
		return;
	j = flow_hash(&client, ports->source, ip->protocol, c->flow_seed);
	bucket = bucket_at(j.c);
	way = first_way(j.b);
	if (!bucket || way >= FLOW_WAYS)
		return;
	READ_ONCE(bucket->words[0]);
	READ_ONCE(bucket->flows[way].kind);
}

/* In a frame of its own on the stack, of which the careful way needs all that old kernels grant. */
static __attribute__((noinline)) int fast_way(struct xdp_md *ctx, __u32 source_hash, __u32 destination_hash,
					      __u32 cells)
{
	void *data = (void *)(long)ctx->data, *end = frame_end(ctx);
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);
	struct tcphdr *tcp = (void *)(ip + 1);
	__u8 source_cell = cells, destination_cell = cells >> 8;
	__u32 zero = 0, key, length, epoch, physical, came_in;
	const struct device *device;
	const struct control *c;
	struct way_out out;
	struct decision d;
	__u64 now;
	sum_t sum;

	if ((void *)(tcp + 1) > end || *(__u8 *)ip != 0x45 ||
	    ip->frag_off & bpf_htons(FRAGMENT_MORE | FRAGMENT_OFFSET) || ip->ttl <= 1 ||
	    is_special_ipv4(ip->saddr) || is_special_ipv4(ip->daddr))
		return GO_ON;
	length = bpf_ntohs(ip->tot_len);
	/* By the lengths: the verifier of Linux 6.1 knows no bounds of what was read in network order, and adds none of it. */
	if (ETH_HLEN + length > (__u64)(end - data))
		return GO_ON;
	if (ip->protocol == IPPROTO_TCP) {
		if (tcp->doff < 5 || sizeof(*ip) + tcp->doff * 4 > length)
			return GO_ON;
		if (((__u8 *)tcp)[13] & (TCP_SYN | TCP_FIN | TCP_RST)) {
			if (destination_cell & ADDRESS_FRONTEND)
				fetch_bucket(ip, udp);
			return GO_ON;
		}
	} else if (ip->protocol == IPPROTO_UDP) {
		if (bpf_ntohs(udp->len) < sizeof(*udp) || sizeof(*ip) + bpf_ntohs(udp->len) > length)
			return GO_ON;
	} else {
		return GO_ON;
	}
	c = bpf_map_lookup_elem(&control, &zero);
	if (!c || !READ_ONCE(c->gate))
		return GO_ON;
	came_in = receives(ctx->ingress_ifindex, eth);
	if (!came_in || fast_elsewhere(ip->saddr, READ_ONCE(c->routes)))
		return GO_ON;
	epoch = READ_ONCE(c->epoch);
	now = clock();

	if (destination_cell & ADDRESS_FRONTEND) {
		if (source_cell || decide_inward(ip, udp, c, destination_hash, epoch, now, &d) == GO_ON)
			return GO_ON;
	} else {
		if (destination_cell || decide_back(ip, udp, c, source_hash, epoch, now, source_cell, &d) == GO_ON)
			return GO_ON;
	}
	if (!fast_hop(ctx, ip, udp, &d, c, came_in, now, length, &out) || length > out.mtu)
		return GO_ON;
	key = out.device & DEVICE_MASK;
	device = bpf_map_lookup_elem(&devices, &key);
	if (!device || device->index != out.device || !(device->flags & DEVICE_SENDS) || device->tags)
		return GO_ON;
	physical = device->physical;

	sum = sum_change32(0, d.before, d.after);
	ip->check = mend(ip->check, sum_change16(sum, bpf_htons(0x0100), 0));
	ip->ttl--;
	sum = sum_change16(sum, d.port_before, d.port_after);
	if (ip->protocol == IPPROTO_TCP)
		tcp->check = mend(tcp->check, sum);
	else
		udp->check = mend_udp(udp->check, sum);
	if (destination_cell & ADDRESS_FRONTEND) {
		ip->daddr = d.after;
		udp->dest = d.port_after;
	} else {
		ip->saddr = d.after;
		udp->source = d.port_after;
	}
	__builtin_memcpy(data, out.macs, sizeof(out.macs));
	fast_count(d.counter, length);
	if (d.member_counter != NO_COUNTER)
		fast_count(d.member_counter, length);
	if (physical == ctx->ingress_ifindex && !(device->flags & DEVICE_LOSES_RETURNS))
		return XDP_TX;
	return bpf_redirect(physical, 0);
}

#endif
