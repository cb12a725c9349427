// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an image needs of this host, compared with what is here. Everything that is missing is said at once, before any process is
 * made. */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cpu.h"
#include "host.h"
#include "proc/maps.h"
#include "proc/status.h"
#include "restore/restore.h"

static int plan_cpu(struct restore *r, struct findings *findings)
{
	const struct rec_host *then = &r->host.items[0];
	struct img_bytes cpuid;
	AUTO_FREE char *names = NULL;
	uint64_t xcr0;
	int err = cpu_capture(&cpuid, &xcr0);

	if (err)
		return err;
	err = cpu_missing(&then->cpuid, then->xcr0, &cpuid, xcr0, &names);
	free(cpuid.data);
	if (err || !*names)
		return err ? err : findings_add(findings, "processor", NULL, "has every feature the target was using", NULL, NULL);
	return findings_obstacle(findings, "processor", NULL,
				 "restart on a host that has them, or start the target anew with fewer (GLIBC_TUNABLES=glibc.cpu.hwcaps=...)",
				 "these features, which the target may be using, are missing here:%s", names);
}

/* Our own vdso: the target's is the same when text and size are. */
static int plan_vdso(struct restore *r, struct findings *findings)
{
	const struct rec_host *then = &r->host.items[0];
	AUTO_FREE char *text = NULL;
	struct proc_vma *vmas;
	size_t size, n;
	uint64_t hash = 0;
	int err = io_read_filef(&text, &size, "/proc/self/maps");

	if (!then->vdso_hash)
		return 0;
	if (err || (err = proc_maps_parse(text, size, &vmas, &n)))
		return report_fail(r->rep, err, "/proc/self/maps cannot be read: %s", strerror(-err));
	for (size_t i = 0; i < n; i++)
		if (!strcmp(vmas[i].name, "[vdso]"))
			hash = host_vdso_hash((void *)vmas[i].start, vmas[i].end - vmas[i].start);
	proc_maps_free(vmas, n);
	r->foreign_vdso = hash != then->vdso_hash || report_is_armed(r->rep, "vdso.foreign");
	if (!r->foreign_vdso)
		return findings_add(findings, "vdso", NULL, "the same as then", NULL, NULL);
	return findings_add(findings, "vdso", NULL, "this kernel's differs: its functions are called by way of the old ones", NULL, NULL);
}

/* CAP_SYS_ADMIN and CAP_CHECKPOINT_RESTORE or more: namespaces and chosen pids without a user namespace. */
static bool privileged(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	return !syscall(SYS_capget, &hdr, data) && data[0].effective & 1u << CAP_SYS_ADMIN;
}

static int plan_privilege(struct restore *r, struct findings *findings)
{
	const struct rec_thread *t = &r->threads.items[0];
	AUTO_FREE char *text = NULL;
	char object[48];

	r->user_ns = !privileged();
	if (!r->user_ns)
		return 0;
	snprintf(object, sizeof(object), "user %u", t->uid[0]);
	for (int i = 0; i < 4; i++)
		if (t->uid[i] != geteuid() || t->gid[i] != getegid())
			return findings_obstacle(findings, object, NULL, "restart as that user, or as root",
						 "the target ran as uid %u gid %u, we are uid %u gid %u", t->uid[i], t->gid[i], geteuid(), getegid());
	if (r->opt->host_pids)
		return findings_obstacle(findings, "--host-pids", NULL, "run stasis as root, or leave the option out",
					 "choosing process ids on the host needs CAP_CHECKPOINT_RESTORE");
	if (!io_read_filef(&text, NULL, "/proc/sys/kernel/unprivileged_userns_clone") && atoi(text) == 0)
		return findings_obstacle(findings, "user namespace", NULL, "sysctl kernel.unprivileged_userns_clone=1, or run as root",
					 "kernel.unprivileged_userns_clone=0 forbids user namespaces");
	AUTO_FREE char *max = NULL;
	if (!io_read_filef(&max, NULL, "/proc/sys/user/max_user_namespaces") && atoi(max) == 0)
		return findings_obstacle(findings, "user namespace", NULL, "sysctl user.max_user_namespaces=10000, or run as root",
					 "user.max_user_namespaces=0 forbids user namespaces");
	AUTO_FREE char *apparmor = NULL;
	if (!io_read_filef(&apparmor, NULL, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns") && atoi(apparmor) == 1)
		return findings_obstacle(findings, "user namespace", NULL,
					 "sysctl kernel.apparmor_restrict_unprivileged_userns=0, give stasis a profile, or run as root",
					 "kernel.apparmor_restrict_unprivileged_userns=1 forbids user namespaces with capabilities");
	return findings_add(findings, object, NULL, "restarted in a user namespace of its own", NULL, NULL);
}

static int plan_pids(struct restore *r, struct findings *findings)
{
	for (size_t i = 0; i < r->threads.n; i++) {
		pid_t tid = r->threads.items[i].tid;
		char object[32];
		int err = 0;
		snprintf(object, sizeof(object), "pid %d", tid);
		if (!r->opt->host_pids && tid == 1)
			err = findings_obstacle(findings, object, NULL, "checkpoint it in a container that has an init (docker run --init)",
						"the target was pid 1 of its pid namespace, where stasis keeps its own init");
		if (r->opt->host_pids && (kill(tid, 0) == 0 || errno == EPERM))
			err = findings_obstacle(findings, object, NULL, "end that process, or restart without --host-pids", "it is in use on this host");
		if (err)
			return err;
	}
	return 0;
}

static int plan_directory(struct restore *r, struct findings *findings)
{
	const struct rec_process *p = &r->processes.items[0];
	const char *cwd = resource_map_find(r->opt->map, "file", p->cwd);
	struct stat st;

	if (stat(cwd ? cwd : p->cwd, &st) == 0 && S_ISDIR(st.st_mode))
		return findings_add(findings, p->cwd, "working directory", cwd ? "another is entered" : "entered", NULL, NULL) ?:
		       findings_compare(findings, p->cwd, cwd ? cwd : p->cwd, cwd ? cwd : p->cwd);
	return findings_obstacle(findings, p->cwd, "working directory", "make it, or map it: --map file:OLD=NEW", "%s is not there",
				 cwd ? cwd : "it") ?:
	       findings_compare(findings, p->cwd, NULL, NULL);
}

/* A gap in both layouts, ours (the new process begins as a copy of us) and the target's, away from stacks that grow. */
static int plan_region(struct restore *r)
{
	const uint64_t margin = 64ul << 20;
	AUTO_FREE char *text = NULL;
	struct proc_vma *own;
	size_t size, n;
	int err = io_read_filef(&text, &size, "/proc/self/maps");

	if (err || (err = proc_maps_parse(text, size, &own, &n)))
		return report_fail(r->rep, err, "/proc/self/maps cannot be read: %s", strerror(-err));
	for (uint64_t at = 0x100000000ul; at < 0x700000000000ul && !r->region; at += 0x40000000ul) {
		bool clash = false;
		for (size_t i = 0; i < n && !clash; i++)
			clash = at < own[i].end + margin && at + REGION_SIZE + margin > own[i].start;
		for (size_t i = 0; i < r->vmas.n && !clash; i++)
			clash = at < r->vmas.items[i].end + margin && at + REGION_SIZE + margin > r->vmas.items[i].start;
		if (!clash)
			r->region = at;
	}
	proc_maps_free(own, n);
	return r->region ? 0 : report_fail(r->rep, -ENOMEM, "image %s: its memory leaves no room for the restart to work from",
					   img_reader_path(r->reader));
}

int restore_plan(struct restore *r, struct findings *findings)
{
	struct fd_plan_options fo = { .map = r->opt->map, .disk = (int)r->opt->disk, .tcp = r->opt->tcp, .stdio_inherit = true, .plugins = r->job->plugins,
				      .n_plugins = r->job->n_plugins, .loaded = plugins_planned, .restore = plugins_restore, .ctx = r };
	int err;

	r->plugins = (struct plugin_set){ .rep = r->rep, .reader = r->reader, .map = r->opt->map, .findings = findings,
					  .wait_ms = r->opt->wait_ms };

	if ((err = plan_cpu(r, findings)) || (err = plan_vdso(r, findings)) || (err = plan_privilege(r, findings)) ||
	    (err = plan_pids(r, findings)) || (err = plan_directory(r, findings)) || (err = plan_region(r)) || (err = lazy_plan(r, findings)))
		return err;
	return fd_plan_create(r->rep, r->reader, &fo, findings, &r->files);
}
