/* SPDX-License-Identifier: MIT */
/* The layout of the ACPI tables. ACPI, "ACPI Software Programming Model". */
#pragma once

#include "lib/types.h"

struct acpi_rsdp {
	char signature[8];
	u8 checksum;		/* of the first 20 bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;	/* of all 36 bytes */
	u8 reserved[3];
} __packed;
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI: RSDP");

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __packed;
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI: description header");

enum { ACPI_SPACE_MEMORY, ACPI_SPACE_IO, ACPI_SPACE_PCI };
enum { ACPI_ACCESS_BYTE = 1, ACPI_ACCESS_WORD, ACPI_ACCESS_DWORD };

struct acpi_address {
	u8 space;
	u8 bits;		/* width */
	u8 offset;
	u8 access_size;
	u64 address;
} __packed;

enum {
	FADT_LEGACY_DEVICES = BIT(0),	/* boot architecture flags */
	FADT_NO_VGA = BIT(2),
};

enum {
	FADT_WBINVD = BIT(0),
	FADT_PROC_C1 = BIT(2),		/* HLT works */
	FADT_SLEEP_BUTTON = BIT(5),	/* 1: there is none in the fixed registers */
	FADT_FIX_RTC = BIT(6),		/* 1: the RTC cannot wake by the fixed registers */
	FADT_TMR_VAL_EXT = BIT(8),	/* the PM timer has 32 bits */
	FADT_RESET_REG_SUP = BIT(10),
	FADT_HEADLESS = BIT(12),
	FADT_HW_REDUCED = BIT(20),	/* none of the fixed registers but those for reset and sleep */
};

struct acpi_fadt {
	struct acpi_header header;
	u32 facs;
	u32 dsdt;
	u8 reserved0;
	u8 preferred_profile;
	u16 sci_irq;
	u32 smi_command;
	u8 acpi_enable, acpi_disable, s4bios_request, pstate_control;
	u32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control;
	u32 pm_timer, gpe0, gpe1;
	u8 pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	u8 gpe0_length, gpe1_length, gpe1_base;
	u8 cst_control;
	u16 c2_latency, c3_latency;
	u16 flush_size, flush_stride;
	u8 duty_offset, duty_width;
	u8 day_alarm, month_alarm, century;
	u16 boot_flags;
	u8 reserved1;
	u32 flags;
	struct acpi_address reset;
	u8 reset_value;
	u16 arm_boot_flags;
	u8 minor_revision;
	u64 x_facs;
	u64 x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_address x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
	struct acpi_address sleep_control, sleep_status;
	char hypervisor[8];
} __packed;
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "ACPI: FADT flags");
_Static_assert(offsetof(struct acpi_fadt, x_facs) == 132, "ACPI: FADT X_FIRMWARE_CTRL");
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI: FADT");

#define FACS_ALIGNMENT 64

struct acpi_facs {
	char signature[4];
	u32 length;
	u32 hardware_signature, waking_vector, global_lock, flags;
	u64 x_waking_vector;
	u8 version;
	u8 reserved0[3];
	u32 ospm_flags;
	u8 reserved1[24];
} __packed;
_Static_assert(sizeof(struct acpi_facs) == 64, "ACPI: FACS");

enum { MADT_PCAT_COMPAT = BIT(0) };
enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_NMI_SOURCE, MADT_LAPIC_NMI, MADT_LAPIC_ADDRESS, MADT_X2APIC = 9, MADT_X2APIC_NMI };
enum { MADT_LAPIC_ENABLED = BIT(0) };
enum { MADT_ACTIVE_HIGH = 1, MADT_EDGE = 1 << 2, MADT_LEVEL = 3 << 2 };
#define MADT_ALL_PROCESSORS 0xff
#define MADT_NO_APIC_ID 0xff	/* of a struct madt_lapic: not a CPU, or one whose id is in a struct madt_x2apic */

struct acpi_madt {
	struct acpi_header header;
	u32 lapic_address;
	u32 flags;
} __packed;
_Static_assert(sizeof(struct acpi_madt) == 44, "ACPI: MADT");

/* What every entry of the MADT begins with */
struct madt_entry {
	u8 type, length;
} __packed;

struct madt_lapic {
	u8 type, length;
	u8 processor_uid, apic_id;
	u32 flags;
} __packed;
_Static_assert(sizeof(struct madt_lapic) == 8, "ACPI: Processor Local APIC Structure");

struct madt_ioapic {
	u8 type, length;
	u8 id, reserved;
	u32 address;
	u32 gsi_base;
} __packed;
_Static_assert(sizeof(struct madt_ioapic) == 12, "ACPI: I/O APIC Structure");

struct madt_override {
	u8 type, length;
	u8 bus, source;
	u32 gsi;
	u16 flags;
} __packed;
_Static_assert(sizeof(struct madt_override) == 10, "ACPI: Interrupt Source Override Structure");

/* PCI Firmware Specification, "MCFG Table Description". */
struct acpi_mcfg {
	struct acpi_header header;
	u64 reserved;
	u64 base;		/* of bus 0, whichever is the first */
	u16 segment;
	u8 first_bus, last_bus;
	u32 reserved_2;
} __packed;
_Static_assert(sizeof(struct acpi_mcfg) == 44 + 16, "MCFG with one allocation");

struct madt_lapic_nmi {
	u8 type, length;
	u8 processor_uid;
	u16 flags;
	u8 lint;
} __packed;
_Static_assert(sizeof(struct madt_lapic_nmi) == 6, "ACPI: Local APIC NMI Structure");

struct madt_lapic_address {
	u8 type, length;
	u16 reserved;
	u64 address;
} __packed;
_Static_assert(sizeof(struct madt_lapic_address) == 12, "ACPI: Local APIC Address Override Structure");

struct madt_x2apic {
	u8 type, length;
	u16 reserved;
	u32 apic_id;
	u32 flags;
	u32 processor_uid;
} __packed;
_Static_assert(sizeof(struct madt_x2apic) == 16, "ACPI: Processor Local x2APIC Structure");

struct madt_nmi_source {
	u8 type, length;
	u16 flags;		/* "MPS INTI Flags" */
	u32 gsi;
} __packed;
_Static_assert(sizeof(struct madt_nmi_source) == 8, "ACPI: NMI Source Structure");

#define MADT_ALL_X2APICS 0xffffffffu

struct madt_x2apic_nmi {
	u8 type, length;
	u16 flags;
	u32 processor_uid;
	u8 lint;
	u8 reserved[3];
} __packed;
_Static_assert(sizeof(struct madt_x2apic_nmi) == 12, "ACPI: Local x2APIC NMI Structure");
