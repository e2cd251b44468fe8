/* SPDX-License-Identifier: MIT */
/* What a BIOS leaves behind: see bios.h. Its code is core/load/bios_rom.asm. */
#include "core/load/bios.h"

#include "core/bios_call.h"
#include "core/io.h"
#include "core/load/load.h"
#include "lib/errno.h"

#define SEGMENT	    0xf000u
#define ROM_TOP	    0xffff0ull
#define EBDA_KIB    1
#define BLANK_CELL  0x0720u	/* grey on black */

/* A day has 0x1800b0 ticks of the 8254, which counts to 65536. */
#define CLOCK_HZ    1193182u
#define TICK_CLOCKS 65536u

struct bios_handler {
	u8 first, count;	/* vectors */
	u16 offset;		/* in segment F000 */
};

extern const u8 bios_rom[], bios_rom_end[], bios_rom_top[];
extern const struct bios_handler bios_handlers[], bios_handlers_end[];

struct bios_data {
	u16 com[4], lpt[3];		/* ports; 0: none */
	u16 ebda;			/* segment of the extended data area */
	u16 equipment;
	u8 reserved_12;
	u16 memory_kib;
	u8 reserved_15[5];
	u16 key_head, key_tail;		/* offsets in segment 40h */
	u8 keys[32];
	u8 reserved_3e[11];
	u8 video_mode;
	u16 columns, page_bytes, page_start;
	u16 cursor[8];
	u16 cursor_shape;
	u8 page;
	u16 crtc_port;
	u8 crtc_mode, crtc_palette;
	u8 reserved_67[5];
	u32 ticks;			/* of the 8254 since midnight */
	u8 midnight;
	u8 reserved_71[15];
	u16 keys_start, keys_end;
	u8 last_row;
	u16 character_height;
	u8 reserved_87[15];
	u8 keyboard_mode;
	u8 reserved_97[105];
} __packed;

_Static_assert(offsetof(struct bios_data, ebda) == 0x0e, "BIOS data area");
_Static_assert(offsetof(struct bios_data, memory_kib) == 0x13, "BIOS data area");
_Static_assert(offsetof(struct bios_data, key_head) == 0x1a, "BIOS data area");
_Static_assert(offsetof(struct bios_data, video_mode) == 0x49, "BIOS data area");
_Static_assert(offsetof(struct bios_data, crtc_port) == 0x63, "BIOS data area");
_Static_assert(offsetof(struct bios_data, ticks) == 0x6c, "BIOS data area");
_Static_assert(offsetof(struct bios_data, keys_start) == 0x80, "BIOS data area");
_Static_assert(offsetof(struct bios_data, keyboard_mode) == 0x96, "BIOS data area");
_Static_assert(sizeof(struct bios_data) == BIOS_LOW_END - BIOS_DATA_AREA, "BIOS data area");

#define EQUIPMENT_FPU	   BIT(1)
#define EQUIPMENT_COLOUR80 (2u << 4)	/* the screen's mode at the start */
#define EQUIPMENT_COMS	   9		/* bits 9-11: the number of serial ports */
#define KEYBOARD_101	   BIT(4)

/* --- memory --- */

/* As the RTC has it after power-on: in BCD. */
static u32 read_clock(struct vcpu *vcpu, u8 index)
{
	u32 value;

	pio_firmware_write(vcpu, 0x70, index);
	value = pio_firmware_read(vcpu, 0x71);
	return (value >> 4 & 15) * 10 + (value & 15);
}

static u32 ticks_since_midnight(struct vcpu *vcpu)
{
	u32 hours = read_clock(vcpu, 4), minutes = read_clock(vcpu, 2), seconds = read_clock(vcpu, 0);

	return (u32)(((hours * 60 + minutes) * 60ull + seconds) * CLOCK_HZ / TICK_CLOCKS);
}

static int write_data(struct load *load)
{
	const struct bios_data data = {
		.com = { 0x3f8, 0x2f8 },
		.ebda = LOAD_LOW_END >> 4,
		.equipment = EQUIPMENT_FPU | EQUIPMENT_COLOUR80 | 2u << EQUIPMENT_COMS,
		.memory_kib = LOAD_LOW_END >> 10,
		.key_head = offsetof(struct bios_data, keys),
		.key_tail = offsetof(struct bios_data, keys),
		.video_mode = 3,
		.columns = 80,
		.page_bytes = 0x1000,
		.cursor_shape = 0x0607,
		.crtc_port = 0x3d4,
		.crtc_mode = 0x29,
		.crtc_palette = 0x30,
		.ticks = ticks_since_midnight(load->vcpu),
		.keys_start = offsetof(struct bios_data, keys),
		.keys_end = offsetof(struct bios_data, keys) + sizeof(data.keys),
		.last_row = 24,
		.character_height = 16,
		.keyboard_mode = KEYBOARD_101,
	};
	const u8 ebda_kib = EBDA_KIB;	/* the first byte is its size */
	int error = guest_write(load->vm, BIOS_DATA_AREA, &data, sizeof(data));

	return error ? error : guest_write(load->vm, LOAD_LOW_END, &ebda_kib, 1);
}

static int write_vectors(struct load *load)
{
	const u32 first = SEGMENT << 16 | (u32)(BIOS_ROM - (SEGMENT << 4));
	u32 vectors[BIOS_VECTORS];

	for (u32 i = 0; i < BIOS_VECTORS; i++)
		vectors[i] = first + i * BIOS_VECTOR_SIZE;
	for (const struct bios_handler *handler = bios_handlers; handler < bios_handlers_end; handler++)
		for (u32 i = 0; i < handler->count; i++)
			vectors[handler->first + i] = SEGMENT << 16 | handler->offset;
	return guest_write(load->vm, 0, vectors, sizeof(vectors));
}

/* An empty screen. */
static int write_screen(struct load *load)
{
	u16 *cells = guest_ptr(load->vm, GUEST_TEXT_PAGE, GUEST_TEXT_SIZE);

	for (u32 i = 0; cells && i < GUEST_TEXT_CELLS; i++)
		cells[i] = BLANK_CELL;
	return cells ? 0 : -EFAULT;
}

int bios_write_memory(struct load *load)
{
	int error = write_vectors(load);

	if (!error)
		error = write_screen(load);

	if (!error)
		error = write_data(load);
	if (!error)
		error = guest_write(load->vm, BIOS_ROM, bios_rom, (u64)(bios_rom_end - bios_rom));
	if (!error)
		error = guest_write(load->vm, ROM_TOP, bios_rom_top, GUEST_RSDP_AREA_END - ROM_TOP);
	if (error)
		return load_fail(load, "the memory for its BIOS data cannot be used");
	return bios_call_register(load->vm);
}

/* --- devices --- */

/* 8259A data sheet, "Initialization Command Words"; 8254, "Control Word Format". */
void bios_start_interrupts(struct load *load)
{
	static const struct {
		u8 port, value;
	} writes[] = {
		{ 0x20, 0x11 }, { 0x21, 0x08 }, { 0x21, 0x04 }, { 0x21, 0x01 },
		{ 0xa0, 0x11 }, { 0xa1, 0x70 }, { 0xa1, 0x02 }, { 0xa1, 0x01 },
		{ 0x21, 0xf8 }, { 0xa1, 0xff },
		{ 0x43, 0x36 }, { 0x40, 0 }, { 0x40, 0 },	/* channel 0: mode 3, a count of 65536 */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++)
		pio_firmware_write(load->vcpu, writes[i].port, writes[i].value);
}
