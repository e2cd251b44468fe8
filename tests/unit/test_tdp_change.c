/* SPDX-License-Identifier: MIT */
/*
 * Changing nested page tables under running guests, with toy TLBs: each vCPU keeps every translation that it has used
 * until it is flushed. Other CPUs make their steps while the one that changes waits; the order is random.
 */
/* link: core/mem/tdp.c core/mem/tdp_change.c core/mem/tdp_flush.c core/vcpu_kick.c */
/* link: core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "counted_pages.h"

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/percpu.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/mem/tdp_change.h"
#include "core/mem/tdp_flush.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"

#define CPUS	 3
#define VCPUS	 4	/* two of them on the last CPU */
#define PAGES	 6
#define CACHED	 64
#define STEPS	 200000
#define CHANGES	 3000
#define BITS	 7ull
#define FRESH	 GIB(100)	/* memory that nobody has had: each mapping gets its own */

enum step { OUTSIDE, SERVED, GUEST, WAITS };

static struct cpu {
	struct percpu cpu;
	bool interrupt;
	enum step step;
	unsigned vcpu;	/* the one that runs */
} cpus[CPUS];

/* What a processor has cached for a vCPU. */
static struct tlb {
	struct vcpu vcpu;
	struct { gpa_t gpa; u64 entry; int level; } cached[CACHED];
	unsigned count, flushes;
} tlbs[VCPUS];

static struct vm vm;
static struct cpu *current;
static irq_handler_t handler;
static bool locked, silent;
static unsigned waits, sent;
static u64 random_state;

/* What each page maps, by the entry's bits: before the change that is going on, and after it. */
static const gpa_t pages_at[PAGES] = {
	GIB(1), GIB(1) + 0x1000, GIB(1) + MIB(2) - 0x1000, GIB(1) + MIB(2), GIB(2) - 0x1000, GIB(3),
};
static u64 before[PAGES], after[PAGES];
static bool changing;

static unsigned rnd(unsigned n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(random_state >> 33) % n;
}

/* --- the rest of Lamina --- */

struct percpu *this_cpu(void) { return &current->cpu; }
void irq_set_handler(u8 vector, irq_handler_t h) { assert_int_equal(vector, IRQ_VECTOR_FLUSH); handler = h; }
void vm_state_changed(struct vm *v) { }
u64 clock_us_since_boot(void) { return 0; }
u64 clock_deadline_us(u64 us) { return us; }

void vm_lock(struct vm *v)
{
	assert_false(locked);
	locked = true;
}

void vm_unlock(struct vm *v)
{
	assert_true(locked);
	locked = false;
}

void lapic_send_fixed(u32 apic_id, u8 vector)
{
	assert_int_equal(vector, IRQ_VECTOR_FLUSH);
	assert_ptr_not_equal(&cpus[apic_id], current);
	cpus[apic_id].interrupt = true;
	sent++;
}

/* The kick's own interrupt is not needed: it may be late. */
void sched_notify(struct vcpu *vcpu) { }

static void format_of(const struct vm *v, struct tdp_format *format)
{
	*format = (struct tdp_format){ .table_bits = BITS, .page_bits = BITS, .large_bits = BITS, .largest = TDP_1G };
}

static void flush(struct vcpu *vcpu)
{
	struct tlb *tlb = container_of(vcpu, struct tlb, vcpu);

	assert_ptr_equal(this_cpu(), vcpu->cpu);
	tlb->count = 0;
	tlb->flushes++;
}

static const struct vcpu_ops ops = { .tdp_format = format_of, .flush_tlb = flush };

/* --- guests --- */

static u64 small(u64 entry, int level, gpa_t gpa)
{
	return (entry & ~TDP_LARGE) + (gpa & (TDP_LEVEL_SIZE(level) - 1) & PAGE_MASK);
}

static bool covers(gpa_t a, gpa_t b, int level)
{
	return ((a ^ b) & ~(TDP_LEVEL_SIZE(level) - 1)) == 0;
}

/*
 * The translation that is cached, or that the tables have now; 0: none. A processor has several TLBs, and walks
 * the tables also where one of them has the address: then it must not find it in another size.
 */
static u64 translate(struct tlb *tlb, gpa_t gpa)
{
	bool miss = rnd(4) == 0;
	int level;
	u64 entry;

	for (unsigned i = 0; i < tlb->count && !miss; i++)
		if (covers(tlb->cached[i].gpa, gpa, tlb->cached[i].level))
			return small(tlb->cached[i].entry, tlb->cached[i].level, gpa);
	entry = tdp_entry(&vm, gpa, &level);
	if (!entry)
		return 0;
	for (unsigned i = 0; i < tlb->count; i++) {
		if (!covers(tlb->cached[i].gpa, gpa, MAX(level, tlb->cached[i].level)))
			continue;
		assert_int_equal(tlb->cached[i].level, level);
		tlb->cached[i--] = tlb->cached[--tlb->count];
	}
	assert_true(tlb->count < CACHED);
	tlb->cached[tlb->count].gpa = gpa;
	tlb->cached[tlb->count].entry = entry;
	tlb->cached[tlb->count++].level = level;
	return small(entry, level, gpa);
}

/* A processor drops what it has cached of an address where it has a fault. */
static void forget(struct tlb *tlb, gpa_t gpa)
{
	for (unsigned i = 0; i < tlb->count; i++)
		if ((tlb->cached[i].gpa & PAGE_MASK) == gpa)
			tlb->cached[i--] = tlb->cached[--tlb->count];
}

static bool less(u64 got, u64 entry)
{
	return got == entry || got == (entry & ~TDP_WRITABLE);
}

/* False: a fault. Rights that have been added may be used late, what was taken away never. */
static bool access_page(struct tlb *tlb, unsigned page, bool write)
{
	u64 got = translate(tlb, pages_at[page]);

	if (!got || (write && !(got & TDP_WRITABLE))) {
		if (tdp_change_explains(&vm, pages_at[page], write))
			forget(tlb, pages_at[page]);
		else
			assert_true(!changing && (!after[page] || (write && !(after[page] & TDP_WRITABLE))));
		return false;
	}
	if (!less(got, after[page]))
		assert_true(changing && less(got, before[page]));
	return true;
}

static void step(struct cpu *cpu)
{
	struct cpu *caller = current;
	struct tlb *tlb = &tlbs[cpu->vcpu];

	current = cpu;
	switch (cpu->step) {
	case OUTSIDE:		/* an interrupt window, another vCPU, the requests */
		if (cpu->interrupt)
			handler();
		cpu->interrupt = false;
		if (cpu == &cpus[CPUS - 1] && rnd(2)) {
			cpu->vcpu = CPUS - 1 + rnd(VCPUS - CPUS + 1);
			tlb = &tlbs[cpu->vcpu];
			cpu->cpu.current_vcpu = &tlb->vcpu;
		}
		if (__atomic_exchange_n(&tlb->vcpu.requests, 0, __ATOMIC_SEQ_CST) & REQ_FLUSH_TLB)
			flush(&tlb->vcpu);
		cpu->step = rnd(4) ? SERVED : OUTSIDE;
		break;
	case SERVED:		/* the entry delivers an event, whatever is requested meanwhile */
		if (rnd(8) == 0) {
			cpu->step = WAITS;
			break;
		}
		access_page(tlb, rnd(PAGES), true);
		cpu->step = cpu->interrupt || tlb->vcpu.requests ? OUTSIDE : GUEST;
		break;
	case GUEST:
		if (cpu->interrupt || rnd(10) == 0 || !access_page(tlb, rnd(PAGES), rnd(2)))
			cpu->step = OUTSIDE;
		break;
	case WAITS:		/* within a handler, for a CPU that changes something; then the entry is made */
		tdp_flush_answer();
		cpu->step = rnd(2) ? WAITS : SERVED;
		break;
	}
	current = caller;
}

static void step_others(void)
{
	for (unsigned n = rnd(4); n; n--) {
		struct cpu *cpu = &cpus[rnd(CPUS)];

		if (cpu != current)
			step(cpu);
	}
}

bool clock_expired(u64 deadline)
{
	waits++;
	if (silent)
		return waits > 5;
	assert_false(locked);
	step_others();
	return false;
}

/* --- changes --- */

static void begin_change(void)
{
	current = &cpus[rnd(CPUS)];
	current->step = OUTSIDE;
	memcpy(before, after, sizeof(before));
	changing = true;
}

static u64 fresh(void)
{
	static u64 used;

	used += PAGE_SIZE;
	return FRESH + used;
}

static void change_one(void)
{
	unsigned page = rnd(PAGES), kind = rnd(5);
	gpa_t gpa = pages_at[page];
	bool writable = rnd(2);
	u64 hpa = fresh();

	begin_change();
	if (kind == 0) {
		after[page] = 0;
		assert_int_equal(tdp_unmap(&vm, gpa, PAGE_SIZE), 0);
	} else if (kind == 1 && after[page]) {
		after[page] = writable ? after[page] | TDP_WRITABLE : after[page] & ~TDP_WRITABLE;
		assert_int_equal(tdp_protect(&vm, gpa, PAGE_SIZE, writable), 0);
	} else if (kind > 1) {
		after[page] = hpa | (writable ? BITS : BITS & ~TDP_WRITABLE);
		assert_int_equal(tdp_remap(&vm, gpa, hpa, PAGE_SIZE, writable), 0);
	}
	changing = false;
	current = NULL;
}

static int set_up(void **state)
{
	vm = (struct vm){ .vcpu_count = VCPUS, .ops = &ops };
	memset(cpus, 0, sizeof(cpus));
	memset(tlbs, 0, sizeof(tlbs));
	for (unsigned i = 0; i < CPUS; i++) {
		cpus[i].cpu.apic_id = cpus[i].cpu.index = i;
		cpus[i].cpu.current_vcpu = &tlbs[i].vcpu;
		cpus[i].vcpu = i;
	}
	for (unsigned i = 0; i < VCPUS; i++) {
		vm.vcpus[i] = &tlbs[i].vcpu;
		tlbs[i].vcpu.vm = &vm;
		tlbs[i].vcpu.ops = &ops;
		tlbs[i].vcpu.cpu = &cpus[MIN(i, CPUS - 1u)].cpu;
	}
	locked = silent = changing = false;
	waits = sent = pages = 0;
	page_limit = 1000;
	random_state = 12345;
	assert_int_equal(tdp_create(&vm), 0);
	assert_int_equal(tdp_map(&vm, &(struct tdp_format){ BITS, BITS, BITS, TDP_1G }, GIB(1), GIB(5), GIB(1)), 0);
	for (unsigned i = 0; i < PAGES; i++)
		after[i] = i < 5 ? (GIB(4) + pages_at[i]) | BITS : 0;
	current = &cpus[0];
	return 0;
}

static int tear_down(void **state)
{
	tdp_destroy(&vm);
	assert_int_equal(vm.tdp_pages, 0);
	assert_int_equal(pages, 0);
	return 0;
}

static void assert_entry(gpa_t gpa, u64 entry, int level)
{
	int found = -1;

	assert_int_equal(tdp_entry(&vm, gpa, &found), entry);
	assert_int_equal(found, level);
}

/* --- tests --- */

static void guests_never_use_what_was_taken(void **state)
{
	unsigned flushes = 0;

	for (unsigned i = 0; i < CHANGES; i++) {
		for (unsigned n = rnd(2 * STEPS / CHANGES); n; n--)
			step(&cpus[rnd(CPUS)]);
		change_one();
	}
	for (unsigned i = 0; i < VCPUS; i++)
		flushes += tlbs[i].flushes;
	assert_true(flushes > CHANGES / 2 && waits > CHANGES / 2);	/* it was no walk-over */
}

/* Each time the large page is split anew. translate() sees the same address cached in two sizes. */
static void a_split_never_shows_two_sizes(void **state)
{
	for (unsigned i = 0; i < 500; i++) {
		u64 seed = random_state;

		tear_down(state);
		set_up(state);
		random_state = seed;
		for (unsigned n = 60 + rnd(60); n; n--)
			step(&cpus[rnd(CPUS)]);
		change_one();
		for (unsigned n = 60; n; n--)
			step(&cpus[rnd(CPUS)]);
	}
}

/* Pages around it stay as they are, in the largest sizes. */
static void a_page_within_1_gib(void **state)
{
	silent = true;
	for (unsigned i = 0; i < CPUS; i++)
		cpus[i].cpu.tdp_flushed = ~0ull;	/* all answer */
	assert_int_equal(tdp_unmap(&vm, GIB(1) + MIB(4) + 0x1000, PAGE_SIZE), 0);
	assert_entry(GIB(1) + MIB(4) + 0x1000, 0, 0);
	assert_entry(GIB(1) + MIB(4), (GIB(5) + MIB(4)) | BITS, 0);
	assert_entry(GIB(1) + MIB(4) + 0x2000, (GIB(5) + MIB(4) + 0x2000) | BITS, 0);
	assert_entry(GIB(1) + MIB(2), (GIB(5) + MIB(2)) | BITS | TDP_LARGE, 1);
	assert_entry(GIB(2) - 1, (GIB(6) - MIB(2)) | BITS | TDP_LARGE, 1);
	assert_int_equal(vm.tdp_pages, 4);
	assert_false(vm.tdp_changing);
	assert_int_equal(sent, 0);
	/* And back. */
	assert_int_equal(tdp_remap(&vm, GIB(1) + MIB(4) + 0x1000, GIB(7), PAGE_SIZE, false), 0);
	assert_entry(GIB(1) + MIB(4) + 0x1000, GIB(7) | (BITS & ~TDP_WRITABLE), 0);
	assert_int_equal(vm.tdp_pages, 4);
}

/* Over the end of a table, and into what was not mapped. */
static void a_range_over_several_tables(void **state)
{
	for (unsigned i = 0; i < CPUS; i++)
		cpus[i].cpu.tdp_flushed = ~0ull;
	assert_int_equal(tdp_protect(&vm, GIB(2) - 0x2000, 0x5000, false), 0);
	assert_entry(GIB(2) - 0x3000, (GIB(6) - 0x3000) | BITS, 0);
	assert_entry(GIB(2) - 0x2000, (GIB(6) - 0x2000) | (BITS & ~TDP_WRITABLE), 0);
	assert_entry(GIB(2) - 0x1000, (GIB(6) - 0x1000) | (BITS & ~TDP_WRITABLE), 0);
	assert_entry(GIB(2), 0, 2);	/* what is not mapped stays so */
	assert_int_equal(tdp_remap(&vm, GIB(2) - 0x1000, GIB(9), 0x3000, true), 0);
	assert_entry(GIB(2) - 0x1000, GIB(9) | BITS, 0);
	assert_entry(GIB(2) + 0x1000, (GIB(9) + 0x2000) | BITS, 0);
	assert_entry(GIB(2) + 0x2000, 0, 0);
	assert_int_equal(tdp_unmap(&vm, GIB(1), GIB(2)), 0);
	assert_entry(GIB(1), 0, 0);
	assert_entry(GIB(2) + 0x1000, 0, 0);
}

/* Nothing was there, so nothing can be cached of it; rights that are added need no flush either. */
static void what_needs_no_flush(void **state)
{
	assert_int_equal(tdp_unmap(&vm, GIB(3), MIB(4)), 0);
	assert_int_equal(tdp_protect(&vm, GIB(3), MIB(4), false), 0);
	assert_int_equal(tdp_remap(&vm, GIB(3), GIB(9), 0x2000, false), 0);
	assert_int_equal(tdp_protect(&vm, GIB(3), 0x1000, true), 0);
	assert_int_equal(tdp_protect(&vm, GIB(3) + 0x1000, 0x1000, false), 0);
	assert_entry(GIB(3), GIB(9) | BITS, 0);
	assert_entry(GIB(3) + 0x1000, (GIB(9) + 0x1000) | (BITS & ~TDP_WRITABLE), 0);
	assert_int_equal(sent, 0);
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(tlbs[i].vcpu.requests, 0);
}

static void without_memory_nothing_changes(void **state)
{
	for (page_limit = pages; page_limit < pages + 2; page_limit++) {
		assert_int_equal(tdp_unmap(&vm, GIB(1), PAGE_SIZE), -ENOMEM);
		assert_entry(GIB(1), GIB(5) | BITS | TDP_LARGE, 2);
		assert_false(vm.tdp_changing);
		assert_int_equal(vm.tdp_pages, pages);
	}
	assert_int_equal(sent, 0);
}

static void a_cpu_that_does_not_answer(void **state)
{
	silent = true;
	assert_int_equal(tdp_unmap(&vm, GIB(1), PAGE_SIZE), -ETIMEDOUT);
	assert_entry(GIB(1), 0, 0);
	assert_entry(GIB(1) + 0x1000, (GIB(5) + 0x1000) | BITS, 0);
	assert_false(vm.tdp_changing);
	assert_int_equal(tlbs[0].flushes, 1);	/* the caller's own vCPU */
	for (unsigned i = 1; i < VCPUS; i++)
		assert_int_equal(tlbs[i].vcpu.requests, REQ_FLUSH_TLB);
	assert_true(cpus[1].interrupt && cpus[2].interrupt);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(guests_never_use_what_was_taken),
		TEST(a_split_never_shows_two_sizes),
		TEST(a_page_within_1_gib),
		TEST(a_range_over_several_tables),
		TEST(what_needs_no_flush),
		TEST(without_memory_nothing_changes),
		TEST(a_cpu_that_does_not_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
