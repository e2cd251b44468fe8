/* SPDX-License-Identifier: MIT */
/* Memory that lives as long as its VM, and what is to be done at its end. */
#include "core/vm_alloc.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/vm.h"

/* A block of vm_alloc(): the memory handed out, and at the end of its pages this. All blocks are freed together. */
struct vm_page {
	struct vm_page *next;
	u32 order;
	u32 used;	/* bytes */
};

static u32 capacity(const struct vm_page *block)
{
	return (u32)(PAGE_SIZE << block->order) - sizeof(*block);
}

static char *start_of(struct vm_page *block)
{
	return (char *)block - capacity(block);
}

static struct vm_page *new_block(struct vm *vm, size_t size)
{
	struct vm_page *block;
	u32 order = 0;
	char *pages;

	while ((PAGE_SIZE << order) < size + sizeof(*block))
		order++;
	pages = pages_alloc(order);
	if (!pages)
		return NULL;
	block = (struct vm_page *)(pages + (PAGE_SIZE << order)) - 1;
	block->order = order;
	block->next = vm->memory;
	vm->memory = block;
	return block;
}

/* `aligned`: to a page, by a block of its own. */
static void *allocate(struct vm *vm, size_t size, bool aligned)
{
	struct vm_page *block;
	void *memory = NULL;

	if (size > MIB(1))
		return NULL;
	size = ALIGN_UP(size, (size_t)16);
	spin_lock(&vm->memory_lock);
	block = vm->memory;
	if (!block || aligned || capacity(block) - block->used < size)
		block = new_block(vm, size);
	if (block) {
		memory = start_of(block) + block->used;
		block->used += size;
	}
	spin_unlock(&vm->memory_lock);
	return memory;
}

void *vm_alloc(struct vm *vm, size_t size)
{
	return allocate(vm, size, false);
}

void *vm_alloc_pages(struct vm *vm, size_t size)
{
	return allocate(vm, size, true);
}

void vm_free_all(struct vm *vm)
{
	while (vm->memory) {
		struct vm_page *block = vm->memory;

		vm->memory = block->next;
		pages_free(start_of(block), block->order);
	}
}

void vm_at_end(struct vm *vm, struct vm_end_hook *hook)
{
	hook->next = vm->end_hooks;
	vm->end_hooks = hook;
}

void vm_run_end_hooks(struct vm *vm)
{
	while (vm->end_hooks) {
		struct vm_end_hook *hook = vm->end_hooks;

		vm->end_hooks = hook->next;
		hook->run(hook);
	}
}
