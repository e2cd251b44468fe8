// SPDX-License-Identifier: MIT
/*
 * Runs Linux in a VM of KVM: one CPU, KVM's own interrupt controllers and timer, and a serial port, which is this
 * program's terminal. Usage: kvm_linux BZIMAGE INITRAMFS MIB COMMAND-LINE. The VM ends by a reset through the
 * keyboard controller (reboot=k) or a triple fault. Linux, "The Linux/x86 Boot Protocol", "32-bit Boot Protocol".
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "kvm_vcpu.h"

#define BOOT_PARAMS  0x10000
#define COMMAND_LINE 0x20000
#define KERNEL	     0x100000
#define COM1	     0x3f8
#define COM1_IRQ     4
#define KEYBOARD     0x64
#define RTC_DATA     0x71
#define KBC_RESET    0xfe

static void stop(const char *what)
{
	fprintf(stderr, "kvm_linux: error: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- the serial port: a 16550 whose transmitter is always empty --- */

static struct {
	pthread_mutex_t lock;
	int vm;
	uint8_t ier, lcr, mcr, scratch, divisor[2], fifo;
	uint8_t received[4096];
	unsigned count;
	int sent;		/* the transmitter has become empty since the last look at IIR */
	int level;
} uart = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint8_t uart_cause(void)
{
	if ((uart.ier & 1) && uart.count)
		return 4;
	return (uart.ier & 2) && uart.sent ? 2 : 1;
}

static void uart_update(void)
{
	int level = uart_cause() != 1 && (uart.mcr & 8);

	if (level != uart.level)
		need(ioctl(uart.vm, KVM_IRQ_LINE, &(struct kvm_irq_level){ .irq = COM1_IRQ, .level = level }),
		     "KVM_IRQ_LINE");
	uart.level = level;
}

static uint8_t uart_receive(void)
{
	uint8_t byte = uart.received[0];

	if (!uart.count)
		return 0;
	memmove(uart.received, uart.received + 1, --uart.count);
	return byte;
}

static uint8_t modem_status(void)
{
	if (!(uart.mcr & 0x10))
		return 0xb0;
	return (uart.mcr & 1) << 5 | (uart.mcr & 2) << 3 | (uart.mcr & 4) << 4 | (uart.mcr & 8) << 4;
}

static uint8_t uart_read(unsigned reg)
{
	uint8_t value;

	switch (reg) {
	case 0:
		return uart.lcr & 0x80 ? uart.divisor[0] : uart_receive();
	case 1:
		return uart.lcr & 0x80 ? uart.divisor[1] : uart.ier;
	case 2:
		value = uart_cause();
		if (value == 2)
			uart.sent = 0;
		return value | (uart.fifo & 1 ? 0xc0 : 0);
	case 3:
		return uart.lcr;
	case 4:
		return uart.mcr;
	case 5:
		return 0x60 | (uart.count != 0);
	case 6:
		return modem_status();
	default:
		return uart.scratch;
	}
}

static void uart_send(uint8_t byte)
{
	if (!(uart.mcr & 0x10))
		need(write(STDOUT_FILENO, &byte, 1), "write");
	uart.sent = 1;
}

static void uart_write(unsigned reg, uint8_t value)
{
	switch (reg) {
	case 0:
		if (uart.lcr & 0x80)
			uart.divisor[0] = value;
		else
			uart_send(value);
		break;
	case 1:
		if (uart.lcr & 0x80) {
			uart.divisor[1] = value;
		} else {
			uart.sent |= (value & 2) && !(uart.ier & 2);
			uart.ier = value & 0xf;
		}
		break;
	case 2:
		uart.fifo = value;
		break;
	case 3:
		uart.lcr = value;
		break;
	case 4:
		uart.mcr = value & 0x1f;
		break;
	case 7:
		uart.scratch = value;
		break;
	}
}

/* What is typed. */
static void *read_terminal(__attribute__((unused)) void *argument)
{
	for (;;) {
		uint8_t bytes[256];
		ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));

		if (count <= 0)
			return NULL;
		pthread_mutex_lock(&uart.lock);
		if (count > (ssize_t)(sizeof(uart.received) - uart.count))
			count = sizeof(uart.received) - uart.count;
		memcpy(uart.received + uart.count, bytes, count);
		uart.count += count;
		uart_update();
		pthread_mutex_unlock(&uart.lock);
	}
}

static struct termios terminal;

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal);
}

static void start_terminal(void)
{
	struct termios raw;
	pthread_t thread;

	if (tcgetattr(STDIN_FILENO, &terminal) == 0) {
		raw = terminal;
		cfmakeraw(&raw);
		raw.c_oflag = terminal.c_oflag & ~OPOST;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
		atexit(restore_terminal);
	}
	if (pthread_create(&thread, NULL, read_terminal, NULL))
		stop("thread");
}

/* --- the VM --- */

static uint8_t *memory;
static size_t memory_size;

#define AT_THE_END (~0ul)

/* Returns the size; *where becomes the address. */
static size_t load(const char *path, size_t *where)
{
	int file = need(open(path, O_RDONLY), path);
	off_t size = lseek(file, 0, SEEK_END);
	size_t done = 0, at = *where == AT_THE_END ? (memory_size - size) & ~4095ul : *where;

	lseek(file, 0, SEEK_SET);
	if (at + size > memory_size) {
		errno = E2BIG;
		stop(path);
	}
	*where = at;
	while (done < (size_t)size) {
		ssize_t count = read(file, memory + at + done, size - done);

		if (count <= 0)
			stop(path);
		done += count;
	}
	close(file);
	return done;
}

static void load_linux(const char *image, const char *initramfs, const char *cmdline)
{
	struct boot_params *params = (void *)(memory + BOOT_PARAMS);
	/* The kernel unpacks itself into some 50 MiB from 16 MiB on. */
	size_t kernel = KERNEL, initrd = AT_THE_END, size = load(image, &kernel), setup;
	const struct setup_header *header = (void *)(memory + KERNEL + 0x1f1);

	if (header->header != 0x53726448) {
		errno = EINVAL;
		stop("no bzImage");
	}
	setup = ((header->setup_sects ? header->setup_sects : 4) + 1) * 512;
	params->hdr = *header;
	memmove(memory + KERNEL, memory + KERNEL + setup, size - setup);
	params->hdr.type_of_loader = 0xff;
	params->hdr.cmd_line_ptr = COMMAND_LINE;
	params->hdr.ramdisk_size = load(initramfs, &initrd);
	params->hdr.ramdisk_image = initrd;
	strcpy((char *)memory + COMMAND_LINE, cmdline);
	params->e820_entries = 2;
	params->e820_table[0] = (struct boot_e820_entry){ .addr = 0, .size = 0x9f000, .type = 1 };
	params->e820_table[1] = (struct boot_e820_entry){ KERNEL, memory_size - KERNEL, 1 };
}

static void set_registers(int vcpu)
{
	struct kvm_regs regs = { .rip = KERNEL, .rsi = BOOT_PARAMS, .rflags = 2 };
	struct kvm_sregs sregs;

	need(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs = flat_segment(0x10, 0xb);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(0x18, 0x3);
	sregs.cr0 |= 1;
	need(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	need(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* Returns whether the guest continues. */
static int handle_io(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	int serial = run->io.port >= COM1 && run->io.port < COM1 + 8;

	if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == KEYBOARD && *data == KBC_RESET)
		return 0;
	/* Nothing answers; but a clock that seems to be updated all the time would keep Linux waiting. */
	if (run->io.direction == KVM_EXIT_IO_IN)
		memset(data, run->io.port == RTC_DATA ? 0 : 0xff, (size_t)run->io.size * run->io.count);
	if (!serial)
		return 1;
	pthread_mutex_lock(&uart.lock);
	for (unsigned i = 0; i < run->io.count; i++) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			uart_write(run->io.port - COM1, data[i * run->io.size]);
		else
			data[i * run->io.size] = uart_read(run->io.port - COM1);
	}
	uart_update();
	pthread_mutex_unlock(&uart.lock);
	return 1;
}

static void run_guest(int vcpu, struct kvm_run *run)
{
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
			stop("KVM_RUN");
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (handle_io(run))
				continue;
			break;
		case KVM_EXIT_MMIO:	/* there is nothing */
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
			continue;
		case KVM_EXIT_INTR:
			continue;
		case KVM_EXIT_SHUTDOWN:
			break;
		default:
			fprintf(stderr, "kvm_linux: error: exit reason %u, %llx\n", run->exit_reason,
				(unsigned long long)run->internal.suberror);
			exit(1);
		}
		return;
	}
}

int main(int argc, char **argv)
{
	struct kvm_pit_config pit = { 0 };
	int kvm, vcpu, size;

	if (argc != 5) {
		fprintf(stderr, "usage: kvm_linux BZIMAGE INITRAMFS MIB COMMAND-LINE\n");
		return 2;
	}
	memory_size = strtoul(argv[3], NULL, 10) << 20;
	kvm = need(open("/dev/kvm", O_RDWR), "/dev/kvm");
	uart.vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	need(ioctl(uart.vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
	need(ioctl(uart.vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
	need(ioctl(uart.vm, KVM_CREATE_PIT2, &pit), "KVM_CREATE_PIT2");

	memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		stop("no memory for the guest");
	load_linux(argv[1], argv[2], argv[4]);
	need(ioctl(uart.vm, KVM_SET_USER_MEMORY_REGION, &(struct kvm_userspace_memory_region){
		.memory_size = memory_size, .userspace_addr = (uintptr_t)memory }), "guest memory");

	vcpu = need(ioctl(uart.vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	size = need(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	set_cpuid(kvm, vcpu);
	set_registers(vcpu);
	start_terminal();
	run_guest(vcpu, mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));
	printf("\r\nkvm_linux: the guest has ended\r\n");
	return 0;
}
