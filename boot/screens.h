/* SPDX-License-Identifier: MIT */
/* The text screens of the VMs (dev/isa/vvga.h), for the monitor, and as lines of the VM's console: vga=lines. Service thread. */
#pragma once

#include "lib/textscreen.h"
#include "lib/types.h"

struct vm;
struct screen_watch;

/* What the VM's screen shows. 0; -EFAULT: its memory cannot be read. */
int screen_read(struct vm *vm, struct textscreen *screen);

/* Print new lines of the VM's screen from here on, until the VM is destroyed. NULL: no memory, logged. */
struct screen_watch *screen_watch(struct vm *vm);
/* Print what is new, if it has stopped changing, or waited for a second. At the VM's end: whatever is new. */
void screen_poll(struct screen_watch *watch, bool end);
