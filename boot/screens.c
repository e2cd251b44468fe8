/* SPDX-License-Identifier: MIT */
/* The text screens of the VMs. */
#include "boot/screens.h"

#include "core/console.h"
#include "core/mem/guest_mem.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "core/vm_console.h"
#include "dev/isa/vvga.h"
#include "dev/platform.h"
#include "lib/errno.h"
#include "lib/string.h"

#define MAX_WAITS 4	/* polls for which a screen that changes all the time is not printed */

_Static_assert(VVGA_MAX_COLUMNS == TEXTSCREEN_COLUMNS && VVGA_MAX_ROWS == TEXTSCREEN_ROWS, "it has room");

struct screen_watch {
	struct vm *vm;
	struct textscreen printed, last;	/* the lines that were printed, and what the last poll saw */
	unsigned waits;
};

static u16 page[GUEST_TEXT_CELLS];

int screen_read(struct vm *vm, struct textscreen *screen)
{
	const struct platform *platform = vm->platform;
	struct vvga_view view;
	int error = vm_copy_memory(vm, GUEST_TEXT_PAGE, page, sizeof(page));

	if (error || !platform || !platform->vvga)
		return -EFAULT;
	vm_lock(vm);
	vvga_view(platform->vvga, &view);
	vm_unlock(vm);
	memset(screen, 0, sizeof(*screen));
	screen->columns = view.columns;
	screen->rows = view.rows;
	screen->cursor = view.cursor;
	screen->cursor_column = view.cursor_column;
	screen->cursor_row = view.cursor_row;
	for (unsigned row = 0; row < view.rows; row++)
		textscreen_line(page, GUEST_TEXT_CELLS, view.start + row * view.columns, view.columns, screen->lines[row]);
	return 0;
}

/* --- vga=lines --- */

struct screen_watch *screen_watch(struct vm *vm)
{
	struct screen_watch *watch = vm_alloc(vm, sizeof(*watch));

	if (watch)
		watch->vm = vm;
	else
		vm_error(vm, "vga=lines: no memory to remember its screen, which is not printed");
	return watch;
}

/* False: the console has no room for all of it. */
static bool print(struct vm *vm, const struct textscreen *screen, const bool fresh[TEXTSCREEN_ROWS])
{
	size_t size = 0;

	for (unsigned row = 0; row < screen->rows; row++)
		size += fresh[row] ? strlen(screen->lines[row]) + 1 : 0;
	if (vm->console && console_room(vm->console) < size)
		return false;
	vm_lock(vm);
	for (unsigned row = 0; row < screen->rows; row++) {
		if (!fresh[row])
			continue;
		vm_console_write(vm, screen->lines[row], strlen(screen->lines[row]));
		vm_console_write(vm, "\n", 1);
	}
	vm_unlock(vm);
	return true;
}

void screen_poll(struct screen_watch *watch, bool end)
{
	static struct textscreen now;
	bool fresh[TEXTSCREEN_ROWS], changes;

	if (screen_read(watch->vm, &now))
		return;
	changes = memcmp(watch->last.lines, now.lines, sizeof(now.lines)) != 0;
	watch->last = now;
	if (changes && !end && ++watch->waits < MAX_WAITS)
		return;
	watch->waits = 0;
	if (!textscreen_new_lines(&watch->printed, &now, fresh) || print(watch->vm, &now, fresh))
		watch->printed = now;
}
