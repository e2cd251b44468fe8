/* SPDX-License-Identifier: MIT */
/*
 * The life of all VMs in the service thread: which start, wait, start again and end, and how Lamina ends
 * after them. Played are the VMs, whose guests end as the test says, and the clock.
 */
/* link: core/vtimer.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/fault/stage.h"
#define stage_begins(stage) ((void)(stage))

#include "boot/vms.c"
#include "tests/unit/choice.h"

#define SECOND 1000000000ull
#define VMS    4
#define STARTS 8

/* How a VM's guest behaves, at each of its starts. */
static struct play {
	u64 runs[STARTS];		/* ticks until it ends */
	enum vm_end ends[STARTS];	/* VM_END_NONE: as POWEROFF */
	unsigned failing_start;		/* creation fails at this start, from 1 */
	/* What has happened. */
	unsigned creations, destructions, starts;
	u64 started_at[STARTS], limits[STARTS];
	u64 ends_at;
	struct vm *vm;			/* while it exists */
} plays[VMS];

static struct config config;
static u32 exit_status;
static u64 now, memory, memory_taken;
static struct percpu home;
static struct vtimer_list timers;
static unsigned module_frees[BOOT_MAX_MODULES];
static unsigned running, most_running, pages, attaches, waits;
static bool woken;
static char logged[8192], ending[256];
static jmp_buf end_of_lamina;
static struct vcpu *entered, fake_vcpus[VMS][2];
static char life[64];
static int error_of_platform, error_of_keyboard, error_of_loader, error_of_tables;
static bool firmware;
static unsigned watches, polls, last_polls;
static bool no_memory_for_watch;

struct boot_info boot_info;

static unsigned index_of(const struct vm_config *c)
{
	return (unsigned)(c - config.vms);
}

static struct play *play_of(const struct vm *vm)
{
	return &plays[index_of(vm->config)];
}

static void note(char step)
{
	size_t used = strlen(life);

	if (used + 1 < sizeof(life))
		life[used] = step;
}

/* --- the machine --- */

struct percpu *this_cpu(void) { return &home; }
u64 test_tsc(void) { return now; }
u64 clock_ns_to_tsc(u64 ns) { return ns; }
u64 clock_tsc_to_ns(u64 ticks) { return ticks; }
u64 clock_tsc_hz(void) { return SECOND; }

/* It takes until the third look. */
static unsigned clock_looks;
bool clock_refine(void) { return ++clock_looks >= 3; }
void cpuid_set_timing(struct vcpu *vcpu) { note('h'); }
u64 rtc_now(void) { return 1700000000; }
void *pages_alloc(unsigned order) { pages++; return calloc(1, PAGE_SIZE << order); }
void pages_free(void *p, unsigned order) { pages--; free(p); }

void memory_stats(struct memory_stats *stats)
{
	*stats = (struct memory_stats){ .guest_free = memory - memory_taken };
}

static unsigned windows;

void *phys_window(unsigned slot, hpa_t pa, u64 size)
{
	windows++;
	return (void *)pa;
}

void phys_window_close(unsigned slot) { windows = 0; }

static u64 memory_of_module;	/* which guests can have when it is freed */

void boot_module_free(unsigned module)
{
	assert_in_range(module, 0, BOOT_MAX_MODULES - 1);
	module_frees[module]++;
	memory += memory_of_module;
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(logged);
	va_list args;

	used += (size_t)snprintf(logged + used, sizeof(logged) - used, "%s] ", tag ? tag : "");
	va_start(args, format);
	used += (size_t)vsnprintf(logged + used, sizeof(logged) - used, format, args);
	va_end(args);
	assert_true(used + 1 < sizeof(logged));
	strcat(logged, "\n");
}

const char *vm_name(const struct vm *vm) { return vm->name; }

void panic(const char *format, ...) { fail_msg("%s", format); abort(); }

static bool loop_ends;

void bootloop_next(void) { loop_ends = true; }

void finish(void)
{
	strcpy(ending, "finished");
	longjmp(end_of_lamina, 1);
}

void stop(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ending, sizeof(ending), format, args);
	va_end(args);
	longjmp(end_of_lamina, 1);
}

static bool virtualization_off;

void guests_disable_virtualization(void)
{
	assert_int_equal(running, 0);
	virtualization_off = true;
}

void keyboard_init(void) { }
void keyboard_start(void) { }

static bool escape_waits;
static unsigned keyboard_wakes;

void keyboard_wake(void) { keyboard_wakes++; }
bool monitor_poll(void) { return escape_waits; }
int console_attach(struct vm *vm)
{
	attaches++;
	vm->console = (void *)vm;
	return 0;
}

static const struct vm *drained;

void console_drain(struct vm *vm)
{
	assert_non_null(vm->console);
	drained = vm;
}

static unsigned kept_consoles;	/* of VMs that start again */

void console_detach(struct vm *vm, bool restarts)
{
	/* Also after a failure before it got one. */
	attaches -= vm->console != NULL;
	vm->console = NULL;
	kept_consoles += restarts;
}

/* What is typed at the monitor, and when. */
static u64 typed_at;
static void (*typed)(void);

void monitor_run_pending(void)
{
	if (now < typed_at)
		return;
	typed_at = VTIMER_NEVER;
	typed();
}

/* --- VMs --- */

static int error_of_placement;

int placement_choose(const struct vm_config *c, struct percpu **where)
{
	for (u32 i = 0; i < c->vcpus; i++)
		where[i] = &home;
	return error_of_placement;
}

int vm_create(struct vm *vm, const struct vm_config *c, const struct vcpu_ops *vendor, struct percpu *const *where)
{
	struct play *play = &plays[index_of(c)];

	assert_null(play->vm);
	assert_ptr_equal(where[c->vcpus - 1], &home);
	vm->config = c;
	strcpy(vm->name, c->name);
	play->vm = vm;
	play->creations++;
	for (u32 i = 0; i < c->vcpus; i++) {
		struct vcpu *vcpu = &fake_vcpus[index_of(c)][i];

		*vcpu = (struct vcpu){ .vm = vm, .id = i, .regs_available = REGS_LAZY };
		vm->vcpus[i] = vcpu;
	}
	vm->vcpu_count = c->vcpus;
	if (play->failing_start == play->creations)
		return -ENOMEM;
	if (memory - memory_taken < c->memory) {
		log_error("VM %s: no memory", c->name);
		return -ENOMEM;
	}
	memory_taken += c->memory;
	vm->mem.piece_count = 1;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	assert_null(entered);
	if (vm->mem.piece_count)
		memory_taken -= vm->config->memory;
	play_of(vm)->destructions++;
	play_of(vm)->vm = NULL;
}

struct vcpu *vm_bsp(struct vm *vm) { return vm->vcpus[0]; }

void vm_enter(struct vcpu *vcpu)
{
	assert_null(entered);
	note((char)('0' + vcpu->id));
	entered = vcpu;
}

void vm_leave(void)
{
	assert_non_null(entered);
	note('/');
	entered = NULL;
}

static u64 memory_for_disks;		/* of the second VM */
static u64 memory_of_disks;		/* of the first VM, which it has */
static unsigned disks_given_up, new_disks_given_up;
static int error_of_disks;

u64 disks_memory(const struct vm_config *c) { return c == &config.vms[0] && !disks_given_up ? memory_of_disks : 0; }
u64 disks_memory_missing(const struct vm_config *c) { return c == &config.vms[1] ? memory_for_disks : 0; }
int disks_attach(struct vm *vm) { note('d'); return error_of_disks; }
void disks_fill(struct vm *vm) { note('f'); }

void disks_give_up(const struct vm_config *c, bool contents)
{
	if (contents)
		memory += disks_memory(c);
	disks_given_up += contents;
	new_disks_given_up += !contents;
}

void guest_mem_clear(struct vm *vm)
{
	assert_ptr_equal(entered->vm, vm);
	note('c');
}

int platform_create(struct vm *vm, u64 at)
{
	assert_ptr_equal(entered, vm->vcpus[0]);
	assert_int_equal(at, 1700000000);
	note('p');
	return error_of_platform;
}

int platform_connect_keyboard(struct vm *vm)
{
	assert_ptr_equal(entered, vm->vcpus[0]);
	assert_true(vm->config->ps2_keyboard);
	note('k');
	return error_of_keyboard;
}

void vcpu_reset(struct vcpu *vcpu, bool init)
{
	assert_ptr_equal(entered, vcpu);
	assert_false(init);
	note('r');
}

bool loader_is_firmware(const struct guest_image *image)
{
	assert_non_null(image->kernel);
	return firmware;
}

int platform_offer_tables(struct vm *vm)
{
	assert_ptr_equal(entered, vm->vcpus[0]);
	note('t');
	return error_of_tables;
}

int loader_load(struct vm *vm, struct vcpu *vcpu, const struct guest_image *image)
{
	assert_ptr_equal(entered, vm->vcpus[0]);
	assert_ptr_equal(vcpu, entered);
	assert_non_null(image->kernel);
	assert_ptr_equal(image->kernel, image->kernel_memory);
	assert_int_equal(image->module_count, vm->config->module_count);
	for (u32 i = 0; i < image->module_count; i++) {
		assert_ptr_equal(image->map(image, i), boot_info.module[2 * (vm->config - config.vms) + 1].start);
		assert_true(image->modules[i].is_initrd);
	}
	note('l');
	return error_of_loader;
}

void vm_start(struct vm *vm, u64 limit)
{
	struct play *play = play_of(vm);

	assert_null(entered);
	assert_true(clock_looks >= 3);
	assert_true(play->starts < STARTS);
	play->started_at[play->starts] = now;
	play->limits[play->starts] = limit;
	play->ends_at = MIN(now + play->runs[play->starts], MAX(limit, now));
	vm->end = play->ends_at == limit ? VM_END_STOPPED : play->ends[play->starts] ?: VM_END_POWEROFF;
	vm->exit_status = exit_status;
	play->starts++;
	vm->state = VM_RUNNING;
	running++;
	most_running = MAX(most_running, running);
}

void vm_stop(struct vm *vm)
{
	assert_int_equal(vm->state, VM_RUNNING);
	play_of(vm)->ends_at = now + SECOND / 1000;
	vm->end = VM_END_STOPPED;
}

void machine_check_log_count(void) { }
void nmi_log_count(void) { }

bool vm_is_over(const struct vm *vm) { return vm->state == VM_ENDED; }
void vm_lock(struct vm *vm) { spin_lock(&vm->lock); }
void vm_unlock(struct vm *vm) { spin_unlock(&vm->lock); }

void vm_report_result(struct vm *vm, u32 status, const char *text)
{
	vm->result = (struct vm_result){ .given = true, .status = status };
	strcpy(vm->result.text, text);
}

void vm_print_end(struct vm *vm)
{
	assert_int_equal(vm->state, VM_ENDED);
	assert_ptr_equal(drained, vm);	/* the report comes after what the VM printed */
	drained = NULL;
	log_line(LOG_INFO, vm->name, "ended");
}

/* --- the screens of vga=lines --- */

struct screen_watch *screen_watch(struct vm *vm)
{
	watches++;
	return no_memory_for_watch ? NULL : (struct screen_watch *)vm;
}

void screen_poll(struct screen_watch *watch, bool end)
{
	const struct vm *vm = (struct vm *)watch;

	assert_true(vm->config->vga_lines);
	assert_int_equal(vm->state == VM_ENDED, end);
	assert_ptr_equal(drained, end ? vm : NULL);	/* there is room, and its report comes later */
	polls += !end;
	last_polls += end;
}

/* --- the service thread --- */

struct vtimer_list *sched_timers(void) { return &timers; }
void service_wake(void) { woken = true; }
void service_pause(void) { }

/* The next that happens: a VM ends, or a timer fires. */
static void happen(void)
{
	u64 next = MIN(timers.deadline, typed_at);

	for (unsigned i = 0; i < VMS; i++)
		if (plays[i].vm && plays[i].vm->state == VM_RUNNING)
			next = MIN(next, plays[i].ends_at);
	if (next == VTIMER_NEVER)
		fail_msg("it waits for ever, after:\n%s", logged);
	now = MAX(now, next);
	for (unsigned i = 0; i < VMS; i++) {
		if (plays[i].vm && plays[i].vm->state == VM_RUNNING && plays[i].ends_at <= now) {
			plays[i].vm->state = VM_ENDED;
			running--;
			service_wake();
		}
	}
	woken |= now >= typed_at;
	vtimer_list_run(&timers, now);
}

void service_wait(void)
{
	assert_true(++waits < 1000);
	assert_null(entered);
	while (!woken)
		happen();
	woken = false;
}

/* --- the tests --- */

static const struct vcpu_ops fake_ops = { .name = "fake" };

static int set_up(void **state)
{
	memset(plays, 0, sizeof(plays));
	memset(&config, 0, sizeof(config));
	memset(entries, 0, sizeof(entries));
	memset(module_frees, 0, sizeof(module_frees));
	memset(life, 0, sizeof(life));
	logged[0] = ending[0] = '\0';
	timers = (struct vtimer_list){ .deadline = VTIMER_NEVER };
	retry = (struct vtimer){ 0 };
	now = 5000;
	memory = GIB(1);
	memory_taken = 0;
	running = most_running = pages = attaches = waits = 0;
	woken = true;
	loop_ends = virtualization_off = false;
	entered = NULL;
	memory_for_disks = memory_of_disks = disks_given_up = new_disks_given_up = 0;
	error_of_disks = error_of_platform = error_of_keyboard = error_of_loader = error_of_tables = error_of_placement = 0;
	firmware = false;
	watches = polls = last_polls = 0;
	no_memory_for_watch = false;
	screens = (struct vtimer){ 0 };
	order = START_TOGETHER;
	typed_at = VTIMER_NEVER;
	memory_of_module = 0;
	kept_consoles = 0;
	escape_waits = false;
	keyboard_wakes = 0;
	for (unsigned i = 0; i < 2 * VMS; i++)
		boot_info.module[i] = (struct boot_module){ .start = MIB(i + 1), .size = 100 };
	return 0;
}

/* A VM that runs for that time; its kernel is module 2n, its initrd module 2n + 1. */
static struct play *add_vm(u64 mib, u64 runs)
{
	struct vm_config *c = &config.vms[config.vm_count];
	struct play *play = &plays[config.vm_count];
	struct vm_module *module = &config.modules[2 * config.vm_count + 1];

	*module = (struct vm_module){ .index = 2 * (int)config.vm_count + 1, .string = "" };
	*c = (struct vm_config){
		.memory = MIB(mib), .vcpus = 1, .valid = true,
		.kernel = { .index = 2 * (int)config.vm_count, .string = "" }, .initrd = 2 * (int)config.vm_count + 1,
		.modules = module, .module_count = 1,
	};
	snprintf(c->name, sizeof(c->name), "vm%u", config.vm_count);
	for (unsigned i = 0; i < STARTS; i++)
		play->runs[i] = runs;
	config.vm_count++;
	return play;
}

/* Until Lamina ends; everything is given back then. */
static void run_vms(void)
{
	if (!setjmp(end_of_lamina))
		vms_run(&config, &fake_ops);
	assert_true(virtualization_off);
	assert_int_equal(pages, 0);
	assert_int_equal(attaches, 0);
	assert_int_equal(memory_taken, 0);
	assert_int_equal(windows, 0);
	for (unsigned i = 0; i < config.vm_count; i++) {
		assert_int_equal(plays[i].creations, plays[i].destructions);
		assert_in_range(module_frees[2 * i], 0, 1);
		assert_int_equal(module_frees[2 * i + 1], config.vms[i].initrd >= 0 ? module_frees[2 * i] : 0);
	}
}

static void assert_logged(const char *text)
{
	if (!strstr(logged, text))
		fail_msg("\"%s\" is not in:\n%s", text, logged);
}

static void all_start_together(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		add_vm(128, (i + 1) * SECOND);
	config.vms[1].initrd = -1;
	config.vms[1].modules = NULL;
	config.vms[1].module_count = 0;
	run_vms();
	assert_int_equal(most_running, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(plays[i].starts, 1);
		assert_int_equal(plays[i].started_at[0], 5000);
		assert_int_equal(plays[i].limits[0], VTIMER_NEVER);
	}
	assert_string_equal(ending, "finished");
	assert_true(loop_ends);
}

static void one_after_the_other(void **state)
{
	choose(&option_start, "sequence");
	for (unsigned i = 0; i < 3; i++)
		add_vm(128, SECOND / 4);
	run_vms();
	assert_int_equal(most_running, 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(plays[i].started_at[0], 5000 + i * SECOND / 4);
	assert_string_equal(ending, "finished");
	choose(&option_start, "together");
	assert_int_equal(order, START_TOGETHER);
}

/* The other processors first; memory is cleared and the devices are there before any reset. */
static void the_steps_of_a_start(void **state)
{
	add_vm(128, SECOND);
	config.vms[0].vcpus = 2;
	run_vms();
	assert_string_equal(life, "d0cfp/1r/0rl/hh");
	assert_logged("vm0] first entry at RIP 0x0");
}

/* It finds the tables as files, which there are before it is loaded. */
static void firmware_is_offered_the_tables(void **state)
{
	add_vm(128, SECOND);
	firmware = true;
	run_vms();
	assert_string_equal(life, "d0cfp/0rtl/h");
	set_up(state);
	add_vm(128, SECOND);
	firmware = true;
	error_of_tables = -ENOSPC;
	run_vms();
	assert_string_equal(life, "d0cfp/0rt/");
	assert_string_equal(ending, "1 of 1 VMs did not start, or were ended by an error");
}

static void a_keyboard_is_connected(void **state)
{
	add_vm(128, SECOND);
	config.vms[0].ps2_keyboard = true;
	run_vms();
	assert_string_equal(life, "d0cfpk/0rl/h");
	set_up(state);
	add_vm(128, SECOND);
	config.vms[0].ps2_keyboard = true;
	error_of_keyboard = -ENOMEM;
	run_vms();
	assert_string_equal(life, "d0cfpk/");
	assert_string_equal(ending, "1 of 1 VMs did not start, or were ended by an error");
	set_up(state);
	add_vm(128, SECOND);
	config.vms[0].ps2_keyboard = true;
	error_of_platform = -ENOMEM;
	run_vms();
	assert_string_equal(life, "d0cfp/");
}

/* Four times a second, and at the end, those that want it. */
static void screens_are_looked_at(void **state)
{
	add_vm(128, SECOND + SECOND / 8);
	add_vm(128, 3 * SECOND);
	config.vms[0].vga_lines = true;
	run_vms();
	assert_int_equal(watches, 1);
	assert_int_equal(polls, 5);	/* at 0, 250, 500, 750 and 1000 ms */
	assert_int_equal(last_polls, 1);
	assert_string_equal(ending, "finished");
}

static void screens_are_looked_at_after_a_restart(void **state)
{
	struct play *play = add_vm(128, 2 * SECOND);

	play->ends[0] = VM_END_RESET;
	config.vms[0].vga_lines = true;
	run_vms();
	assert_int_equal(play->starts, 2);
	assert_int_equal(watches, 2);
	assert_int_equal(last_polls, 2);
	assert_in_range(polls, 14, 18);
}

static void screens_that_cannot_be_remembered(void **state)
{
	add_vm(128, SECOND);
	config.vms[0].vga_lines = true;
	no_memory_for_watch = true;
	run_vms();
	assert_int_equal(polls + last_polls, 0);
	assert_string_equal(ending, "finished");
}

/* --- memory --- */

static void it_waits_until_there_is_memory(void **state)
{
	add_vm(700, 5 * SECOND);
	add_vm(700, SECOND);
	add_vm(100, SECOND);
	run_vms();
	assert_int_equal(plays[2].started_at[0], 5000);
	assert_int_equal(plays[1].started_at[0], 5000 + 5 * SECOND);
	assert_string_equal(ending, "finished");
	assert_logged("vm1] waits until 700 MiB of memory are free: now it is 324 MiB");
	assert_null(strstr(strstr(logged, "vm1] waits") + 1, "vm1] waits"));	/* said once */
}

/* It would wait for ever: starting it says what is wrong. */
static void too_large_for_the_machine(void **state)
{
	add_vm(2000, SECOND);
	add_vm(100, SECOND);
	add_vm(100, SECOND);
	run_vms();
	assert_int_equal(plays[0].starts, 0);
	assert_logged("VM vm0: no memory");
	assert_int_equal(plays[1].starts, 1);
	assert_int_equal(plays[2].starts, 1);
	assert_string_equal(ending, "1 of 3 VMs did not start, or were ended by an error");
}

static void too_large_while_others_run(void **state)
{
	add_vm(100, SECOND);
	add_vm(2000, SECOND);
	run_vms();
	assert_int_equal(plays[0].starts, 1);
	assert_int_equal(plays[1].starts, 0);
	assert_logged("VM vm1: no memory");
	assert_string_equal(ending, "1 of 2 VMs did not start, or were ended by an error");
}

/* The images of VMs that are over are kept for the monitor, but not when their memory is needed. */
static void images_are_given_up(void **state)
{
	memory_of_module = MIB(100);
	for (unsigned i = 0; i < 2 * VMS; i++)
		boot_info.module[i].size = memory_of_module;
	memory = MIB(600);
	add_vm(100, SECOND / 2);
	add_vm(300, 5 * SECOND);
	add_vm(400, SECOND);
	run_vms();
	assert_int_equal(plays[2].started_at[0], 5000 + SECOND / 2);	/* 300 MiB, and two modules */
	assert_int_equal(module_frees[0], 1);
	assert_int_equal(module_frees[1], 1);
	assert_int_equal(module_frees[2] + module_frees[4], 0);
	assert_int_equal(disks_given_up, 1);
	set_up(state);
	add_vm(100, SECOND);
	add_vm(100, SECOND);
	run_vms();
	assert_int_equal(module_frees[0] + module_frees[2] + disks_given_up, 0);
}

/* What a VM has written is not lost for another one that does not fit even then, or that fits when others end. */
static void disks_are_given_up_only_for_one_that_fits(void **state)
{
	memory_of_disks = MIB(100);
	memory = MIB(600);
	add_vm(100, SECOND / 2);
	add_vm(300, 5 * SECOND);
	add_vm(500, SECOND);	/* at first 400 MiB are free with the disks */
	run_vms();
	assert_int_equal(plays[2].started_at[0], 5000 + 5 * SECOND);
	assert_int_equal(disks_given_up, 0);
	set_up(state);
	memory_of_disks = MIB(100);
	memory = MIB(600);
	add_vm(100, SECOND);
	add_vm(701, SECOND);
	run_vms();
	assert_logged("VM vm1: no memory");
	assert_int_equal(disks_given_up, 0);
	set_up(state);
	memory_of_disks = MIB(100);
	memory = MIB(600);
	add_vm(100, SECOND);
	add_vm(700, SECOND);
	run_vms();
	assert_int_equal(plays[1].started_at[0], 5000 + SECOND);
	assert_int_equal(disks_given_up, 1);
}

/* Their memory counts as the VM's does; without it the VM does not start. */
static void disks_need_memory(void **state)
{
	memory_for_disks = MIB(500);
	add_vm(600, SECOND);
	add_vm(200, SECOND);
	run_vms();
	assert_logged("vm1] waits until 700 MiB of memory are free: now it is 424 MiB");
	assert_int_equal(plays[1].started_at[0], 5000 + SECOND);
	assert_int_equal(new_disks_given_up, 0);
	set_up(state);
	error_of_disks = -ENOMEM;
	add_vm(100, SECOND);
	run_vms();
	assert_string_equal(life, "d");
	assert_int_equal(new_disks_given_up, 1);
	assert_int_equal(disks_given_up, 0);
	assert_string_equal(ending, "1 of 1 VMs did not start, or were ended by an error");
}

/* --- the monitor --- */

static void type_at(u64 time, void (*what)(void))
{
	typed_at = 5000 + time;
	typed = what;
}

static void stop_vm_0(void)
{
	assert_string_equal(vms_state(0), "running");
	assert_int_equal(vms_uptime_s(0), 3);
	assert_int_equal(vms_stop(0), 0);
}

static void stopping_by_the_monitor(void **state)
{
	add_vm(128, 10 * SECOND)->ends[0] = VM_END_RESET;
	add_vm(128, 5 * SECOND);
	type_at(3 * SECOND, stop_vm_0);
	run_vms();
	assert_int_equal(plays[0].starts, 1);
	assert_string_equal(ending, "finished");
}

static void press_escape(void) { escape_waits = true; }

/* What the key stands for is known only after a while, in which nothing may wake the thread. */
static void the_key_escape(void **state)
{
	add_vm(128, 10 * SECOND);
	type_at(3 * SECOND, press_escape);
	run_vms();
	assert_true(keyboard_wakes >= 1);
	set_up(state);
	add_vm(128, 10 * SECOND);
	run_vms();
	assert_int_equal(keyboard_wakes, 0);
}

static void reset_vm_0(void) { assert_int_equal(vms_reset(0), 0); }

/* The limit is that of its first start. */
static void a_reset_by_the_monitor(void **state)
{
	add_vm(128, 10 * SECOND);
	config.vms[0].time_limit_s = 60;
	config.vms[0].stop_on_reset = true;	/* which is about the guest's */
	type_at(3 * SECOND, reset_vm_0);
	run_vms();
	assert_int_equal(plays[0].starts, 2);
	assert_in_range(plays[0].started_at[1], 5000 + 3 * SECOND, 5000 + 3 * SECOND + SECOND / 100);
	assert_int_equal(plays[0].limits[1], plays[0].limits[0]);
	assert_int_equal(kept_consoles, 1);
	assert_string_equal(ending, "finished");
}

static void start_vm_0_again(void)
{
	assert_string_equal(vms_state(0), "failed");
	assert_null(vms_get(0));
	assert_int_equal(vms_start(1), -EINVAL);	/* it runs */
	assert_int_equal(vms_start(0), 0);
	assert_string_equal(vms_state(0), "waiting");
	assert_int_equal(vms_start(0), -EINVAL);
}

/* A start of its own: the limit begins again. */
static void starting_again(void **state)
{
	add_vm(128, SECOND)->ends[0] = VM_END_ERROR;
	config.vms[0].time_limit_s = 60;
	add_vm(128, 10 * SECOND);
	type_at(4 * SECOND, start_vm_0_again);
	run_vms();
	assert_int_equal(plays[0].starts, 2);
	assert_int_equal(plays[0].started_at[1], 5000 + 4 * SECOND);
	assert_int_equal(plays[0].limits[1], 5000 + 64 * SECOND);
	assert_string_equal(ending, "finished");	/* its last end was a good one */
}

static void no_result_yet(void)
{
	struct vm_result result;

	vms_result(0, &result);
	assert_false(result.given);
	vm_report_result(vms_get(0), 7, "seven");
	vms_result(0, &result);
	assert_int_equal(result.status, 7);
}

/* A result outlives its VM's end and its next start, until there is another one. */
static void results(void **state)
{
	struct vm_result result;

	add_vm(128, 10 * SECOND)->ends[0] = VM_END_RESET;
	type_at(SECOND, no_result_yet);
	run_vms();
	assert_int_equal(plays[0].starts, 2);
	vms_result(0, &result);
	assert_true(result.given);
	assert_int_equal(result.status, 7);
	assert_string_equal(result.text, "seven");
}

static void stop_vm_1_that_waits(void)
{
	assert_string_equal(vms_state(1), "waiting");
	assert_int_equal(vms_stop(1), 0);
	assert_string_equal(vms_state(1), "ended");
	assert_int_equal(vms_stop(1), -EINVAL);
}

static void stopping_one_that_waits(void **state)
{
	add_vm(700, 5 * SECOND);
	add_vm(700, SECOND);
	type_at(SECOND, stop_vm_1_that_waits);
	run_vms();
	assert_int_equal(plays[1].starts, 0);
	assert_string_equal(ending, "finished");
}

/* --- restarts --- */

static void a_reset_restarts(void **state)
{
	struct play *play = add_vm(128, 5 * SECOND);

	play->ends[0] = play->ends[1] = VM_END_RESET;
	run_vms();
	assert_int_equal(play->starts, 3);
	assert_int_equal(play->creations, 3);
	assert_int_equal(play->started_at[1], 5000 + 5 * SECOND);
	assert_logged("vm0] restarting");
	assert_string_equal(ending, "finished");
}

/* A guest that resets at once does not keep the machine busy: a second from start to start. */
static void not_more_than_once_a_second(void **state)
{
	struct play *play = add_vm(128, SECOND / 100), *other = add_vm(128, 2 * SECOND);

	for (unsigned i = 0; i < 5; i++)
		play->ends[i] = VM_END_RESET;
	other->ends[0] = VM_END_RESET;
	other->runs[0] = SECOND / 3;
	run_vms();
	assert_int_equal(play->starts, 6);
	for (unsigned i = 1; i < 6; i++)
		assert_int_equal(play->started_at[i], 5000 + i * SECOND);
	assert_int_equal(other->starts, 2);
	assert_int_equal(other->started_at[1], 5000 + SECOND);
	assert_string_equal(ending, "finished");
}

static void onreset_stop(void **state)
{
	struct play *play = add_vm(128, SECOND);

	play->ends[0] = VM_END_RESET;
	config.vms[0].stop_on_reset = true;
	run_vms();
	assert_int_equal(play->starts, 1);
	assert_string_equal(ending, "1 of 1 VMs did not end well, by power-off or with debug exit status 0: see above");
}

/* Only a reset restarts. */
static void other_ends_are_for_good(void **state)
{
	static const enum vm_end ends[] = {
		VM_END_POWEROFF, VM_END_TRIPLE_FAULT, VM_END_DEBUG_EXIT, VM_END_HALTED, VM_END_STOPPED,
		VM_END_ERROR, VM_END_ENTRY_FAILED,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		bool error = ends[i] == VM_END_ERROR || ends[i] == VM_END_ENTRY_FAILED;
		bool good = ends[i] == VM_END_POWEROFF || ends[i] == VM_END_DEBUG_EXIT;

		set_up(state);
		add_vm(128, SECOND)->ends[0] = ends[i];
		add_vm(128, 2 * SECOND);
		run_vms();
		assert_int_equal(plays[0].starts, 1);
		assert_int_equal(plays[1].starts, 1);
		assert_string_equal(ending, error ? "1 of 2 VMs did not start, or were ended by an error" : good ? "finished" :
				    "1 of 2 VMs did not end well, by power-off or with debug exit status 0: see above");
		assert_int_equal(loop_ends, good);
	}
}

/* The test guests write 0 where all is well. */
static void the_status_of_a_debug_exit_counts(void **state)
{
	for (unsigned status = 0; status < 2; status++) {
		set_up(state);
		add_vm(128, SECOND)->ends[0] = VM_END_DEBUG_EXIT;
		exit_status = status;
		run_vms();
		assert_int_equal(loop_ends, !status);
		assert_string_equal(ending, !status ? "finished" :
				    "1 of 1 VMs did not end well, by power-off or with debug exit status 0: see above");
	}
	exit_status = 0;
}

static void the_limit_counts_from_the_first_start(void **state)
{
	struct play *play = add_vm(128, 2 * SECOND);

	config.vms[0].time_limit_s = 5;
	for (unsigned i = 0; i < STARTS; i++)
		play->ends[i] = VM_END_RESET;
	run_vms();
	assert_int_equal(play->starts, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(play->limits[i], 5000 + 5 * SECOND);
	assert_int_equal(now, 5000 + 5 * SECOND);
	assert_string_equal(ending, "1 of 1 VMs did not end well, by power-off or with debug exit status 0: see above");
}

/* Of two VMs in sequence the second one does not run between two starts of the first. */
static void a_restart_in_a_sequence(void **state)
{
	order = START_SEQUENCE;
	add_vm(128, SECOND / 10)->ends[0] = VM_END_RESET;
	add_vm(128, SECOND);
	run_vms();
	assert_int_equal(plays[0].starts, 2);
	assert_int_equal(plays[0].started_at[1], 5000 + SECOND);
	assert_int_equal(plays[1].started_at[0], 5000 + SECOND + SECOND / 10);
	assert_int_equal(most_running, 1);
}

/* Its memory may be another's by then. */
static void a_restart_that_waits_for_memory(void **state)
{
	add_vm(600, SECOND / 10)->ends[0] = VM_END_RESET;
	add_vm(600, 5 * SECOND);
	run_vms();
	assert_int_equal(plays[1].started_at[0], 5000 + SECOND / 10);
	assert_int_equal(plays[0].starts, 2);
	assert_int_equal(plays[0].started_at[1], 5000 + SECOND / 10 + 5 * SECOND);
	assert_string_equal(ending, "finished");
}

static void a_restart_that_fails(void **state)
{
	struct play *play = add_vm(128, SECOND);

	play->ends[0] = VM_END_RESET;
	play->failing_start = 2;
	add_vm(128, 3 * SECOND);
	run_vms();
	assert_int_equal(play->starts, 1);
	assert_int_equal(plays[1].starts, 1);
	assert_string_equal(ending, "1 of 2 VMs did not start, or were ended by an error");
}

/* --- failures --- */

static void one_that_fails_does_not_stop_others(void **state)
{
	for (unsigned sequence = 0; sequence < 2; sequence++) {
		for (unsigned bad = 0; bad < 3; bad++) {
			set_up(state);
			order = sequence ? START_SEQUENCE : START_TOGETHER;
			for (unsigned i = 0; i < 3; i++)
				add_vm(128, SECOND)->failing_start = i == bad;
			run_vms();
			for (unsigned i = 0; i < 3; i++)
				assert_int_equal(plays[i].starts, i != bad);
			assert_string_equal(ending, "1 of 3 VMs did not start, or were ended by an error");
			assert_false(loop_ends);
		}
	}
}

static void all_fail(void **state)
{
	static int *const errors[] = { &error_of_platform, &error_of_loader, &error_of_placement };

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		set_up(state);
		*errors[i] = -EINVAL;
		add_vm(128, SECOND);
		add_vm(128, SECOND);
		config.vms[0].vcpus = 2;
		run_vms();
		assert_string_equal(ending, "2 of 2 VMs did not start, or were ended by an error");
	}
}

static void an_invalid_one_is_not_started(void **state)
{
	add_vm(128, SECOND);
	add_vm(128, SECOND);
	config.vms[0].valid = false;
	run_vms();
	assert_int_equal(plays[0].creations, 0);
	assert_int_equal(plays[1].starts, 1);
	assert_string_equal(ending, "1 of 2 VMs did not start, or were ended by an error");
}

static void modules_of_nobody(void **state)
{
	add_vm(128, SECOND);
	config.modules_unused = 3;
	run_vms();
	assert_string_equal(ending, "3 modules belong to no VM, see above");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_start_together),
		TEST(one_after_the_other),
		TEST(the_steps_of_a_start),
		TEST(screens_are_looked_at),
		TEST(firmware_is_offered_the_tables),
		TEST(a_keyboard_is_connected),
		TEST(screens_are_looked_at_after_a_restart),
		TEST(screens_that_cannot_be_remembered),
		TEST(it_waits_until_there_is_memory),
		TEST(too_large_for_the_machine),
		TEST(too_large_while_others_run),
		TEST(images_are_given_up), TEST(disks_are_given_up_only_for_one_that_fits), TEST(disks_need_memory),
		TEST(stopping_by_the_monitor),
		TEST(the_key_escape),
		TEST(a_reset_by_the_monitor),
		TEST(starting_again),
		TEST(results),
		TEST(stopping_one_that_waits),
		TEST(a_reset_restarts),
		TEST(not_more_than_once_a_second),
		TEST(onreset_stop),
		TEST(other_ends_are_for_good),
		TEST(the_status_of_a_debug_exit_counts),
		TEST(the_limit_counts_from_the_first_start),
		TEST(a_restart_in_a_sequence),
		TEST(a_restart_that_waits_for_memory),
		TEST(a_restart_that_fails),
		TEST(one_that_fails_does_not_stop_others),
		TEST(all_fail),
		TEST(an_invalid_one_is_not_started),
		TEST(modules_of_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
