/* SPDX-License-Identifier: MIT */
/* The screen as a console. */
#include "arch/console/screen.h"

#include "arch/bootinfo/bootinfo.h"
#include "arch/bootinfo/option.h"
#include "arch/console/framebuffer.h"
#include "arch/cpu/cpu.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "lib/terminal.h"

#define MAX_COLUMNS 256u
#define MAX_CELLS   16384u

/* IBM PC, "BIOS Data Area" */
#define BDA		0x400
#define BDA_VIDEO_MODE	0x49
#define BDA_COLUMNS	0x4a
#define BDA_LAST_ROW	0x84
#define BDA_SIZE	0x100

#define VGA_COLOUR_TEXT	0xb8000
#define VGA_MONO_TEXT	0xb0000
#define VGA_MEMORY	0xa0000
#define VGA_MEMORY_END	0xc0000
#define VGA_MODE_MONO	7
#define VGA_GREY	0x0700

#define CRTC_INDEX	  0x3d4
#define CRTC_DATA	  0x3d5
#define CRTC_CURSOR_START 0x0a
#define CRTC_CURSOR_OFF	  BIT(5)

/* IBM VGA, "Sequencer Registers", "Graphics Controller Registers" */
#define SEQUENCER	  0x3c4
#define SEQUENCER_MAP	  2	/* the planes that are written */
#define GRAPHICS	  0x3ce
#define GRAPHICS_ENABLE_SET 1
#define GRAPHICS_ROTATE	  3
#define GRAPHICS_READ_MAP 4
#define GRAPHICS_MODE	  5
#define GRAPHICS_BIT_MASK 8

enum { SCREEN_AUTO /* 0: the default */, SCREEN_LOG, SCREEN_ALL, SCREEN_OFF };
static int mode;

static struct {
	hpa_t address;
	u64 size;
	bool is_text;		/* VGA text, else pixels */
	bool is_vga;		/* memory of a VGA: text, or planes */
	bool blank;		/* cleared, so that only what is not empty needs to be drawn */
	u32 pitch;		/* bytes from one row of text to the next */
	volatile u8 *memory;
	struct terminal terminal;
} screen;

DEFINE_CHOICE(screen, "screen", "auto|log|all|off",
	      "what the screen shows: Lamina's lines, or the guests' consoles too;"
	      " auto is all where no serial port is found (default auto)", mode);

/* --- the text mode of a VGA --- */

static volatile u16 *cell_at(unsigned column, unsigned row)
{
	return (volatile u16 *)(screen.memory + row * screen.pitch + column * 2);
}

static void draw_text(unsigned column, unsigned row, char c)
{
	*cell_at(column, row) = VGA_GREY | (u8)c;
}

static void clear_text(void)
{
	for (unsigned row = 0; row < screen.terminal.rows; row++)
		for (unsigned column = 0; column < screen.terminal.columns; column++)
			draw_text(column, row, ' ');
	outb(CRTC_INDEX, CRTC_CURSOR_START);
	outb(CRTC_DATA, CRTC_CURSOR_OFF);
}

/* Is there an adapter? Without one, the memory does not keep what is written. */
static bool adapter_answers(hpa_t pa)
{
	volatile u16 *memory = mmio_map(pa, sizeof(*memory));
	u16 before;
	bool kept;

	if (!memory)
		return false;
	before = *memory;
	*memory = 0x55aa;
	kept = *memory == 0x55aa;
	*memory = 0xaa55;
	kept = kept && *memory == 0xaa55;
	*memory = before;
	return kept;
}

static bool use_text(hpa_t pa, u32 columns, u32 rows, u32 pitch)
{
	if (columns < 1 || columns > MAX_COLUMNS || rows < 1 || rows > MAX_CELLS / columns ||
	    pitch < columns * 2 || pa < VGA_MEMORY || pa >= VGA_MEMORY_END || pa % 2 ||
	    (u64)pitch * rows > VGA_MEMORY_END - pa || !adapter_answers(pa))
		return false;
	screen.address = pa;
	screen.size = (u64)pitch * rows;
	screen.is_text = screen.is_vga = true;
	screen.pitch = pitch;
	screen.terminal.columns = columns;
	screen.terminal.rows = rows;
	log_info("screen: VGA text, %u by %u characters", columns, rows);
	return true;
}

/* Modes 2 and 3 are text with 80 columns, mode 7 is text on a monochrome adapter. */
static bool find_text_mode(void)
{
	const volatile u8 *bda = firmware_map(BDA, BDA_SIZE);
	u8 video_mode, last_row;
	u16 columns;

	if (!bda)
		return false;
	video_mode = bda[BDA_VIDEO_MODE] & 0x7f;
	columns = (u16)(bda[BDA_COLUMNS] | bda[BDA_COLUMNS + 1] << 8);
	last_row = bda[BDA_LAST_ROW];
	if (video_mode != 2 && video_mode != 3 && video_mode != VGA_MODE_MONO)
		return false;
	return use_text(video_mode == VGA_MODE_MONO ? VGA_MONO_TEXT : VGA_COLOUR_TEXT, columns,
			last_row ? last_row + 1u : 25, columns * 2u);
}

/* --- pixels --- */

static void set_register(u16 port, u8 index, u8 value)
{
	outb(port, index);
	outb(port + 1, value);
}

/* Write what the processor writes to all planes: white and black. Read the first plane. False: it is not an adapter. */
static bool prepare_planes(hpa_t pa, u64 size)
{
	if (pa < VGA_MEMORY || pa >= VGA_MEMORY_END || size > VGA_MEMORY_END - pa)
		return false;
	set_register(GRAPHICS, GRAPHICS_ENABLE_SET, 0);
	set_register(GRAPHICS, GRAPHICS_ROTATE, 0);
	set_register(GRAPHICS, GRAPHICS_READ_MAP, 0);
	set_register(GRAPHICS, GRAPHICS_MODE, 0);
	set_register(GRAPHICS, GRAPHICS_BIT_MASK, 0xff);
	/* RAM, which may be there without an adapter, keeps what is written to no plane. */
	set_register(SEQUENCER, SEQUENCER_MAP, 0);
	screen.is_vga = !adapter_answers(pa);
	set_register(SEQUENCER, SEQUENCER_MAP, 0xf);
	screen.is_vga = screen.is_vga && adapter_answers(pa);
	return screen.is_vga;
}

static bool use_framebuffer(const struct boot_framebuffer *fb)
{
	unsigned columns, rows;
	const char *why = framebuffer_init(fb, &columns, &rows);
	u64 size = framebuffer_size();

	if (!why && (fb->address + size < size || boot_info_has_ram(fb->address, size)))
		why = "it would lie in RAM that is in use";
	if (!why && framebuffer_is_planar(fb) && !prepare_planes(fb->address, size))
		why = "no VGA answers there";
	if (why) {
		log_warn("screen: the boot loader's framebuffer of %u by %u pixels at 0x%llx: %s",
			 fb->width, fb->height, (ull)fb->address, why);
		return false;
	}
	screen.address = fb->address;
	screen.size = size;
	screen.terminal.columns = MIN(columns, MAX_COLUMNS);
	screen.terminal.rows = MIN(rows, MAX_CELLS / screen.terminal.columns);
	log_info("screen: framebuffer of %u by %u pixels of %u bits at 0x%llx, %u by %u characters"
		 " of size %u%s", fb->width, fb->height, fb->bits_per_pixel, (ull)fb->address,
		 screen.terminal.columns, screen.terminal.rows, framebuffer_scale(),
		 screen.is_vga ? ", in VGA's planes" : "");
	return true;
}

/* --- both --- */

static bool find(void)
{
	const struct boot_framebuffer *fb = &boot_info.framebuffer;

	if (!fb->address)
		return !boot_info.uefi && !boot_info.kexec && find_text_mode();
	switch (fb->type) {
	case MB2_FRAMEBUFFER_EGA_TEXT:
		return use_text(fb->address, fb->width, fb->height, fb->pitch);
	case MB2_FRAMEBUFFER_RGB:
	case MB2_FRAMEBUFFER_INDEXED:
		return use_framebuffer(fb);
	default:
		log_warn("screen: the boot loader's framebuffer has the unknown type %u", fb->type);
		return false;
	}
}

static void clear(void)
{
	if (screen.is_text)
		clear_text();
	else
		framebuffer_clear();
	screen.blank = true;
}

/* Memory above 4 GiB can be mapped only in the final page tables. */
static void map(void)
{
	struct terminal *t = &screen.terminal;

	screen.memory = screen.is_vga ? mmio_map(screen.address, screen.size)
				      : framebuffer_map(screen.address, screen.size);
	if (!screen.memory)
		return;
	framebuffer_set_memory((void *)screen.memory);
	t->draw = screen.is_text ? draw_text : framebuffer_draw;
	if (!screen.blank) {
		clear();
		terminal_redraw(t);
	}
	terminal_write(t, "", 0);
}

/* SFENCE empties the processor's write-combining buffers, so that the last stores become visible. */
static void write_screen(struct log_console *console, const char *text, size_t length)
{
	terminal_write(&screen.terminal, text, length);
	__asm__ volatile("sfence" : : : "memory");
}

static struct log_console console;

void screen_serial_found(bool found)
{
	console.without_guests = mode == SCREEN_LOG || (mode == SCREEN_AUTO && found);
}

void screen_init(void)
{
	static char text[MAX_CELLS], shown[MAX_CELLS];

	if (mode == SCREEN_OFF)
		return;
	if (!find()) {
		log_info("screen: none, neither a framebuffer nor a text mode");
		return;
	}
	terminal_init(&screen.terminal, screen.terminal.columns, screen.terminal.rows, text, shown);
	map();
	console.write = write_screen;
	log_add_console(&console);
}

void screen_suspend(void)
{
	screen.terminal.draw = NULL;
}

void screen_resume(void)
{
	if (screen.size && !screen.terminal.draw)
		map();
}
