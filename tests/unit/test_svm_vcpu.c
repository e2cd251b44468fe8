/* SPDX-License-Identifier: MIT */
/*
 * What SVM needs of a CPU, a VM and a vCPU: switching it on and off, the intercept bitmaps, and the VMCB
 * at power-up, byte by byte. AMD APM vol. 2, "Enabling SVM", "Host Save Area", "IOIO Intercepts", "MSR
 * Intercepts", "Layout of VMCB", "Processor Initialization State".
 */
/* link: tests/unit/fake_nsvm.c svm/vcpu.c svm/apic.c svm/switch.c core/cpu/tlb_id.c svm/vm.c svm/enable.c svm/npt.c svm/state.c lib/log.c tests/unit/fake_cpu.c */
#include "fake_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/cpuid.h"
#include "core/mem/tdp.h"
#include "core/vm_alloc.h"
#include "svm/svm.h"

bool capability_hides_apic;

struct cpu_features cpu_features;
struct svm_features svm_features;

static struct percpu cpu;
static const struct vm_config config;
static struct vm vm = { .config = &config };
static struct svm_vm *block;		/* vm_alloc()'s */
static unsigned pages;			/* allocated now */
static unsigned tables;			/* nested page tables, likewise */
static unsigned steps, failing_step;	/* the allocation with this number fails; 0: none */
static unsigned fpu_resets, fpu_saved, fpu_restored, fpu_initial, vm_switched_to;
static unsigned writes_at_free;		/* of the processor, when the first page was freed */

/* --- the rest of Lamina --- */

struct percpu *this_cpu(void) { return &cpu; }

/* arch/cpu/fpu.c has a test of its own. */
void fpu_reset(void) { fpu_resets++; }
unsigned fpu_image_order(void) { return 0; }
void fpu_save(struct fpu_state *of) { fpu_saved++; }
void fpu_restore(const struct fpu_state *of) { fpu_restored++; }
void fpu_restore_initial(struct fpu_state *of) { fpu_initial++; }
void fpu_state_init(struct fpu_state *of, void *image) { *of = (struct fpu_state){ .image = image, .xcr0 = 1 }; }

static u64 spec_ctrl_at_switch;

void speculation_switch_vm(struct percpu *on, u32 vm_id)
{
	assert_ptr_equal(on, &cpu);
	vm_switched_to = vm_id;
	spec_ctrl_at_switch = cpu_features.spec_ctrl ? fake_msr(0x48)->value : 0;
}

void panic(const char *format, ...)
{
	fail_msg("panic: %s", format);
	__builtin_unreachable();
}

static bool step_fails(void)
{
	return ++steps == failing_step;
}

void *pages_alloc(unsigned order)
{
	void *memory;

	if (step_fails())
		return NULL;
	memory = aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
	assert_non_null(memory);
	memset(memory, 0, PAGE_SIZE << order);
	pages += 1u << order;
	return memory;
}

void *page_alloc(void)
{
	return pages_alloc(0);
}

void pages_free(void *memory, unsigned order)
{
	assert_non_null(memory);
	writes_at_free = MIN(writes_at_free, fake_cpu_writes());
	pages -= 1u << order;
	free(memory);
}

void page_free(void *page)
{
	pages_free(page, 0);
}

void *vm_alloc(struct vm *v, size_t size)
{
	assert_ptr_equal(v, &vm);
	if (step_fails())
		return NULL;
	block = calloc(1, size);
	return block;
}

int tdp_create(struct vm *v)
{
	if (step_fails())
		return -ENOMEM;
	v->tdp_root = 0x123000;
	tables++;
	return 0;
}

void tdp_destroy(struct vm *v)
{
	tables -= v->tdp_root != 0;
	v->tdp_root = 0;
}

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	assert_int_equal(leaf, 1);
	return (struct cpuid_regs){ .eax = 0x00a20f12, .ebx = 2, .ecx = 3, .edx = 4 };
}

static int set_up(void **state)
{
	vm = (struct vm){ .config = &config };
	memset(&cpu, 0, sizeof(cpu));
	steps = failing_step = pages = tables = 0;
	writes_at_free = ~0u;
	block = NULL;
	cpu_features = (struct cpu_features){ .rdtscp = true };
	svm_features = (struct svm_features){ .asids = 16 };
	vm.id = 4;
	fpu_resets = vm_switched_to = 0;
	return 0;
}

static void expect_write(unsigned index, enum privileged kind, u32 number, u64 value)
{
	assert_true(index < fake_cpu_writes());
	assert_int_equal(fake_cpu_write(index)->kind, kind);
	assert_int_equal(fake_cpu_write(index)->number, number);
	assert_int_equal(fake_cpu_write(index)->value, value);
}

/* --- a CPU --- */

#define EFER	    0xc0000080
#define VM_HSAVE_PA 0xc0010117

static void svm_is_switched_on_before_the_host_is_saved(void **state)
{
	fake_msr(EFER)->value = EFER_LME | EFER_LMA | EFER_NXE;
	assert_int_equal(svm_cpu_enable(&cpu), 0);
	assert_int_equal(fake_cpu_writes(), 3);
	expect_write(0, DO_WRMSR, EFER, EFER_LME | EFER_LMA | EFER_NXE | BIT_ULL(12));
	expect_write(1, DO_WRMSR, VM_HSAVE_PA, virt_to_phys(cpu.vendor_page));
	expect_write(2, DO_VMSAVE, 0, virt_to_phys(cpu.host_vmcb));
	assert_int_equal(cpu.vendor_page_pa, virt_to_phys(cpu.vendor_page));
	assert_int_equal(cpu.host_vmcb_pa, virt_to_phys(cpu.host_vmcb));
	assert_ptr_not_equal(cpu.vendor_page, cpu.host_vmcb);
	assert_int_equal(pages, 2);
	svm_cpu_disable(&cpu);
}

static void switching_off_undoes_it(void **state)
{
	fake_msr(EFER)->value = EFER_LME | EFER_LMA;
	assert_int_equal(svm_cpu_enable(&cpu), 0);
	fake_cpu.step_count = 0;
	svm_cpu_disable(&cpu);
	assert_int_equal(fake_cpu_writes(), 2);
	expect_write(0, DO_WRMSR, VM_HSAVE_PA, 0);
	expect_write(1, DO_WRMSR, EFER, EFER_LME | EFER_LMA);
	assert_int_equal(writes_at_free, 2);	/* the processor may write to the pages until then */
	assert_int_equal(pages, 0);
	assert_null(cpu.vendor_page);
	assert_null(cpu.host_vmcb);
}

/* VM_CR (C0010114h) bit 1 redirects INIT: the other bits stay, and it is off again afterwards. */
static void init_is_redirected_where_it_can_be(void **state)
{
	fake_msr(EFER)->value = EFER_LME | EFER_LMA;
	fake_msr(0xc0010114)->value = 8;
	assert_int_equal(svm_cpu_enable(&cpu), 0);
	assert_int_equal(fake_msr(0xc0010114)->value, 10);
	svm_cpu_disable(&cpu);
	assert_int_equal(fake_msr(0xc0010114)->value, 8);
}

/* VM_CR.SVMDIS, bit 4, makes EFER.SVME raise #GP: it is cleared first. */
static void svm_is_allowed_where_the_firmware_has_no_lock(void **state)
{
	fake_msr(EFER)->value = EFER_LME;
	fake_msr(0xc0010114)->value = 0x14;
	assert_int_equal(svm_cpu_enable(&cpu), 0);
	expect_write(0, DO_WRMSR, 0xc0010114, 4);
	expect_write(1, DO_WRMSR, EFER, EFER_LME | BIT_ULL(12));
	svm_cpu_disable(&cpu);
}

static void without_memory_the_cpu_is_left_alone(void **state)
{
	for (failing_step = 1; failing_step <= 2; failing_step++) {
		steps = 0;
		assert_int_equal(svm_cpu_enable(&cpu), -ENOMEM);
		assert_int_equal(fake_cpu_writes(), 0);
		assert_int_equal(pages, 0);
		assert_null(cpu.vendor_page);
		assert_null(cpu.host_vmcb);
	}
}

/* "SVM Lock": setting EFER.SVME raises #GP, or the bit stays 0. */
static void firmware_may_refuse(void **state)
{
	static const struct fake_msr refusals[] = {
		{ .number = EFER, .write_faults = true, .value = EFER_SVME },	/* what is read says nothing */
		{ .number = EFER, .value = EFER_LME, .ignored = EFER_SVME },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(refusals); i++) {
		*fake_msr(EFER) = refusals[i];
		assert_int_equal(svm_cpu_enable(&cpu), -ENODEV);
		assert_int_equal(fake_cpu_writes(), i);	/* of EFER alone */
		assert_int_equal(pages, 0);
		assert_null(cpu.vendor_page);
		assert_null(cpu.host_vmcb);
	}
}

/* --- a VM --- */

static void create_vm(void)
{
	assert_int_equal(svm_vm_create(&vm), 0);
}

static void destroy_vm(void)
{
	svm_vm_destroy(&vm);
	free(block);
	block = NULL;
}

static bool is_filled(const u8 *bytes, size_t n)
{
	return bytes[0] == 0xff && !memcmp(bytes, bytes + 1, n - 1);
}

static void bitmaps_intercept_everything_at_first(void **state)
{
	create_vm();
	assert_ptr_equal(vm.vendor, block);
	assert_true(is_filled(block->iopm, 3 * PAGE_SIZE));
	assert_true(is_filled(block->msrpm, 2 * PAGE_SIZE));
	assert_int_equal(tables, 1);
	destroy_vm();
	assert_null(vm.vendor);
	assert_int_equal(pages, 0);
	assert_int_equal(tables, 0);
}

static void a_vm_that_gets_no_memory_leaves_none_behind(void **state)
{
	for (failing_step = 1; failing_step <= 4; failing_step++) {
		steps = 0;
		assert_int_equal(svm_vm_create(&vm), -ENOMEM);
		destroy_vm();
		assert_int_equal(pages, 0);
		assert_int_equal(tables, 0);
	}
	steps = 0;
	create_vm();			/* there is no fifth step */
	destroy_vm();
}

/* "MSR Intercepts": three vectors of 2 KiB, two bits for each MSR, the read's first. */
static void msrs_have_their_bits(void **state)
{
	static const struct {
		u32 msr;
		bool read, write;
		unsigned byte;
		u8 value;
	} rows[] = {
		{ 0x00000000, true, false, 0x000, 0xfe }, { 0x00000000, false, true, 0x000, 0xfd },
		{ 0x00000001, true, false, 0x000, 0xfb }, { 0x00000002, true, true, 0x000, 0xcf },
		{ 0x00000003, false, true, 0x000, 0x7f }, { 0x00000174, true, true, 0x05d, 0xfc },
		{ 0x00001fff, true, true, 0x7ff, 0x3f },  { 0xc0000000, true, true, 0x800, 0xfc },
		{ 0xc0000101, true, true, 0x840, 0xf3 },  { 0xc0001fff, true, true, 0xfff, 0x3f },
		{ 0xc0010000, true, true, 0x1000, 0xfc }, { 0xc0011fff, true, true, 0x17ff, 0x3f },
	};

	create_vm();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		svm_vm_msr_passthrough(&vm, rows[i].msr, rows[i].read, rows[i].write);
		assert_int_equal(block->msrpm[rows[i].byte], rows[i].value);
		block->msrpm[rows[i].byte] = 0xff;
		assert_true(is_filled(block->msrpm, 2 * PAGE_SIZE));
	}
	destroy_vm();
}

static void msrs_that_the_map_lacks_stay_intercepted(void **state)
{
	static const u32 msrs[] = { 0x2000, 0xbfffffff, 0xc0002000, 0xc000ffff, 0xc0012000, 0xffffffff };

	create_vm();
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		svm_vm_msr_passthrough(&vm, msrs[i], true, true);
	assert_true(is_filled(block->msrpm, 2 * PAGE_SIZE));
	destroy_vm();
}

static void passthrough_adds_to_what_there_is(void **state)
{
	create_vm();
	svm_vm_msr_passthrough(&vm, 0x10, true, false);
	svm_vm_msr_passthrough(&vm, 0x11, true, false);
	svm_vm_msr_passthrough(&vm, 0x10, false, true);
	assert_int_equal(block->msrpm[4], 0xf8);
	/* Which words of 64 bits that concerns: MSRs 0 to 1Fh share one. */
	assert_int_equal(block->msrpm_open[0], 1);
	svm_vm_msr_passthrough(&vm, 0xc0000080, true, true);
	assert_int_equal(block->msrpm_open[4], BIT(4));
	destroy_vm();
}

/* "Nested Paging": guest accesses are user accesses. Present, writable, user, of either size. */
static void nested_pages_are_open_to_the_guest(void **state)
{
	struct tdp_format format;

	for (unsigned i = 0; i < 2; i++) {
		cpu_features.pages_1g = i;
		npt_format(&vm, &format);
		assert_int_equal(format.table_bits, 7);
		assert_int_equal(format.page_bits, 7);
		assert_int_equal(format.large_bits, 7);
		assert_int_equal(format.largest, i ? TDP_1G : TDP_2M);
	}
}

/* --- a vCPU --- */

static struct vcpu *new_vcpu(void)
{
	struct vcpu *vcpu;

	create_vm();
	vcpu = svm_vcpu_create(&vm);
	assert_non_null(vcpu);
	vcpu->vm = &vm;
	return vcpu;
}

static void delete_vcpu(struct vcpu *vcpu)
{
	svm_vcpu_destroy(vcpu);
	destroy_vm();
	assert_int_equal(pages, 0);
}

static void a_vcpu_is_a_page_and_a_vmcb(void **state)
{
	struct vcpu *vcpu = new_vcpu();

	assert_int_equal(to_svm(vcpu)->vmcb_pa, virt_to_phys(to_svm(vcpu)->vmcb));
	assert_true(IS_ALIGNED((u64)to_svm(vcpu)->vmcb, PAGE_SIZE));
	delete_vcpu(vcpu);
}

static void a_vcpu_that_gets_no_memory_leaves_none_behind(void **state)
{
	for (failing_step = 1; failing_step <= 3; failing_step++) {
		steps = 0;
		assert_null(svm_vcpu_create(&vm));
		assert_int_equal(pages, 0);
	}
}

/* Little-endian, at an offset in the VMCB; the save area begins at 400h. */
static u64 field(const struct vcpu *vcpu, unsigned offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, (const u8 *)((const struct vcpu_svm *)vcpu)->vmcb + offset, size);
	return value;
}

static struct vcpu *reset_vcpu(void)
{
	struct vcpu *vcpu = new_vcpu();

	memset(to_svm(vcpu)->vmcb, 0xee, PAGE_SIZE);
	memset(vcpu->regs, 0xee, sizeof(vcpu->regs));
	vcpu->regs_available = vcpu->regs_dirty = ~0u;
	to_svm(vcpu)->cr0 = to_svm(vcpu)->cr4 = ~0ull;
	to_svm(vcpu)->nmi_masked = to_svm(vcpu)->iret_pending = to_svm(vcpu)->stepping = true;
	to_svm(vcpu)->vmcb->control.tlb_control = TLB_FLUSH_ALL;
	to_svm(vcpu)->tlb_id.id = 9;
	svm_vcpu_reset(vcpu, false);
	return vcpu;
}

struct expected {
	u16 offset;
	u8 size;
	u64 value;
};

/* Each byte of the VMCB: these fields, and zeros. */
static void expect_vmcb(struct vcpu *vcpu, const struct expected *expected, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (field(vcpu, expected[i].offset, expected[i].size) != expected[i].value)
			fail_msg("offset %x: %llx, expected %llx", expected[i].offset,
				 (ull)field(vcpu, expected[i].offset, expected[i].size), (ull)expected[i].value);
		memset((u8 *)to_svm(vcpu)->vmcb + expected[i].offset, 0, expected[i].size);
	}
	for (unsigned offset = 0; offset < PAGE_SIZE; offset += 8) {
		if (field(vcpu, offset, 8))
			fail_msg("offset %x: %llx, expected 0", offset, (ull)field(vcpu, offset, 8));
	}
}

#define SEGMENT(offset, selector, attributes, base)	\
	{ 0x400 + (offset), 2, selector },		\
	{ 0x402 + (offset), 2, attributes },		\
	{ 0x404 + (offset), 4, 0xffff },		\
	{ 0x408 + (offset), 8, base }

#define ONE(n) (1u << (n))

/* By the bit numbers of "Layout of VMCB": what the host owns, and what the guest's processor lacks. */
#define FIRST_MISC  (ONE(0) | ONE(1) | ONE(2) | ONE(3)		/* INTR, NMI, SMI, INIT */	\
		     | ONE(5) | ONE(15) | ONE(18) | ONE(22)	/* CR0, RDPMC, CPUID, INVD */	\
		     | ONE(24) | ONE(26) | ONE(27) | ONE(28)	/* HLT, INVLPGA, IOIO, MSR */	\
		     | ONE(30) | ONE(31))			/* frozen FPU, shutdown */
#define SECOND_MISC (ONE(0) | ONE(1) | ONE(2) | ONE(3)		/* VMRUN, VMMCALL, VMLOAD, VMSAVE */ \
		     | ONE(4) | ONE(5) | ONE(6) | ONE(8)	/* STGI, CLGI, SKINIT, ICEBP */ \
		     | ONE(9) | ONE(10) | ONE(11) | ONE(12)	/* WBINVD, MONITOR, MWAIT twice */ \
		     | ONE(13) | ONE(14))			/* XSETBV, RDPRU */

static void the_vmcb_at_power_up(void **state)
{
	struct vcpu *vcpu = reset_vcpu();
	const struct expected expected[] = {
		{ 0x000, 4, ONE(0) | ONE(16) | ONE(20) },	/* CR0, CR4, and not CR8, which is V_TPR */
		{ 0x008, 4, ONE(1) | ONE(17) | ONE(18) },			/* #DB, #AC, #MC */
		{ 0x00c, 4, FIRST_MISC },
		{ 0x010, 4, SECOND_MISC },
		{ 0x040, 8, virt_to_phys(block->iopm) },
		{ 0x048, 8, virt_to_phys(block->msrpm) },
		{ 0x058, 4, 9 },		/* ASID */
		{ 0x05c, 1, 1 },		/* flush the entire TLB */
		{ 0x060, 8, BIT_ULL(24) },	/* V_INTR_MASKING */
		{ 0x090, 8, 1 },		/* NP_ENABLE */
		{ 0x0b0, 8, 0x123000 },		/* nCR3 */
		SEGMENT(0x00, 0, 0x93, 0),	/* ES */
		SEGMENT(0x10, 0xf000, 0x9b, 0xffff0000),
		SEGMENT(0x20, 0, 0x93, 0),
		SEGMENT(0x30, 0, 0x93, 0),
		SEGMENT(0x40, 0, 0x93, 0),
		SEGMENT(0x50, 0, 0x93, 0),
		SEGMENT(0x60, 0, 0, 0),		/* GDTR */
		SEGMENT(0x70, 0, 0x82, 0),	/* LDTR */
		SEGMENT(0x80, 0, 0, 0),		/* IDTR */
		SEGMENT(0x90, 0, 0x8b, 0),	/* TR */
		{ 0x4d0, 8, BIT_ULL(12) },	/* EFER: SVME, which VMRUN demands */
		{ 0x558, 8, 0x10 },		/* CR0, but the caches stay on */
		{ 0x560, 8, 0x400 },		/* DR7 */
		{ 0x568, 8, 0xffff0ff0 },	/* DR6 */
		{ 0x570, 8, 2 },		/* RFLAGS */
		{ 0x578, 8, 0xfff0 },		/* RIP */
		{ 0x668, 8, 0x0007040600070406 }, /* G_PAT */
	};

	expect_vmcb(vcpu, expected, ARRAY_SIZE(expected));
	delete_vcpu(vcpu);
}

/*
 * APM vol. 2, "SPEC_CTRL Virtualization": with it VMRUN switches SPEC_CTRL by a field of the VMCB; without it the
 * guest's value is in the processor while the vCPU is loaded. INIT keeps it, power-up clears it.
 */
static void a_vcpu_has_its_own_spec_ctrl(void **state)
{
	for (unsigned row = 0; row < 3; row++) {
		bool has = row > 0, virtual = row > 1;
		struct vcpu *vcpu;
		u64 value = 0;

		cpu_features.spec_ctrl = has;
		svm_features.spec_ctrl = virtual;
		fake_msr(0x48)->value = 3;
		vcpu = reset_vcpu();
		assert_int_equal(fake_msr(0x48)->value, has && !virtual ? 0 : 3);
		assert_int_equal(svm_msr_set(vcpu, 0x48, 5), has ? 0 : -ENOENT);
		assert_int_equal(fake_msr(0x48)->value, has && !virtual ? 5 : 3);
		assert_int_equal(field(vcpu, 0x6e0, 8), virtual ? 5 : 0);
		svm_vcpu_reset(vcpu, true);
		assert_int_equal(svm_msr_get(vcpu, 0x48, &value), has ? 0 : -ENOENT);
		assert_int_equal(value, has ? 5 : 0);
		vcpu->spec_ctrl = has ? 6 : 0;
		fake_msr(0x48)->value = 0;
		svm_vcpu_load(vcpu);
		assert_int_equal(spec_ctrl_at_switch, 0);	/* the flushes come first */
		assert_int_equal(fake_msr(0x48)->value, has && !virtual ? 6 : 0);
		fake_msr(0x48)->value = 4;
		svm_vcpu_put(vcpu);
		assert_int_equal(vcpu->spec_ctrl, virtual ? 6 : has ? 4 : 0);
		assert_int_equal(fake_msr(0x48)->value, has && !virtual ? 0 : 4);
		delete_vcpu(vcpu);
	}
}

static void what_a_guest_reads_at_power_up(void **state)
{
	struct vcpu *vcpu;
	u64 value = 1;

	fake_msr(MSR_TSC_AUX)->value = 5;
	vcpu = reset_vcpu();
	assert_int_equal(svm_control_get(vcpu, CTL_CR0), 0x60000010);
	assert_int_equal(svm_control_get(vcpu, CTL_CR4), 0);
	assert_int_equal(svm_control_get(vcpu, CTL_EFER), 0);
	assert_int_equal(svm_msr_get(vcpu, MSR_TSC_AUX, &value), 0);
	assert_int_equal(value, 0);
	for (unsigned reg = 0; reg < REG_COUNT; reg++)
		assert_int_equal(vcpu->regs[reg], reg == REG_RDX ? 0x00a20f12 : 0);	/* family, model, stepping */
	assert_int_equal(vcpu->regs_available, 0);
	assert_int_equal(vcpu->regs_dirty, 0);
	assert_false(to_svm(vcpu)->nmi_masked || to_svm(vcpu)->iret_pending || to_svm(vcpu)->stepping);
	delete_vcpu(vcpu);
}

/* Without it a #MC would be a shutdown from the first instruction on. */
static void the_hosts_cr4_mce_is_in_force_at_power_up(void **state)
{
	struct vcpu *vcpu;

	fake_cpu.cr[4] = CR4_MCE | CR4_PAE;
	vcpu = reset_vcpu();
	assert_int_equal(field(vcpu, 0x548, 8), CR4_MCE);
	assert_int_equal(field(vcpu, 0x000, 4) & BIT(4), BIT(4));	/* reads exit: they show 0 */
	assert_int_equal(svm_control_get(vcpu, CTL_CR4), 0);
	delete_vcpu(vcpu);
}

/* svm_vcpu_load() came before, and may have asked for the flush of all ASIDs: a reset must not make it less. */
static void power_up_keeps_a_flush_that_is_pending(void **state)
{
	static const struct {
		bool by_asid;
		u8 before, after;
	} rows[] = { { false, 0, 1 }, { false, 1, 1 }, { true, 0, 3 }, { true, 3, 3 }, { true, 1, 1 } };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vcpu *vcpu = new_vcpu();

		svm_features.flush_by_asid = rows[i].by_asid;
		to_svm(vcpu)->vmcb->control.tlb_control = rows[i].before;
		svm_vcpu_reset(vcpu, false);
		assert_int_equal(field(vcpu, 0x05c, 1), rows[i].after);
		delete_vcpu(vcpu);
	}
}

/*
 * APM vol. 2, "Processor Initialization State", column INIT: caches, MSRs and the floating-point unit as they were;
 * the rest as after a reset.
 */
static void init_keeps_what_the_manual_says(void **state)
{
	static const struct expected kept[] = {
		{ 0x600, 8, 0x1001 }, { 0x608, 8, 0x1002 }, { 0x610, 8, 0x1003 }, { 0x618, 8, 0x1004 },	/* STAR to SFMASK */
		{ 0x620, 8, 0x1005 },			/* KernelGsBase */
		{ 0x628, 8, 0x1006 }, { 0x630, 8, 0x1007 }, { 0x638, 8, 0x1008 },	/* SYSENTER */
		{ 0x668, 8, 0x0007050600070406 },	/* G_PAT */
	}, set[] = {
		{ 0x410, 2, 0xf000 }, { 0x418, 8, 0xffff0000 }, { 0x448, 8, 0 }, { 0x458, 8, 0 },	/* CS; FS and GS bases */
		{ 0x4d0, 8, BIT_ULL(12) }, { 0x548, 8, 0 }, { 0x550, 8, 0 },	/* EFER, CR4, CR3 */
		{ 0x560, 8, 0x400 }, { 0x568, 8, 0xffff0ff0 }, { 0x570, 8, 2 }, { 0x578, 8, 0xfff0 },
		{ 0x640, 8, 0 },			/* CR2 */
	};

	for (unsigned caches = 0; caches < 4; caches++) {
		u64 cd_nw = (u64)caches << 29;
		struct vcpu *vcpu = reset_vcpu();

		svm_control_set(vcpu, CTL_CR0, CR0_PG | CR0_PE | CR0_TS | cd_nw);
		svm_control_set(vcpu, CTL_CR4, CR4_PAE);
		svm_control_set(vcpu, CTL_CR3, 0x5000);
		svm_control_set(vcpu, CTL_CR2, 0x6000);
		svm_control_set(vcpu, CTL_EFER, EFER_LME);
		memset(&to_svm(vcpu)->vmcb->save.fs, 0x55, 32);
		for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
			memcpy((u8 *)to_svm(vcpu)->vmcb + kept[i].offset, &kept[i].value, kept[i].size);
		fake_msr(MSR_TSC_AUX)->value = 5;
		for (unsigned i = 0; i < 4; i++)
			fake_cpu.dr[i] = 7;
		to_svm(vcpu)->vmcb->control.tlb_control = 0;
		fpu_initial = 0;
		svm_vcpu_reset(vcpu, true);
		for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
			assert_int_equal(field(vcpu, kept[i].offset, kept[i].size), kept[i].value);
		for (unsigned i = 0; i < ARRAY_SIZE(set); i++)
			assert_int_equal(field(vcpu, set[i].offset, set[i].size), set[i].value);
		assert_int_equal(svm_control_get(vcpu, CTL_CR0), 0x10 | cd_nw);
		assert_int_equal(field(vcpu, 0x05c, 1), 1);	/* translations of the time before */
		assert_int_equal(fake_msr(MSR_TSC_AUX)->value, 5);
		assert_int_equal(fpu_initial, 0);
		assert_int_equal(fake_cpu.cr[2], 0);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(fake_cpu.dr[i], 0);
		delete_vcpu(vcpu);
	}
}

static void a_power_up_resets_the_floating_point_unit(void **state)
{
	struct vcpu *vcpu;

	fpu_initial = 0;
	vcpu = reset_vcpu();
	assert_int_equal(fpu_initial, 1);
	delete_vcpu(vcpu);
}

/* DR0 to DR3 and TSC_AUX, which VMRUN does not switch; TSC_AUX by what the processor has. */
static void live_registers_are_loaded_and_saved(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct vcpu *vcpu = reset_vcpu();
		struct vcpu_svm *svm = to_svm(vcpu);

		cpu_features.rdtscp = i;
		svm->tsc_aux = 0x5555;
		for (unsigned n = 0; n < 4; n++)
			svm->dr[n] = 0x1000 + n;
		svm->vmcb->save.cr2 = 0xdead0000;
		fake_msr(MSR_TSC_AUX)->value = 0x7777;
		fpu_saved = fpu_restored = 0;
		svm_vcpu_load(vcpu);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(fake_cpu.dr[n], 0x1000 + n);
		assert_int_equal(fake_msr(MSR_TSC_AUX)->value, i ? 0x5555 : 0x7777);
		assert_int_equal(fake_cpu.cr[2], 0xdead0000);	/* see svm_control_set() */
		assert_int_equal(fpu_restored, 1);

		for (unsigned n = 0; n < 4; n++)
			fake_cpu.dr[n] = 0x2000 + n;
		fake_msr(MSR_TSC_AUX)->value = 0x6666;
		svm_vcpu_put(vcpu);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(svm->dr[n], 0x2000 + n);
		assert_int_equal(svm->tsc_aux, i ? 0x6666 : 0x5555);
		assert_int_equal(fpu_saved, 1);
		assert_int_equal(vm_switched_to, vm.id);
		delete_vcpu(vcpu);
	}
}

/* "VMCB Clean Field": what the processor keeps of a VMCB counts on the CPU that ran it last, and nowhere else. */
static void clean_bits_count_on_one_cpu(void **state)
{
	struct vcpu *vcpu = reset_vcpu();
	struct vcpu_svm *svm = to_svm(vcpu);

	cpu.host_vmcb_pa = 0x777000;
	svm->vmcb->control.clean = CLEAN_ALL;
	svm_vcpu_load(vcpu);
	assert_int_equal(field(vcpu, 0x0c0, 4), 0);
	assert_int_equal(svm->host_vmcb_pa, 0x777000);
	svm->vmcb->control.clean = CLEAN_ALL;
	svm->vmcb->control.tlb_control = TLB_KEEP;
	svm_vcpu_put(vcpu);
	svm_vcpu_load(vcpu);
	assert_int_equal(field(vcpu, 0x0c0, 4), CLEAN_ALL);
	svm_vcpu_put(vcpu);
	svm_vcpu_release(vcpu);
	cpu.host_vmcb_pa = 0x888000;
	svm_vcpu_load(vcpu);
	assert_int_equal(field(vcpu, 0x0c0, 4), 0);
	assert_int_equal(svm->host_vmcb_pa, 0x888000);
	delete_vcpu(vcpu);
}

/* "TLB Control": 1 flushes all ASIDs. Until an entry has done so, the next vCPU here must ask for it. */
static void asids_are_the_cpus(void **state)
{
	struct vcpu *vcpu = reset_vcpu();
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vcpu_svm second = *svm;
	struct vmcb *vmcb = aligned_alloc(PAGE_SIZE, PAGE_SIZE);

	*vmcb = *svm->vmcb;
	second.vmcb = vmcb;
	svm->vmcb->control.tlb_control = vmcb->control.tlb_control = TLB_KEEP;
	svm_features.asids = 3;

	svm_vcpu_load(vcpu);			/* the first of this CPU: the ids begin */
	assert_int_equal(field(vcpu, 0x058, 4), 1);
	assert_int_equal(field(vcpu, 0x05c, 1), 1);
	svm_vcpu_put(vcpu);			/* it has not entered */
	svm_vcpu_load(&second.vcpu);
	assert_int_equal(vmcb->control.asid, 2);
	assert_int_equal(vmcb->control.tlb_control, 1);
	vmcb->control.tlb_control = TLB_KEEP;	/* it has entered */
	vmcb->control.clean = CLEAN_ALL;
	svm_vcpu_put(&second.vcpu);
	svm_vcpu_load(&second.vcpu);		/* its ASID is still valid */
	assert_int_equal(vmcb->control.asid, 2);
	assert_int_equal(vmcb->control.tlb_control, TLB_KEEP);
	assert_int_equal(vmcb->control.clean, CLEAN_ALL);
	svm_vcpu_put(&second.vcpu);

	svm->tlb_id = (struct tlb_id){ 0 };	/* as of a third one */
	svm->vmcb->control.tlb_control = TLB_KEEP;
	svm->vmcb->control.clean = CLEAN_ALL;
	svm_vcpu_load(vcpu);			/* 3 ASIDs are 0, 1 and 2: they begin anew */
	assert_int_equal(field(vcpu, 0x058, 4), 1);
	assert_int_equal(field(vcpu, 0x05c, 1), 1);
	assert_int_equal(field(vcpu, 0x0c0, 4), CLEAN_ALL & ~BIT(2));
	free(vmcb);
	delete_vcpu(vcpu);
}

/* "Pause Intercept Filtering": intercept bit 23, count at 3Eh, threshold at 3Ch. Without the filter never. */
static void pause_loops_exit_on_demand(void **state)
{
	for (unsigned has = 0; has < 3; has++) {
		struct vcpu *vcpu = reset_vcpu();

		svm_features.pause_filter = has > 0;
		svm_features.pause_threshold = has > 1;
		assert_int_equal(field(vcpu, 0x00c, 4) & BIT(23), 0);
		for (unsigned resets = 0; resets < 2; resets++) {
			to_svm(vcpu)->vmcb->control.clean = CLEAN_ALL;
			svm_pause_exits(vcpu, true);
			assert_int_equal(field(vcpu, 0x0c0, 4) & BIT(0), 0);
			if (resets)
				svm_vcpu_reset(vcpu, true);	/* the scheduler's wish outlives an INIT */
			assert_int_equal(field(vcpu, 0x00c, 4) & BIT(23), has ? BIT(23) : 0);
			assert_int_equal(field(vcpu, 0x03e, 2), has ? 3000 : 0);
			assert_int_equal(field(vcpu, 0x03c, 2), has > 1 ? 128 : 0);
		}
		svm_pause_exits(vcpu, false);
		assert_int_equal(field(vcpu, 0x00c, 4) & BIT(23), 0);
		delete_vcpu(vcpu);
	}
}

static void a_requested_flush_happens_at_the_next_entry(void **state)
{
	struct vcpu *vcpu = reset_vcpu();

	svm_features.flush_by_asid = true;
	to_svm(vcpu)->vmcb->control.tlb_control = TLB_KEEP;
	svm_flush_translations(vcpu);
	assert_int_equal(field(vcpu, 0x05c, 1), 3);
	delete_vcpu(vcpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(svm_is_switched_on_before_the_host_is_saved, set_up),
		fake_cpu_test_setup(switching_off_undoes_it, set_up),
		fake_cpu_test_setup(init_is_redirected_where_it_can_be, set_up),
		fake_cpu_test_setup(svm_is_allowed_where_the_firmware_has_no_lock, set_up),
		fake_cpu_test_setup(without_memory_the_cpu_is_left_alone, set_up),
		fake_cpu_test_setup(firmware_may_refuse, set_up),
		fake_cpu_test_setup(bitmaps_intercept_everything_at_first, set_up),
		fake_cpu_test_setup(a_vm_that_gets_no_memory_leaves_none_behind, set_up),
		fake_cpu_test_setup(msrs_have_their_bits, set_up),
		fake_cpu_test_setup(msrs_that_the_map_lacks_stay_intercepted, set_up),
		fake_cpu_test_setup(passthrough_adds_to_what_there_is, set_up),
		fake_cpu_test_setup(nested_pages_are_open_to_the_guest, set_up),
		fake_cpu_test_setup(a_vcpu_is_a_page_and_a_vmcb, set_up),
		fake_cpu_test_setup(a_vcpu_that_gets_no_memory_leaves_none_behind, set_up),
		fake_cpu_test_setup(the_vmcb_at_power_up, set_up),
		fake_cpu_test_setup(what_a_guest_reads_at_power_up, set_up),
		fake_cpu_test_setup(the_hosts_cr4_mce_is_in_force_at_power_up, set_up),
		fake_cpu_test_setup(power_up_keeps_a_flush_that_is_pending, set_up),
		fake_cpu_test_setup(a_vcpu_has_its_own_spec_ctrl, set_up),
		fake_cpu_test_setup(init_keeps_what_the_manual_says, set_up),
		fake_cpu_test_setup(a_power_up_resets_the_floating_point_unit, set_up),
		fake_cpu_test_setup(live_registers_are_loaded_and_saved, set_up),
		fake_cpu_test_setup(clean_bits_count_on_one_cpu, set_up),
		fake_cpu_test_setup(asids_are_the_cpus, set_up),
		fake_cpu_test_setup(pause_loops_exit_on_demand, set_up),
		fake_cpu_test_setup(a_requested_flush_happens_at_the_next_entry, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
