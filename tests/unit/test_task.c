/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches: what is saved, loaded and marked by each way to switch, and each fault, with its error code
 * and the task that it comes in. Intel SDM, "Task Switching", "Task Linking", "Exception Conditions Checked During a Task
 * Switch", "Error Code".
 */
/* link: core/emulate/task.c core/emulate/descriptor.c core/emulate/gwalk.c core/emulate/gwalk_segment.c */
/* link: core/vcpu.c core/cpu/control.c tests/unit/fake_vcpu.c */
#include "core/emulate/task.h"

#include <string.h>

#include "fake_vcpu.h"

#define GDT	  0x1000u
#define GDT_LIMIT 0x7f
#define LDT	  0x1800u
#define OLD	  0x2000u
#define NEW	  0x3000u
#define STACK	  0x5000u
#define DIRECTORY 0x8000u

/* The GDT. */
enum {
	CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x18, DATA3 = 0x20, OLD_TSS = 0x28, NEW_TSS = 0x30,
	LDT_SEGMENT = 0x38, SPARE = 0x40,
};

static struct task_switch how;

static void put(u32 at, u32 value, unsigned size)
{
	memcpy(fake.ram + at, &value, size);
}

static u32 at(u32 address, unsigned size)
{
	u32 value = 0;

	memcpy(&value, fake.ram + address, size);
	return value;
}

static void describe(u32 table, u16 selector, u32 base, u32 limit, u8 access, u8 flags)
{
	u64 raw = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)access << 40 | (u64)(limit >> 16) << 48 |
		  (u64)flags << 52 | (u64)(base >> 24) << 56;

	memcpy(fake.ram + table + (selector & ~7u), &raw, 8);
}

static u8 access_byte(u16 selector)
{
	return fake.ram[GDT + selector + 5];
}

static void new_word(unsigned offset, u32 value)
{
	put(NEW + offset, value, 4);
}

static int setup(void **state)
{
	fake_machine_create();
	fake_protected_mode(true);
	fake.segments[SEG_CS].selector = CODE0;
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		if (i != SEG_CS)
			fake.segments[i].selector = DATA0;
	fake.segments[SEG_LDTR] = (struct segment){ .unusable = true };
	fake.segments[SEG_TR] = (struct segment){
		.base = OLD, .limit = 103, .selector = OLD_TSS, .type = 11, .present = true,
	};
	fake.tables[0] = (struct descriptor_table){ .base = GDT, .limit = GDT_LIMIT };
	fake.controls[CTL_DR7] = 0x400 | 0x3ff;
	describe(GDT, CODE0, 0, 0xfffff, 0x9b, 12);
	describe(GDT, DATA0, 0, 0xfffff, 0x93, 12);
	describe(GDT, CODE3, 0, 0xfffff, 0xfb, 12);
	describe(GDT, DATA3, 0, 0xfffff, 0xf3, 12);
	describe(GDT, OLD_TSS, OLD, 103, 0x8b, 0);
	describe(GDT, NEW_TSS, NEW, 103, 0x89, 0);
	describe(GDT, LDT_SEGMENT, LDT, 15, 0x82, 0);
	memset(fake.ram + OLD, 0xee, 104);
	new_word(32, 0x4000);			/* EIP */
	new_word(36, 0x246);
	for (unsigned i = 0; i < 8; i++) {
		new_word(40 + 4 * i, i == 4 ? STACK : 0x11110000 + i);
		vcpu_reg_write(&fake.vcpu, (enum vcpu_reg)i, 0x22220000 + i);
	}
	for (unsigned i = 0; i < 6; i++)
		new_word(72 + 4 * i, i == 1 ? CODE0 : DATA0);
	vcpu_reg_write(&fake.vcpu, REG_RIP, 0x6000);
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, 0x14046);	/* RF, NT */
	how = (struct task_switch){ .selector = NEW_TSS, .source = TASK_JMP, .length = 7 };
	return 0;
}

static int teardown(void **state)
{
	fake_machine_destroy();
	return 0;
}

static u64 reg(enum vcpu_reg number)
{
	return vcpu_reg_read(&fake.vcpu, number);
}

static void again(void)
{
	teardown(NULL);
	setup(NULL);
}

/* --- what is saved and loaded --- */

static void expect_new_registers(void)
{
	assert_int_equal(reg(REG_RIP), 0x4000);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(reg((enum vcpu_reg)i), i == 4 ? STACK : 0x11110000 + i);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		assert_int_equal(fake.segments[i].selector, i == SEG_CS ? CODE0 : DATA0);
		assert_false(fake.segments[i].unusable);
		assert_int_equal(fake.segments[i].limit, 0xffffffff);
	}
	assert_int_equal(fake.segments[SEG_TR].selector, NEW_TSS);
	assert_int_equal(fake.segments[SEG_TR].base, NEW);
	assert_int_equal(fake.segments[SEG_TR].type, 11);
	assert_true(fake.segments[SEG_LDTR].unusable);
	assert_int_equal(fake.controls[CTL_CR0], CR0_PE | CR0_TS);
	assert_int_equal(fake.controls[CTL_DR7], 0x400 | 0x2aa);	/* L0 to L3 and LE */
}

static void each_way_saves_loads_and_links(void **state)
{
	static const struct {
		u8 source, length;
		u32 saved_ip, saved_flags, flags;
		bool old_busy, linked;
	} rows[] = {
		{ TASK_JMP, 7, 0x6007, 0x4046, 0x246, false, false },
		{ TASK_CALL, 2, 0x6002, 0x4046, 0x4246, true, true },
		{ TASK_IRET, 1, 0x6001, 0x0046, 0x246, false, false },
		{ TASK_GATE, 2, 0x6002, 0x4046, 0x4246, true, true },	/* INT n */
		{ TASK_GATE, 0, 0x6000, 0x14046, 0x4246, true, true },	/* a fault: RF as it was */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		again();
		how.source = rows[i].source;
		how.length = rows[i].length;
		if (how.source == TASK_IRET)
			describe(GDT, NEW_TSS, NEW, 103, 0x8b, 0);
		fake.vcpu.events.reinject.type = EVENT_EXCEPTION;
		assert_true(emulate_task_switch(&fake.vcpu, &how));
		assert_false(fake.faulted || fake.ended);
		assert_int_equal(fake.vcpu.events.reinject.type, EVENT_NONE);
		assert_int_equal(at(OLD + 32, 4), rows[i].saved_ip);
		assert_int_equal(at(OLD + 36, 4), rows[i].saved_flags);
		for (unsigned r = 0; r < 8; r++)
			assert_int_equal(at(OLD + 40 + 4 * r, 4), 0x22220000 + r);
		for (unsigned s = 0; s < 6; s++)
			assert_int_equal(at(OLD + 72 + 4 * s, 2), s == 1 ? CODE0 : DATA0);
		/* The rest of the old TSS is not written. */
		for (unsigned byte = 0; byte < 104; byte++)
			if (byte < 32 || byte >= 96)
				assert_int_equal(fake.ram[OLD + byte], 0xee);
		expect_new_registers();
		assert_int_equal(reg(REG_RFLAGS), rows[i].flags);
		assert_int_equal(access_byte(OLD_TSS), rows[i].old_busy ? 0x8b : 0x89);
		assert_int_equal(access_byte(NEW_TSS), 0x8b);
		assert_int_equal(at(NEW, 2), rows[i].linked ? OLD_TSS : 0);
	}
}

/* "16-Bit Task-State Segment": IP at 14, to DS at 40, LDT at 42; no FS, GS, CR3, T bit. */
static void with_16_bits(void **state)
{
	fake.segments[SEG_TR].type = 3;
	fake.segments[SEG_TR].limit = 43;
	describe(GDT, OLD_TSS, OLD, 43, 0x83, 0);
	describe(GDT, NEW_TSS, NEW, 43, 0x81, 0);
	memset(fake.ram + NEW, 0, 104);
	put(NEW + 14, 0x4000, 2);
	put(NEW + 16, 0x246, 2);
	for (unsigned i = 0; i < 8; i++)
		put(NEW + 18 + 2 * i, 0x1110 + i, 2);
	for (unsigned i = 0; i < 4; i++)
		put(NEW + 34 + 2 * i, i == 1 ? CODE0 : DATA0, 2);
	put(NEW + 42, LDT_SEGMENT, 2);
	fake.ram[NEW + 100] = 1;
	how.source = TASK_CALL;
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_int_equal(at(OLD + 14, 2), 0x6007);
	assert_int_equal(at(OLD + 16, 2), 0x4046);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(at(OLD + 18 + 2 * i, 2), i);
		assert_int_equal(reg((enum vcpu_reg)i), 0x1110 + i);
	}
	assert_int_equal(at(OLD + 40, 2), DATA0);
	assert_int_equal(at(OLD + 42, 2), 0xeeee);
	assert_int_equal(reg(REG_RIP), 0x4000);
	assert_int_equal(reg(REG_RFLAGS), 0x4246);
	assert_int_equal(fake.segments[SEG_LDTR].base, LDT);
	assert_true(fake.segments[SEG_FS].unusable && fake.segments[SEG_GS].unusable);
	assert_int_equal(fake.segments[SEG_FS].selector, 0);
	assert_int_equal(fake.segments[SEG_TR].type, 3);
	assert_int_equal(at(NEW, 2), OLD_TSS);
}

/* DR6.BT, bit 15. */
static void the_trap_bit(void **state)
{
	fake.ram[NEW + 100] = 1;
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(fake.vector, X86_DB);
	assert_int_equal(fake.payload, 0x8000);
	expect_new_registers();
}

static void privilege_comes_from_cs(void **state)
{
	new_word(76, CODE3 | 3);
	for (unsigned i = 0; i < 6; i++)
		if (i != 1)
			new_word(72 + 4 * i, DATA3 | 3);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_int_equal(vcpu_cpl(&fake.vcpu), 3);
	assert_int_equal(fake.segments[SEG_SS].selector, DATA3 | 3);
}

static void accessed_bits_are_set(void **state)
{
	describe(GDT, CODE0, 0, 0xfffff, 0x9a, 12);
	describe(GDT, SPARE, 0x777, 0xfff, 0x92, 4);
	new_word(84, SPARE);	/* DS */
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(access_byte(CODE0), 0x9b);
	assert_int_equal(access_byte(SPARE), 0x93);
	assert_int_equal(access_byte(DATA0), 0x93);
	assert_int_equal(fake.segments[SEG_DS].base, 0x777);
	assert_int_equal(fake.segments[SEG_DS].limit, 0xfff);
}

static void segments_of_the_new_ldt(void **state)
{
	describe(LDT, 8, 0x888, 0xfff, 0x93, 4);
	new_word(96, LDT_SEGMENT);
	new_word(72, 0xc);	/* ES: index 1, local */
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_int_equal(fake.segments[SEG_ES].base, 0x888);
}

static void null_data_segments(void **state)
{
	new_word(84, 0);
	new_word(92, 3);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_true(fake.segments[SEG_DS].unusable && fake.segments[SEG_GS].unusable);
	assert_int_equal(fake.segments[SEG_GS].selector, 3);
}

static void virtual_8086_segments_are_their_selectors(void **state)
{
	new_word(36, RFLAGS_VM | 2);
	new_word(76, 0xf000);
	new_word(84, 0x1234);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_int_equal(vcpu_cpl(&fake.vcpu), 3);
	assert_int_equal(fake.segments[SEG_CS].base, 0xf0000);
	assert_int_equal(fake.segments[SEG_DS].base, 0x12340);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		assert_int_equal(fake.segments[i].limit, 0xffff);
		assert_int_equal(fake.segments[i].type, 3);
		assert_int_equal(fake.segments[i].dpl, 3);
		assert_true(fake.segments[i].s && fake.segments[i].present && !fake.segments[i].db);
	}
}

/* Reserved bits of EFLAGS are not loaded. */
static void eflags_keeps_to_what_is_defined(void **state)
{
	new_word(36, 0xffffffff & ~RFLAGS_VM);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(reg(REG_RFLAGS), 0x3f7fd7 & ~RFLAGS_VM);
}

/* --- address spaces --- */

static void identity_map(u32 directory)
{
	put(directory, 0x83, 4);	/* a page of 4 MiB */
}

static void cr3_is_loaded_with_paging_only(void **state)
{
	new_word(28, DIRECTORY);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(fake.controls[CTL_CR3], 0);

	again();
	fake.controls[CTL_CR0] |= CR0_PG;
	fake.controls[CTL_CR4] = CR4_PSE;
	fake.controls[CTL_CR3] = DIRECTORY + 0x1000;
	identity_map(DIRECTORY);
	identity_map(DIRECTORY + 0x1000);
	new_word(28, DIRECTORY);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_int_equal(fake.controls[CTL_CR3], DIRECTORY);
	assert_int_equal(at(OLD + 28, 4), 0xeeeeeeee);		/* it is not saved */
}

/* Nothing has changed: the exception comes in the old task. */
static void expect_old_task(u8 vector, u32 error_code)
{
	assert_true(fake.faulted);
	assert_int_equal(fake.vector, vector);
	assert_int_equal(fake.error_code, error_code);
	assert_int_equal(reg(REG_RIP), 0x6000);
	assert_int_equal(fake.segments[SEG_TR].selector, OLD_TSS);
	assert_int_equal(at(OLD + 32, 4), 0xeeeeeeee);
	assert_int_equal(access_byte(OLD_TSS), 0x8b);
	assert_int_equal(fake.controls[CTL_CR0] & CR0_TS, 0);
}

/* All that is written is looked for first: each page in turn is read-only, or not there. */
static void page_faults_come_before_the_commit(void **state)
{
	static const struct {
		u32 page, address;
		u8 source;
	} rows[] = {
		{ OLD, OLD, TASK_JMP }, { NEW, NEW, TASK_CALL }, { GDT, GDT + NEW_TSS + 5, TASK_JMP },
		{ OLD, OLD, TASK_IRET },
	};
	const u32 table = DIRECTORY + 0x1000;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		u32 address = rows[i / 2].address, entry = i & 1 ? 0 : rows[i / 2].page | 1;

		again();
		how.source = rows[i / 2].source;
		if (how.source == TASK_IRET)
			describe(GDT, NEW_TSS, NEW, 103, 0x8b, 0);
		fake.controls[CTL_CR0] |= CR0_PG | CR0_WP;
		fake.controls[CTL_CR3] = DIRECTORY;
		put(DIRECTORY, table | 7, 4);
		for (u32 page = 0; page < 1024; page++)
			put(table + 4 * page, page << 12 | 3, 4);
		put(table + (rows[i / 2].page >> 12) * 4, entry, 4);
		if ((i & 1) && rows[i / 2].page == GDT)
			continue;	/* it is read first: see the next test */
		assert_false(emulate_task_switch(&fake.vcpu, &how));
		expect_old_task(X86_PF, i & 1 ? PF_WRITE : PF_WRITE | PF_PRESENT);
		assert_int_equal(fake.payload, address);
	}
}

static void a_table_that_is_not_mapped(void **state)
{
	fake.controls[CTL_CR0] |= CR0_PG;
	fake.controls[CTL_CR3] = DIRECTORY;
	assert_false(emulate_task_switch(&fake.vcpu, &how));
	expect_old_task(X86_PF, 0);
	assert_int_equal(fake.payload, GDT + NEW_TSS);
}

static void a_tss_where_there_is_no_ram(void **state)
{
	describe(GDT, NEW_TSS, 0x40000000, 103, 0x89, 0);
	assert_false(emulate_task_switch(&fake.vcpu, &how));
	assert_true(fake.ended);
	assert_non_null(strstr(fake.words, "a task switch accesses linear 0x40000000, where there is no RAM"));
}

static void reserved_bits_of_pae_pointers(void **state)
{
	static struct vcpu_ops ops;

	ops = *fake.vcpu.ops;
	ops.loads_pdptes = true;
	fake.vcpu.ops = &ops;
	fake.controls[CTL_CR0] |= CR0_PG;
	fake.controls[CTL_CR4] = CR4_PAE | CR4_PSE;
	fake.controls[CTL_CR3] = DIRECTORY;
	fake.vcpu.pdptes[0] = (DIRECTORY + 0x1000) | 1;
	put(DIRECTORY, (DIRECTORY + 0x1000) | 1, 4);
	put(DIRECTORY + 0x1000, 0x83, 4);
	put(DIRECTORY + 0x20, 0x1e7, 4);
	new_word(28, DIRECTORY + 0x20);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_true(fake.faulted);
	assert_int_equal(fake.vector, X86_GP);
	assert_int_equal(fake.error_code, 0);
	assert_int_equal(fake.segments[SEG_TR].selector, NEW_TSS);
}

/* --- faults in the old task --- */

static void what_the_new_tss_must_be(void **state)
{
	static const struct {
		u8 source;
		u16 selector;
		u8 access;
		u32 limit;
		u8 vector;
	} rows[] = {
		{ TASK_JMP, 0, 0x89, 103, X86_GP },			/* null */
		{ TASK_JMP, NEW_TSS | 4, 0x89, 103, X86_GP },		/* in the LDT */
		{ TASK_JMP, GDT_LIMIT + 1, 0x89, 103, X86_GP },
		{ TASK_IRET, GDT_LIMIT + 1, 0x8b, 103, X86_TS },
		{ TASK_JMP, NEW_TSS, 0x8b, 103, X86_GP },		/* busy */
		{ TASK_CALL, NEW_TSS, 0x8b, 103, X86_GP },
		{ TASK_GATE, NEW_TSS, 0x83, 103, X86_GP },
		{ TASK_IRET, NEW_TSS, 0x89, 103, X86_TS },		/* not busy */
		{ TASK_IRET, NEW_TSS, 0x81, 103, X86_TS },
		{ TASK_JMP, NEW_TSS, 0x82, 103, X86_GP },		/* an LDT */
		{ TASK_JMP, NEW_TSS, 0x99, 103, X86_GP },		/* code */
		{ TASK_IRET, NEW_TSS, 0x9b, 103, X86_TS },
		{ TASK_JMP, NEW_TSS, 0x09, 103, X86_NP },
		{ TASK_IRET, NEW_TSS, 0x0b, 103, X86_NP },
		{ TASK_JMP, NEW_TSS, 0x89, 102, X86_TS },
		{ TASK_JMP, NEW_TSS, 0x81, 42, X86_TS },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		again();
		how.source = rows[i].source;
		how.selector = rows[i].selector;
		describe(GDT, NEW_TSS, NEW, rows[i].limit, rows[i].access, 0);
		assert_false(emulate_task_switch(&fake.vcpu, &how));
		expect_old_task(rows[i].vector, rows[i].selector & ~3u);
	}
}

static void the_old_tss_is_large_enough(void **state)
{
	fake.segments[SEG_TR].limit = 102;
	assert_false(emulate_task_switch(&fake.vcpu, &how));
	expect_old_task(X86_TS, OLD_TSS);
}

/* Bit 0, EXT: the event that is delivered is no INT n. */
static void faults_say_what_they_come_from(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		again();
		how.source = i & 2 ? TASK_GATE : TASK_CALL;
		how.external = i & 1;
		describe(GDT, NEW_TSS, NEW, 103, 0x09, 0);
		assert_false(emulate_task_switch(&fake.vcpu, &how));
		expect_old_task(X86_NP, NEW_TSS | (i == 3));
		describe(GDT, NEW_TSS, NEW, 103, 0x89, 0);
		new_word(76, DATA0);
		assert_true(emulate_task_switch(&fake.vcpu, &how));
		assert_int_equal(fake.vector, X86_TS);
		assert_int_equal(fake.error_code, DATA0 | (i == 3));
	}
}

/* --- faults in the new task --- */

static void what_its_segments_must_be(void **state)
{
	enum { ES = 72, CS = 76, SS = 80, DS = 84, FS = 88, GS = 92, LDTR = 96 };
	static const struct {
		u8 field;
		u16 selector;
		u8 access;		/* of the spare descriptor */
		u8 vector;		/* 0: none */
	} rows[] = {
		{ LDTR, SPARE, 0x82, 0 }, { LDTR, SPARE, 0x02, X86_TS }, { LDTR, SPARE, 0x89, X86_TS },
		{ LDTR, SPARE, 0x92, X86_TS }, { LDTR, GDT_LIMIT + 1, 0, X86_TS }, { LDTR, LDT_SEGMENT | 4, 0, X86_TS },
		{ LDTR, 3, 0, 0 },
		{ CS, 0, 0, X86_TS }, { CS, 3, 0, X86_TS }, { CS, GDT_LIMIT + 1, 0, X86_TS },
		{ CS, SPARE | 4, 0x9b, X86_TS },						/* no LDT */
		{ CS, SPARE, 0x9b, 0 }, { CS, SPARE, 0x99, 0 }, { CS, SPARE, 0x93, X86_TS },
		{ CS, SPARE, 0x89, X86_TS }, { CS, SPARE, 0xfb, X86_TS }, { CS, SPARE, 0x1b, X86_NP },
		{ CS, SPARE, 0x9f, 0 }, { CS, SPARE, 0xff, X86_TS },				/* conforming */
		{ SS, 0, 0, X86_TS }, { SS, GDT_LIMIT + 1, 0, X86_TS }, { SS, SPARE, 0x93, 0 },
		{ SS, SPARE, 0x91, X86_TS }, { SS, SPARE, 0x9b, X86_TS }, { SS, SPARE, 0x82, X86_TS },
		{ SS, SPARE, 0xf3, X86_TS }, { SS, SPARE | 3, 0x93, X86_TS }, { SS, SPARE, 0x13, X86_SS },
		{ DS, SPARE, 0x91, 0 }, { DS, SPARE, 0x9b, 0 }, { DS, SPARE, 0x99, X86_TS }, { DS, SPARE, 0x82, X86_TS },
		{ DS, SPARE | 3, 0x93, X86_TS }, { DS, SPARE | 3, 0xf3, 0 }, { DS, SPARE | 3, 0x9f, 0 },
		{ DS, SPARE | 3, 0x9b, X86_TS }, { DS, SPARE, 0x13, X86_NP }, { DS, GDT_LIMIT + 1, 0, X86_TS },
		{ ES, SPARE, 0x13, X86_NP }, { FS, SPARE, 0x13, X86_NP }, { GS, SPARE, 0x13, X86_NP },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		again();
		describe(GDT, SPARE, 0, 0xfffff, rows[i].access, 12);
		new_word(rows[i].field, rows[i].selector);
		assert_true(emulate_task_switch(&fake.vcpu, &how));
		assert_int_equal(fake.faulted, rows[i].vector != 0);
		if (rows[i].vector) {
			assert_int_equal(fake.vector, rows[i].vector);
			assert_int_equal(fake.error_code, rows[i].selector & ~3u);
		}
		/* The new task is there, with all of its selectors. */
		assert_int_equal(reg(REG_RIP), 0x4000);
		assert_int_equal(fake.segments[SEG_TR].selector, NEW_TSS);
		assert_int_equal(at(OLD + 32, 4), 0x6007);
		assert_int_equal(access_byte(OLD_TSS), 0x89);
		assert_int_equal(fake.segments[SEG_DS].selector, rows[i].field == DS ? rows[i].selector : DATA0);
		assert_int_equal(fake.segments[SEG_LDTR].selector, rows[i].field == LDTR ? rows[i].selector : 0);
		/* An exception can be delivered: VM entry needs a code segment, and one CPL. */
		assert_true(fake.segments[SEG_CS].type & 8);
		assert_int_equal(fake.segments[SEG_CS].dpl, 0);
		assert_int_equal(vcpu_cpl(&fake.vcpu), 0);
	}
}

static void a_task_that_leaves_virtual_8086_mode_with_a_bad_cs(void **state)
{
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		fake.segments[i] = (struct segment){ .limit = 0xffff, .type = 3, .dpl = 3, .s = true, .present = true };
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, RFLAGS_VM | 2);
	new_word(76, 0);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(fake.vector, X86_TS);
	assert_int_equal(fake.segments[SEG_CS].type, 11);
	assert_int_equal(fake.segments[SEG_CS].dpl, 3);
	assert_int_equal(vcpu_cpl(&fake.vcpu), 3);
}

static void the_instruction_pointer_is_within_cs(void **state)
{
	describe(GDT, CODE0, 0, 0x3fff, 0x9b, 4);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(fake.vector, X86_GP);
	assert_int_equal(fake.error_code, 0);
	again();
	describe(GDT, CODE0, 0, 0x4000, 0x9b, 4);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
}

/* --- the event's error code --- */

static void an_error_code_is_pushed_on_the_new_stack(void **state)
{
	how = (struct task_switch){ .selector = NEW_TSS, .source = TASK_GATE, .external = true,
				    .has_error_code = true, .error_code = 0x12348765 };
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_int_equal(reg(REG_RSP), STACK - 4);
	assert_int_equal(at(STACK - 4, 4), 0x12348765);

	/* In the width of the TSS, and on a 16-bit stack without touching the upper half of ESP. */
	again();
	how = (struct task_switch){ .selector = NEW_TSS, .source = TASK_GATE, .has_error_code = true, .error_code = 0x8765 };
	describe(GDT, DATA0, 0, 0xffff, 0x93, 0);
	new_word(56, 0x70000 | STACK);
	put(STACK - 8, 0, 4);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(reg(REG_RSP), 0x70000 | (STACK - 4));
	assert_int_equal(at(STACK - 4, 4), 0x8765);

	again();
	how = (struct task_switch){ .selector = NEW_TSS, .source = TASK_GATE, .has_error_code = true, .error_code = 0x8765 };
	describe(GDT, NEW_TSS, NEW, 43, 0x81, 0);
	memset(fake.ram + NEW, 0, 104);
	put(NEW + 14, 0x4000, 2);
	put(NEW + 26, STACK, 2);
	for (unsigned i = 0; i < 4; i++)
		put(NEW + 34 + 2 * i, i == 1 ? CODE0 : DATA0, 2);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_false(fake.faulted);
	assert_int_equal(reg(REG_RSP), STACK - 2);
	assert_int_equal(at(STACK - 2, 2), 0x8765);
}

static void a_stack_without_room_for_the_error_code(void **state)
{
	how = (struct task_switch){ .selector = NEW_TSS, .source = TASK_GATE, .external = true, .has_error_code = true };
	describe(GDT, SPARE, 0, 0xfff, 0x93, 4);
	new_word(80, SPARE);
	assert_true(emulate_task_switch(&fake.vcpu, &how));
	assert_int_equal(fake.vector, X86_SS);
	assert_int_equal(fake.error_code, 1);
	assert_int_equal(reg(REG_RSP), STACK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_way_saves_loads_and_links),
		TEST(with_16_bits),
		TEST(the_trap_bit),
		TEST(privilege_comes_from_cs),
		TEST(accessed_bits_are_set),
		TEST(segments_of_the_new_ldt),
		TEST(null_data_segments),
		TEST(virtual_8086_segments_are_their_selectors),
		TEST(eflags_keeps_to_what_is_defined),
		TEST(cr3_is_loaded_with_paging_only),
		TEST(page_faults_come_before_the_commit),
		TEST(a_table_that_is_not_mapped),
		TEST(a_tss_where_there_is_no_ram),
		TEST(reserved_bits_of_pae_pointers),
		TEST(what_the_new_tss_must_be),
		TEST(the_old_tss_is_large_enough),
		TEST(faults_say_what_they_come_from),
		TEST(what_its_segments_must_be),
		TEST(a_task_that_leaves_virtual_8086_mode_with_a_bad_cs),
		TEST(the_instruction_pointer_is_within_cs),
		TEST(an_error_code_is_pushed_on_the_new_stack),
		TEST(a_stack_without_room_for_the_error_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
