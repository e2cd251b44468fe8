/* SPDX-License-Identifier: MIT */
/*
 * The trace, printed in the format of Linux's: VM, CPU, seconds, event, fields. tools/trace2ctf.py
 * converts the lines for trace viewers.
 */
#include "arch/bootinfo/option.h"
#include "arch/cpu/percpu.h"
#include "arch/time/clock.h"
#include "core/observe/trace.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/printf.h"

DEFINE_CHOICE(trace, "trace", "off|crash|console",
	      "print the last entries and exits after a crash, or also whenever a VM ends (default crash)",
	      trace_mode);

/* Which record is printed: of which CPU, and for which VM's report. */
struct place {
	const struct vm *vm;	/* NULL: of all VMs */
	u32 cpu;
};

/* --- a line --- */

static void print_line(const struct place *place, const struct trace_record *record, const char *format, ...)
	__printf(3, 4);
static void print_line(const struct place *place, const struct trace_record *record, const char *format, ...)
{
	u64 ns = clock_tsc_to_ns(record->tsc - clock_tsc_at_boot());
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(LOG_INFO, place->vm ? place->vm->name : NULL, "trace vm-%u [%03u] %llu.%09llu: %s%s", record->vm,
		 place->cpu, (ull)(ns / 1000000000), (ull)(ns % 1000000000), text,
		 record->kind & TRACE_NESTED ? " [nested]" : "");
}

/* The name of an exit in Linux's spelling: "I/O instruction" becomes IO_INSTRUCTION. */
struct trace_name trace_exit_name(const struct vcpu_ops *ops, u8 exit_index)
{
	const char *name = ops->exit_name(exit_index);
	struct trace_name upper;
	unsigned at = 0;

	for (name = name ? name : "unknown"; *name && at < TRACE_NAME_SIZE - 1; name++) {
		if (*name == ' ' || *name == '-')
			upper.text[at++] = '_';
		else if (*name >= 'a' && *name <= 'z')
			upper.text[at++] = (char)(*name - 'a' + 'A');
		else if ((*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9'))
			upper.text[at++] = *name;
	}
	upper.text[at] = '\0';
	return upper;
}

/* --- the kinds --- */

static void print_exception(const struct place *place, const struct trace_record *record)
{
	static const char names[][4] = {
		"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "9", "TS", "NP", "SS", "GP", "PF",
		"15", "MF", "AC", "MC", "XM", "VE", "CP",
	};
	const char *name = record->event.vector < ARRAY_SIZE(names) ? names[record->event.vector] : "?";

	if (record->event.has_error_code)
		print_line(place, record, "kvm_inj_exception: #%s (0x%x)", name, record->event.error_code);
	else
		print_line(place, record, "kvm_inj_exception: #%s", name);
}

static void print_entry(const struct place *place, const struct trace_record *record)
{
	u8 type = record->event.type;

	if (type == EVENT_INTERRUPT || type == EVENT_SOFT_INTERRUPT)
		print_line(place, record, "kvm_inj_virq: IRQ 0x%x", record->event.vector);
	else if (type != EVENT_NONE)
		print_exception(place, record);
	print_line(place, record, "kvm_entry: vcpu %u, rip 0x%llx%s", record->vcpu, (ull)(record->rip),
		   record->forced ? " [immediate exit]" : "");
}

/* A record that is being written may have a count that is none. */
static unsigned accesses_of(const struct trace_record *record)
{
	if (record->access.kind == TRACE_PIO_BLOCK)
		return MIN(record->access.count, TRACE_BLOCK);
	return record->access.kind != TRACE_NO_ACCESS;
}

static void print_pio(const struct place *place, const struct trace_record *record, u64 value)
{
	print_line(place, record, "kvm_pio: pio_%s at 0x%llx size %u count 1 val 0x%llx", record->access.write ? "write" : "read",
		   (ull)record->access.address, record->access.size, (ull)value);
}

static void print_access(const struct place *place, const struct trace_record *record)
{
	const char *direction = record->access.write ? "write" : "read";
	unsigned long long address = record->access.address, value = record->access.value;

	if (record->access.kind == TRACE_PIO)
		print_pio(place, record, value);
	else if (record->access.kind == TRACE_PIO_BLOCK)
		for (unsigned i = 0; i < accesses_of(record); i++)
			print_pio(place, record, record->access.bytes[i]);
	else if (record->access.kind == TRACE_MMIO)
		print_line(place, record, "kvm_mmio: mmio %s len %u gpa 0x%llx val 0x%llx", direction,
			   record->access.size, address, value);
	else if (record->access.kind == TRACE_MSR)
		print_line(place, record, "kvm_msr: msr_%s %llx = 0x%llx%s", direction, address, value,
			   record->access.refused ? " (#GP)" : "");
}

/* Fill in what the fast path does not write. */
static void complete_fastpath(struct trace_record *exit)
{
	exit->reason = exit->exit_index;
	exit->intr_info = exit->error_code = 0;
	if (trace_kind_of(exit) == TRACE_FASTPATH_ACCESS)
		return;
	exit->info1 = exit->info2 = 0;
	exit->access.what = trace_kind_of(exit) == TRACE_FASTPATH_RDMSR ? TRACE_ACCESS_WHAT(TRACE_MSR, 8, false) : 0;
}

/* An exit, its access, and the entry after it. */
static void print_exit(const struct place *place, const struct trace_record *record)
{
	struct trace_record exit = *record;
	const struct vcpu_ops *ops = percpu_get(place->cpu)->trace.ops;
	struct trace_name name = trace_exit_name(ops, record->exit_index);

	if (trace_kind_of(&exit) != TRACE_EXIT)
		complete_fastpath(&exit);
	print_line(place, &exit, "kvm_exit: vcpu %u reason %s rip 0x%llx info1 0x%016llx"
		   " info2 0x%016llx intr_info 0x%08x error_code 0x%08x isa %s exit_reason 0x%x",
		   exit.vcpu, name.text, (ull)(exit.rip), (ull)(exit.info1), (ull)(exit.info2),
		   exit.intr_info, exit.error_code, ops->name, exit.reason);
	print_access(place, &exit);
	if (!exit.entry_tsc)
		return;
	exit.tsc = exit.entry_tsc;
	print_line(place, &exit, "kvm_entry: vcpu %u, rip 0x%llx", exit.vcpu, (ull)(exit.entry_rip));
}

static void print_failed(const struct place *place, const struct trace_record *record)
{
	static const char *const kinds[] = {
		[ENTRY_OK] = "NONE",
		[ENTRY_VMFAIL_INVALID] = "VMFAIL_INVALID",
		[ENTRY_VMFAIL_VALID] = "VMFAIL_VALID",
		[ENTRY_INVALID_STATE] = "INVALID_STATE",
		[ENTRY_MSR_LOADING] = "MSR_LOADING",
		[ENTRY_MACHINE_CHECK] = "MACHINE_CHECK",
		[ENTRY_UNKNOWN] = "UNKNOWN",
	};
	const char *kind = kinds[record->failure < ARRAY_SIZE(kinds) ? record->failure : ENTRY_UNKNOWN];

	print_line(place, record, "lamina_entry_failed: vcpu %u kind %s rip 0x%llx code 0x%x qualification"
		   " 0x%llx", record->vcpu, kind, (ull)(record->rip), record->reason, (ull)(record->info1));
}

static void print_l2_refused(const struct place *place, const struct trace_record *record)
{
	print_line(place, record, "lamina_l2_refused: vcpu %u rip 0x%llx code 0x%x qualification 0x%llx rule %s",
		   record->vcpu, (ull)record->rip, record->reason, (ull)record->info1, record->rule);
}

static void (*const printers[])(const struct place *place, const struct trace_record *record) = {
	[TRACE_ENTRY] = print_entry,
	[TRACE_EXIT] = print_exit,
	[TRACE_FASTPATH] = print_exit,
	[TRACE_FASTPATH_RDMSR] = print_exit,
	[TRACE_FASTPATH_ACCESS] = print_exit,
	[TRACE_FAILED] = print_failed,
	[TRACE_ACCESS] = print_access,
	[TRACE_L2_REFUSED] = print_l2_refused,
};

/* --- the rings --- */

static bool is_shown(const struct trace_record *record, const struct vm *vm)
{
	return record->kind != TRACE_NONE && (!vm || record->vm == (u8)vm->id);
}

/* Number of lines that a record is printed as. */
static unsigned lines_of(const struct trace_record *record)
{
	switch (trace_kind_of(record)) {
	case TRACE_EXIT:
	case TRACE_FASTPATH_ACCESS:
		return 1u + accesses_of(record) + (record->entry_tsc != 0);
	case TRACE_FASTPATH:
		return 2;
	case TRACE_FASTPATH_RDMSR:
		return 3;
	default:
		return 1;
	}
}

/* For each CPU: where its ring ended when the report began, and how many records before that are printed. */
struct cursors {
	const struct vm *vm;
	u32 end[MAX_CPUS];
	u16 count[MAX_CPUS];
};

/* The record that lies `back` records before the last one. NULL: the ring does not hold that many. */
static const struct trace_record *record_at(const struct cursors *at, u32 cpu, u32 back)
{
	const struct trace_ring *ring = &percpu_get(cpu)->trace;

	if (!ring->records || back >= MIN(ring->next, (u64)TRACE_RECORDS))
		return NULL;
	return &ring->records[(at->end[cpu] - 1 - back) % TRACE_RECORDS];
}

/* The CPU whose record before those that are counted already is the newest of all. -1: there is none. */
static int newest(struct cursors *at)
{
	u64 best_tsc = 0;
	int best = -1;

	for (u32 cpu = 0; cpu < percpu_count(); cpu++) {
		const struct trace_record *record;

		while ((record = record_at(at, cpu, at->count[cpu])) && !is_shown(record, at->vm))
			at->count[cpu]++;
		if (record && (best < 0 || record->tsc > best_tsc)) {
			best = (int)cpu;
			best_tsc = record->tsc;
		}
	}
	return best;
}

/* The CPU whose oldest record of those that are left is the oldest of all. -1: none is left. */
static int oldest(struct cursors *at)
{
	u64 best_tsc = 0;
	int best = -1;

	for (u32 cpu = 0; cpu < percpu_count(); cpu++) {
		const struct trace_record *record = NULL;

		while (at->count[cpu] && !((record = record_at(at, cpu, at->count[cpu] - 1u)) && is_shown(record, at->vm))) {
			at->count[cpu]--;
			record = NULL;
		}
		if (record && (best < 0 || record->tsc < best_tsc)) {
			best = (int)cpu;
			best_tsc = record->tsc;
		}
	}
	return best;
}

/*
 * The rings go on while they are printed: what they have overwritten since the beginning is printed as it is now.
 * Each record is copied before anything of it is used, so that it does not change on the way.
 */
void trace_print(const struct vm *vm, unsigned lines)
{
	struct cursors at = { .vm = vm };
	unsigned kind;
	int cpu;

	for (u32 i = 0; i < percpu_count(); i++)
		at.end[i] = (u32)READ_ONCE(percpu_get(i)->trace.next);
	while (trace_mode != TRACE_OFF && lines && (cpu = newest(&at)) >= 0)
		lines -= MIN(lines, lines_of(record_at(&at, (u32)cpu, at.count[cpu]++)));
	while ((cpu = oldest(&at)) >= 0) {
		const struct place place = { vm, (u32)cpu };
		struct trace_record record = *record_at(&at, (u32)cpu, --at.count[cpu]);

		__asm__ volatile("" : "+m"(record));
		kind = trace_kind_of(&record);
		if (kind < ARRAY_SIZE(printers) && printers[kind])
			printers[kind](&place, &record);
		log_make_room();
	}
}

void trace_export(const struct vm *vm)
{
	if (trace_mode == TRACE_CONSOLE)
		trace_print(vm, ~0u);
}
