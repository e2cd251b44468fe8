/* SPDX-License-Identifier: MIT */
/* The CRT controller of a VGA in its text modes: see vvga.h. */
#include "dev/isa/vvga.h"

#include "core/mem/guest_mem.h"
#include "core/vm_alloc.h"
#include "dev/isa/byte_ports.h"
#include "dev/isa/counter.h"

#define MISC_READ_PORT	0x3cc
#define CRTC_PORT	0x3d4	/* index, then data */
#define STATUS_PORT	0x3da

#define MISC_COLOUR	0x67	/* ports at 3Dxh, and the clock of 720 pixels */

#define CRTC_COLUMNS	0x01	/* less 1 */
#define CRTC_OVERFLOW	0x07
#define CRTC_CELL	0x09	/* lines of a cell, less 1 */
#define CRTC_CURSOR	0x0a	/* its first line, and whether it is off */
#define CRTC_START	0x0c	/* high byte, then low byte */
#define CRTC_POSITION	0x0e	/* likewise */
#define CRTC_LOCK	0x11
#define CRTC_LAST_LINE	0x12
#define CRTC_REGISTERS	0x19

#define CELL_LINES	0x1f
#define LOCKED		BIT(7)
#define CURSOR_OFF	BIT(5)
#define OVERFLOW_LAST_8	BIT(1)	/* bits 8 and 9 of the last line */
#define OVERFLOW_LAST_9	BIT(6)

#define STATUS_BLANK	BIT(0)
#define STATUS_RETRACE	BIT(3)	/* vertical */

#define LINE_HZ		31469u
#define FRAME_LINES	449u
#define SHOWN_LINES	400u
#define RETRACE_LINE	412u
#define LINE_PARTS	10u	/* the last two of them are the horizontal retrace */
#define SHOWN_PARTS	8u


struct vvga {
	struct counter clock;	/* LINE_PARTS of a line */
	u8 index;
	u8 crtc[CRTC_REGISTERS];
};

/* Mode 3: 80 columns, 25 rows of 16 lines. */
static const u8 mode_3[CRTC_REGISTERS] = {
	0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00,
	0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
};

static u32 word(const struct vvga *vvga, unsigned high)
{
	return (u32)vvga->crtc[high] << 8 | vvga->crtc[high + 1];
}

static unsigned rows_of(const struct vvga *vvga)
{
	u8 overflow = vvga->crtc[CRTC_OVERFLOW];
	unsigned last = vvga->crtc[CRTC_LAST_LINE] | (overflow & OVERFLOW_LAST_8 ? 0x100 : 0) |
			(overflow & OVERFLOW_LAST_9 ? 0x200 : 0);
	unsigned rows = (last + 1) / ((vvga->crtc[CRTC_CELL] & CELL_LINES) + 1);

	return MAX(1u, MIN(rows, VVGA_MAX_ROWS));
}

void vvga_view(const struct vvga *vvga, struct vvga_view *view)
{
	u32 cursor;

	view->columns = MIN(vvga->crtc[CRTC_COLUMNS] + 1u, VVGA_MAX_COLUMNS);
	view->rows = rows_of(vvga);
	view->start = word(vvga, CRTC_START) % GUEST_TEXT_CELLS;
	cursor = (word(vvga, CRTC_POSITION) - view->start) % GUEST_TEXT_CELLS;
	view->cursor = !(vvga->crtc[CRTC_CURSOR] & CURSOR_OFF) && cursor < view->columns * view->rows;
	view->cursor_column = cursor % view->columns;
	view->cursor_row = cursor / view->columns;
}

/* --- ports --- */

static u8 read_status(const struct vvga *vvga)
{
	u64 part = counter_now(&vvga->clock);
	u64 line = part / LINE_PARTS % FRAME_LINES;

	return (line >= SHOWN_LINES || part % LINE_PARTS >= SHOWN_PARTS ? STATUS_BLANK : 0) |
	       (line >= RETRACE_LINE ? STATUS_RETRACE : 0);
}

static u8 vvga_read(void *device, u16 port)
{
	struct vvga *vvga = device;

	switch (port) {
	case MISC_READ_PORT:
		return MISC_COLOUR;
	case CRTC_PORT:
		return vvga->index;
	case STATUS_PORT:
		return read_status(vvga);
	default:
		return vvga->index < CRTC_REGISTERS ? vvga->crtc[vvga->index] : 0xff;
	}
}

/* The registers of a line's and the frame's timing, while they are locked. */
static bool is_protected(const struct vvga *vvga)
{
	return vvga->index <= CRTC_OVERFLOW && (vvga->crtc[CRTC_LOCK] & LOCKED);
}

static void vvga_write(void *device, u16 port, u8 value)
{
	struct vvga *vvga = device;

	if (port == CRTC_PORT)
		vvga->index = value;
	else if (port == CRTC_PORT + 1 && vvga->index < CRTC_REGISTERS && !is_protected(vvga))
		vvga->crtc[vvga->index] = value;
}

struct vvga *vvga_create(struct vm *vm)
{
	struct vvga *vvga = vm_alloc(vm, sizeof(*vvga));
	const struct byte_ports ports[] = {
		{ "VGA", MISC_READ_PORT, 1, vvga_read, vvga_write, vvga },
		{ "VGA", CRTC_PORT, 2, vvga_read, vvga_write, vvga },
		{ "VGA", STATUS_PORT, 1, vvga_read, vvga_write, vvga },
	};

	if (!vvga)
		return NULL;
	vvga->clock = (struct counter){ .origin = vtimer_now(), .hz = LINE_HZ * LINE_PARTS };
	for (unsigned i = 0; i < CRTC_REGISTERS; i++)
		vvga->crtc[i] = mode_3[i];
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		if (byte_ports_register(vm, &ports[i]))
			return NULL;
	return vvga;
}
