/* SPDX-License-Identifier: MIT */
/*
 * The two cascaded 8259A interrupt controllers of a PC, in 8086 mode. Facts from Intel's "8259A
 * Programmable Interrupt Controller" data sheet and the ICH's edge/level control registers (ELCR).
 */
#include "dev/irq/vpic.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "dev/irq/irqchip.h"
#include "dev/isa/byte_ports.h"
#include "dev/platform.h"

#define CASCADE	 2			/* master's input that the slave's INT drives */
#define SPURIOUS 7

#define ICW1_INIT	BIT(4)		/* with A0 = 0: ICW1; clear: OCW2 or OCW3 */
#define ICW1_SINGLE	BIT(1)
#define ICW1_ICW4	BIT(0)
#define ICW4_NESTED	BIT(4)		/* special fully nested mode */
#define ICW4_AUTO_EOI	BIT(1)
#define OCW2_ROTATE	BIT(7)
#define OCW2_SPECIFIC	BIT(6)
#define OCW2_EOI	BIT(5)
#define OCW3_SELECT	BIT(3)
#define OCW3_MASK_ENABLE BIT(6)
#define OCW3_MASK	BIT(5)
#define OCW3_POLL	BIT(2)
#define OCW3_READ	BIT(1)
#define OCW3_READ_ISR	BIT(0)
#define POLL_PENDING	BIT(7)

/* Which word the next write with A0 = 1 is. */
enum vpic_step { PIC_UNINITIALIZED, PIC_ICW2, PIC_ICW3, PIC_ICW4, PIC_READY };

struct vpic_chip {
	bool master;
	u8 step;			/* enum vpic_step */
	u8 icw1, base;			/* base: vector of input 0 */
	u8 irr, isr, imr;
	u8 lines, level;		/* levels of the inputs; ELCR: which are level-triggered */
	u8 elcr_writable;
	u8 lowest;			/* input of the lowest priority */
	bool read_isr, poll, special_mask;
	bool auto_eoi, rotate_on_auto_eoi, fully_nested;
};

struct vpic {
	struct vm *vm;
	struct vpic_chip master, slave;
	bool output;			/* INT of the master */
};

static struct vpic *vpic_of(struct vm *vm)
{
	return ((struct platform *)vm_platform(vm))->vpic;
}

/* --- one chip --- */

/* Rank of the most urgent input in `mask`: 0 is the highest priority, 8 when the mask is empty. */
static unsigned highest_rank(const struct vpic_chip *chip, u8 mask)
{
	unsigned first = (chip->lowest + 1u) & 7;
	u8 rotated = (u8)(mask >> first | mask << (8 - first));

	return rotated ? (unsigned)__builtin_ctz(rotated) : 8;
}

static unsigned input_of_rank(const struct vpic_chip *chip, unsigned rank)
{
	return (chip->lowest + 1 + rank) & 7;
}

/* The input that INT is asserted for, or -1. */
static int chip_request(const struct vpic_chip *chip)
{
	u8 requests = chip->irr & ~chip->imr, in_service = chip->isr;
	unsigned rank;

	if (likely(!requests) || chip->step != PIC_READY)
		return -1;
	rank = highest_rank(chip, requests);
	if (chip->special_mask)
		in_service &= ~chip->imr;
	/* A more urgent input of the slave may interrupt one that is in service. */
	if (chip->fully_nested && chip->master)
		in_service &= ~BIT(CASCADE);
	if (rank >= highest_rank(chip, in_service))
		return -1;
	return (int)input_of_rank(chip, rank);
}

/* INTA or a poll: acknowledge an input and return it; -1: there is none, and nothing changed. */
static int chip_acknowledge(struct vpic_chip *chip)
{
	int input = chip_request(chip);

	if (input < 0)
		return -1;
	if (!(chip->level & BIT(input)))
		chip->irr &= ~BIT(input);
	if (!chip->auto_eoi)
		chip->isr |= BIT(input);
	else if (chip->rotate_on_auto_eoi)
		chip->lowest = (u8)input;
	return input;
}

/* In both trigger modes a request ends when its line falls. */
static void chip_set_line(struct vpic_chip *chip, unsigned input, bool level)
{
	u8 bit = BIT(input);

	if (!level)
		chip->irr &= ~bit;
	else if (!(chip->lines & bit))
		chip->irr |= bit;
	chip->lines = level ? chip->lines | bit : chip->lines & ~bit;
}

static void chip_icw1(struct vpic_chip *chip, u8 value)
{
	chip->icw1 = value;
	chip->step = PIC_ICW2;
	/* The edge sense circuit is reset: an input that is high already must fall and rise to request. */
	chip->irr = chip->lines & chip->level;
	chip->isr = 0;
	chip->imr = 0;
	chip->lowest = 7;
	chip->read_isr = chip->poll = chip->special_mask = false;
	/* Without ICW4 the modes that it selects are off. */
	chip->auto_eoi = chip->fully_nested = chip->rotate_on_auto_eoi = false;
}

static void chip_ocw2(struct vpic_chip *chip, u8 value)
{
	unsigned input = value & 7, rank;

	if (!(value & OCW2_EOI)) {
		if (value & OCW2_SPECIFIC)
			chip->lowest = value & OCW2_ROTATE ? input : chip->lowest;
		else
			chip->rotate_on_auto_eoi = value & OCW2_ROTATE;
		return;
	}
	if (!(value & OCW2_SPECIFIC)) {
		/* In special mask mode a non-specific EOI does not clear the ISR bits of masked inputs. */
		rank = highest_rank(chip, chip->special_mask ? chip->isr & ~chip->imr : chip->isr);
		if (rank == 8)
			return;
		input = input_of_rank(chip, rank);
	}
	chip->isr &= ~BIT(input);
	if (value & OCW2_ROTATE)
		chip->lowest = (u8)input;
}

static void chip_ocw3(struct vpic_chip *chip, u8 value)
{
	chip->poll = value & OCW3_POLL;
	if (value & OCW3_READ)
		chip->read_isr = value & OCW3_READ_ISR;
	if (value & OCW3_MASK_ENABLE)
		chip->special_mask = value & OCW3_MASK;
}

static void chip_write_data(struct vpic_chip *chip, u8 value)
{
	switch (chip->step) {
	case PIC_ICW2:
		chip->base = value & 0xf8;
		if (!(chip->icw1 & ICW1_SINGLE))
			chip->step = PIC_ICW3;
		else
			chip->step = chip->icw1 & ICW1_ICW4 ? PIC_ICW4 : PIC_READY;
		break;
	case PIC_ICW3:		/* ignored: the cascade's wiring is fixed */
		chip->step = chip->icw1 & ICW1_ICW4 ? PIC_ICW4 : PIC_READY;
		break;
	case PIC_ICW4:
		chip->auto_eoi = value & ICW4_AUTO_EOI;
		chip->fully_nested = value & ICW4_NESTED;
		chip->step = PIC_READY;
		break;
	default:
		chip->imr = value;
		break;
	}
}

static u8 chip_read(struct vpic_chip *chip, bool data)
{
	if (chip->poll) {
		int input = chip_acknowledge(chip);

		chip->poll = false;
		return input < 0 ? 0 : POLL_PENDING | input;
	}
	if (data)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

static void chip_write(struct vpic_chip *chip, bool data, u8 value)
{
	if (data)
		chip_write_data(chip, value);
	else if (value & ICW1_INIT)
		chip_icw1(chip, value);
	else if (value & OCW3_SELECT)
		chip_ocw3(chip, value);
	else
		chip_ocw2(chip, value);
}

/* --- the pair --- */

/*
 * The slave's INT drives the master's input 2, which behaves like a level-triggered one: INT falls
 * with each acknowledge cycle, so a remaining request makes a new edge.
 */
static void vpic_update(struct vpic *vpic)
{
	bool cascade = chip_request(&vpic->slave) >= 0, output;

	vpic->master.irr &= ~BIT(CASCADE);
	vpic->master.irr |= cascade ? BIT(CASCADE) : 0;
	output = chip_request(&vpic->master) >= 0;
	if (output != vpic->output) {
		vpic->output = output;
		irqchip_pic_output(vpic->vm, output);
	}
}

void vpic_set_line(struct vm *vm, unsigned irq, bool level)
{
	struct vpic *vpic = vpic_of(vm);

	if (irq >= 16 || irq == CASCADE)
		return;
	chip_set_line(irq < 8 ? &vpic->master : &vpic->slave, irq & 7, level);
	vpic_update(vpic);
}

bool vpic_line_waiting(struct vm *vm, unsigned irq)
{
	const struct vpic *vpic = vpic_of(vm);
	const struct vpic_chip *chip = irq < 8 ? &vpic->master : &vpic->slave;

	return chip->step == PIC_READY && (chip->irr & ~chip->imr & BIT(irq & 7));
}

bool vpic_pending(struct vm *vm)
{
	return vpic_of(vm)->output;
}

int vpic_acknowledge(struct vm *vm)
{
	struct vpic *vpic = vpic_of(vm);
	struct vpic_chip *chip = &vpic->master;
	int input = chip_acknowledge(chip);

	if (input == CASCADE) {
		chip = &vpic->slave;
		input = chip_acknowledge(chip);
	}
	vpic_update(vpic);
	return chip->base + (input < 0 ? SPURIOUS : input);
}

/* --- ports --- */

#define PIC_MASTER_PORT	0x20
#define PIC_SLAVE_PORT	0xa0
#define ELCR_PORT	0x4d0

static struct vpic_chip *chip_at(struct vpic *vpic, u16 port)
{
	return (port & 0xfffe) == PIC_MASTER_PORT ? &vpic->master : &vpic->slave;
}

static u8 vpic_read(void *device, u16 port)
{
	struct vpic *vpic = device;
	struct vpic_chip *chip = chip_at(vpic, port);
	bool polled = chip->poll;
	u8 value = chip_read(chip, port & 1);

	if (polled)	/* a poll acknowledges */
		vpic_update(vpic);
	return value;
}

static void vpic_write(void *device, u16 port, u8 value)
{
	struct vpic *vpic = device;

	chip_write(chip_at(vpic, port), port & 1, value);
	vpic_update(vpic);
}

static u8 elcr_read(void *device, u16 port)
{
	struct vpic *vpic = device;

	return port == ELCR_PORT ? vpic->master.level : vpic->slave.level;
}

static void elcr_write(void *device, u16 port, u8 value)
{
	struct vpic *vpic = device;
	struct vpic_chip *chip = port == ELCR_PORT ? &vpic->master : &vpic->slave;

	chip->level = value & chip->elcr_writable;
	/* A level-triggered input requests as long as it is high; it needs no edge. */
	chip->irr |= chip->lines & chip->level;
	vpic_update(vpic);
}

struct vpic *vpic_create(struct vm *vm)
{
	const struct byte_ports ports[] = {
		{ "8259 master", PIC_MASTER_PORT, 2, vpic_read, vpic_write, NULL },
		{ "8259 slave", PIC_SLAVE_PORT, 2, vpic_read, vpic_write, NULL },
		{ "8259 ELCR", ELCR_PORT, 2, elcr_read, elcr_write, NULL },
	};
	struct vpic *vpic = vm_alloc(vm, sizeof(*vpic));

	if (!vpic)
		return NULL;
	vpic->vm = vm;
	/* IRQ 0, 1, 2, 8 and 13 are always edge-triggered (ICH, "Edge/Level Control Register"). */
	vpic->master = (struct vpic_chip){ .imr = 0xff, .lowest = 7, .elcr_writable = 0xf8 };
	vpic->master.master = true;
	vpic->slave = (struct vpic_chip){ .imr = 0xff, .lowest = 7, .elcr_writable = 0xde };
	/* As firmware leaves them. */
	for (unsigned irq = PCI_FIRST_IRQ; irq <= PCI_LAST_IRQ; irq++)
		vpic->slave.level |= BIT(irq - 8);
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		struct byte_ports claim = ports[i];

		claim.device = vpic;
		if (byte_ports_register(vm, &claim))
			return NULL;
	}
	return vpic;
}
