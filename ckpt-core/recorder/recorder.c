// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's core: takes the place of ioctl(2) in the target and hands calls to the kind of hardware they are for, and sees close(2)
 * and mmap(2) of the descriptors that a kind has claimed.
 *
 * The way of a call that concerns nobody: one load from the table of descriptors, a comparison per kind with the request's type, the
 * next ioctl in line. Other preloaded libraries behind us (umockdev, say) are called as usual. */
#include "recorder/recorder.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/ioctl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 65536
#define SCRATCH_SIZE (256 * 1024)

static char scratch[SCRATCH_SIZE] __attribute__((aligned(4096)));

struct recorder_root recorder_root = {
	.magic = RECORDER_MAGIC,
	.version = RECORDER_VERSION,
	.size = sizeof(struct recorder_root),
};

/* How the controller finds the root: see root.h. The distance is fixed when the library is linked. */
__asm__(".pushsection .note.stasis, \"a\", @note\n"
	".balign 4\n"
	".long 2f - 1f, 4f - 3f, 1\n"
	"1: .asciz \"Stasis\"\n"
	"2: .balign 4\n"
	"3: .quad recorder_root - 3b\n"
	"4: .balign 4\n"
	".popsection\n");

static uint8_t kind_of[DESCRIPTORS]; /* index into recorder_kinds, from 1; 0 = nobody's */
static int (*next_ioctl)(int fd, unsigned long request, ...);
static int (*next_close)(int fd);
static void *(*next_mmap)(void *addr, size_t size, int prot, int flags, int fd, off_t offset);
static uint32_t lock, lock_pid;

long recorder_call(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	register long r10 __asm__("r10") = a3;
	register long r8 __asm__("r8") = a4;
	register long r9 __asm__("r9") = a5;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static long futex(uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return recorder_call(SYS_futex, (long)word, op | FUTEX_PRIVATE_FLAG, value, (long)timeout, 0, 0);
}

/* Also before our constructor has run: other libraries' constructors may come first. */
static void start(void)
{
	static int done;

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	recorder_root.self = (uint64_t)&recorder_root;
	recorder_root.scratch = (uint64_t)scratch;
	recorder_root.scratch_size = sizeof(scratch);
	for (int i = 0; recorder_kinds[i] && i < RECORDER_SECTIONS; i++)
		if (!recorder_root.sections[i].addr)
			recorder_kinds[i]->init(&recorder_root.sections[i]);
	next_ioctl = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	next_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
	next_mmap = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
}

__attribute__((constructor)) static void construct(void)
{
	start();
}

void recorder_claim(int fd, const struct recorder_kind *kind)
{
	for (uint8_t i = 0; recorder_kinds[i]; i++)
		if (recorder_kinds[i] == kind && fd >= 0 && fd < DESCRIPTORS)
			kind_of[fd] = (uint8_t)(i + 1);
}

long recorder_next_ioctl(int fd, unsigned long request, void *arg)
{
	if (!next_ioctl)
		return recorder_call(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
	int result = next_ioctl(fd, request, arg);
	return result < 0 ? -errno : result;
}

static const struct recorder_kind *kind_by_type(unsigned type)
{
	for (int i = 0; recorder_kinds[i]; i++)
		if (recorder_kinds[i]->ioctl_type == type)
			return recorder_kinds[i];
	return NULL;
}

static long returned(long result)
{
	if (result < 0 && result >= -4095) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	const struct recorder_kind *kind;
	va_list ap;

	va_start(ap, request);
	void *arg = va_arg(ap, void *);
	va_end(ap);
	if ((unsigned)fd < DESCRIPTORS && kind_of[fd] && recorder_kinds[kind_of[fd] - 1]->ioctl_type == _IOC_TYPE(request)) {
		kind = recorder_kinds[kind_of[fd] - 1];
	} else { /* not seen yet, or the number has gone to something else since */
		kind = kind_by_type(_IOC_TYPE(request));
		start();
	}
	if (!kind && next_ioctl)
		return next_ioctl(fd, request, arg);
	return (int)returned(kind ? kind->ioctl(fd, request, arg) : recorder_call(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0));
}

static const struct recorder_kind *claimer(int fd)
{
	return (unsigned)fd < DESCRIPTORS && kind_of[fd] ? recorder_kinds[kind_of[fd] - 1] : NULL;
}

/* A kind may live as long as its descriptor. What closes several at once, or by dup2, is not seen. */
__attribute__((visibility("default"))) int close(int fd)
{
	const struct recorder_kind *kind = claimer(fd);

	if (kind && kind->closing)
		kind->closing(fd);
	return next_close ? next_close(fd) : (int)returned(recorder_call(SYS_close, fd, 0, 0, 0, 0, 0));
}

/* The headers give one of the two the name of the other, so they are named here. */
__attribute__((visibility("default"))) void *recorder_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset) __asm__("mmap");
__attribute__((visibility("default"))) void *recorder_mmap64(void *addr, size_t size, int prot, int flags, int fd, off_t offset) __asm__("mmap64");

void *recorder_mmap64(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	const struct recorder_kind *kind = claimer(fd);
	int err = kind && kind->mapping ? kind->mapping(fd) : 0;

	if (err)
		return (void *)returned(err);
	if (next_mmap)
		return next_mmap(addr, size, prot, flags, fd, offset);
	return (void *)returned(recorder_call(SYS_mmap, (long)addr, (long)size, prot, flags, fd, offset));
}

void *recorder_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	return recorder_mmap64(addr, size, prot, flags, fd, offset);
}

/* A child that was forked while another thread had its turn starts with a lock that nobody will give back. */
static void after_fork(void)
{
	uint32_t pid = (uint32_t)recorder_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	if (__atomic_load_n(&lock_pid, __ATOMIC_RELAXED) == pid)
		return;
	if (lock_pid) {
		__atomic_store_n(&lock, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&recorder_root.busy, 0, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&lock_pid, pid, __ATOMIC_RELAXED);
}

void recorder_begin(struct recorder_turn *turn)
{
	uint64_t all = ~0ull;

	recorder_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&turn->mask, sizeof(all), 0, 0);
	after_fork();
	for (uint32_t free = 0; !__atomic_compare_exchange_n(&lock, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED); free = 0)
		futex(&lock, FUTEX_WAIT, 1, &(struct timespec){ .tv_nsec = 20000000 });
	__atomic_add_fetch(&recorder_root.busy, 1, __ATOMIC_SEQ_CST);
}

void recorder_end(struct recorder_turn *turn)
{
	__atomic_sub_fetch(&recorder_root.busy, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	futex(&lock, FUTEX_WAKE, 1, NULL);
	recorder_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&turn->mask, 0, sizeof(turn->mask), 0, 0);
}

void recorder_break(void)
{
	recorder_root.broken = 1;
}

void *recorder_memory(size_t size)
{
	long p = recorder_call(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p < 0 && p >= -4095) {
		recorder_break();
		return NULL;
	}
	return (void *)p;
}

static int gate_wait(unsigned limit_ms)
{
	while (recorder_gate_is_closed()) {
		uint32_t lease_ms = recorder_root.lease_ms, ms = limit_ms && limit_ms < lease_ms ? limit_ms : lease_ms;
		struct timespec lease = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };
		long result = futex(&recorder_root.closed, FUTEX_WAIT, 1, &lease);
		if (result == -EINTR)
			return -EINTR;
		if (result == -ETIMEDOUT && ms < lease_ms)
			return 0;
		if (result == -ETIMEDOUT) /* whoever closed it is gone */
			__atomic_store_n(&recorder_root.closed, 0, __ATOMIC_RELEASE);
	}
	return 0;
}

int recorder_gate_wait(void)
{
	return gate_wait(0);
}

int recorder_gate_wait_briefly(unsigned ms)
{
	return gate_wait(ms);
}

void recorder_hold(void)
{
	__atomic_add_fetch(&recorder_root.held, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&recorder_root.closed, __ATOMIC_SEQ_CST))
		recorder_call(SYS_futex, (long)&recorder_root.closed, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, 0, 0, 0);
}

void recorder_unhold(void)
{
	__atomic_sub_fetch(&recorder_root.held, 1, __ATOMIC_SEQ_CST);
}
