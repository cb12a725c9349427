/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the KVM plugin: what its files share. */
#ifndef STASIS_KVM_KVM_H
#define STASIS_KVM_KVM_H

#include <linux/kvm.h>
#include <stdint.h>
#include <sys/types.h>

#include "journal.h"
#include "kvm/host.h"
#include "records.h"
#include "stasis/plugin.h"

#define KVM_MSR_IA32_TSC 0x10u
#define KVM_MSR_IA32_TSC_DEADLINE 0x6e0u

#define KVM_MCE_BANKS_MAX 32u

#define KVM_N_OF(a) (sizeof(a) / sizeof((a)[0]))

/* A copy of the target's journal as it was when it was read. */
struct kvm_copy {
	struct kvm_journal head;
	struct kvm_object
	        *objects; /* those that are still there: fd names an open descriptor of the right kind, else kind is NONE */
	struct kvm_entry *entries;
};

struct kvm_msr_numbers {
	uint32_t *items;
	size_t n;
};

/* The plugin's state in a checkpoint or restart. */
struct kvm_state {
	uint64_t journal; /* its address in the target; 0 = none */
	struct kvm_copy copy;
	struct kvm_host host; /* this host's KVM */
	bool has_host;
	struct kvm_msr_numbers msrs; /* to be asked for */
	size_t run_size;             /* bytes of a virtual CPU's mapping */
	/* restart: the image's records */
	struct kvm_rec_host *hosts;
	struct kvm_rec_machine *machines;
	struct kvm_rec_vcpu *vcpus;
	struct kvm_rec_stats *stats;
	struct kvm_rec_entry *entries;
	size_t n_hosts, n_machines, n_vcpus, n_stats, n_entries;
};

/* journal-read.c: reads the journal anew; what does not make sense is refused (-EBADMSG, not worded). */
int kvm_copy_read(struct stasis_session *s, uint64_t journal, struct kvm_copy *ret);
void kvm_copy_finish(struct kvm_copy *c);
/* The argument of an entry's call. `*ret_data` is allocated. */
int kvm_copy_data(struct stasis_session *s, const struct kvm_entry *e, void **ret_data);
/* The recorded bits of a machine's lines. */
int kvm_copy_lines(struct stasis_session *s, const struct kvm_object *machine, uint64_t lines[KVM_LINES / 64]);

/* check.c */
int kvm_check(struct stasis_session *s, void *state);
/* mapping.c */
int kvm_mapping(struct stasis_session *s, void *state, const struct stasis_mapping *m, int *ret_fd);
/* ready.c */
int kvm_ready(struct stasis_session *s, void *state);

/* save.c: machines and calls; vcpu-save.c: one virtual CPU. */
int kvm_save(struct stasis_session *s, void *state);
int kvm_vcpu_save(struct stasis_session *s, const struct kvm_object *vcpu, const struct kvm_state *k, unsigned mce_banks,
                  struct kvm_rec_vcpu *ret);
/* Local interrupt controller once more: see save.c. */
int kvm_vcpu_save_lapic(struct stasis_session *s, struct kvm_rec_vcpu *vcpu, bool *ret_changed);

/* msrs.c: the numbers of all MSRs that are worth asking for on this host, by KVM_GET_MSR_INDEX_LIST of an open /dev/kvm and
 * what that list leaves out. */
int kvm_msrs_list(struct stasis_session *s, int kvm_fd, struct kvm_msr_numbers *ret);
/* Not to be asked for when the virtual CPU has so many banks of machine-check registers: a call that fails takes its time, too.
 */
bool kvm_msr_is_no_bank(uint32_t number, unsigned banks);
/* Whether it has to be written before all others / not at all at its turn. */
bool kvm_msr_is_first(uint32_t number);
bool kvm_msr_is_apart(uint32_t number);
/* A value that a new virtual CPU has anyway and that must not be written. */
bool kvm_msr_is_idle(const struct kvm_msr_entry *m);

/* plan.c */
int kvm_plan(struct stasis_session *s, void *state);
/* load.c */
int kvm_load(struct stasis_session *s, struct kvm_state *k);

/* make.c: stage 1 */
int kvm_restore(struct stasis_session *s, void *state);

/* late.c: stage 2; vcpu-late.c: one virtual CPU; clock.c: TSC and clock. */
int kvm_late(struct stasis_session *s, void *state);
int kvm_vcpu_late(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_vcpu *v);
/* lapic.c: moves the timer of a saved LAPIC on by `gained` ns, in which the target's clock has gone on; `cycle_ns` of its bus.
 */
void kvm_lapic_advance(struct kvm_lapic_state *lapic, int64_t gained, uint64_t cycle_ns);
/* pit.c: the count with which a channel of a saved PIT, loaded `elapsed_ns` ago, goes on. */
void kvm_pit_advance(struct kvm_pit_channel_state *c, int64_t elapsed_ns);
/* The target's CLOCK_MONOTONIC. */
int kvm_clock_now(struct stasis_session *s, int64_t *ret_ns);
/* Makes the target ask something that changes with time, an ioctl with `size` bytes at `data` (also the answer), and says at
 * what time of its CLOCK_MONOTONIC it was answered: the question is put between two looks at the clock, some times, and the
 * closest pair counts. A negative errno, not worded. */
int kvm_clock_read(struct stasis_session *s, int fd, uint64_t request, void *data, size_t size, int64_t *ret_ns);
int kvm_clock_late(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_machine *m);

/* Small things: calls.c. */
/* Adds ioctl(fd, request, &data) with a copy of `size` bytes; returns the data's address in the target, in *ret_index the
 * call's. */
uint64_t kvm_calls_ioctl(struct stasis_calls *c, unsigned flags, int fd, uint64_t request, const void *data, size_t size,
                         size_t *ret_index);
/* Adds a KVM_GET_MSRS or KVM_SET_MSRS of one MSR, which may fail: its result is 1 when it did not. */
struct kvm_one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};
uint64_t kvm_calls_msr(struct stasis_calls *c, int fd, uint64_t request, uint32_t index, uint64_t value, size_t *ret_index);

/* Copies `size` bytes of a batch's data into allocated bytes. */
int kvm_bytes_from(struct stasis_calls *c, uint64_t addr, size_t size, struct img_bytes *ret);
int kvm_bytes_copy(const void *data, size_t size, struct img_bytes *ret);
/* The name of a request, for messages. */
const char *kvm_request_name(uint64_t request, char buf[32]);

#endif
