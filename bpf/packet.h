/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is known about the packet, and what shall become of it: handed from step to step. */
#ifndef PENSTOCK_PACKET_H
#define PENSTOCK_PACKET_H

/*
 * A step that the verifier checks once, by itself, instead of once for each way that leads to it (global functions,
 * Linux 5.6; with pointers 5.12). It knows nothing about its arguments but their types, so it checks bounds anew.
 */
#define STEP __attribute__((noinline))

/* Spilled registers of an unrolled loop would not fit into the 512 bytes of stack that all steps share. */
#define ROLLED _Pragma("clang loop unroll(disable)")

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))
/* Keeps the compiler from reasoning further than the verifier can follow. */
#define HIDE(x) asm volatile("" : "+r"(x))

/* Besides the XDP actions, a step answers: */
#define GO_ON -1

/* What kind of packet. */
#define IS_IPV6 1
#define IS_FIRST_FRAGMENT 2
#define IS_LATER_FRAGMENT 4
#define HAS_OPTIONS 8
#define MAY_BE_FRAGMENTED 16  /* IPv4 without DF */
/* What becomes of it. */
#define NEW_DESTINATION 32    /* `address` replaces the destination, else the source */
#define STARTS_FLOW 64

/* `floats`: the destination stays. */
#define FLOATS_NEIGHBOUR 1     /* and the frame goes to the member's MAC address */
#define FLOATS_WITHIN 2        /* and the packet goes within another one to the member's address */

#define IS_ERROR 128           /* of ICMP; the addresses and ports are those of the packet that it is about */

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

/* No padding: the verifier wants every byte written before a step sees it. */
struct packet {
	union address source;
	union address destination;
	union address address;       /* the new one of the side that is translated */
	__u64 now;                   /* coarse clock, ns */
	struct next_hop hop;
	__u32 epoch;                 /* of the one view of everything that this packet has */
	__u32 source_hash;           /* of the address, unfinished: see hash.h */
	__u32 destination_hash;
	__u32 device;                /* where it came in, as the FIB sees it: perhaps a VLAN device */
	__u32 counter;
	__u32 member_counter;        /* NO_COUNTER: none */
	__u32 identification;        /* of a fragment */
	__be16 source_port;
	__be16 destination_port;
	__be16 new_source_port;
	__be16 new_destination_port;
	__u16 l3;                    /* offsets */
	__u16 l4;
	__u16 length;                /* from the IP header on, without padding */
	__u8 source_cell;
	__u8 destination_cell;
	__u8 protocol;
	__u8 tcp_flags;
	__u8 flags;
	__u8 tags;                   /* VLAN tags */
	__u8 tos;
	__u8 hop_limit;
	__u8 floats;
	__u8 pad;
};

/* In ns, coarse. A helper costs a call and a return, 10 ns and more; jiffies are read in place (Linux 5.6). */
static __always_inline __u64 clock(void)
{
	return jiffy_ns ? bpf_jiffies64() * jiffy_ns : bpf_ktime_get_coarse_ns();
}

#define NO_COUNTER 0xffffffffu

#define MAX_L3 (ETH_HLEN + 8)
#define MAX_L4 511              /* where ports are looked for at the latest */

static __always_inline bool is_ipv6(const struct packet *p)
{
	return p->flags & IS_IPV6;
}

static __always_inline void *l3_header(const struct xdp_md *ctx, const struct packet *p)
{
	__u64 offset = p->l3 & 31;

	HIDE(offset);
	offset &= 31;
	return (void *)(long)ctx->data + offset;
}

static __always_inline void *l4_header(const struct xdp_md *ctx, const struct packet *p)
{
	__u64 offset = p->l4;

	HIDE(offset);
	offset &= MAX_L4;
	return (void *)(long)ctx->data + offset;
}

static __always_inline void *frame_end(const struct xdp_md *ctx)
{
	return (void *)(long)ctx->data_end;
}

#endif
