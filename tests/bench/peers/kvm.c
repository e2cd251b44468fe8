// SPDX-License-Identifier: MIT
/*
 * The only program of a Linux that runs the benchmark guest under KVM: loads the modules in /modules in
 * their order, creates a VM with the interrupt controllers and the timer in the
 * kernel, and runs /bench.elf, or the file that its argument names, as a Multiboot1 loader would. What the
 * guest writes to COM1 goes to the console; its write to port 0xf4 ends it, and the machine is switched off.
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "../../linux/kvm_vcpu.h"

#define MEMORY		(128ul << 20)
#define COM1		0x3f8
#define COM1_LSR	(COM1 + 5)
#define LSR_IDLE	0x60
#define DEBUG_EXIT	0xf4
#define MULTIBOOT_MAGIC	0x2badb002
#define MULTIBOOT_INFO	0x1000		/* zeroes: nothing is known */

/* The console is a serial line: send all output before the power goes off. */
static void power_off(void)
{
	fflush(stdout);
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void stop(const char *what)
{
	printf("kvm: error: %s: %s\n", what, strerror(errno));
	power_off();
}

/* Fails loudly; returns what the call returned. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* kvm-intel refuses AMD machines, kvm-amd refuses Intel machines: one of them must load. Their guests may be hypervisors. */
static void load_modules(void)
{
	struct dirent **names;
	int count = need(scandir("/modules", &names, visible, by_name), "/modules");

	for (int i = 0; i < count; i++) {
		char path[300];
		int file;

		snprintf(path, sizeof(path), "/modules/%s", names[i]->d_name);
		file = need(open(path, O_RDONLY), path);
		syscall(SYS_finit_module, file, strstr(path, "kvm-") ? "nested=1" : "", 0);
		close(file);
	}
}

static void read_at(int file, void *to, size_t size, off_t offset)
{
	if (pread(file, to, size, offset) != (ssize_t)size)
		stop("the image cannot be read");
}

/* Returns the entry point. The kernel copies: in Bochs' Ryzen a copy by AVX, the C library's, loses bytes. */
static uint32_t load_elf(const char *path, uint8_t *memory)
{
	int file = need(open(path, O_RDONLY), path);
	Elf32_Ehdr header;
	Elf32_Phdr segment;

	read_at(file, &header, sizeof(header), 0);
	for (unsigned i = 0; i < header.e_phnum; i++) {
		read_at(file, &segment, sizeof(segment), header.e_phoff + i * sizeof(segment));
		if (segment.p_type != PT_LOAD)
			continue;
		if (segment.p_paddr > MEMORY || segment.p_filesz > MEMORY - segment.p_paddr)
			stop("the image does not fit");
		read_at(file, memory + segment.p_paddr, segment.p_filesz, segment.p_offset);
	}
	close(file);
	return header.e_entry;
}

/* Multiboot specification, "Machine state" */
static void set_registers(int vcpu, uint32_t entry)
{
	struct kvm_regs regs = {
		.rax = MULTIBOOT_MAGIC, .rbx = MULTIBOOT_INFO, .rip = entry, .rflags = 2,
	};
	struct kvm_sregs sregs;

	need(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = flat_segment(0x08, 0xb);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(0x10, 0x3);
	sregs.cr0 |= 1;
	need(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	need(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* Returns whether the guest continues. */
static int handle_io(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_OUT) {
		if (run->io.port == COM1)
			putchar(*data);
		return run->io.port != DEBUG_EXIT;
	}
	memset(data, 0xff, (size_t)run->io.size * run->io.count);
	if (run->io.port == COM1_LSR)
		*data = LSR_IDLE;
	return 1;
}

static void run_guest(int vcpu, struct kvm_run *run)
{
	for (;;) {
		need(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO) {
			/* Of KVM_EXIT_FAIL_ENTRY and KVM_EXIT_INTERNAL_ERROR the number tells why. */
			printf("kvm: error: exit reason %u, %llx\n", run->exit_reason,
			       (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
			return;
		}
		if (!handle_io(run))
			return;
	}
}

int main(int argc, char **argv)
{
	struct kvm_pit_config pit = { 0 };
	int kvm, vm, vcpu, size;
	uint32_t entry;
	uint8_t *memory;

	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	kvm = need(open("/dev/kvm", O_RDWR), "/dev/kvm");
	vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	need(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	need(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	need(ioctl(vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");

	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		stop("no memory for the guest");
	entry = load_elf(argc > 1 ? argv[1] : "/bench.elf", memory);
	need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &(struct kvm_userspace_memory_region){
		.memory_size = MEMORY, .userspace_addr = (uintptr_t)memory }), "guest memory");

	vcpu = need(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	size = need(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	set_cpuid(kvm, vcpu);
	set_registers(vcpu, entry);
	run_guest(vcpu, mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));
	power_off();
}
