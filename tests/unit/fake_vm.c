/* SPDX-License-Identifier: MIT */
/* The fake VM: see fake_vm.h. */
#include "arch/mem/pool.h"
#include "fake_vm.h"

#include "core/vm_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/mem/memory.h"
#include "arch/time/clock.h"
#include "core/cpu/cpuid.h"
#include "core/event.h"
#include "core/observe/trace_record.h"
#include "core/startup.h"
#include "lib/errno.h"

u64 fake_hz = 2399123457;
static u64 fake_now;

/* --- the interrupt controllers, until a test installs others --- */

static void set_line(struct vm *vm, unsigned irq, bool level)
{
	struct fake_line *line = &fake_of(vm)->lines[irq];

	assert_in_range(irq, 0, FAKE_IRQS - 1);
	if (level && !line->level)
		line->rises++;
	line->level = level;
}

static bool line_waiting(struct vm *vm, unsigned irq)
{
	assert_in_range(irq, 0, FAKE_IRQS - 1);
	return fake_of(vm)->lines[irq].waiting;
}

static const struct irqchip_ops no_controllers = { .set_line = set_line, .line_waiting = line_waiting };

/* --- the host's CPU --- */

/* Each thread is a CPU; that of the thread that creates the VM is the vCPUs' home. */
static _Thread_local struct percpu thread_cpu, *home_cpu;

__attribute__((weak)) struct percpu *this_cpu(void)
{
	return home_cpu ? home_cpu : &thread_cpu;
}

static void shared_timers_changed(struct vtimer_list *list)
{
	vtimer_limit_changed(vm_bsp(container_of(list, struct vm, timers)));
}

/* --- set-up --- */

struct vm *fake_create(u64 ram_size)
{
	struct fake_vm *fake = aligned_alloc(64, ALIGN_UP(sizeof(*fake), 64));
	struct vm *vm = &fake->vm;

	assert_non_null(fake);
	memset(fake, 0, sizeof(*fake));
	fake_hz = 2399123457;
	fake_now = 0x123456789abull;
	fake->ram_size = ram_size;
	fake->ram = ram_size ? calloc(1, ram_size) : NULL;
	fake->alloc_limit = FAKE_ALLOCS;
	fake->send_room = SIZE_MAX;
	vm->vcpu_count = 1;
	vm->state = VM_RUNNING;
	vm->timers = (struct vtimer_list){ .deadline = VTIMER_NEVER, .changed = shared_timers_changed };
	fake->cpu.trace.records = fake->records;
	home_cpu = &fake->cpu;
	vm_set_irqchip(vm, &no_controllers, NULL);
	assert_int_equal(io_init(vm), 0);
	for (u32 i = 0; i < FAKE_VCPUS; i++) {
		struct vcpu *vcpu = &fake->vcpus[i].vcpu;

		vcpu->vm = vm;
		vcpu->id = i;
		vcpu->cpu = &fake->cpu;
		vcpu->timers = (struct vtimer_list){ .deadline = VTIMER_NEVER, .vcpu = vcpu };
		vcpu->shared_timers = i == 0 ? &vm->timers : NULL;
		vcpu->timer_deadline = vcpu->limit = vcpu->slice_end = VTIMER_NEVER;
		vm->vcpus[i] = vcpu;
	}
	return vm;
}

void fake_destroy(struct vm *vm)
{
	struct fake_vm *fake = fake_of(vm);

	vm_run_end_hooks(vm);
	for (unsigned i = 0; i < fake->alloc_count; i++)
		free(fake->allocs[i]);
	io_destroy(vm);
	free(fake->ram);
	free(fake);
}

static void *allocate(struct vm *vm, size_t size, size_t alignment)
{
	struct fake_vm *fake = fake_of(vm);
	void *memory;

	if (fake->alloc_count >= fake->alloc_limit)
		return NULL;
	memory = aligned_alloc(alignment, ALIGN_UP(size, alignment));
	assert_non_null(memory);
	memset(memory, 0, ALIGN_UP(size, alignment));
	fake->allocs[fake->alloc_count++] = memory;
	return memory;
}

void *vm_alloc(struct vm *vm, size_t size)
{
	return allocate(vm, size, 16);
}

void *vm_alloc_pages(struct vm *vm, size_t size)
{
	return allocate(vm, size, PAGE_SIZE);
}

void vm_at_end(struct vm *vm, struct vm_end_hook *hook)
{
	hook->next = vm->end_hooks;
	vm->end_hooks = hook;
}

void vm_run_end_hooks(struct vm *vm)
{
	while (vm->end_hooks) {
		struct vm_end_hook *hook = vm->end_hooks;

		vm->end_hooks = hook->next;
		hook->run(hook);
	}
}

void *pages_alloc(unsigned order)
{
	return calloc(1, PAGE_SIZE << order);
}

void pages_free(void *pages, unsigned order)
{
	free(pages);
}

u64 fake_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* --- accesses by the boot processor --- */

u8 in8(struct vm *vm, u16 port)
{
	return pio_read(vm_bsp(vm), port, 1);
}

u16 in16(struct vm *vm, u16 port)
{
	return pio_read(vm_bsp(vm), port, 2);
}

u32 in32(struct vm *vm, u16 port)
{
	return pio_read(vm_bsp(vm), port, 4);
}

void out8(struct vm *vm, u16 port, u8 value)
{
	pio_write(vm_bsp(vm), port, 1, value);
}

void out16(struct vm *vm, u16 port, u16 value)
{
	pio_write(vm_bsp(vm), port, 2, value);
}

void out32(struct vm *vm, u16 port, u32 value)
{
	pio_write(vm_bsp(vm), port, 4, value);
}

/* --- the vCPU --- */

bool fake_interrupt_changed(struct vcpu *vcpu)
{
	bool changed = vcpu->requests & REQ_EVENT;

	vcpu->requests &= ~REQ_EVENT;
	return changed;
}

u8 cpuid_physical_bits(const struct vcpu *vcpu)
{
	return 40;
}

void fake_move_away(struct vcpu *vcpu)
{
	static struct percpu elsewhere;

	elsewhere.trace.records = fake_of(vcpu->vm)->records;
	vcpu->cpu = &elsewhere;
}

void vcpu_kick(struct vcpu *vcpu, enum vcpu_request request)
{
	__atomic_fetch_add(&fake_vcpu_of(vcpu)->kicks, 1, __ATOMIC_SEQ_CST);
	vcpu_request(vcpu, request);
}

void vcpu_raise_nmi(struct vcpu *vcpu)
{
	fake_vcpu_of(vcpu)->nmis++;
}

void vcpu_raise_init(struct vcpu *vcpu)
{
	fake_vcpu_of(vcpu)->inits++;
}

void vcpu_raise_startup(struct vcpu *vcpu, u8 vector)
{
	fake_vcpu_of(vcpu)->startups++;
	fake_vcpu_of(vcpu)->startup_vector = vector;
}

/* --- time --- */

u64 fake_deadline(const struct vm *vm)
{
	u64 first = vm->timers.deadline;

	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		first = MIN(first, vm->vcpus[i]->timers.deadline);
	return first;
}

static void run_all(struct vm *vm)
{
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		vtimer_run_expired(vm->vcpus[i], fake_now);
}

void fake_advance(struct vm *vm, u64 ticks)
{
	u64 end = fake_now + ticks;

	while (fake_deadline(vm) <= end) {
		u64 deadline = fake_deadline(vm);

		fake_now = MAX(fake_now, deadline);
		run_all(vm);
		/* A timer whose deadline stays in the past would make the host loop forever. */
		if (fake_deadline(vm) <= fake_now)
			fake_now++;
	}
	fake_now = MAX(fake_now, end);
}

void fake_advance_ns(struct vm *vm, u64 ns)
{
	fake_advance(vm, vtimer_from_ns(ns));
}

void fake_stall(struct vm *vm, u64 ticks)
{
	fake_now += ticks;
	run_all(vm);
}

u64 test_tsc(void)
{
	return fake_now;
}

u64 clock_tsc_hz(void)
{
	return fake_hz;
}

u64 clock_ns_to_tsc(u64 ns)
{
	return (u64)((unsigned __int128)ns * fake_hz / 1000000000);
}

u64 clock_tsc_to_ns(u64 ticks)
{
	return (u64)((unsigned __int128)ticks * 1000000000 / fake_hz);
}

/* --- guest memory --- */

bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	if (size > fake_of(vm)->ram_size || gpa > fake_of(vm)->ram_size - size)
		return false;
	return gpa + size <= GUEST_VGA_HOLE || gpa >= GUEST_VGA_HOLE_END || size == 0;
}

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	return guest_is_ram(vm, gpa, size) ? fake_of(vm)->ram + gpa : NULL;
}

int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(to, fake_of(vm)->ram + gpa, size);
	return 0;
}

int guest_write(const struct vm *vm, gpa_t gpa, const void *from, u64 size)
{
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(fake_of(vm)->ram + gpa, from, size);
	return 0;
}

u64 guest_low_ram(const struct vm *vm)
{
	return fake_of(vm)->ram_size;
}

u64 guest_high_ram(const struct vm *vm)
{
	return fake_of(vm)->high_ram;
}

/* --- log, console, end --- */

const char *vm_name(const struct vm *vm)
{
	return vm->name[0] ? vm->name : "fake";
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;
	char text[512];

	/* Format it nevertheless: the sanitizers check the arguments. */
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
}

enum log_level log_get_level(void)
{
	return LOG_INFO;
}

bool vm_once(struct vm *vm, enum once_kind kind, u64 index)
{
	u64 subject = (u64)kind << 56 | (index & 0xffffffffffffffull);

	for (u32 i = 0; i < vm->once.count; i++)
		if (vm->once.seen[i] == subject)
			return false;
	if (vm->once.count == VM_ONCE_ENTRIES)
		return false;
	vm->once.seen[vm->once.count++] = subject;
	fake_of(vm)->logged++;
	return true;
}

void vm_report_result(struct vm *vm, u32 status, const char *text)
{
	vm->result = (struct vm_result){ .given = true, .status = status };
	snprintf(vm->result.text, sizeof(vm->result.text), "%s", text);
}

void vm_end(struct vm *vm, enum vm_end end, const char *format, ...)
{
	va_list args;
	char text[512];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (vm->end == VM_END_NONE)
		vm->end = end;
	fake_of(vm)->ends++;
}

void vm_end_debug_exit(struct vm *vm, u32 status)
{
	if (vm->end == VM_END_NONE)
		vm->exit_status = status;
	vm_end(vm, VM_END_DEBUG_EXIT, "debug exit, status %#x", status);
}

size_t vm_console_write(struct vm *vm, const char *text, size_t n)
{
	struct fake_vm *fake = fake_of(vm);

	if (fake->console_full)
		return 0;
	assert_true(n < FAKE_CONSOLE);
	/* Forget the beginning of a long output. */
	if (fake->console_length + n > FAKE_CONSOLE)
		fake->console_length = 0;
	memcpy(fake->console + fake->console_length, text, n);
	fake->console_length += n;
	return n;
}

bool vm_console_ready(struct vm *vm)
{
	return !fake_of(vm)->console_full;
}

bool vm_console_put(struct vm *vm, char c)
{
	vm_console_write(vm, &c, 1);
	return vm_console_ready(vm);
}

bool vm_console_put_block(struct vm *vm, const char *text, unsigned n)
{
	return vm_console_ready(vm) && vm_console_write(vm, text, n) == n;
}

void vm_console_push(struct vm *vm)
{
	fake_of(vm)->console_pushes++;
}

/* As the product's: see core/vm_console.h. */
static struct vm_console_end *input(const struct vm *vm)
{
	struct vm_console_end *best = NULL;

	for (struct vm_console_end *end = fake_of(vm)->console_ends; end; end = end->next) {
		if (end->need > (best ? best->need : CONSOLE_UNREAD))
			best = end;
	}
	return best;
}

int vm_console_read(struct vm *vm, struct vm_console_end *end)
{
	struct fake_vm *fake = fake_of(vm);

	if (end != input(vm))
		return -1;
	return fake->typed_read == fake->typed_count ? -1 : (u8)fake->typed[fake->typed_read++ % FAKE_CONSOLE];
}

size_t vm_console_send(struct vm *vm, const char *text, size_t n)
{
	n = MIN(n, fake_of(vm)->send_room);
	if (fake_of(vm)->send_room != SIZE_MAX)
		fake_of(vm)->send_room -= n;
	return vm_console_write(vm, text, n);
}

void vm_console_connect(struct vm *vm, struct vm_console_end *end)
{
	struct vm_console_end **last = &fake_of(vm)->console_ends;

	while (*last)
		last = &(*last)->next;
	*last = end;
}

void vm_console_need(struct vm *vm, struct vm_console_end *end, enum vm_console_need need)
{
	struct vm_console_end *before = input(vm);

	end->need = need;
	if (input(vm) && input(vm) != before)
		input(vm)->changed(input(vm)->device);
}

void fake_console_changed(struct vm *vm)
{
	for (struct vm_console_end *end = fake_of(vm)->console_ends; end; end = end->next)
		end->changed(end->device);
}

void fake_type(struct vm *vm, char c)
{
	struct fake_vm *fake = fake_of(vm);

	assert_true(fake->typed_count - fake->typed_read < FAKE_CONSOLE);
	fake->typed[fake->typed_count++ % FAKE_CONSOLE] = c;
	fake_console_changed(vm);
}

bool vm_types_at_hvc0(const struct vm *vm)
{
	return fake_of(vm)->types_at_hvc0;
}

bool vm_has_pci(const struct vm *vm)
{
	return !fake_of(vm)->no_pci;
}
