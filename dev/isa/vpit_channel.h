/* SPDX-License-Identifier: MIT */
/*
 * One channel of an 8254: what it counts and what its output does, as functions of the time in
 * clocks. It raises no interrupt: dev/isa/vpit.c reads the output and the time of the next edge.
 *
 * Times are in clocks of 1.193182 MHz; `now` must not be less than in an earlier call.
 */
#pragma once

#include "lib/types.h"

#define PIT_NEVER (~0ull)

struct vpit_channel {
	u8 control;		/* last control word, bits 5-0 */
	u8 mode;		/* 0..5 */
	bool gate;
	bool counting;		/* a count was loaded, in modes 1 and 5 by a trigger */
	bool paused;		/* by the gate, or while a count has one byte written of two */
	u64 start;		/* clock at which the count was loaded; paused: clocks counted */
	u32 period;		/* the count: 1..65536 */
	u64 edges_before;	/* rising edges of the output before `start` */

	bool next_valid;	/* a count is written, but waits to be loaded */
	u32 next_period;
	u64 next_start;		/* clock at which it is loaded; PIT_NEVER: upon a trigger */

	u8 write_low;		/* low byte of a count, until the high byte is written */
	bool write_high, read_high;	/* the high byte is next */
	bool latched, status_latched;
	u16 latch;
	u8 status;
};

void vpit_channel_init(struct vpit_channel *channel, u8 control, bool gate);
void vpit_channel_control(struct vpit_channel *channel, u8 control);
void vpit_channel_write(struct vpit_channel *channel, u8 value, u64 now);
u8 vpit_channel_read(struct vpit_channel *channel, u64 now);
void vpit_channel_latch_count(struct vpit_channel *channel, u64 now);
void vpit_channel_latch_status(struct vpit_channel *channel, u64 now);
void vpit_channel_set_gate(struct vpit_channel *channel, bool gate, u64 now);

bool vpit_channel_output(struct vpit_channel *channel, u64 now);
/* Rising edges of the output that counting made since the control word was written. */
u64 vpit_channel_edges(struct vpit_channel *channel, u64 now);
/* Clock at which vpit_channel_edges(), now less than `edges`, reaches it without another write; or PIT_NEVER. */
u64 vpit_channel_edge_time(struct vpit_channel *channel, u64 edges, u64 now);
