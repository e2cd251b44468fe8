/* SPDX-License-Identifier: MIT */
/* Checks CPUID on each CPU: its ids agree with each other and with the local APIC, and the rest is the same on all. */
#include "smp.h"

static struct { u32 leaf1_a, leaf1_b, leaf1_c, leaf1_d, apic, x2apic_id, levels, threads, ext; } volatile of[SMP_MAX];

static void look(u32 cpu)
{
	struct cpuid one = cpuid(1, 0);

	of[cpu].leaf1_a = one.a;
	of[cpu].leaf1_b = one.b;
	of[cpu].leaf1_c = one.c & ~(u32)BIT(27);	/* OSXSAVE is the CPU's own */
	of[cpu].leaf1_d = one.d;
	of[cpu].apic = apic_read(APIC_ID) >> (x2apic ? 0 : 24);
	if (cpuid(0, 0).a >= 11) {
		of[cpu].x2apic_id = cpuid(11, 0).d;
		of[cpu].levels = (cpuid(11, 0).b && cpuid(11, 1).b) ? cpuid(11, 1).b & 0xffff : 0;
		of[cpu].threads = cpuid(11, 0).b & 0xffff;
	}
	if (cpuid(0x80000000, 0).a >= 0x8000001e)
		of[cpu].ext = cpuid(0x8000001e, 0).a;
}

int main(void)
{
	u32 initial = 0, x2 = 0, ext = 0, same = 0, twice = 0, counts = 0, cores;
	bool leaf11, topology_extensions = vendor_amd() && (cpuid(0x80000001, 0).c & BIT(22));

	smp_init();
	leaf11 = cpuid(0, 0).a >= 11 && cpuid(11, 0).b;
	check(smp_all(look), "CPUID on all CPUs");
	for (u32 cpu = 0; cpu < smp_cpus; cpu++) {
		initial += of[cpu].leaf1_b >> 24 == of[cpu].apic && of[cpu].apic == smp[cpu].id;
		x2 += of[cpu].x2apic_id == of[cpu].apic;
		ext += of[cpu].ext == of[cpu].apic;
		counts += of[cpu].levels >= smp_cpus && of[cpu].threads >= 1 && of[cpu].threads <= of[cpu].levels;
		same += of[cpu].leaf1_a == of[0].leaf1_a && of[cpu].leaf1_c == of[0].leaf1_c &&
			of[cpu].leaf1_d == of[0].leaf1_d && !((of[cpu].leaf1_b ^ of[0].leaf1_b) & 0xffffff);
		for (u32 other = 0; other < cpu; other++)
			twice += of[other].apic == of[cpu].apic;
	}
	check_eq(initial, smp_cpus, "leaf 1: the initial APIC ID is the local APIC's, and the MADT's");
	check_eq(twice, 0, "no two CPUs have the same id");
	check_eq(same, smp_cpus, "leaf 1 is the same on all CPUs otherwise");
	check(of[0].leaf1_d & BIT(28), "leaf 1: HTT, with more than one CPU");
	check_range(of[0].leaf1_b >> 16 & 0xff, smp_cpus, 255, "leaf 1: room for the ids of all CPUs");
	if (leaf11) {
		check_eq(x2, smp_cpus, "leaf 0Bh: EDX is the x2APIC ID");
		check_eq(counts, smp_cpus, "leaf 0Bh: as many logical processors as there are CPUs");
		check_eq(cpuid(11, 0).c >> 8 & 0xff, 1, "leaf 0Bh: the first level is SMT");
		check_eq(cpuid(11, 1).c >> 8 & 0xff, 2, "leaf 0Bh: the second is the core");
		if (!hypervisor_present() && !qemu_tcg())
			skip("leaf 0Bh: there is no third", "Bochs gives it a type");
		else
			check_eq(cpuid(11, 2).c >> 8 & 0xff, 0, "leaf 0Bh: there is no third");
		check_range(1u << (cpuid(11, 1).a & 31), cpuid(11, 1).b, 256, "leaf 0Bh: the ids have room");
	} else {
		skip("leaf 0Bh", "this CPU has none");
	}
	if (!vendor_amd() && cpuid(0, 0).a >= 4) {
		cores = (cpuid(4, 0).a >> 26) + 1;
		check_range(cores * (of[0].threads ?: 1), smp_cpus, 256, "leaf 4: ids for all cores");
	}
	if (topology_extensions && !hypervisor_present() && ext < smp_cpus)
		skip("leaf 8000001Eh: the extended APIC ID", "Bochs gives all CPUs the same");
	else if (topology_extensions)
		check_eq(ext, smp_cpus, "leaf 8000001Eh: the extended APIC ID");
	if (vendor_amd() && cpuid(0x80000000, 0).a >= 0x80000008)
		check_range((cpuid(0x80000008, 0).c & 0xff) + 1, smp_cpus, 256, "leaf 80000008h: the number of CPUs");
	return 0;
}
