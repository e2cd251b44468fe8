/* SPDX-License-Identifier: MIT */
/*
 * Which microcode update is chosen from a file, and how it is loaded. Intel SDM, "Microcode Update Facilities": the
 * header, the extended signature table, the checksums, MSRs 17h, 79h and 8Bh; AMD: containers, MSRC001_0020.
 */
/* link: lib/microcode.c boot/microcode.c lib/log.c tests/unit/fake_cpu.c */
#include "tests/unit/fake_cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/identity.h"
#include "boot/microcode.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/microcode.h"
#include "tests/unit/microcode_files.h"

#define SKYLAKE 0x50654u
#define ZEN2	0x830f10u

static u8 bytes[65536], inner[32768];
static struct made_file file;
static struct microcode_update found;

static int set_up(void **state)
{
	file = (struct made_file){ .bytes = bytes, .max = sizeof(bytes) };
	return 0;
}

/* In a block of its own, so that an access behind its end is noticed. */
static int find_in(const u8 *data, size_t size, const struct microcode_cpu *cpu)
{
	u8 *copy = malloc(size ? size : 1);
	int error;

	memcpy(copy, data, size);
	error = microcode_find(copy, size, cpu, &found);
	if (found.data) {
		assert_in_range((size_t)(found.data - copy), 0, size);
		assert_in_range(found.size, 1, size - (size_t)(found.data - copy));
		found.data = data + (found.data - copy);
	}
	free(copy);
	return error;
}

static int find(const struct microcode_cpu *cpu)
{
	return find_in(bytes, file.size, cpu);
}

static int find_intel(u32 signature, u32 platform, u32 revision)
{
	return find(&(struct microcode_cpu){ .signature = signature, .platform = platform, .revision = revision });
}

static int find_amd(u32 signature, u32 revision)
{
	return find(&(struct microcode_cpu){ .amd = true, .signature = signature, .revision = revision });
}

/* --- Intel --- */

static void the_newest_for_the_processor(void **state)
{
	u8 *newest;

	add_intel(&file, SKYLAKE, 0x97, 0x2006e05, 2000, 0);
	newest = add_intel(&file, SKYLAKE, 0x97, 0x2007006, 3024, 0);
	add_intel(&file, SKYLAKE, 0x97, 0x2006906, 976, 0);
	add_intel(&file, SKYLAKE + 1, 0x97, 0x9000000, 976, 0);
	add_intel(&file, SKYLAKE, 0x08, 0x9000000, 976, 0);	/* another platform */
	assert_int_equal(find_intel(SKYLAKE, 0x80, 0x2000000), 0);
	assert_ptr_equal(found.data, newest);
	assert_int_equal(found.size, 3072);
	assert_int_equal(found.revision, 0x2007006);
	assert_int_equal(find_intel(SKYLAKE, 0x80, 0x2007005), 0);
	assert_int_equal(find_intel(SKYLAKE, 0x80, 0x2007006), -EEXIST);
	assert_int_equal(found.revision, 0x2007006);
	assert_int_equal(find_intel(SKYLAKE, 0x80, 0x2007007), -EEXIST);
	assert_int_equal(find_intel(SKYLAKE, 0x08, 0), 0);
	assert_int_equal(found.revision, 0x9000000);
	assert_int_equal(find_intel(SKYLAKE, 0x20, 0), -ENOENT);
	assert_int_equal(find_intel(0x50653, 0x80, 0), -ENOENT);
	assert_int_equal(find_amd(SKYLAKE, 0), -ENOENT);
}

/* A data size of 0 means 2000 bytes, and a total of 2048. */
static void the_old_size(void **state)
{
	u8 *at = add_intel(&file, 0x683, 1, 5, 2000, 0);

	put32(at + 28, 0);
	put32(at + 32, 0);
	put32(at + 16, 0);
	put32(at + 16, negative_sum(at, 2048));
	assert_int_equal(find_intel(0x683, 1, 0), 0);
	assert_int_equal(found.size, 2048);
}

static void extended_signatures(void **state)
{
	u8 *at = add_intel(&file, SKYLAKE, 1, 7, 2000, 3), *table = at + 2048;

	for (u32 i = 0; i < 3; i++)
		assert_int_equal(find_intel(SKYLAKE + 1 + i, 2, 0), 0);
	assert_int_equal(found.size, 2048 + 20 + 36);
	assert_int_equal(find_intel(SKYLAKE, 1, 0), 0);
	assert_int_equal(find_intel(SKYLAKE + 1, 1, 0), -ENOENT);	/* the platforms are the entry's own */
	assert_int_equal(find_intel(SKYLAKE + 4, 2, 0), -ENOENT);

	/* An entry that is wrong, in a table that is right. */
	put32(table + 20 + 8, read32(table + 20 + 8) + 1);
	put32(table + 4, 0);
	put32(table + 4, negative_sum(table, 56));
	put32(at + 16, 0);
	assert_int_equal(find_intel(SKYLAKE + 1, 2, 0), -ENOENT);
	/* More entries than there is room for. */
	put32(table, 4);
	put32(table + 4, 0);
	put32(table + 4, negative_sum(table, 56));
	assert_int_equal(find_intel(SKYLAKE + 2, 2, 0), -ENOENT);
	put32(table, 0x15555556);			/* times 12 is 8 */
	assert_int_equal(find_intel(SKYLAKE + 2, 2, 0), -ENOENT);
}

static void a_wrong_checksum_is_damage(void **state)
{
	u8 *good = add_intel(&file, SKYLAKE, 1, 7, 976, 0), *bad = add_intel(&file, SKYLAKE, 1, 9, 976, 0);

	bad[100] ^= 1;
	assert_int_equal(find_intel(SKYLAKE, 1, 0), 0);
	assert_ptr_equal(found.data, good);
	good[200] ^= 1;
	assert_int_equal(find_intel(SKYLAKE, 1, 0), -EINVAL);
	assert_int_equal(find_intel(SKYLAKE + 1, 1, 0), -ENOENT);
}

static void impossible_headers(void **state)
{
	static const struct {
		u32 at, value;
	} rows[] = {
		{ 0, 2 }, { 20, 2 }, { 28, 977 }, { 28, 980 }, { 28, 0xfffffff0 }, { 32, 1028 }, { 32, 1022 }, { 32, 44 },
		{ 32, 0 }, { 32, 0xfffffffc },
	};

	/* With right sums, so that it is the header that is judged. */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		u8 *at;

		set_up(NULL);
		at = add_intel(&file, SKYLAKE, 1, 7, 976, 0);
		put32(at + rows[i].at, rows[i].value);
		put32(at + 16, 0);
		put32(at + 16, negative_sum(at, rows[i].at == 32 ? MIN(rows[i].value, 1024u) : 1024));
		assert_int_equal(find_intel(SKYLAKE, 1, 0), -EINVAL);
	}
	for (u32 size = 0; size < 1024; size++) {	/* cut off */
		set_up(NULL);
		add_intel(&file, SKYLAKE, 1, 7, 976, 0);
		file.size = size;
		assert_int_equal(find_intel(SKYLAKE, 1, 0), -EINVAL);
	}
}

/* --- AMD --- */

static void the_newest_patch_of_the_equivalent_processor(void **state)
{
	u8 *newest;

	add_amd_table(&file, ZEN2, 3);
	add_amd_patch(&file, 0x8010, 0x8301034, 3200);
	newest = add_amd_patch(&file, 0x8010, 0x830107c, 3200);
	add_amd_patch(&file, 0x8011, 0x8309999, 3200);
	add_amd_patch(&file, 0x8110, 0x8309999, 3200);
	add_amd_patch(&file, 0x0010, 0x8309999, 3200);
	add_amd_patch(&file, 0, 0x8309999, 3200);
	add_amd_patch(&file, 1, 0x8309999, 3200);
	add_amd_patch(&file, 0x8010, 0x830107c, 3000);		/* the first of the newest */
	assert_int_equal(find_amd(ZEN2, 0x8301000), 0);
	assert_ptr_equal(found.data, newest);
	assert_int_equal(found.size, 3200);
	assert_int_equal(found.revision, 0x830107c);
	assert_int_equal(find_amd(ZEN2, 0x830107c), -EEXIST);
	assert_int_equal(find_amd(ZEN2 + 1, 0), 0);
	assert_int_equal(found.revision, 0x8309999);
	assert_int_equal(find_amd(ZEN2 + 2, 0), -ENOENT);	/* in the table, without a patch */
	assert_int_equal(find_amd(ZEN2 + 3, 0), -ENOENT);
	assert_int_equal(find_intel(ZEN2, 1, 0), -ENOENT);
}

static void several_containers(void **state)
{
	add_amd_table(&file, 0x100f42, 1);
	add_amd_patch(&file, 0x8010, 0x10000db, 960);
	add_amd_table(&file, ZEN2, 1);
	add_amd_patch(&file, 0x8010, 0x830107c, 3200);
	assert_int_equal(find_amd(0x100f42, 0), 0);
	assert_int_equal(found.revision, 0x10000db);		/* numbers are a container's own */
	assert_int_equal(find_amd(ZEN2, 0), 0);
	assert_int_equal(found.revision, 0x830107c);
}

static void patches_for_firmware_are_left_alone(void **state)
{
	add_amd_table(&file, ZEN2, 1);
	put32(add_amd_patch(&file, 0x8010, 9, 100) + 16, 1);	/* northbridge */
	put32(add_amd_patch(&file, 0x8010, 9, 100) + 20, 1);	/* southbridge */
	add_amd_patch(&file, 0x8010, 9, 63);			/* no room for the header */
	assert_int_equal(find_amd(ZEN2, 0), -ENOENT);
	add_amd_patch(&file, 0x8010, 9, 64);
	assert_int_equal(find_amd(ZEN2, 0), 0);
}

static void damaged_containers(void **state)
{
	size_t size;

	add_amd_table(&file, ZEN2, 1);
	add_amd_patch(&file, 0x8010, 9, 100);
	size = file.size;
	for (file.size = 0; file.size < size; file.size++)	/* it may end behind its table */
		assert_int_equal(find_amd(ZEN2, 0), file.size == 44 ? -ENOENT : -EINVAL);
	put32(bytes + 44 + 4, 0xffffffff);
	assert_int_equal(find_amd(ZEN2, 0), -EINVAL);
	put32(bytes + 8, 0xfffffff0);
	assert_int_equal(find_amd(ZEN2, 0), -EINVAL);
	set_up(NULL);
	add_amd_table(&file, ZEN2, 1);
	add_amd_patch(&file, 0x8010, 9, 100);
	assert_int_equal(find_amd(ZEN2, 0), 0);
	put32(bytes + 4, 1);
	assert_int_equal(find_amd(ZEN2, 0), -EINVAL);
}

/* The last entry need not be the empty one. */
static void a_table_that_ends_without_a_mark(void **state)
{
	add_amd_table(&file, ZEN2, 1);
	put32(bytes + 8, 16);
	file.size -= 16;
	add_amd_patch(&file, 0x8010, 9, 100);
	assert_int_equal(find_amd(ZEN2, 0), 0);
	assert_int_equal(find_amd(ZEN2 + 1, 0), -ENOENT);
}

/* --- cpio --- */

static void linux_archives(void **state)
{
	struct made_file intel = { .bytes = inner, .max = 8192 }, amd = { .bytes = inner + 8192, .max = 8192 };
	u8 *in_archive;

	add_intel(&intel, SKYLAKE, 1, 7, 976, 0);
	add_amd_table(&amd, ZEN2, 1);
	add_amd_patch(&amd, 0x8010, 9, 101);
	add_cpio(&file, "kernel", NULL, 0);
	add_cpio(&file, "kernel/x86/microcode/README", "odd", 3);
	add_cpio(&file, "of 0xfa bytes", inner, 0xfa);
	memcpy(add_cpio(&file, "in capitals", inner, 0xbad) - 124 + 54, "00000BAD", 8);
	add_cpio(&file, "kernel/x86/microcode/AuthenticAMD.bin", amd.bytes, (u32)amd.size);
	in_archive = add_cpio(&file, "kernel/x86/microcode/GenuineIntel.bin", intel.bytes, (u32)intel.size);
	assert_int_equal(find_intel(SKYLAKE, 1, 0), 0);
	assert_ptr_equal(found.data, in_archive);
	assert_int_equal(found.size, 1024);
	assert_int_equal(find_amd(ZEN2, 0), 0);
	assert_int_equal(found.size, 101);

	/* The rest is the compressed initramfs, at the end of which nobody looks. */
	set_up(NULL);
	add_cpio(&file, "kernel/x86/microcode/AuthenticAMD.bin", amd.bytes, (u32)amd.size);
	add_cpio(&file, "TRAILER!!!", NULL, 0);
	memcpy(append(&file, 512), "\x1f\x8b\x08", 3);
	assert_int_equal(find_amd(ZEN2, 0), 0);
	assert_int_equal(find_intel(SKYLAKE, 1, 0), -ENOENT);
}

static void damaged_archives(void **state)
{
	u8 *header = bytes;
	size_t size;

	add_cpio(&file, "a", "1234", 4);
	size = file.size;
	for (file.size = 0; file.size < size; file.size++)
		assert_int_not_equal(find_intel(SKYLAKE, 1, 0), 0);
	memcpy(header + 54, "ffffffff", 8);		/* the file's size */
	assert_int_equal(find_intel(SKYLAKE, 1, 0), -EINVAL);
	memcpy(header + 54, "0000000g", 8);
	assert_int_equal(find_intel(SKYLAKE, 1, 0), -EINVAL);
	memcpy(header + 54, "00000004", 8);
	memcpy(header + 94, "FFFFFFFF", 8);		/* the name's */
	assert_int_equal(find_intel(SKYLAKE, 1, 0), -EINVAL);
	memcpy(header + 94, "00000000", 8);
	assert_int_equal(find_intel(SKYLAKE, 1, 0), -ENOENT);
}

static void other_files(void **state)
{
	static const char *const others[] = { "", "abc", "\x1f\x8b\x08\x00", "\x7f""ELF\x02\x01\x01", "PK\x03\x04" };

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		const struct microcode_cpu cpu = { .signature = SKYLAKE };

		assert_int_equal(find_in((const u8 *)others[i], strlen(others[i]), &cpu), -EINVAL);
	}
}

/* --- loading --- */

struct cpu_features cpu_features;

static u32 signature, revision;
static unsigned pages, page_limit = 100;
static bool refuses;
static char said[2048];

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs){ .eax = leaf == 1 ? signature : 0 };
}

void *pages_alloc(unsigned order)
{
	if (pages >= page_limit)
		return NULL;
	pages++;
	return aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);
}

void pages_free(void *block, unsigned order)
{
	pages--;
	free(block);
}

/* The revision is the kept file's when it was loaded. */
u32 cpu_microcode_read(void)
{
	u32 msr = cpu_features.vendor == CPU_VENDOR_AMD ? 0xc0010020 : 0x79;

	return !refuses && fake_msr(msr)->writes ? microcode_offered() : revision;
}

static void keep_text(struct log_console *to, const char *text, size_t length)
{
	strncat(said, text, MIN(length, sizeof(said) - 1 - strlen(said)));
}

static struct log_console console = { .write = keep_text };

static void be(enum cpu_vendor vendor, u32 its_signature, u32 its_revision)
{
	fake_cpu_reset();
	cpu_features = (struct cpu_features){ .vendor = vendor };
	signature = its_signature;
	revision = its_revision;
	fake_msr(vendor == CPU_VENDOR_AMD ? 0xc0010020 : 0x79);
	fake_msr(0x17)->value = 5ull << 50;		/* platform id 5 */
	memset(said, 0, sizeof(said));
	set_up(NULL);
}

/* One test for the whole life: what is kept stays. */
static void an_update_is_kept_and_loaded(void **state)
{
	const struct privileged_step *load;

	log_add_console(&console);
	be(CPU_VENDOR_INTEL, SKYLAKE, 0x10);
	assert_false(microcode_load());			/* nothing is kept */
	microcode_offer("no", 2, "module 1");
	assert_non_null(strstr(said, "warning: microcode: module 1 is damaged, or none of"));
	add_intel(&file, SKYLAKE, 1 << 4, 0x20, 976, 0);
	microcode_offer(bytes, file.size, "module 2");
	assert_non_null(strstr(said, "module 2 has none for this processor (signature 0x50654, platform 0x20)"));
	set_up(NULL);
	add_intel(&file, SKYLAKE, 1 << 5, 0x10, 976, 0);
	microcode_offer(bytes, file.size, "module 3");
	assert_non_null(strstr(said, "module 3 has revision 0x10, this processor has 0x10"));
	assert_int_equal(microcode_offered(), 0);

	set_up(NULL);
	append(&file, 4);				/* not aligned in the file, but in the copy */
	file.bytes += 4;
	file.size = 0;
	add_intel(&file, SKYLAKE, 1 << 5, 0x20, 9968, 0);
	page_limit = 0;
	microcode_offer(file.bytes, file.size, "module 4");
	assert_non_null(strstr(said, "no memory for the 10016 bytes of revision 0x20"));
	page_limit = 100;
	microcode_offer(file.bytes, file.size, "module 4");
	assert_int_equal(microcode_offered(), 0x20);
	add_intel(&file, SKYLAKE, 1 << 5, 0x30, 9968, 0);
	microcode_offer(file.bytes, file.size, "module 5");
	assert_int_equal(microcode_offered(), 0x30);	/* the newer one replaces it */
	microcode_offer(file.bytes, 10016, "module 4");
	assert_int_equal(microcode_offered(), 0x30);
	assert_int_equal(pages, 1);

	/* SDM, "Microcode Update Loader": the address of the data, aligned to 16 bytes, in 79h. */
	fake_cpu.step_count = 0;
	assert_true(microcode_load());
	assert_int_equal(fake_cpu_count(DO_WRMSR), 1);
	assert_int_equal(fake_cpu_count(DO_WBINVD), 1);
	load = fake_cpu_step(DO_WRMSR, 0);
	assert_int_equal(load->number, 0x79);
	assert_int_equal(load->value % 16, 0);
	assert_memory_equal((const u8 *)load->value - 48, file.bytes + 10016, 10016);
	assert_false(microcode_load());			/* it has it now */
	assert_int_equal(fake_cpu_count(DO_WRMSR), 1);

	/* Another stepping, and another platform, in the same machine. */
	be(CPU_VENDOR_INTEL, SKYLAKE + 1, 0x10);
	assert_false(microcode_load());
	be(CPU_VENDOR_INTEL, SKYLAKE, 0x10);
	fake_msr(0x17)->value = 0;
	assert_false(microcode_load());
	assert_int_equal(fake_cpu_count(DO_WRMSR), 0);

	/* A processor that refuses it, with #GP or without. */
	be(CPU_VENDOR_INTEL, SKYLAKE, 0x10);
	refuses = true;
	assert_false(microcode_load());
	fake_msr(0x79)->write_faults = true;
	assert_false(microcode_load());
	refuses = false;

	be(CPU_VENDOR_AMD, ZEN2, 0x8301000);
	add_amd_table(&file, ZEN2, 1);
	add_amd_patch(&file, 0x8010, 0x830107c, 3200);
	microcode_offer(bytes, file.size, "module 6");
	assert_true(microcode_load());
	load = fake_cpu_step(DO_WRMSR, 0);
	assert_int_equal(load->number, 0xc0010020);
	assert_memory_equal((const u8 *)load->value, bytes + 44 + 8, 3200);
}

#define TEST(test) cmocka_unit_test_setup(test, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_newest_for_the_processor),
		TEST(the_old_size),
		TEST(extended_signatures),
		TEST(a_wrong_checksum_is_damage),
		TEST(impossible_headers),
		TEST(the_newest_patch_of_the_equivalent_processor),
		TEST(several_containers),
		TEST(patches_for_firmware_are_left_alone),
		TEST(damaged_containers),
		TEST(a_table_that_ends_without_a_mark),
		TEST(linux_archives),
		TEST(damaged_archives),
		TEST(other_files),
		TEST(an_update_is_kept_and_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
