/* SPDX-License-Identifier: MIT */
/*
 * The information of Multiboot2 and Multiboot1 boot loaders, and what is read out of it: Lamina's own
 * options and the modules' command lines. The input's first byte says which of the two follows.
 */
/* link: arch/bootinfo/efi.c arch/bootinfo/memory_map.c arch/bootinfo/multiboot1.c arch/bootinfo/option.c core/load/config.c */
/* link: core/load/config_devices.c lib/cpu_set.c */
/* link: lib/keyval.c lib/string.c */
#include "arch/mem/mapping.h"
#include "tests/fuzz/fuzz.h"

/* Included, not linked, for access to its copy of the block. */
#include "arch/bootinfo/bootinfo.c"
#include "arch/mem/memory.h"
#include "arch/bootinfo/option.h"
#include "core/load/config.h"
#include "lib/keyval.h"
#include "lib/log.h"
#include "lib/multiboot.h"

#include <sanitizer/asan_interface.h>

void *phys_window(unsigned slot, hpa_t pa, u64 size) { return NULL; }
void phys_window_close(unsigned slot) { }
void memory_add(hpa_t start, u64 size) { }

const char image_start[1], image_end[1];
hpa_t image_to_phys(const void *p) { return p == image_start ? MIB(1) : MIB(1) + 0x5000; }
void log_set_level(enum log_level level) { }

/* One option that takes anything, and one that is a choice, beside that of arch/bootinfo/option.c. */
static int set_any(struct str_view value)
{
	char text[64];
	u64 number;

	str_view_copy(text, value, sizeof(text));
	fuzz_assert(memchr(text, 0, sizeof(text)));
	return parse_size_view(value, &number) ? parse_u64_view(value, &number) : 0;
}
extern const struct option options_start[], options_end[];
__asm__(".globl options_start, options_end\n.set options_start, fuzz_options\n"
	".set options_end, fuzz_options + 80");
static u32 chosen;
__attribute__((used, no_sanitize("address"))) const struct option fuzz_options[2] = {
	{ "any", "VALUE", "anything", set_any },
	{ "of", "a|bc|d", "one of three", .choice = &chosen },
};
_Static_assert(sizeof(fuzz_options) == 80, "options_end");

/* The end of the memory that early_map() reaches: a string there may extend up to the end. */
static u8 memory[KIB(512)] __aligned(8);
#define BASE (EARLY_MEMORY - sizeof(memory))

const void *early_map(hpa_t pa, u64 size)
{
	return pa >= BASE && pa < EARLY_MEMORY && size <= EARLY_MEMORY - pa ? memory + (pa - BASE) : NULL;
}

static void check_info(void)
{
	fuzz_assert(chosen < 3);
	fuzz_assert(boot_info.modules <= BOOT_MAX_MODULES);
	fuzz_assert(boot_info.memory_pieces <= BOOT_MAX_MEMORY);
	for (unsigned i = 0; i < boot_info.modules; i++) {
		const struct boot_module *m = &boot_info.module[i];

		fuzz_assert(!m->size || m->start + m->size <= MIB(1) || m->start >= MIB(1) + 0x5000);
		for (unsigned j = 0; j < i; j++) {
			const struct boot_module *other = &boot_info.module[j];

			fuzz_assert(!m->size || !other->size || m->start + m->size <= other->start ||
				    other->start + other->size <= m->start);
		}
		log_info("%s", m->string);
	}
	log_info("%s %s", boot_info.loader_name, boot_info.command_line);
	if (boot_info.rsdp)
		free(fuzz_copy(boot_info.rsdp, boot_info.rsdp_size));
}

static void check_config(const struct config *config)
{
	fuzz_assert(config->vm_count <= VM_CONFIG_MAX);
	for (u32 i = 0; i < config->vm_count; i++) {
		const struct vm_config *vm = &config->vms[i];

		log_info("%s %s %s", vm->name, vm->kernel.string, vm->kernel.name);
		fuzz_assert(vm->kernel.index < (int)boot_info.modules &&
			    vm->initrd < (int)boot_info.modules);
		fuzz_assert(!vm->valid || (vm->kernel.index >= 0 && vm->vcpus && vm->memory));
		fuzz_assert(vm->kernel.index < 0 || vm->kernel.index != vm->initrd);
		fuzz_assert(vm->disk_count <= VM_MAX_DISKS && vm->net_count <= VM_MAX_NETS);
		for (u32 n = 0; vm->valid && n < vm->disk_count; n++)
			fuzz_assert(vm->disks[n]->image ? vm->disks[n]->image->size > 0 : vm->disks[n]->size > 0);
		for (u32 n = 0; vm->valid && n < vm->net_count; n++)
			fuzz_assert(vm->nets[n]->name[0] && !(vm->nets[n]->mac[0] & 1));
	}
}

/* Of Lamina's copy only the bytes that were copied may be read. */
static void poison_rest_of_copy(void)
{
	u32 total;

	memcpy(&total, memory, 4);
	if (total <= sizeof(block))
		ASAN_POISON_MEMORY_REGION(block + ALIGN_UP(total, 8), sizeof(block) - ALIGN_UP(total, 8));
}

void fuzz_one(const u8 *data, size_t size)
{
	static struct config config;
	bool multiboot1;

	if (size < 9)
		return;
	multiboot1 = data[0] & 1;
	memcpy(memory, data + 1, size - 1);
	boot_info = (struct boot_info) { 0 };
	ASAN_UNPOISON_MEMORY_REGION(block, sizeof(block));
	if (!multiboot1)
		poison_rest_of_copy();
	if (boot_info_init(multiboot1 ? MB1_BOOT_MAGIC : 0, BASE) == 0) {
		check_info();
		options_apply(boot_info.command_line, boot_info.file_names);
		config_parse(&boot_info, &config);
		check_config(&config);
	}
	memset(memory, 0, size);
}

/* --- a block --- */

static u8 page[4096];
static size_t end;

static void tag(u32 type, const void *fixed, u32 fixed_size, const char *text)
{
	u32 head[2] = { type, 8 + fixed_size + (text ? (u32)strlen(text) + 1 : 0) };

	memcpy(page + end, head, 8);
	memcpy(page + end + 8, fixed, fixed_size);
	if (text)
		strcpy((char *)page + end + 8 + fixed_size, text);
	end += ALIGN_UP(head[1], 8);
}

static void make_multiboot2(unsigned which)
{
	static const char *const lines[] = {
		"vm=web role=kernel mem=512M vcpus=1 limit=5 -- console=ttyS0 \"a b\"", "vm=web role=initrd",
		"", "/boot/kernel mem=12Q", "\"vm=a\" \"b", "role=initrd", "vm=a -- x=\\\"y", "colour=red",
		"vm=web role=module file=a/b -- c",
		"vm=db role=kernel vcpus=4 cpus=0,2-3,250-255 onreset=stop", "vm=db cpus=5-,-1,256 onreset=restart",
		"vm=web disk=root,cow=64M disk=ram,size=1M net=lan,mac=52:54:00:00:00:01,trunk", "role=disk name=root",
		"vm=db disk=root,ro net=lan net=lan,mac=02:0 pci=none", "role=disk name=ram -- x",
	};
	static const struct {
		u32 entry_size, version;
		struct mb2_memory_entry entry[2];
	} map = { 24, 0, { { 0, 0x9f000, 1, 0 }, { 0x100000, 0x7ff00000, 1, 0 } } };

	end = 8;
	tag(MB2_TAG_CMDLINE, "", 0, "any=12M loglevel=debug \"any=\\\"1\" x --");
	tag(MB2_TAG_LOADER_NAME, "", 0, "GRUB 2.06");
	for (u32 i = 0; i < 6; i++) {
		u32 place[2] = { 0x200000 + i * 0x1000, 0x200800 + i * 0x1000 };

		tag(MB2_TAG_MODULE, place, 8, lines[(i * (which | 1) + which / 8) % ARRAY_SIZE(lines)]);
	}
	tag(MB2_TAG_MEMORY_MAP, &map, sizeof(map), NULL);
	tag(MB2_TAG_RSDP_OLD, page + 4000, 20, NULL);
	tag(MB2_TAG_RSDP_NEW, page + 4000, 36, NULL);
	tag(MB2_TAG_FRAMEBUFFER, page + 4000, 24, NULL);
	tag(MB2_TAG_END, "", 0, NULL);
}

static u32 text(const char *words)
{
	size_t at = end;

	strcpy((char *)page + at, words);
	end += strlen(words) + 1;
	return (u32)(BASE + at);
}

static void make_multiboot1(void)
{
	struct mb1_info info = { .flags = 0x24c };
	struct mb1_memory_entry map[] = { { 20, 0, 0x9f000, 1 }, { 20, 0x100000, 0x7ff00000, 1 } };
	struct mb1_module module[3] = { 0 };

	end = sizeof(info);
	info.cmdline = text("/lamina.elf any=1 loglevel=info");
	info.boot_loader_name = text("qemu");
	info.mods_count = ARRAY_SIZE(module);
	for (u32 i = 0; i < ARRAY_SIZE(module); i++) {
		module[i].mod_start = 0x200000 + i * 0x1000;
		module[i].mod_end = 0x200800 + i * 0x1000;
		module[i].string = text("/vmlinuz vm=a role=kernel -- quiet");
	}
	end = ALIGN_UP(end, 8);
	info.mods_addr = (u32)(BASE + end);
	memcpy(page + end, module, sizeof(module));
	end += sizeof(module);
	info.mmap_addr = (u32)(BASE + end);
	info.mmap_length = sizeof(map);
	memcpy(page + end, map, sizeof(map));
	end += sizeof(map);
	memcpy(page, &info, sizeof(info));
}

size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	memset(page, 0, sizeof(page));
	if (which & 1)
		make_multiboot1();
	else
		make_multiboot2(which / 2);
	end = MIN(end + 1, max);
	data[0] = which & 1;
	memcpy(data + 1, page, end - 1);
	fuzz_repair(data, end);
	return end;
}

/* Multiboot2's total size. */
void fuzz_repair(u8 *data, size_t size)
{
	u32 total = (u32)size - 1;

	if (size >= 9 && !(data[0] & 1))
		memcpy(data + 1, &total, 4);
}
