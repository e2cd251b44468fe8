/* SPDX-License-Identifier: MIT */
/* Memory that lives as long as its VM. */
#include "core/vm_alloc.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/vm.h"

/* A block of vm_alloc(): a header, then the memory handed out. All blocks are freed together. */
struct vm_page {
	struct vm_page *next;
	u32 order;
	u32 used;	/* bytes, with this header */
};

static struct vm_page *new_block(struct vm *vm, size_t size)
{
	struct vm_page *block;
	u32 order = 0;

	while ((PAGE_SIZE << order) < size + sizeof(*block))
		order++;
	block = pages_alloc(order);
	if (!block)
		return NULL;
	block->order = order;
	block->used = ALIGN_UP(sizeof(*block), 16u);
	block->next = vm->memory;
	vm->memory = block;
	return block;
}

void *vm_alloc(struct vm *vm, size_t size)
{
	struct vm_page *block;
	void *memory = NULL;

	if (size > MIB(1))
		return NULL;
	size = ALIGN_UP(size, (size_t)16);
	spin_lock(&vm->memory_lock);
	block = vm->memory;
	if (!block || (PAGE_SIZE << block->order) - block->used < size)
		block = new_block(vm, size + 16);
	if (block) {
		memory = (char *)block + block->used;
		block->used += size;
	}
	spin_unlock(&vm->memory_lock);
	return memory;
}

void vm_free_all(struct vm *vm)
{
	while (vm->memory) {
		struct vm_page *block = vm->memory;

		vm->memory = block->next;
		pages_free(block, block->order);
	}
}
