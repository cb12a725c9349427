// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where and when an image was made. */
#include "host.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cpu.h"

int host_capture(struct rec_host *ret)
{
	struct rec_host host = { .page_size = 4096, .n_processes = 1 };
	struct utsname uts;
	struct timespec now;
	char *boot = NULL;

	uname(&uts);
	clock_gettime(CLOCK_REALTIME, &now);
	host.realtime_ns = now.tv_sec * 1000000000ll + now.tv_nsec;
	if (!io_read_filef(&boot, NULL, "/proc/sys/kernel/random/boot_id"))
		boot[strcspn(boot, "\n")] = '\0';
	host.boot_id = boot;
	host.stasis_version = strdup(STASIS_VERSION);
	host.kernel = strdup(uts.release);
	host.arch = strdup(uts.machine);
	host.hostname = strdup(uts.nodename);
	if (!host.stasis_version || !host.kernel || !host.arch || !host.hostname || cpu_capture(&host.cpuid, &host.xcr0)) {
		img_schema_clear(&rec_host_schema, &host);
		return -ENOMEM;
	}
	*ret = host;
	return 0;
}

uint64_t host_vdso_hash(const void *text, size_t size)
{
	uint64_t hash = XXH3_64bits(text, size);

	return hash ? hash : 1;
}
