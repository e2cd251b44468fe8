/* SPDX-License-Identifier: MIT */
/* The life of the VMs: the only code that creates and destroys them. It runs in the service thread. */
#include "boot/vms.h"

#include "arch/bootinfo/bootinfo.h"
#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/machine_check_poll.h"
#include "arch/fault/nmi.h"
#include "arch/fault/panic.h"
#include "arch/fault/stage.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "arch/time/rtc.h"
#include "boot/bootloop.h"
#include "boot/ending.h"
#include "boot/guests.h"
#include "boot/keyboard.h"
#include "boot/placement.h"
#include "boot/screens.h"
#include "core/console.h"
#include "core/cpu/cpuid.h"
#include "core/disks.h"
#include "core/load/config.h"
#include "core/load/loader.h"
#include "core/mem/guest_clear.h"
#include "core/monitor.h"
#include "core/sched.h"
#include "core/service.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "dev/platform.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/printf.h"

#define RESTART_MIN_MS 1000u	/* from one start of a VM to the next */
#define SCREEN_MS 250u		/* from one look at the screens of vga=lines to the next */
#define VM_ORDER 2
_Static_assert(sizeof(struct vm) <= PAGE_SIZE << VM_ORDER, "the pages that are allocated");

enum entry_state { ENTRY_WAITS, ENTRY_RUNS, ENTRY_IS_OVER, ENTRY_BROKEN };

static struct vm_entry {
	const struct vm_config *config;
	struct vm *vm;		/* NULL: it does not exist */
	struct screen_watch *watch;	/* of vga=lines; NULL: none */
	enum entry_state state;
	bool reported;		/* why it waits */
	bool gone;		/* its images: their memory was needed */
	bool restart;		/* asked for: when it is over it starts again */
	bool stop;		/* asked for */
	bool ended_badly;	/* when it ran last */
	struct vm_result result;	/* of a VM that has ended: the last one */
	u64 started;		/* host TSC of the last start */
	u64 start_at;		/* host TSC: not earlier */
	u64 limit;		/* host TSC at which limit= ends; VTIMER_NEVER: no limit, 0: not started yet */
} entries[VM_CONFIG_MAX];
static u32 count;

static const struct vcpu_ops *ops;
static struct percpu *homes[VM_MAX_VCPUS];
static struct vtimer retry, screens;

/* --- the option start= --- */

static enum { START_TOGETHER, START_SEQUENCE } order;

DEFINE_CHOICE(start, "start", "together|sequence",
	      "start all VMs, or each when the one before it has ended (default together)", order);

/* --- one VM --- */

static const void *map_module(unsigned index, unsigned slot)
{
	return phys_window(slot, boot_info.module[index].start, boot_info.module[index].size);
}

/* Zeroes the modules, too, because another VM may get their memory. */
static void free_modules(const struct vm_config *config)
{
	if (config->kernel.index >= 0)
		boot_module_free((unsigned)config->kernel.index);
	for (const struct vm_module *module = config->modules; module; module = module->next)
		boot_module_free((unsigned)module->index);
}

/* The modules of the VM that is being loaded. */
static struct guest_module modules[BOOT_MAX_MODULES];
static unsigned module_index[BOOT_MAX_MODULES];

static const void *map_guest_module(const struct guest_image *image, u32 module)
{
	return map_module(module_index[module], PHYS_WINDOW_MODULE);
}

static void list_modules(const struct vm_config *config)
{
	u32 i = 0;

	for (const struct vm_module *module = config->modules; module; module = module->next, i++) {
		module_index[i] = (unsigned)module->index;
		modules[i] = (struct guest_module){
			.size = boot_info.module[module->index].size, .is_initrd = module->index == config->initrd,
			.name = module->word, .string = module->string,
		};
	}
}

static int load(struct vm *vm)
{
	const struct vm_config *config = vm->config;
	struct guest_image image = {
		.kernel_memory = boot_info.module[config->kernel.index].start,
		.kernel_size = boot_info.module[config->kernel.index].size,
		.name = config->kernel.word, .cmdline = config->kernel.string,
		.modules = modules, .module_count = config->module_count, .map = map_guest_module,
	};
	int error = -ENOMEM;

	stage_begins(STAGE_VM_LOAD);
	list_modules(config);
	image.kernel = map_module((unsigned)config->kernel.index, PHYS_WINDOW_KERNEL);
	if (image.kernel)	/* otherwise reported already */
		error = loader_is_firmware(&image) ? platform_offer_tables(vm) : 0;
	if (!error)
		error = loader_load(vm, vm_bsp(vm), &image);
	phys_window_close(PHYS_WINDOW_KERNEL);
	phys_window_close(PHYS_WINDOW_MODULE);
	return error;
}

/* The other processors first: the boot processor stays loaded for the loader. */
static int prepare(struct vm *vm)
{
	int error;

	console_attach(vm);
	vm_enter(vm_bsp(vm));
	guest_mem_clear(vm);
	disks_fill(vm);
	vm->start_tsc = rdtsc();
	vm->start_time = rtc_now();
	error = platform_create(vm, vm->start_time);
	if (!error && vm->config->ps2_keyboard)
		error = platform_connect_keyboard(vm);
	vm_leave();
	if (error)
		return error;
	for (u32 i = vm->vcpu_count; i-- > 0; ) {
		vm_enter(vm->vcpus[i]);
		vcpu_reset(vm->vcpus[i], false);
		if (i == 0)
			error = load(vm);
		if (i == 0 && !error)
			vm_info(vm, "first entry at RIP 0x%llx", (ull)vcpu_reg_read(vm->vcpus[i], REG_RIP));
		vm_leave();
		service_pause();
	}
	return error;
}

static void print_memory_owned(const struct vm *vm, u64 before)
{
	u64 tables = (vm->tdp_pages + vm->space.pages) * PAGE_SIZE;
	struct memory_stats stats;

	memory_stats(&stats);
	log_line(LOG_INFO, vm->name, "Lamina owns %llu KiB for it, and %llu KiB of page tables",
		 (ull)(stats.pool_used - before - tables) >> 10, (ull)tables >> 10);
}

static void destroy(struct vm_entry *entry, bool restarts)
{
	console_detach(entry->vm, restarts);
	entry->watch = NULL;
	vm_destroy(entry->vm);
	pages_free(entry->vm, VM_ORDER);
	entry->vm = NULL;
}

static int create(struct vm_entry *entry)
{
	struct memory_stats stats;
	int error;

	stage_begins(STAGE_VM_CREATE);
	error = placement_choose(entry->config, homes);
	if (error)
		return error;
	memory_stats(&stats);
	entry->vm = pages_alloc(VM_ORDER);
	if (!entry->vm) {
		log_error("VM %s: the hypervisor's own memory is used up", entry->config->name);
		return -ENOMEM;
	}
	error = vm_create(entry->vm, entry->config, ops, homes);
	if (!error)
		error = disks_attach(entry->vm);
	if (!error)
		error = prepare(entry->vm);
	if (error) {
		destroy(entry, false);
		disks_give_up(entry->config, false);
	} else {
		print_memory_owned(entry->vm, stats.pool_used);
	}
	return error;
}

/* The first VM may have to wait; what was done for it meanwhile is not lost. */
static void set_clock(struct vm *vm)
{
	while (!clock_refine()) {
		cpu_relax();
		service_pause();
	}
	for (u32 i = 0; i < vm->vcpu_count; i++)
		cpuid_set_timing(vm->vcpus[i]);
}

static void start(struct vm_entry *entry)
{
	u64 seconds = entry->config->time_limit_s;

	entry->state = ENTRY_BROKEN;
	if (create(entry))
		return;
	if (entry->config->vga_lines)
		entry->watch = screen_watch(entry->vm);
	if (entry->watch && !screens.armed)
		vtimer_arm(&screens, rdtsc());
	entry->state = ENTRY_RUNS;
	entry->restart = entry->stop = entry->ended_badly = false;
	entry->started = rdtsc();
	entry->start_at = entry->started + vtimer_from_ns(RESTART_MIN_MS * 1000000ull);
	if (!entry->limit)
		entry->limit = seconds ? rdtsc() + vtimer_from_ns(seconds * 1000000000ull) : VTIMER_NEVER;
	set_clock(entry->vm);
	stage_begins(STAGE_VM_RUN);
	vm_start(entry->vm, entry->limit);
}

/* By itself with success, or as the user said; a limit that ends a VM says nothing good about it. */
static bool ended_well(const struct vm_entry *entry)
{
	switch (entry->vm->end) {
	case VM_END_POWEROFF:
		return true;
	case VM_END_DEBUG_EXIT:
		return !entry->vm->exit_status;
	case VM_END_STOPPED:
		return entry->stop;
	default:
		return false;
	}
}

static void clear_up(struct vm_entry *entry)
{
	enum vm_end end = entry->vm->end;
	bool failed = end == VM_END_ERROR || end == VM_END_ENTRY_FAILED;
	bool restarts = entry->restart || (end == VM_END_RESET && !entry->config->stop_on_reset);

	stage_begins(STAGE_VM_ENDED);
	if (entry->watch) {
		console_drain(entry->vm);	/* room for what its screen says */
		screen_poll(entry->watch, true);
	}
	console_drain(entry->vm);
	vm_print_end(entry->vm);
	if (restarts)
		vm_info(entry->vm, "restarting");
	entry->ended_badly = !restarts && !ended_well(entry);
	entry->state = restarts ? ENTRY_WAITS : failed ? ENTRY_BROKEN : ENTRY_IS_OVER;
	entry->reported = false;
	if (entry->vm->result.given)
		entry->result = entry->vm->result;
	destroy(entry, restarts);
}

/* --- all VMs --- */

static u32 count_state(enum entry_state state)
{
	u32 n = 0;

	for (u32 i = 0; i < count; i++)
		n += entries[i].state == state;
	return n;
}

static u64 free_memory(void)
{
	struct memory_stats stats;

	memory_stats(&stats);
	return stats.guest_free;
}

/* The images and disks of VMs that are over are kept for a later start, but not if their memory is needed. */
static bool has_images_kept(const struct vm_entry *entry)
{
	return entry->state != ENTRY_RUNS && entry->state != ENTRY_WAITS && !entry->gone;
}

static u64 module_memory(int index)
{
	const struct boot_module *module = &boot_info.module[index];

	return module->keep ? 0 : ALIGN_UP(module->size, PAGE_SIZE);
}

/* As much memory as would be free without any of them, at most. */
static u64 memory_without_images(void)
{
	u64 size = free_memory();

	for (u32 i = 0; i < count; i++) {
		const struct vm_config *config = entries[i].config;

		if (!has_images_kept(&entries[i]))
			continue;
		size += disks_memory(config) + (config->kernel.index >= 0 ? module_memory(config->kernel.index) : 0);
		for (const struct vm_module *module = config->modules; module; module = module->next)
			size += module_memory(module->index);
	}
	return size;
}

static bool give_up_images(void)
{
	for (u32 i = 0; i < count; i++) {
		struct vm_entry *entry = &entries[i];

		if (!has_images_kept(entry))
			continue;
		entry->gone = true;
		free_modules(entry->config);
		disks_give_up(entry->config, true);
		return true;
	}
	return false;
}

/* Is there room for it, or none that will ever be free, so that starting it says what is wrong? */
static bool fits(struct vm_entry *entry)
{
	u64 needed = entry->config->memory + disks_memory_missing(entry->config);

	/* What others have written to their disks is lost with them: not for nothing. */
	if (memory_without_images() >= needed)
		while (free_memory() < needed && give_up_images())
			service_pause();
	if (free_memory() >= needed || !count_state(ENTRY_RUNS))
		return true;
	if (!entry->reported)
		log_line(LOG_INFO, entry->config->name, "waits until %llu MiB of memory are free: now it is %llu MiB",
			 (ull)needed >> 20, (ull)free_memory() >> 20);
	entry->reported = true;
	return false;
}

static void retry_fired(struct vtimer *timer)
{
	service_wake();
}

/* Print what is new on the screens of vga=lines. */
static void look_at_screens(void)
{
	bool more = false;

	if (screens.armed)
		return;
	for (u32 i = 0; i < count; i++) {
		if (!entries[i].watch)
			continue;
		screen_poll(entries[i].watch, false);
		more = true;
		service_pause();
	}
	if (more)
		vtimer_arm(&screens, rdtsc() + vtimer_from_ns(SCREEN_MS * 1000000ull));
}

static void start_those_that_can(void)
{
	for (u32 i = 0; i < count; i++) {
		if (entries[i].state != ENTRY_WAITS)
			continue;
		if (order == START_SEQUENCE && count_state(ENTRY_RUNS))
			return;
		if (rdtsc() < entries[i].start_at)
			vtimer_arm(&retry, MIN(retry.armed ? retry.deadline : VTIMER_NEVER, entries[i].start_at));
		else if (fits(&entries[i]))
			start(&entries[i]);
		if (order == START_SEQUENCE && entries[i].state != ENTRY_BROKEN)
			return;
		service_pause();
	}
}

static void collect(void)
{
	for (u32 i = 0; i < count; i++) {
		if (entries[i].state == ENTRY_RUNS && vm_is_over(entries[i].vm))
			clear_up(&entries[i]);
	}
}

static void __noreturn end(const struct config *config)
{
	u32 broken = count_state(ENTRY_BROKEN), badly = 0;

	for (u32 i = 0; i < count; i++)
		badly += entries[i].ended_badly;
	stage_begins(STAGE_DONE);
	guests_disable_virtualization();
	machine_check_log_count();
	nmi_log_count();
	if (broken)
		stop("%u of %u VMs did not start, or were ended by an error", broken, count);
	if (badly)
		stop("%u of %u VMs did not end well, by power-off or with debug exit status 0: see above", badly, count);
	if (config->modules_unused)
		stop("%u modules belong to no VM, see above", config->modules_unused);
	bootloop_next();
	finish();
}

/* --- for the monitor --- */

u32 vms_count(void)
{
	return count;
}

const struct vm_config *vms_config(u32 i)
{
	return entries[i].config;
}

struct vm *vms_get(u32 i)
{
	return entries[i].vm;
}

const char *vms_state(u32 i)
{
	const struct vm *vm = entries[i].vm;

	switch (entries[i].state) {
	case ENTRY_WAITS:
		return "waiting";
	case ENTRY_RUNS:
		return vm->state == VM_PAUSED ? "paused" : vm->state == VM_ENDED ? "ending" : "running";
	case ENTRY_IS_OVER:
		return "ended";
	default:
		return "failed";
	}
}

u64 vms_uptime_s(u32 i)
{
	return entries[i].vm ? vtimer_to_ns(rdtsc() - entries[i].started) / 1000000000 : 0;
}

void vms_result(u32 i, struct vm_result *result)
{
	struct vm *vm = entries[i].vm;

	*result = entries[i].result;
	if (!vm)
		return;
	vm_lock(vm);
	if (vm->result.given)
		*result = vm->result;
	vm_unlock(vm);
}

int vms_start(u32 i)
{
	struct vm_entry *entry = &entries[i];

	if (entry->state == ENTRY_RUNS || entry->state == ENTRY_WAITS || entry->gone || !entry->config->valid)
		return -EINVAL;
	entry->state = ENTRY_WAITS;
	entry->limit = 0;
	service_wake();
	return 0;
}

int vms_stop(u32 i)
{
	struct vm_entry *entry = &entries[i];

	if (entry->state == ENTRY_WAITS) {
		entry->state = ENTRY_IS_OVER;
		service_wake();
		return 0;
	}
	if (entry->state != ENTRY_RUNS)
		return -EINVAL;
	entry->restart = false;
	entry->stop = true;
	vm_stop(entry->vm);
	return 0;
}

int vms_reset(u32 i)
{
	struct vm_entry *entry = &entries[i];

	if (entry->state != ENTRY_RUNS)
		return vms_start(i);
	entry->restart = true;
	vm_stop(entry->vm);
	return 0;
}

/* --- the thread --- */

void vms_run(const struct config *config, const struct vcpu_ops *vendor)
{
	ops = vendor;
	count = config->vm_count;
	for (u32 i = 0; i < count; i++)
		entries[i] = (struct vm_entry){
			.config = &config->vms[i],
			.state = config->vms[i].valid ? ENTRY_WAITS : ENTRY_BROKEN,
		};
	vtimer_init_on(&retry, sched_timers(), retry_fired);
	vtimer_init_on(&screens, sched_timers(), retry_fired);
	keyboard_init();
	keyboard_start();
	for (;;) {
		service_wait();
		monitor_run_pending();
		if (monitor_poll())
			keyboard_wake();	/* the key Escape waits for what may follow */
		collect();
		look_at_screens();
		start_those_that_can();
		if (!count_state(ENTRY_WAITS) && !count_state(ENTRY_RUNS))
			end(config);
	}
}
