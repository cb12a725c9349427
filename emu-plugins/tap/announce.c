// SPDX-License-Identifier: LGPL-2.1-or-later
/* Says where the guest is now: for every address that the old bridge had learned behind the tap, the broadcast that QEMU sends
 * after a migration (net/announce.c, a RARP request), as if from the guest. Switches learn from its source address. */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "tap.h"

#define FRAME_MIN 60 /* an Ethernet frame without its checksum */
#define HEADER_MAX 256
#define BATCH 64

struct rarp {
	struct ether_header eth;
	uint16_t hardware, protocol;
	uint8_t hardware_size, protocol_size;
	uint16_t op;
	uint8_t source[6], source_ip[4], target[6], target_ip[4];
} __attribute__((packed));

#define RARP_REQUEST 3 /* RFC 903 */

static size_t build_frame(const uint8_t mac[6], const struct tap_rec_queue *q, uint8_t buf[HEADER_MAX + FRAME_MIN])
{
	const struct tun_pi pi = { .proto = htons(ETHERTYPE_REVARP) };
	size_t at = 0;
	struct rarp r = {
		.eth.ether_type = htons(ETHERTYPE_REVARP),
		.hardware = htons(ARPHRD_ETHER),
		.protocol = htons(ETHERTYPE_IP),
		.hardware_size = 6,
		.protocol_size = 4,
		.op = htons(RARP_REQUEST),
	};

	memset(buf, 0, HEADER_MAX + FRAME_MIN);
	if (!(q->flags & IFF_NO_PI)) {
		memcpy(buf, &pi, sizeof(pi));
		at += sizeof(pi);
	}
	if (q->flags & IFF_VNET_HDR) /* all zero: a packet as it is */
		at += (size_t)q->header_size;
	memset(r.eth.ether_dhost, 0xff, 6);
	memcpy(r.eth.ether_shost, mac, 6);
	memcpy(r.source, mac, 6);
	memcpy(r.target, mac, 6);
	memcpy(buf + at, &r, sizeof(r));
	return at + FRAME_MIN;
}

int tap_announce(struct stasis_session *s, const struct tap_rec_link *link, const struct tap_rec_queue *q)
{
	const uint8_t *macs = link->macs.data;
	uint8_t frame[HEADER_MAX + FRAME_MIN];
	struct stasis_calls *c;
	size_t n = link->macs.size / 6, sent = 0;

	if (q->flags & IFF_TUN || q->header_size < 0 || q->header_size > HEADER_MAX - (int)sizeof(struct tun_pi))
		return 0;
	for (size_t i = 0; i < n; i += BATCH) {
		int err = stasis_calls_create(s, BATCH, &c);
		if (err)
			return err;
		size_t end = n - i < BATCH ? n : i + BATCH;
		for (size_t k = i; k < end; k++) {
			size_t size = build_frame(macs + k * 6, q, frame);
			stasis_calls_add(c, STASIS_MAY_FAIL, SYS_write, (uint64_t)q->fd, stasis_calls_put(c, frame, size), size,
			                 0);
		}
		err = stasis_calls_run(c, NULL);
		for (size_t k = i; k < end && !err; k++)
			sent += stasis_calls_result(c, k - i) > 0;
		stasis_calls_destroy(c);
		if (err)
			return stasis_fail(s, err, "%s (fd %d): its guest's new place cannot be announced: %s", link->name,
			                   q->fd, strerror(-err));
	}
	stasis_debug(s, "%s: %zu of %zu addresses announced", link->name, sent, n);
	return 0;
}
