// SPDX-License-Identifier: LGPL-2.1-or-later
/* Options, signals and the end of test-vmm: SIGUSR1 pauses all virtual CPUs, SIGUSR2 lets them go on, SIGTERM ends. Whatever is
 * not as it should be becomes a line BAD and exit status 1. */
#include "vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
        "usage: test-vmm [OPTIONS] GUEST       GUEST: ELF with a PVH note, or a flat binary for 1 MiB\n"
        "  -n, --cpus N           virtual CPUs: 1 or 2 (2)\n"
        "  -m, --memory MIB       guest RAM (64)\n"
        "      --vms N            virtual machines in this process: 1 or 2 (1); lines of the second begin with vm1\n"
        "      --irqchip=KIND     kernel, split or off (kernel)\n"
        "      --memfd            guest RAM is a shared memfd; otherwise anonymous\n"
        "      --hugepage         ask for huge pages\n"
        "      --slow-ms N        the slow device takes so long to answer (2)\n"
        "      --churn-ms N       a slot moves, routes change, an ioeventfd is taken away and put back as often (100; 0 = "
        "never)\n"
        "      --append WORDS     for the guest: irq, ap=none, ap=init, emulator, period=MS, loops=N\n"
        "      --bench MS         count the exits of a guest that only does `out` for so long, print EXITS N NANOSECONDS and "
        "end\n"
        "SIGUSR1 pauses the virtual CPUs, SIGUSR2 lets them go on, SIGTERM ends. Exit status 1 after a line BAD.\n";

void vmm_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("test-vmm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(2);
}

void vmm_bad(struct vm *vm, const char *fmt, ...)
{
	char line[400];
	va_list ap;
	int n = snprintf(line, sizeof(line), "BAD vmm vm%u ", vm->index);

	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 2, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)n) < 0)
		perror("test-vmm: write");
	_exit(1);
}

int vmm_ioctl(int fd, unsigned long request, const char *name, void *argument)
{
	int ret = ioctl(fd, request, argument);

	if (ret < 0)
		vmm_fail("%s: %s", name, strerror(errno));
	return ret;
}

void *vmm_map(size_t size, bool memfd, bool hugepage)
{
	int fd = memfd ? memfd_create("guest-ram", MFD_CLOEXEC) : -1;
	void *map;

	if (memfd && (fd < 0 || ftruncate(fd, (off_t)size) < 0))
		vmm_fail("memfd: %s", strerror(errno));
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, memfd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
	if (map == MAP_FAILED)
		vmm_fail("mmap of %zu bytes: %s", size, strerror(errno));
	if (hugepage && madvise(map, size, MADV_HUGEPAGE) < 0)
		vmm_fail("MADV_HUGEPAGE: %s", strerror(errno));
	return map; /* the descriptor stays open, as other VMMs have it */
}

pthread_t vmm_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, run, argument);

	if (error)
		vmm_fail("thread: %s", strerror(error));
	return thread;
}

void vmm_sleep_ms(unsigned ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == EINTR)
		;
}

static unsigned parse_number(const char *text, unsigned low, unsigned high)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n < low || n > high)
		vmm_fail("%s: not a number from %u to %u", text, low, high);
	return (unsigned)n;
}

static enum irqchip parse_irqchip(const char *text)
{
	if (!strcmp(text, "kernel"))
		return IRQCHIP_KERNEL;
	if (!strcmp(text, "split"))
		return IRQCHIP_SPLIT;
	if (strcmp(text, "off"))
		vmm_fail("--irqchip=%s: not kernel, split or off", text);
	return IRQCHIP_OFF;
}

static void parse_options(int argc, char **argv, struct options *options)
{
	enum { OPT_VMS = 256, OPT_IRQCHIP, OPT_MEMFD, OPT_HUGEPAGE, OPT_SLOW, OPT_CHURN, OPT_APPEND, OPT_BENCH };
	static const struct option table[] = {
		{ "cpus", 1, NULL, 'n' },          { "memory", 1, NULL, 'm' },
		{ "vms", 1, NULL, OPT_VMS },       { "irqchip", 1, NULL, OPT_IRQCHIP },
		{ "memfd", 0, NULL, OPT_MEMFD },   { "hugepage", 0, NULL, OPT_HUGEPAGE },
		{ "slow-ms", 1, NULL, OPT_SLOW },  { "churn-ms", 1, NULL, OPT_CHURN },
		{ "append", 1, NULL, OPT_APPEND }, { "bench", 1, NULL, OPT_BENCH },
		{ "help", 0, NULL, 'h' },          { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "n:m:h", table, NULL)) >= 0) {
		switch (c) {
		case 'n':
			options->cpus = parse_number(optarg, 1, ABI_MAX_CPUS);
			break;
		case 'm':
			options->memory_mib = parse_number(optarg, 8, 2048);
			break;
		case OPT_VMS:
			options->vms = parse_number(optarg, 1, MAX_VMS);
			break;
		case OPT_IRQCHIP:
			options->irqchip = parse_irqchip(optarg);
			break;
		case OPT_MEMFD:
			options->memfd = true;
			break;
		case OPT_HUGEPAGE:
			options->hugepage = true;
			break;
		case OPT_SLOW:
			options->slow_ms = parse_number(optarg, 0, 10000);
			break;
		case OPT_CHURN:
			options->churn_ms = parse_number(optarg, 0, 60000);
			break;
		case OPT_APPEND:
			options->append = optarg;
			break;
		case OPT_BENCH:
			options->bench_ms = parse_number(optarg, 1, 600000);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind != argc - 1) {
		fputs(usage, stderr);
		exit(2);
	}
	options->guest = argv[optind];
}

static void create_vm(struct vm *vm)
{
	uint64_t identity_map = 0xfffbc000;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0) {
		printf("SKIPPED: /dev/kvm: %s\n", strerror(errno));
		exit(77);
	}
	vm->fd = vmm_ioctl(vm->kvm, KVM_CREATE_VM, "KVM_CREATE_VM", NULL);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->resumed, NULL);
	/* Only Intel's processors need these two, for real mode; documentation of KVM, 4.35 and 4.41. */
	vmm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, "KVM_SET_IDENTITY_MAP_ADDR", &identity_map);
	vmm_ioctl(vm->fd, KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", (void *)0xfffbd000ul);
	if (ioctl(vm->kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_BOOT_CPU_ID) > 0)
		vmm_ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, "KVM_SET_BOOT_CPU_ID", (void *)0ul);
	if (vm->options->irqchip == IRQCHIP_KERNEL) {
		struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

		vmm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", NULL);
		vmm_ioctl(vm->fd, KVM_CREATE_PIT2, "KVM_CREATE_PIT2", &pit);
	} else if (vm->options->irqchip == IRQCHIP_SPLIT) {
		struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

		vmm_ioctl(vm->fd, KVM_ENABLE_CAP, "KVM_CAP_SPLIT_IRQCHIP", &cap);
	}
	memory_create(vm);
	devices_create(vm);
	doorbell_create(vm);
	for (unsigned i = 0; i < vm->options->cpus; i++)
		vcpu_create(vm, i);
	vm->ring = (void *)((uint8_t *)vm->vcpus[0].run + KVM_COALESCED_MMIO_PAGE_OFFSET * 4096);
	load_guest(vm);
}

/* What goes on beside the guest; any order of it and of what the guest does must come out right. */
static void *janitor_run(void *argument)
{
	struct vm *vm = argument;

	for (unsigned turn = 0;; turn++) {
		vmm_sleep_ms(vm->options->churn_ms);
		memory_move_window(vm, turn);
		pthread_mutex_lock(&vm->lock);
		vm->route_shift++;
		doorbell_set_routes(vm);
		doorbell_reassign(vm, turn);
		pthread_mutex_unlock(&vm->lock);
	}
	return NULL;
}

static void bench(struct vm *vm)
{
	struct timespec begin, end;
	uint64_t first;

	vmm_sleep_ms(200); /* the guest has begun by then */
	clock_gettime(CLOCK_MONOTONIC, &begin);
	first = __atomic_load_n(&vm->vcpus[0].exits, __ATOMIC_RELAXED);
	vmm_sleep_ms(vm->options->bench_ms);
	uint64_t last = __atomic_load_n(&vm->vcpus[0].exits, __ATOMIC_RELAXED);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("EXITS %llu %lld\n", (unsigned long long)(last - first),
	       (end.tv_sec - begin.tv_sec) * 1000000000ll + end.tv_nsec - begin.tv_nsec);
	exit(0);
}

int main(int argc, char **argv)
{
	static struct vm vms[MAX_VMS]; /* large, and threads use it to the end */
	struct options options = { .append = "", .cpus = 2, .vms = 1, .memory_mib = 64, .slow_ms = 2, .churn_ms = 100 };
	sigset_t set;
	int signal;

	parse_options(argc, argv, &options);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGRTMIN);
	for (unsigned i = 0; i < options.vms; i++) {
		vms[i].options = &options;
		vms[i].index = i;
		create_vm(&vms[i]);
	}
	for (unsigned i = 0; i < options.vms; i++) {
		for (unsigned k = 0; k < options.cpus; k++)
			vcpu_start(&vms[i].vcpus[k]);
		doorbell_start(&vms[i]);
		if (options.churn_ms)
			vms[i].janitor = vmm_thread(janitor_run, &vms[i]);
	}
	if (options.bench_ms)
		bench(&vms[0]);
	while (!sigwait(&set, &signal)) {
		if (signal == SIGTERM || signal == SIGINT)
			_exit(0);
		for (unsigned i = 0; i < options.vms; i++) {
			if (signal == SIGUSR1)
				vcpu_pause_all(&vms[i]);
			else
				vcpu_resume_all(&vms[i]);
		}
	}
	return 2;
}
