/* SPDX-License-Identifier: MIT */
/*
 * L1's intercept maps, which are in its RAM. What they lack, or what is no RAM, is intercepted.
 * AMD APM vol. 2, "IOIO Intercepts", "MSR Intercepts".
 */
#include "arch/cpu/x86.h"
#include "core/mem/guest_mem.h"
#include "svm/nested/nested.h"

/*
 * A map that is not all in RAM intercepts all; what is in RAM of it counts at the exit.
 * Where the VM's map intercepts all MSRs of a word, 02's does so, too: L0 looks into L1's map at the exit. So
 * only the words with MSRs that L1 reaches without an exit are merged.
 */
void nsvm_merge_msrpm(struct vcpu *vcpu)
{
	const struct svm_nested *nested = to_svm(vcpu)->nested;
	const struct svm_vm *maps = vcpu->vm->vendor;
	const u64 *own = (const u64 *)maps->msrpm;
	u64 *merged = (u64 *)nested->msrpm;
	bool intercepts = nsvm_intercepts(nested, VMEXIT_MSR);
	const volatile u64 *l1 = intercepts ? guest_ptr(vcpu->vm, nested->vmcb12.control.msrpm_base & PAGE_MASK,
							PAGE_SIZE << MSRPM_ORDER) : NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(maps->msrpm_open); i++) {
		for (u64 left = maps->msrpm_open[i]; left; left &= left - 1) {
			unsigned word = 64 * i + (unsigned)__builtin_ctzll(left);

			merged[word] = own[word] | (l1 ? l1[word] : intercepts ? ~0ull : 0);
		}
	}
}

/* `bits` of the map from bit `first` on. */
static bool map_has(struct vcpu *vcpu, gpa_t map, unsigned first, unsigned bits)
{
	u16 word;

	if (guest_read(vcpu->vm, (map & PAGE_MASK) + first / 8, &word, sizeof(word)))
		return true;
	return word >> first % 8 & (BIT(bits) - 1);
}

bool nsvm_intercepts_msr(struct vcpu *vcpu)
{
	const struct vcpu_svm *svm = to_svm(vcpu);
	int bit = svm_msrpm_bit((u32)vcpu->regs[REG_RCX]);

	if (!nsvm_intercepts(svm->nested, VMEXIT_MSR))
		return false;
	return bit < 0 || map_has(vcpu, svm->nested->vmcb12.control.msrpm_base,
				  (unsigned)bit + (svm->vmcb->control.exit_info1 & 1), 1);
}

/* Each byte of the access. The map goes on behind port 0xffff. */
bool nsvm_intercepts_io(struct vcpu *vcpu)
{
	const struct vcpu_svm *svm = to_svm(vcpu);
	u32 info = (u32)svm->vmcb->control.exit_info1;

	return nsvm_intercepts(svm->nested, VMEXIT_IOIO) &&
	       map_has(vcpu, svm->nested->vmcb12.control.iopm_base, IOIO_PORT(info), IOIO_SIZE(info));
}
