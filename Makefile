# SPDX-License-Identifier: MIT
#
# Build, run and test Lamina. "make help" lists what can be made.

VERSION := 0.1
DIRS    := boot arch core vmx svm dev lib
BUILD   ?= build

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin LD),default)
LD := ld
endif
NASM    ?= nasm
OBJCOPY ?= objcopy

MAKEFLAGS += --no-builtin-rules
Q := $(if $(V),,@)
say = @printf '  %-7s %s\n' $(1) $(2)
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# ---------------------------------------------------------------------------
# Sources: every C and NASM file in the folders and their subfolders. <dir>/offsets.c is not linked: it
# becomes build/<dir>/offsets.inc, the offsets of C structures for NASM.

ALL_C     := $(sort $(shell find $(DIRS) -name '*.c'))
OFFSETS_C := $(filter %/offsets.c,$(ALL_C))
C_SRCS    := $(filter-out $(OFFSETS_C),$(ALL_C))
ASM_SRCS  := $(sort $(shell find $(DIRS) -name '*.asm'))

OFFSETS  := $(OFFSETS_C:%.c=$(BUILD)/%.inc)
C_OBJS   := $(C_SRCS:%.c=$(BUILD)/%.o)
ASM_OBJS := $(ASM_SRCS:%.asm=$(BUILD)/%.asm.o)
OBJS     := $(C_OBJS) $(ASM_OBJS)

# Padding before functions, loops and jumps takes 18 KiB, and what is executed of it costs time.
UNALIGNED := -falign-functions=1 $(if $(findstring clang,$(CC)),,-falign-jumps=1 -falign-loops=1 -falign-labels=1)
# The stack is aligned to 8 bytes: nothing here needs 16, and functions execute nothing for that.
STACK := $(if $(findstring clang,$(CC)),-mstack-alignment=8,-mpreferred-stack-boundary=3)
# General registers only: the guest's FPU state stays in the registers.
# Frame pointers: the panic report walks them, up to those functions that every exit or access to a device goes through.
CFLAGS := -std=gnu11 -O2 -g -m64 -ffreestanding -fno-pic -fno-pie \
	-mcmodel=kernel -mno-red-zone -mgeneral-regs-only -fcf-protection=none \
	-fno-stack-protector -fno-asynchronous-unwind-tables \
	-fno-omit-frame-pointer -momit-leaf-frame-pointer -fno-strict-aliasing $(STACK) \
	-ffunction-sections -fdata-sections -ffile-prefix-map=$(CURDIR)=. $(UNALIGNED) \
	-Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wvla \
	-Wno-unused-parameter -Wno-missing-field-initializers -Werror
# Code that runs once, or reports a failure, or that it makes no slower, is compiled for size; what runs with each exit for speed.
COLD := boot/% arch/% lib/% core/load/% core/observe/% core/cpu/cpuid core/cpu/machine_check core/vm \
	core/vm_alloc core/mem/guest_mem dev/firmware/% vmx/rules/% vmx/entry_state vmx/check vmx/caps vmx/dump \
	svm/rules/% svm/check svm/caps svm/dump core/monitor% core/disks core/bios_call core/emulate/task \
	core/emulate/native_rules core/emulate/saved_state dev/platform dev/virtio/devices dev/virtio/net_control \
	dev/virtio/rng dev/virtio/guest_port dev/isa/vkeyboard dev/isa/calendar vmx/vcpu vmx/enable svm/vcpu svm/enable \
	svm/task vmx/nested/caps vmx/nested/hyperv vmx/nested/operand vmx/nested/region vmx/nested/state vmx/nested/msr_list \
	svm/nested/check svm/nested/control svm/nested/events svm/nested/exit svm/nested/paging svm/nested/state svm/nested/msr \
	core/console core/vm_console core/emulate/native dev/isa/vrtc dev/pci/vpci dev/pci/vpci_device \
	dev/virtio/virtio_pci dev/virtio/virtio core/cpu/speculation core/mem/tdp_change core/mem/guest_clear \
	vmx/vm vmx/apic svm/vm core/startup core/mem/tdp core/emulate/descriptor dev/isa/vi8042 dev/isa/vvga \
	core/mem/tdp_flush core/emulate/mmio_fast core/emulate/by_hand core/device
# But not a loop over each word of a kernel.
LOOPS := lib/crc32
SPINE := core/enter core/io core/emulate/string_fast dev/irq/vlapic_registers vmx/run vmx/fastpath svm/run svm/fastpath svm/state
# What that calls for an interrupt: without the alignment, which takes room.
FRAMELESS := core/event dev/irq/irqchip dev/irq/vlapic vmx/events svm/events
# DEBUG=1: check at run time the order in which locks are taken. Slower.
DEBUG     ?=
CPPFLAGS  := -I. -I$(BUILD) $(if $(DEBUG),-DLAMINA_DEBUG)
# No -g: NASM's line table names the absolute folder.
NASMFLAGS := -f elf64 -I . -I $(BUILD)/ -w+all -w+error
LDFLAGS   := -m elf_x86_64 -nostdlib -static --gc-sections -n \
	-z max-page-size=0x1000 -z noexecstack --build-id=sha1 --fatal-warnings

.PHONY: all
all: $(BUILD)/lamina.elf ## build the boot image build/lamina.elf (make CC=clang works too)

# A 32-bit ELF file with 64-bit code in it: Multiboot1 loaders take no 64-bit ELF file, Multiboot2 loaders
# take both, and all of them enter in 32-bit mode. Its addresses are physical ones: kexec jumps to the ELF header's
# entry as it is.
HOST_IMAGE  := 0xffffffff80000000
BOOT_FORMAT := --strip-all -O elf32-i386 --change-section-vma '*-$(HOST_IMAGE)' --change-start -$(HOST_IMAGE)

$(BUILD)/lamina.elf: $(BUILD)/lamina.debug
	$(call say,STRIP,$@)
	$(Q)$(OBJCOPY) $(BOOT_FORMAT) $< $@

$(BUILD)/lamina.debug: linker.ld $(OBJS)
	$(call say,LD,$@)
	$(Q)$(LD) $(LDFLAGS) -T linker.ld -Map $(BUILD)/lamina.map -o $@ $(OBJS)

# The product with vcpu_run_slice() and other functions replaced: see tests/selftest/run.c.
SELFTEST_OBJS := $(patsubst %.c,$(BUILD)/%.o,$(sort $(wildcard tests/selftest/*.c)))
SELFTEST_WRAP := vcpu_run_slice vmx_vmenter exit_tdp_fault platform_create \
	machine_check_in_guest

.PHONY: selftest
selftest: $(BUILD)/selftest.elf ## build build/selftest.elf, which tests itself on a real or emulated processor

$(BUILD)/selftest.elf: linker.ld $(OBJS) $(SELFTEST_OBJS)
	$(call say,LD,$@)
	$(Q)$(LD) $(LDFLAGS) $(SELFTEST_WRAP:%=--wrap=%) -T linker.ld -o $@ $(OBJS) $(SELFTEST_OBJS)
	$(Q)$(OBJCOPY) $(BOOT_FORMAT) $@

$(C_OBJS) $(SELFTEST_OBJS): $(BUILD)/%.o: %.c $(BUILD)/flags | $(BUILD)/version.h
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

# The font's table, made from its drawn characters.
$(BUILD)/arch/console/font.o: $(BUILD)/arch/console/font.inc
$(BUILD)/arch/console/font.inc: arch/console/font.txt arch/console/font.awk
	@mkdir -p $(@D)
	$(call say,FONT,$@)
	$(Q)awk -f arch/console/font.awk arch/console/font.txt > $@

$(filter-out $(LOOPS:%=$(BUILD)/%.o),$(filter $(COLD:%=$(BUILD)/%.o),$(C_OBJS))): CFLAGS += -Os
$(SPINE:%=$(BUILD)/%.o): CFLAGS += -fomit-frame-pointer -falign-functions=16
$(FRAMELESS:%=$(BUILD)/%.o): CFLAGS += -fomit-frame-pointer

# NASM's -MD leaves out the files that are %include'd, so a separate run with -M lists them.
$(ASM_OBJS): $(BUILD)/%.asm.o: %.asm $(OFFSETS) $(BUILD)/flags
	@mkdir -p $(@D)
	@$(NASM) $(NASMFLAGS) -M -MP -MT $@ $< > $(@:.o=.d)
	$(call say,NASM,$<)
	$(Q)$(NASM) $(NASMFLAGS) -o $@ $<

$(OFFSETS): $(BUILD)/%.inc: %.c $(BUILD)/flags | $(BUILD)/version.h
	@mkdir -p $(@D)
	$(call say,OFFSETS,$<)
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -MT $@ -S -o $(@:.inc=.s) $<
	@sed -n 's/^.*"->\([A-Za-z0-9_]*\) \(-\{0,1\}[0-9]*\)".*$$/%define \1 \2/p' \
		$(@:.inc=.s) > $@

# The compiler and its flags: when they change, everything is built again.
FLAGS := $(CC) $(CFLAGS) $(CPPFLAGS) / $(NASM) $(NASMFLAGS) / $(LD) $(LDFLAGS)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null | cut -c1-12)
DIRTY  = $(shell git status --porcelain --untracked-files=no 2>/dev/null | sed -n '1s/.*/-dirty/p')

.PHONY: FORCE
$(BUILD)/flags: Makefile FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' > $@.new
	@if [ Makefile -nt $@ ] || ! cmp -s $@.new $@; then mv $@.new $@; else rm $@.new; fi

# Contains no date, host or path, so that the same commit gives the same bytes.
$(BUILD)/version.h: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '/* Made by the Makefile. */' '#pragma once' \
		'#define LAMINA_VERSION "$(VERSION)"' \
		'#define LAMINA_COMMIT "$(or $(COMMIT),unknown)$(DIRTY)"' > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

-include $(C_OBJS:.o=.d) $(SELFTEST_OBJS:.o=.d) $(ASM_OBJS:.o=.d) $(OFFSETS:.inc=.d)

# ---------------------------------------------------------------------------
# Run. NAME=VALUE on make's command line replaces these defaults.

EMU     ?= qemu
CPU     ?=
MODEL   ?=
KERNEL  ?= $(LINUX)/vmlinuz
INITRD  ?= $(if $(filter $(LINUX)/vmlinuz,$(KERNEL)),$(LINUX)/initramfs$(if $(DISK)$(NET),-virtio))
CMDLINE ?= console=ttyS0
MEM     ?= 512M
SMP     ?= 1
VMS     ?= 1
VCPUS   ?= 1
# Disks and network ports of each VM, several with a space between them: DISK='FILE[,cow=SIZE|,ro] ram,size=SIZE'.
DISK    ?=
NET     ?=
LAMINA  ?= console=com1,115200 loglevel=info onend=poweroff
TIMEOUT ?= 0

LINUX := $(BUILD)/linux
ISO   := $(BUILD)/lamina.iso
PYTHON := python3

.PHONY: setup run iso debug demo
setup: ## install missing packages, with apt-get
	@tests/setup.sh

DEVICES = $(DISK:%=--disk %) $(NET:%=--net %)
comma := ,
DISK_FILES = $(filter-out ram,$(foreach disk,$(DISK),$(firstword $(subst $(comma), ,$(disk)))))

run: iso ## boot Linux in QEMU, in VMS= VMs with VCPUS= CPUs each, the machine has SMP=; EMU= CPU= MODEL= KERNEL= MEM= DISK= NET=
	@$(PYTHON) tests/emu.py $(ISO) --emu $(EMU) $(if $(CPU),--cpu $(CPU)) \
		$(if $(MODEL),--model $(MODEL)) --mem $(MEM) --vms $(VMS) --smp $(SMP) --timeout $(TIMEOUT) \
		$(DISK:%=--disk %) --log $(BUILD)/run.log

debug: iso ## the same in QEMU, stopped until GDB attaches
	@$(PYTHON) tests/emu.py $(ISO) $(if $(MODEL),--model $(MODEL)) --mem $(MEM) \
		--vms $(VMS) --smp $(SMP) $(DISK:%=--disk %) --log $(BUILD)/run.log --gdb $(BUILD)/lamina.debug

iso: setup ## make build/lamina.iso, for a stick or a machine; KERNEL= INITRD= CMDLINE= VMS= VCPUS= MEM= LAMINA= DISK= NET=
	@$(MAKE) --no-print-directory $(BUILD)/lamina.elf $(KERNEL) $(INITRD) $(DISK_FILES)
	$(call say,ISO,$(ISO))
	$(Q)$(PYTHON) tests/image.py $(ISO) --lamina $(BUILD)/lamina.elf --cmdline '$(LAMINA)' \
		--kernel $(KERNEL) $(if $(INITRD),--initrd $(INITRD)) \
		--guest-cmdline '$(CMDLINE)' --mem $(MEM) --vms $(VMS) --vcpus $(VCPUS) $(DEVICES)

# Debian's root file system in an image, made on the first use.
ROOT := $(LINUX)/root.img
DEMO_DISK := $(ROOT),cow=256M

demo: setup ## two Debian VMs on one shared disk image, which ping each other and copy files by scp; SMP=2
	@$(MAKE) --no-print-directory $(BUILD)/lamina.elf $(ROOT) $(LINUX)/initramfs-virtio
	$(call say,ISO,$(BUILD)/demo.iso)
	$(Q)$(PYTHON) tests/image.py $(BUILD)/demo.iso --lamina $(BUILD)/lamina.elf --cmdline '$(LAMINA)' --demo \
		--kernel $(LINUX)/vmlinuz --initrd $(LINUX)/initramfs-virtio --mem 256M --disk $(DEMO_DISK) --net lan
	@$(PYTHON) tests/emu.py $(BUILD)/demo.iso $(if $(MODEL),--model $(MODEL)) --mem 256M --vms 2 --smp $(SMP) \
		--disk $(DEMO_DISK) --timeout $(TIMEOUT) --log $(BUILD)/demo.log

$(ROOT): tests/linux/root.sh $(shell find tests/linux/root -type f) | $(LINUX)/modules.tar
	$(call say,DEBIAN,$@)
	@tests/setup.sh root
	$(Q)mkdir -p $(@D) && tests/linux/root.sh $@ $(LINUX)/modules.tar

# The default guest: Debian's kernel and busybox, fetched as packages and never installed.
$(LINUX)/vmlinuz $(LINUX)/busybox $(LINUX)/modules.tar &:
	$(call say,FETCH,$(LINUX))
	$(Q)tests/linux/fetch.sh $(LINUX)

$(LINUX)/memtest86+:
	$(call say,FETCH,$@)
	$(Q)tests/linux/memtest.sh $(LINUX)

$(LINUX)/initramfs: $(LINUX)/busybox $(wildcard tests/linux/*)
	$(call say,CPIO,$@)
	$(Q)tests/linux/initramfs.sh $< $@

# The same with a program that tests several CPUs.
$(LINUX)/threads: tests/linux/threads.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)gcc -O2 -Wall -Wextra -Werror -static -pthread -o $@ $<

$(LINUX)/initramfs-smp: $(LINUX)/busybox $(LINUX)/threads $(wildcard tests/linux/*)
	$(call say,CPIO,$@)
	$(Q)tests/linux/initramfs.sh $< $@ $(LINUX)/threads

# With KVM's modules, and another Linux to run in it.
$(LINUX)/kvm_linux: tests/linux/kvm_linux.c tests/linux/kvm_vcpu.h
	$(call say,CC,$@)
	$(Q)gcc -O2 -Wall -Wextra -Werror -static -pthread -o $@ $<

$(LINUX)/kvm.cpio: tests/linux/kvm.sh $(LINUX)/vmlinuz $(LINUX)/initramfs $(LINUX)/modules.tar $(LINUX)/kvm_linux
	$(call say,CPIO,$@)
	$(Q)$^ $@

$(LINUX)/initramfs-kvm: $(LINUX)/busybox $(LINUX)/kvm.cpio $(wildcard tests/linux/*)
	$(call say,CPIO,$@)
	$(Q)TOOLS=$(LINUX)/kvm.cpio tests/linux/initramfs.sh $< $@

# The same with the drivers of virtio devices, mkfs.ext4 and e2fsck.
$(LINUX)/tools.cpio: tests/linux/tools.sh
	$(call say,FETCH,$@)
	$(Q)mkdir -p $(@D) && tests/linux/tools.sh $@

$(LINUX)/initramfs-virtio: $(LINUX)/busybox $(LINUX)/modules.tar $(LINUX)/tools.cpio $(wildcard tests/linux/*)
	$(call say,CPIO,$@)
	$(Q)MODULES=$(LINUX)/modules.tar TOOLS=$(LINUX)/tools.cpio tests/linux/initramfs.sh $< $@

# What starts Lamina from a running Linux.
$(LINUX)/kexec.cpio: tests/linux/kexec.sh
	$(call say,FETCH,$@)
	$(Q)mkdir -p $(@D) && tests/linux/kexec.sh $@

# More kernels that users bring, for make check-long: fetched in the same way.
KERNELS := $(BUILD)/kernels
MORE_KERNELS := $(addprefix $(KERNELS)/,vmlinuz-full vmlinuz-rt vmlinuz-686 vmlinuz-686-pae busybox-686 xen \
	vmlinuz-6.12 modules-6.12.tar)
$(MORE_KERNELS) &:
	$(call say,FETCH,$(KERNELS))
	$(Q)tests/linux/fetch_more.sh $(KERNELS)

# The same initramfs with 32-bit programs, which the build machine may be unable to execute.
$(KERNELS)/initramfs-686: $(KERNELS)/busybox-686 $(LINUX)/busybox $(wildcard tests/linux/*)
	$(call say,CPIO,$@)
	$(Q)LISTER=$(LINUX)/busybox tests/linux/initramfs.sh $< $@

# The initramfs with drivers for Debian 13's kernel.
$(KERNELS)/initramfs-6.12: $(LINUX)/busybox $(KERNELS)/modules-6.12.tar $(LINUX)/tools.cpio $(wildcard tests/linux/*)
	$(call say,CPIO,$@)
	$(Q)MODULES=$(KERNELS)/modules-6.12.tar TOOLS=$(LINUX)/tools.cpio tests/linux/initramfs.sh $< $@

# The emulators that the tests run in, newer than the distribution's: fetched as packages and never installed.
.PHONY: emulators
emulators:
	$(Q)tests/emulators/fetch.sh $(BUILD)/emulators

# ---------------------------------------------------------------------------
# Tools that run on the build host.

EXPLAIN_SRCS := $(wildcard tools/*.c vmx/rules/*.c svm/rules/*.c) core/observe/entry_rule.c lib/string.c
HOSTCFLAGS   ?= -O2 -g

.PHONY: tools
tools: $(BUILD)/explain ## build/explain, which says what is wrong with the VMCS or VMCB in a dump

$(BUILD)/explain: $(EXPLAIN_SRCS) $(wildcard tools/*.h */rules/*.h core/observe/*.h lib/*.h vmx/*.h) svm/vmcb.h Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -std=gnu11 $(HOSTCFLAGS) -Wall -Wextra -Wmissing-prototypes -Wno-unused-parameter \
		-Wno-missing-field-initializers -Werror -DLAMINA_HOST_TEST -I. -o $@ $(EXPLAIN_SRCS)

# ---------------------------------------------------------------------------
# Measure. What an exit costs, in executed instructions: docs/bench.md.

BENCH = $(PYTHON) tests/bench/bench.py --compiler '$(shell $(CC) --version | head -n 1)'

.PHONY: bench bench-lab bench-peers bench-peers-nested bench-startup bench-floor bench-virtio bench-peers-virtio bench-docs bench-baseline bench-profile bench-guest
bench: bench-guest ## what each operation of a guest costs in instructions: build/bench/bench.*
	$(Q)$(BENCH)

bench-lab: bench-guest ## the same in cycles on a machine that labgrid controls, alone and in a VM; LG_ENV=tests/lab/qemu.yaml
	$(Q)$(TESTPYTHON) tests/bench/lab.py $(LG_ENV)

bench-peers: bench-guest ## the same under KVM and Xen in the same machines; some minutes, packages of Debian
	$(Q)$(MAKE) --no-print-directory -s -C tests/bench peers
	$(Q)$(PYTHON) tests/bench/peers.py

bench-peers-nested: bench-guest ## a hypervisor in a guest, here and under KVM; some minutes, packages of Debian
	$(Q)$(MAKE) --no-print-directory -s -C tests/bench peers-nested
	$(Q)$(PYTHON) tests/bench/peers_nested.py

bench-startup: bench-guest $(LINUX)/vmlinuz $(LINUX)/initramfs ## instructions of the start and of a Linux boot; exits when idle
	$(Q)$(PYTHON) tests/bench/startup.py

bench-floor: bench-guest ## the least that an exit can cost: a bare loop of entries and exits
	$(Q)$(BENCH) floor

bench-baseline: bench-guest ## accept the present figures: tests/bench/baseline.json
	$(Q)$(BENCH) baseline

bench-virtio: bench-guest ## what doorbells and requests of virtio devices cost
	$(Q)$(BENCH) virtio

bench-peers-virtio: bench-guest $(LINUX)/busybox ## requests of virtio devices here and under KVM; many minutes, packages of Debian
	$(Q)$(MAKE) --no-print-directory -s -C tests/bench peers-virtio
	$(Q)$(PYTHON) tests/bench/peers_virtio.py

bench-docs: bench-guest $(LINUX)/vmlinuz $(LINUX)/initramfs ## measure all of these again and write docs/bench.md
	$(Q)$(BENCH) docs
	$(Q)$(PYTHON) tests/bench/profile.py --summary --docs
	$(Q)$(PYTHON) tests/bench/startup.py --docs
	$(Q)$(MAKE) --no-print-directory -s -C tests/bench peers
	$(Q)$(PYTHON) tests/bench/peers.py --docs
	$(Q)$(MAKE) --no-print-directory -s -C tests/bench peers-nested
	$(Q)$(PYTHON) tests/bench/peers_nested.py --docs
	$(Q)$(MAKE) --no-print-directory -s -C tests/bench peers-virtio
	$(Q)$(PYTHON) tests/bench/peers_virtio.py --docs

FIGURE ?= long.cpuid-0
bench-profile: bench-guest ## where an operation's instructions go, by function; FIGURE='long.cpuid-0 ...'
	$(Q)$(PYTHON) tests/bench/profile.py $(FIGURE)

bench-guest: setup
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(MAKE) --no-print-directory -s -C tests/bench

# ---------------------------------------------------------------------------
# Check.

MAX_SIZE   := 524288
# The interpreter that Debian's python3-pytest is installed for.
TESTPYTHON := /usr/bin/python3
PYTEST     ?=

.PHONY: check check-layers check-homes check-twice check-words check-docs check-headers check-unit check-models check-fuzz \
	check-builds check-size check-repro check-bench check-boot check-lab
check: ## run all of the following checks but check-long
	@tests/setup.sh check
	@set -e; for target in $(CHECKS); do \
		echo "== $$target"; $(MAKE) --no-print-directory $$target; done

CHECKS := check-layers check-homes check-twice check-words check-docs check-headers check-builds check-size \
	check-repro check-unit check-models check-fuzz check-bench check-boot check-lab

check-layers: ## the include directions between the folders
	$(Q)$(PYTHON) tests/check_layers.py

check-homes: ## each function is declared in the header of the file that defines it
	$(Q)$(PYTHON) tests/check_homes.py

check-words: ## the field's words where it has one
	$(Q)$(PYTHON) tests/check_words.py

check-twice: ## no macro, constant or type is defined in two files
	$(Q)$(PYTHON) tests/check_twice.py

check-docs: ## files, functions and names in the documents exist
	$(Q)$(PYTHON) tests/check_docs.py

check-headers: $(BUILD)/version.h ## each header compiles alone, with gcc and with clang
	$(Q)$(PYTHON) tests/check_headers.py gcc $(CFLAGS) $(CPPFLAGS)
	$(Q)$(PYTHON) tests/check_headers.py clang $(filter-out $(UNALIGNED) $(STACK),$(CFLAGS)) $(CPPFLAGS)

check-unit: ## the unit tests, on the build host, with sanitizers
	$(Q)$(MAKE) --no-print-directory -C tests/unit check

check-models: ## models of the protocols between CPUs, with spin: no error, and one in each broken variant
	$(Q)tests/models/check.sh $(BUILD)/models

# The seed chooses the mutants; COUNT=0 means all. ONLY is a folder or a file of the product.
SEED  ?= 1
COUNT ?= 300
ONLY  ?=
JOBS  ?= 2

.PHONY: mutants
mutants: ## the single-line changes that no unit test notices; SEED=1 COUNT=300 ONLY=core/msr.c JOBS=2
	$(Q)$(PYTHON) tests/mutants/mutants.py --build $(BUILD) --seed $(SEED) --count $(COUNT) --jobs $(JOBS) \
		$(if $(ONLY),--only $(ONLY)) $(MUTANTS)

check-fuzz: ## fuzzers of all that reads boot data, a fixed number of inputs each
	$(Q)$(MAKE) --no-print-directory -s -j2 -C tests/fuzz check

.PHONY: fuzz
fuzz: ## the same for FUZZ_SECONDS=60 each, with new inputs every time
	$(Q)$(MAKE) --no-print-directory -s -j2 -C tests/fuzz fuzz $(if $(FUZZ_SECONDS),FUZZ_SECONDS=$(FUZZ_SECONDS))

check-builds: ## both compilers build it without a warning
	$(Q)$(MAKE) --no-print-directory -j2 all
	$(Q)$(MAKE) --no-print-directory -j2 all CC=clang BUILD=$(BUILD)/clang

SIZE = $(PYTHON) tests/size.py $(BUILD) --compiler '$(shell $(CC) --version | head -n 1)'

.PHONY: size size-docs
size: all ## the image's size, by folder
	$(Q)$(SIZE)

size-docs: all ## the same, into docs/size.md
	$(Q)$(SIZE) --docs

check-size: all ## the stripped image is at most 512 KiB, and docs/size.md is right
	@size=$$(wc -c < $(BUILD)/lamina.elf); \
	echo "check-size: $(BUILD)/lamina.elf has $$size bytes of at most $(MAX_SIZE)"; \
	test $$size -le $(MAX_SIZE)
	$(Q)$(SIZE) --check

check-repro: ## two clones in two folders give the same bytes
	$(Q)tests/check-repro.sh

check-bench: bench-guest ## no operation of a guest costs over 0.5% more than in the baseline
	$(Q)$(BENCH) check

check-boot: all selftest emulators $(LINUX)/vmlinuz $(LINUX)/initramfs $(LINUX)/initramfs-smp \
	$(LINUX)/initramfs-virtio ## the boot matrix in QEMU and Bochs; PYTEST='-k qemu'
	$(Q)$(MAKE) --no-print-directory -s -j2 -C tests/guests
	$(Q)$(TESTPYTHON) -m pytest -p no:cacheprovider --ignore=tests/lab -m 'not long' tests $(PYTEST)

.PHONY: check-long
check-long: all selftest emulators $(LINUX)/vmlinuz $(LINUX)/initramfs $(LINUX)/initramfs-smp $(LINUX)/initramfs-virtio $(ROOT) \
	$(LINUX)/initramfs-kvm \
	$(LINUX)/kexec.cpio $(LINUX)/memtest86+ \
	$(MORE_KERNELS) $(KERNELS)/initramfs-686 $(KERNELS)/initramfs-6.12 ## the tests that are too long for make check: more of the matrix, and make mutants
	$(Q)$(MAKE) --no-print-directory -s -j2 -C tests/guests
	$(Q)$(TESTPYTHON) -m pytest -p no:cacheprovider --ignore=tests/lab -m long tests $(PYTEST)
	$(Q)$(MAKE) --no-print-directory mutants

# Another machine: LG_ENV=<its labgrid environment>.
LG_ENV ?= tests/lab/qemu.yaml

check-lab: all $(LINUX)/vmlinuz $(LINUX)/initramfs ## boot a machine by PXE with labgrid; LG_ENV=tests/lab/qemu.yaml
	$(Q)$(MAKE) --no-print-directory -s -j2 -C tests/guests
	$(Q)$(TESTPYTHON) -m pytest -p no:cacheprovider --lg-env $(LG_ENV) tests/lab $(PYTEST)

.PHONY: models
models: all emulators ## boot every CPU model of QEMU and Bochs, and write docs/models.md
	$(Q)$(MAKE) --no-print-directory -s -j2 -C tests/guests
	$(Q)UPDATE_MODELS=1 $(TESTPYTHON) -m pytest -q -p no:cacheprovider tests/test_models.py

.PHONY: clean
clean: ## remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@echo 'make TARGET [NAME=VALUE]...'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 18
