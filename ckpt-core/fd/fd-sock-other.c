/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets of all other families: named, with what to do instead, and refused. */
#include "fd/fd-sock.h"

#include <stdio.h>
#include <string.h>

static const struct {
	uint32_t domain;
	const char *name, *remedy;
} families[] = {
	{ AF_PACKET, "AF_PACKET (raw network)", "stop the capture or network back end that uses it" },
	{ AF_VSOCK, "AF_VSOCK (host-guest)", "close the vsock connections and listeners" },
	{ AF_ALG, "AF_ALG (kernel cryptography)", "start the program without the AF_ALG back end" },
	{ AF_XDP, "AF_XDP (fast network)", "start the program with another network back end" },
	{ AF_BLUETOOTH, "AF_BLUETOOTH", "disconnect the Bluetooth device" },
	{ AF_CAN, "AF_CAN", "disconnect the CAN bus" },
	{ AF_TIPC, "AF_TIPC", "close it" },
	{ AF_QIPCRTR, "AF_QIPCRTR", "close it" },
	{ AF_SMC, "AF_SMC", "start the program without SMC" },
	{ AF_RDS, "AF_RDS", "close it" },
	{ AF_KCM, "AF_KCM", "close it" },
	{ AF_NFC, "AF_NFC", "disconnect the NFC device" },
	{ AF_KEY, "AF_KEY (IPsec)", "close it" },
	{ AF_PPPOX, "AF_PPPOX", "close the tunnel" },
};

static bool other_claim(const struct fd_look *look)
{
	return S_ISSOCK(look->st->st_mode);
}

static int other_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	uint32_t domain = 0, type = 0, protocol = 0;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);

	if (copy < 0)
		return copy == -EBADF && !cap->o.frozen ? 0 : copy;
	sock_identify(copy, &domain, &type, &protocol);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (families[i].domain == domain) {
			fd_verdict_obstacle(v, families[i].remedy, "sockets of the family %s cannot be saved",
					    families[i].name);
			return 0;
		}
	fd_verdict_obstacle(v, "have the program close it", "sockets of family %u, type %u, protocol %u cannot be saved",
			    domain, type, protocol);
	return 0;
}

static int other_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	(void)v;
	return report_fail(plan->rep, -EBADMSG, "image: socket %u is of a family that cannot be restored", file->r.id);
}

const struct fd_kind fd_kind_socket = {
	.name = "socket",
	.claim = other_claim,
	.check = other_check,
	.plan = other_plan,
};
