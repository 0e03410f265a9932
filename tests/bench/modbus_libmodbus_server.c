/* The yardstick: a Modbus TCP server as its users write it with libmodbus, one select() over all clients.
 *
 *   modbus_libmodbus_server      serves 65535 holding registers on 127.0.0.1, prints the port it took
 */
#include <arpa/inet.h>
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    socklen_t size = sizeof here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 16) != 0)
        return 1;
    getsockname(listener, (struct sockaddr *)&here, &size);
    modbus_t *modbus = modbus_new_tcp("127.0.0.1", ntohs(here.sin_port));
    modbus_mapping_t *registers = modbus_mapping_new(0, 0, 65535, 0);
    if (modbus == NULL || registers == NULL)
        return 1;
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);

    fd_set clients;
    int highest = listener;
    FD_ZERO(&clients);
    FD_SET(listener, &clients);
    for (;;) {
        fd_set ready = clients;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0)
            return 1;
        for (int fd = 0; fd <= highest; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == listener) {
                modbus_set_socket(modbus, listener);
                int client = modbus_tcp_accept(modbus, &listener);
                FD_SET(client, &clients);
                highest = client > highest ? client : highest;
                continue;
            }
            uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
            modbus_set_socket(modbus, fd);
            int length = modbus_receive(modbus, request);
            if (length > 0) {
                modbus_reply(modbus, request, length, registers);
            } else if (length < 0) {
                close(fd);
                FD_CLR(fd, &clients);
            }
        }
    }
}
