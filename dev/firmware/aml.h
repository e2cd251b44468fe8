/* SPDX-License-Identifier: MIT */
/*
 * Writes ACPI machine language: just enough for a table that declares devices and their resources.
 * ACPI, "ACPI Machine Language (AML) Specification", "Resource Data Types for ACPI".
 */
#pragma once

#include "lib/types.h"

struct aml {
	u8 *buffer;
	size_t size, used;	/* bytes; used > size: the buffer was too small */
};

static inline bool aml_overflowed(const struct aml *aml)
{
	return aml->used > aml->size;
}

/* Blocks: what is written between open and close is their contents. Pass close what open returned. */
size_t aml_open_scope(struct aml *aml, const char *path);	/* "\\_SB_" */
size_t aml_open_device(struct aml *aml, const char *name);	/* four characters, as all names */
size_t aml_open_package(struct aml *aml, u8 elements);
size_t aml_open_resources(struct aml *aml);
size_t aml_open_method(struct aml *aml, const char *name, unsigned arguments);
size_t aml_open_if(struct aml *aml, const char *name);		/* executed if the named integer is not 0 */
void aml_close(struct aml *aml, size_t block);
void aml_close_resources(struct aml *aml, size_t block);

/* Name (name, object): the object is what is written next. */
void aml_name(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, u32 value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *id);		/* "PNP0A03" */

/* In a method. */
void aml_store_argument(struct aml *aml, const char *name);	/* the first one, in the named object */
void aml_return(struct aml *aml, const char *name);		/* the named object's value */

/* Resource descriptors, between aml_open_resources() and its close. */
void aml_io(struct aml *aml, u16 base, u8 length);
void aml_memory(struct aml *aml, u32 base, u32 length);		/* read and write */
void aml_irq(struct aml *aml, u8 irq);				/* edge-triggered, active high */
void aml_bus_window(struct aml *aml, u16 first, u16 last);
void aml_io_window(struct aml *aml, u16 first, u16 last);
void aml_memory_window(struct aml *aml, u32 first, u32 last);
