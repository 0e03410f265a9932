/* A Modbus TCP client that does nothing but wait for its server.
 *
 *   modbus_client PORT CONNECTIONS SECONDS ADDRESS
 *
 * Every connection of unit 1 on 127.0.0.1 reads 125 holding registers from ADDRESS, again as soon as the answer is
 * there. One thread, one epoll, no decoding: on two cores the server is what is measured. Every answer's header is
 * compared with the request; a wrong one ends the run. Prints: requests/s, then the median and the 99th percentile of
 * the time from sending a request to having the whole answer, in microseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { QUANTITY = 125, REQUEST = 12, ANSWER = 9 + 2 * QUANTITY, MOST = 64, SLOWEST_US = 1000000 };

struct connection {
    int fd;
    unsigned short transaction;
    int have;
    double asked;
    unsigned char answer[ANSWER];
};

static struct connection connections[MOST];
static unsigned histogram[SLOWEST_US + 1];

static void give_up(const char *what)
{
    fprintf(stderr, "modbus_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void ask(struct connection *c, int address)
{
    unsigned char request[REQUEST];
    c->transaction++;
    request[0] = c->transaction >> 8, request[1] = c->transaction & 255;
    request[2] = request[3] = request[4] = 0, request[5] = 6;
    request[6] = 1, request[7] = 3;
    request[8] = address >> 8, request[9] = address & 255;
    request[10] = 0, request[11] = QUANTITY;
    c->have = 0;
    c->asked = now_s();
    if (send(c->fd, request, REQUEST, MSG_NOSIGNAL) != REQUEST)
        give_up("send");
}

static unsigned percentile_us(unsigned long requests, double part)
{
    unsigned long seen = 0;
    for (unsigned us = 0; us <= SLOWEST_US; us++) {
        seen += histogram[us];
        if (seen >= requests * part)
            return us;
    }
    return SLOWEST_US;
}

int main(int argc, char **argv)
{
    if (argc != 5 || atoi(argv[2]) < 1 || atoi(argv[2]) > MOST) {
        fprintf(stderr, "usage: modbus_client PORT CONNECTIONS SECONDS ADDRESS\n");
        return 2;
    }
    int count = atoi(argv[2]), address = atoi(argv[4]), one = 1;
    double seconds = atof(argv[3]);
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int epoll = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        struct connection *c = &connections[i];
        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&server, sizeof server) != 0)
            give_up("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
    }
    double began = now_s(), ends = began + seconds, now = began;
    unsigned long requests = 0;
    for (int i = 0; i < count; i++)
        ask(&connections[i], address);
    while (now < ends) {
        struct epoll_event ready[MOST];
        int events = epoll_wait(epoll, ready, MOST, 2000);
        if (events == 0)
            errno = ETIMEDOUT, give_up("no answer");
        for (int i = 0; i < events; i++) {
            struct connection *c = ready[i].data.ptr;
            ssize_t got = recv(c->fd, c->answer + c->have, ANSWER - c->have, 0);
            if (got <= 0)
                give_up("recv");
            c->have += got;
            if (c->have < ANSWER)
                continue;
            if (c->answer[0] != c->transaction >> 8 || c->answer[1] != (c->transaction & 255)
                || memcmp(c->answer + 2, "\0\0\0\xfd\1\3\xfa", 7) != 0)
                errno = EPROTO, give_up("wrong answer");
            now = now_s();
            double us = (now - c->asked) * 1e6;
            histogram[us < SLOWEST_US ? (unsigned)us : SLOWEST_US]++;
            requests++;
            ask(c, address);
        }
    }
    printf("%.0f %u %u\n", requests / (now - began), percentile_us(requests, 0.5), percentile_us(requests, 0.99));
    return 0;
}
