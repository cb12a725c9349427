// SPDX-License-Identifier: LGPL-2.1-or-later
/* An attached System V shared memory segment is a mapping of something that lives outside the process. It must be named as an
 * obstacle: quietly turning it into memory of the process's own would cut it off from the others who use it. */
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "target.h"

int main(int argc, char **argv)
{
	int id;
	char *p;

	target_init(argc, argv);
	id = shmget(IPC_PRIVATE, 65536, IPC_CREAT | 0600);
	if (id < 0)
		target_skip("no System V shared memory here");
	p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL); /* lives as long as it is attached */
	target_check(p != (void *)-1, "%m");
	strcpy(p, "shared");
	target_option("refused=System");
	target_ready();
	while (target_turn())
		target_check(strcmp(p, "shared") == 0, "contents");
	target_done();
}
