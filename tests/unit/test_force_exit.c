/* SPDX-License-Identifier: MIT */
/* A forced exit by a self-IPI: it is pending before the entry, or the wait ends and one line says so. */
/* link: core/force_exit.c core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/time/clock.h"
#include "core/force_exit.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

static struct vm vm;
static struct vcpu vcpu;
static u64 now, seen_at, sent_at;
static char shown[512];

u64 clock_deadline_us(u64 us) { return now + us; }
bool clock_expired(u64 deadline) { return ++now >= deadline; }

void lapic_self_ipi(u8 vector)
{
	assert_int_equal(vector, 0xed);
	sent_at = now;
}

bool lapic_irr_pending(u8 vector)
{
	assert_int_equal(vector, 0xed);
	assert_true(sent_at);
	return now >= seen_at;
}

static void show(struct log_console *console, const char *text, size_t length)
{
	size_t used = strlen(shown);

	assert_true(used + length < sizeof(shown));
	memcpy(shown + used, text, length);
	shown[used + length] = '\0';
}

static int setup(void **state)
{
	static struct log_console console = { .write = show };
	static bool added;

	if (!added)
		log_add_console(&console);
	added = true;
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(shown, 0, sizeof(shown));
	vcpu.vm = &vm;
	now = 1000;
	sent_at = 0;
	return 0;
}

static void it_is_pending_when_the_entry_comes(void **state)
{
	seen_at = 0;
	force_exit_by_self_ipi(&vcpu);
	assert_int_equal(now, 1000);			/* it does not wait longer than it must */
	seen_at = 1099;
	force_exit_by_self_ipi(&vcpu);
	assert_int_equal(now, 1099);
	assert_string_equal(shown, "");
}

static void the_wait_is_bounded(void **state)
{
	seen_at = ~0ull;
	force_exit_by_self_ipi(&vcpu);
	assert_int_equal(now, 1100);
	assert_non_null(strstr(shown, "warning: a self-IPI was not seen pending within 100 us: forced exits come late\n"));
	memset(shown, 0, sizeof(shown));
	force_exit_by_self_ipi(&vcpu);
	assert_int_equal(now, 1200);
	assert_string_equal(shown, "");			/* reported once */
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_pending_when_the_entry_comes),
		TEST(the_wait_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
