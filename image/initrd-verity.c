/* verity NAME DEVICE BLOCKS TREE ROOT_HASH SALT: makes a read-only device of which every block is compared with the
 * hash tree behind the data on the same partition, when it is read. Prints its name in /dev. The only thing of
 * device-mapper's tools that the initrd needs: three requests to the kernel.
 *
 *   BLOCKS     of data, of 4096 bytes each
 *   TREE       the block with the tree's first node
 *   ROOT_HASH  sha256, as the boot set says it
 */
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define SECTORS_OF_A_BLOCK 8

static struct {
    struct dm_ioctl head;
    struct dm_target_spec target;
    char parameters[1024];
} request;

static void prepare(const char *name, uint32_t flags) {
    memset(&request.head, 0, sizeof request.head);
    request.head.version[0] = DM_VERSION_MAJOR;
    request.head.data_size = sizeof request;
    request.head.data_start = sizeof request.head;
    request.head.flags = flags;
    snprintf(request.head.name, sizeof request.head.name, "%s", name);
}

static int refused(const char *what) {
    perror(what);
    return 1;
}

int main(int count, char **words) {
    if (count != 7) {
        fprintf(stderr, "usage: verity NAME DEVICE BLOCKS TREE ROOT_HASH SALT\n");
        return 2;
    }
    const char *name = words[1], *device = words[2];
    int mapper = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    if (mapper < 0) return refused("/dev/mapper/control");

    prepare(name, DM_READONLY_FLAG);
    if (ioctl(mapper, DM_DEV_CREATE, &request)) return refused("create");
    uint64_t number = request.head.dev;

    prepare(name, DM_READONLY_FLAG);
    request.head.target_count = 1;
    request.target.length = strtoull(words[3], NULL, 10) * SECTORS_OF_A_BLOCK;
    strcpy(request.target.target_type, "verity");
    int length = snprintf(request.parameters, sizeof request.parameters, "1 %s %s 4096 4096 %s %s sha256 %s %s", device,
                          device, words[3], words[4], words[5], words[6]);
    if (length < 0 || (size_t)length >= sizeof request.parameters) return refused("parameters");
    if (ioctl(mapper, DM_TABLE_LOAD, &request)) return refused("load");

    prepare(name, DM_READONLY_FLAG);
    if (ioctl(mapper, DM_DEV_SUSPEND, &request)) return refused("resume");
    printf("dm-%u\n", minor((dev_t)number));
    return 0;
}
