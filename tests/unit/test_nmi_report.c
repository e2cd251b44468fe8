/* SPDX-License-Identifier: MIT */
/*
 * The report of what each CPU does: another CPU's vCPU may be freed at any time, so that nothing of it is read but what
 * the CPU says itself when it answers.
 */
/* link: boot/nmi_report.c arch/fault/nmi.c lib/printf.c lib/string.c */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/apart.h"
#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/nmi.h"
#include "arch/fault/panic.h"
#include "boot/nmi_report.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/log.h"
#include "lib/printf.h"

static struct percpu cpus[3], *current = &cpus[0];
static struct vm vm = { .name = "web" };
static bool deaf;		/* CPU 1 does not answer */
static u64 now;
static char said[4096];

static u64 saved_rip(const struct vcpu *vcpu) { return 0x1234; }
static const struct vcpu_ops ops = { .saved_rip = saved_rip };
static struct vcpu vcpu = { .vm = &vm, .id = 3, .ops = &ops };

struct percpu *this_cpu(void) { return current; }
u32 percpu_count(void) { return ARRAY_SIZE(cpus); }
struct percpu *percpu_get(u32 index) { return &cpus[index]; }
bool cpus_is_running(const struct percpu *cpu) { return true; }
const char *vm_name(const struct vm *v) { return v->name; }
u64 clock_deadline_us(u64 us) { return now + us; }
bool clock_expired(u64 end) { return ++now > end; }
void cpu_stop(void) { abort(); }
void panic_begin(void) { }
void panic_end(const char *why) { abort(); }
bool panic_elsewhere(void) { return false; }
void trap_report(const struct trap_frame *frame) { }
void log_flush(void) { }
u8 inb(u16 port) { return 0; }
void outb(u16 port, u8 value) { }
const char irq_wait_halt[8];
int option_choice(struct str_view value, const char *words) { return -1; }

const struct panic_hooks panic_hooks = { .report_places = nmi_report_places, .describe_guest = nmi_describe_guest };

/* The other CPU takes the NMI, and its vCPU has left it by the time that the report looks. */
void lapic_send_nmi(u32 apic_id)
{
	struct trap_frame frame = { .rip = 0x5000 + apic_id };

	if (deaf && apic_id == 1)
		return;
	current = &cpus[apic_id];
	nmi_handler(&frame);
	current = &cpus[0];
	if (cpus[apic_id].running)
		cpus[apic_id].running = (struct vcpu *)8;
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t length = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + length, sizeof(said) - length - 1, format, args);
	va_end(args);
	strcat(said, "\n");
}

static void make_cpus(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(cpus); i++)
		cpus[i].self = &cpus[i], cpus[i].index = cpus[i].apic_id = i;
}

static void each_cpu_speaks_for_itself(void **state)
{
	make_cpus();
	cpus[0].running = cpus[1].running = &vcpu;
	nmi_report_places(0x4000);
	assert_string_equal(said, "CPU 0: VM web, vcpu 3, guest RIP 0x1234; Lamina at 0x4000\n"
				  "CPU 1: VM web, vcpu 3, guest RIP 0x1234; Lamina at 0x5001\n"
				  "CPU 2: no VM; Lamina at 0x5002\n");
}

static void of_a_deaf_one_nothing_is_known(void **state)
{
	make_cpus();
	deaf = true;
	cpus[1].running = (struct vcpu *)8;
	strcpy(cpus[1].nmi_guest, "VM of an earlier report");
	nmi_report_places(0x4000);
	assert_non_null(strstr(said, "CPU 1: it does not answer an NMI; what it runs is not known\n"));
	assert_null(strstr(said, "earlier"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpu_speaks_for_itself),
		cmocka_unit_test(of_a_deaf_one_nothing_is_known),
	};

	return run_apart("test_nmi_report", tests, ARRAY_SIZE(tests));
}
