// SPDX-License-Identifier: LGPL-2.1-or-later
/* The guest's time: TSC, kvmclock and TSC deadlines, in step with the time namespace that the target is restarted in.
 *
 * Theory of operation. The target's CLOCK_MONOTONIC goes on from the checkpoint (or, with --clock=realtime, has jumped by the time
 * that has passed); the VMM's own timers live by it. So the guest's clocks are set to what they were plus what that clock has gained
 * since they were read. For the TSC no frequency of this or the old host is needed: the new virtual CPU's own TSC and offset are
 * read, and the offset is moved by what is missing. The offsets of the other virtual CPUs keep their distance to the first one's to
 * the last cycle, else the guest would see its TSCs apart. Where KVM has no offset attribute (before 5.16) the TSC is written, and
 * KVM itself makes those equal that are written within a second (kvm_synchronize_tsc). Deadlines are in TSC cycles, so they come after;
 * they also come after the LAPIC, whose mode they need (kvm_set_lapic_tscdeadline_msr). Test: bare guests, TSC; kvm-linux-*. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "kvm.h"

/* What a guest's TSC gains in `ns`. */
static int64_t cycles_of(int64_t ns, uint32_t khz)
{
	return (int64_t)((__int128)ns * khz / 1000000);
}

static uint64_t add_offset(struct stasis_calls *c, int fd, uint64_t request, int64_t offset, size_t *ret_call)
{
	uint64_t at = stasis_calls_put(c, &offset, sizeof(offset));
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = at };

	kvm_calls_ioctl(c, STASIS_MAY_FAIL, fd, request, &attr, sizeof(attr), ret_call);
	return at;
}

#define READ_TRIES 4
#define READ_CLOSE_NS 20000

static int64_t ns_at(struct stasis_calls *c, uint64_t at)
{
	const struct timespec *ts = stasis_calls_at(c, at);

	return ts->tv_sec * 1000000000ll + ts->tv_nsec;
}

int kvm_clock_read(struct stasis_session *s, int fd, uint64_t request, void *data, size_t size, int64_t *ret_ns)
{
	int64_t best = INT64_MAX;
	struct stasis_calls *c;
	int err = stasis_calls_create(s, 3, &c);

	for (int i = 0; i < READ_TRIES && best > READ_CLOSE_NS && !err; i++) {
		stasis_calls_reset(c);
		uint64_t before = stasis_calls_put(c, NULL, sizeof(struct timespec)), after = stasis_calls_put(c, NULL, sizeof(struct timespec));
		stasis_calls_add(c, 0, SYS_clock_gettime, CLOCK_MONOTONIC, before, 0, 0);
		uint64_t at = kvm_calls_ioctl(c, 0, fd, request, data, size, NULL);
		stasis_calls_add(c, 0, SYS_clock_gettime, CLOCK_MONOTONIC, after, 0, 0);
		if ((err = stasis_calls_run(c, NULL)) || ns_at(c, after) - ns_at(c, before) >= best)
			continue;
		best = ns_at(c, after) - ns_at(c, before);
		memcpy(data, stasis_calls_at(c, at), size);
		*ret_ns = ns_at(c, before) + best / 2;
	}
	stasis_calls_destroy(c);
	return err;
}

int kvm_clock_now(struct stasis_session *s, int64_t *ret_ns)
{
	struct stasis_calls *c;
	int err = stasis_calls_create(s, 1, &c);

	if (err)
		return err;
	uint64_t at = stasis_calls_put(c, NULL, sizeof(struct timespec));
	stasis_calls_add(c, 0, SYS_clock_gettime, CLOCK_MONOTONIC, at, 0, 0);
	if (!(err = stasis_calls_run(c, NULL)))
		*ret_ns = ns_at(c, at);
	stasis_calls_destroy(c);
	return err;
}

struct tsc_now {
	int64_t ns;      /* the target's CLOCK_MONOTONIC */
	uint64_t tsc;    /* of the first virtual CPU at that time */
	int64_t offset;
	bool has_offset;
};

static int read_now(struct stasis_session *s, const struct kvm_rec_vcpu *v, struct tsc_now *ret)
{
	struct kvm_one_msr tsc = { .head.nmsrs = 1, .entry.index = KVM_MSR_IA32_TSC };
	struct stasis_calls *c;
	size_t call;
	int err = stasis_calls_create(s, 1, &c);

	if (err)
		return err;
	uint64_t at = add_offset(c, v->fd, KVM_GET_DEVICE_ATTR, 0, &call);
	if (!(err = stasis_calls_run(c, NULL))) {
		ret->has_offset = stasis_calls_result(c, call) == 0;
		memcpy(&ret->offset, stasis_calls_at(c, at), sizeof(ret->offset));
	}
	stasis_calls_destroy(c);
	if (!err)
		err = kvm_clock_read(s, v->fd, KVM_GET_MSRS, &tsc, sizeof(tsc), &ret->ns);
	ret->tsc = tsc.entry.data;
	return err ? stasis_fail(s, err, "virtual CPU %u (fd %d): its TSC cannot be read: %s", v->id, v->fd, strerror(-err)) : 0;
}

static int set_tsc(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_machine *m, const struct kvm_rec_vcpu *first,
		   const struct tsc_now *now)
{
	struct stasis_calls *c;
	size_t call = 0, failed = 0;
	int err = stasis_calls_create(s, k->n_vcpus + 1, &c);

	if (err)
		return err;
	/* What the first one should read at `now`, and how far it is from that. */
	uint64_t want = first->tsc + (uint64_t)cycles_of(now->ns - first->tsc_ns, first->tsc_khz);
	int64_t base = now->offset + (int64_t)(want - now->tsc);
	stasis_debug(s, "TSC: %u kHz; %lld us after it was read; offset was %lld, made %lld, becomes %lld", first->tsc_khz,
		     (long long)(now->ns - first->tsc_ns) / 1000, (long long)first->tsc_offset, (long long)now->offset, (long long)base);
	for (size_t i = 0; i < k->n_vcpus; i++) {
		const struct kvm_rec_vcpu *v = &k->vcpus[i];
		if (v->machine != m->object)
			continue;
		if (now->has_offset && first->has_tsc_offset)
			add_offset(c, v->fd, KVM_SET_DEVICE_ATTR, base + (v->tsc_offset - first->tsc_offset), &call);
		else
			kvm_calls_msr(c, v->fd, KVM_SET_MSRS, KVM_MSR_IA32_TSC, want, &call);
	}
	err = stasis_calls_run(c, &failed);
	for (size_t i = 0; i <= call && !err; i++)
		if (stasis_calls_result(c, i) < 0)
			err = (int)stasis_calls_result(c, i);
	stasis_calls_destroy(c);
	return err ? stasis_fail(s, err, "virtual machine (fd %d): the TSC cannot be set: %s", m->fd, strerror(-err)) : 0;
}

#define CLOCK_TRIES 4
#define CLOCK_CLOSE_NS 100000

/* Setting the clock takes its time, and so does being scheduled: what came out is measured, and set again by as much earlier. */
static int set_kvmclock(struct stasis_session *s, const struct kvm_rec_machine *m)
{
	struct kvm_clock_data then, now;
	int64_t ns, ahead = 0;
	int err = 0;

	memcpy(&then, m->clock.data, sizeof(then));
	for (int i = 0; i < CLOCK_TRIES && !err; i++) {
		struct kvm_clock_data set = { 0 };
		struct stasis_calls *c;
		if ((err = kvm_clock_read(s, m->fd, KVM_GET_CLOCK, &now, sizeof(now), &ns)))
			break;
		int64_t off = (int64_t)(then.clock - now.clock) + (ns - m->clock_ns);
		if (i && off < CLOCK_CLOSE_NS && off > -CLOCK_CLOSE_NS)
			break;
		ahead = i ? ahead + off : 0;
		if ((err = stasis_calls_create(s, 2, &c)))
			break;
		/* What it should read at the time of this very call, as near as can be told. */
		set.clock = then.clock + (uint64_t)(ns - m->clock_ns + ahead);
		kvm_calls_ioctl(c, 0, m->fd, KVM_SET_CLOCK, &set, sizeof(set), NULL);
		err = stasis_calls_run(c, NULL);
		stasis_calls_destroy(c);
	}
	return err;
}

/* kvmclock; then deadlines; then the word to the guest that it was stopped, for its watchdogs (KVM_KVMCLOCK_CTRL fails where it has no
 * kvmclock). */
static int set_clock(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_machine *m)
{
	struct stasis_calls *c;
	int err = m->clock.size ? set_kvmclock(s, m) : 0;

	if (err || (err = stasis_calls_create(s, 2 * k->n_vcpus + 1, &c)))
		return stasis_fail(s, err, "virtual machine (fd %d): KVM_SET_CLOCK: %s", m->fd, strerror(-err));
	for (size_t i = 0; i < k->n_vcpus; i++) {
		const struct kvm_rec_vcpu *v = &k->vcpus[i];
		if (v->machine != m->object)
			continue;
		if (v->tsc_deadline)
			kvm_calls_msr(c, v->fd, KVM_SET_MSRS, KVM_MSR_IA32_TSC_DEADLINE, v->tsc_deadline, NULL);
		stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)v->fd, KVM_KVMCLOCK_CTRL, 0, 0);
	}
	err = stasis_calls_run(c, NULL);
	stasis_calls_destroy(c);
	return err ? stasis_fail(s, err, "virtual machine (fd %d): its timers cannot be set: %s", m->fd, strerror(-err)) : 0;
}

int kvm_clock_late(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_machine *m)
{
	const struct kvm_rec_vcpu *first = NULL;
	struct tsc_now now = { 0 };
	int err = 0;

	for (size_t i = 0; i < k->n_vcpus && !first; i++)
		if (k->vcpus[i].machine == m->object)
			first = &k->vcpus[i];
	if (first && ((err = read_now(s, first, &now)) || (err = set_tsc(s, k, m, first, &now))))
		return err;
	return set_clock(s, k, m);
}
