/* SPDX-License-Identifier: MIT */
/* The ACPI tables as files for firmware: see table_loader.h. */
#include "dev/firmware/table_loader.h"

#include "core/mem/guest_mem.h"
#include "core/vm_alloc.h"
#include "dev/firmware/fw_cfg.h"
#include "dev/firmware/mp_table.h"
#include "lib/acpi_tables.h"
#include "lib/errno.h"
#include "lib/string.h"

#define RSDP   "etc/acpi/rsdp"
#define TABLES "etc/acpi/tables"

#define AREA_SIZE (MP_TABLE_ADDRESS - GUEST_RSDP_ADDRESS)
#define COMMANDS_MAX 32

enum { ALLOCATE = 1, ADD_POINTER, ADD_CHECKSUM };
enum { ZONE_HIGH = 1, ZONE_FSEG };	/* RAM below 4 GiB; the segment F000 */

/* All numbers are little-endian. */
struct loader_command {
	u32 kind;
	union {
		struct {
			char file[56];
			u32 alignment;
			u8 zone;
		} __packed allocate;
		struct {
			char file[56], pointee[56];
			u32 offset;
			u8 size;
		} __packed pointer;
		struct {
			char file[56];
			u32 offset, start, length;
		} __packed checksum;
		u8 reserved[124];
	};
} __packed;
_Static_assert(sizeof(struct loader_command) == 128, "a command of the table loader");

struct script {
	u8 *tables;	/* in the guest's RAM, from the RSDP on, where acpi_tables_write() has put them */
	u32 size;	/* bytes up to the end of the last table */
	struct loader_command *commands;
	u32 count;
};

static struct loader_command *next(struct script *script, u32 kind)
{
	struct loader_command *command = &script->commands[script->count++];

	command->kind = kind;
	return command;
}

static void allocate(struct script *script, const char *file, u32 alignment, u8 zone)
{
	struct loader_command *command = next(script, ALLOCATE);

	str_copy(command->allocate.file, file, sizeof(command->allocate.file));
	command->allocate.alignment = alignment;
	command->allocate.zone = zone;
}

/* A pointer into TABLES: it becomes an offset, to which the firmware adds the file's address. */
static u32 add_pointer(struct script *script, const char *file, void *pointer, u8 size)
{
	struct loader_command *command = next(script, ADD_POINTER);
	u32 offset;

	memcpy(&offset, pointer, sizeof(offset));
	offset -= GUEST_RSDP_ADDRESS;
	memcpy(pointer, &offset, sizeof(offset));
	str_copy(command->pointer.file, file, sizeof(command->pointer.file));
	str_copy(command->pointer.pointee, TABLES, sizeof(command->pointer.pointee));
	command->pointer.offset = (u32)((u8 *)pointer - script->tables);
	command->pointer.size = size;
	return offset;
}

static void add_checksum(struct script *script, const char *file, const void *start, u32 length, const void *checksum)
{
	struct loader_command *command = next(script, ADD_CHECKSUM);

	str_copy(command->checksum.file, file, sizeof(command->checksum.file));
	command->checksum.offset = (u32)((const u8 *)checksum - script->tables);
	command->checksum.start = (u32)((const u8 *)start - script->tables);
	command->checksum.length = length;
}

static void end_at_least(struct script *script, const void *end)
{
	script->size = MAX(script->size, (u32)((const u8 *)end - script->tables));
}

static struct acpi_header *table_at(struct script *script, u32 offset)
{
	struct acpi_header *table = (void *)(script->tables + offset);

	end_at_least(script, (u8 *)table + table->length);
	return table;
}

static void relocate_fadt(struct script *script, struct acpi_fadt *fadt)
{
	u32 facs = add_pointer(script, TABLES, &fadt->facs, sizeof(fadt->facs));

	end_at_least(script, script->tables + facs + sizeof(struct acpi_facs));
	table_at(script, add_pointer(script, TABLES, &fadt->dsdt, sizeof(fadt->dsdt)));
	add_pointer(script, TABLES, &fadt->x_dsdt, sizeof(fadt->x_dsdt));
	add_checksum(script, TABLES, fadt, fadt->header.length, &fadt->header.checksum);
}

/* The RSDT's entries have 4 bytes, the XSDT's 8. */
static void relocate_root(struct script *script, u32 offset, u8 width)
{
	struct acpi_header *root = table_at(script, offset);

	for (u32 at = sizeof(*root); at < root->length; at += width) {
		u32 entry = add_pointer(script, TABLES, (u8 *)root + at, width);
		struct acpi_header *table = table_at(script, entry);

		/* Its own pointers once. */
		if (width == sizeof(u64) && !memcmp(table->signature, "FACP", sizeof(table->signature)))
			relocate_fadt(script, (void *)table);
	}
	add_checksum(script, TABLES, root, root->length, &root->checksum);
}

static void relocate(struct script *script)
{
	struct acpi_rsdp *rsdp = (void *)script->tables;

	allocate(script, RSDP, 16, ZONE_FSEG);
	allocate(script, TABLES, FACS_ALIGNMENT, ZONE_HIGH);
	relocate_root(script, add_pointer(script, RSDP, &rsdp->rsdt, sizeof(rsdp->rsdt)), sizeof(u32));
	relocate_root(script, add_pointer(script, RSDP, &rsdp->xsdt, sizeof(rsdp->xsdt)), sizeof(u64));
	add_checksum(script, RSDP, rsdp, offsetof(struct acpi_rsdp, length), &rsdp->checksum);
	add_checksum(script, RSDP, rsdp, sizeof(*rsdp), &rsdp->extended_checksum);
}

/* Both files begin with the RSDP, so that all offsets count from there; the firmware needs only the first one's. */
int table_loader_offer(struct vm *vm, struct fw_cfg *fw_cfg)
{
	struct script script = {
		.tables = guest_ptr(vm, GUEST_RSDP_ADDRESS, AREA_SIZE),
		.commands = vm_alloc(vm, COMMANDS_MAX * sizeof(struct loader_command)),
	};
	u8 *copy;
	int error;

	if (!script.tables || !script.commands)
		return -ENOMEM;
	relocate(&script);
	copy = vm_alloc(vm, script.size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, script.tables, script.size);
	error = fw_cfg_add(fw_cfg, RSDP, copy, sizeof(struct acpi_rsdp));
	if (!error)
		error = fw_cfg_add(fw_cfg, TABLES, copy, script.size);
	if (!error)
		error = fw_cfg_add(fw_cfg, "etc/table-loader", script.commands,
				   script.count * (u32)sizeof(struct loader_command));
	return error;
}
