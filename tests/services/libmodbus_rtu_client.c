/* A Modbus RTU client as libmodbus' users write it, told what to ask.
 *
 *   libmodbus_rtu_client DEVICE BAUD N|E|O STOP_BITS
 *
 * Reads one request a line from standard input and prints one line for each: the values, or libmodbus' words for what
 * went wrong.
 *
 *   unit ID | timeout MILLISECONDS
 *   coils ADDRESS COUNT | inputs ADDRESS COUNT | holding ADDRESS COUNT | input ADDRESS COUNT
 *   coil ADDRESS VALUE | register ADDRESS VALUE | coils= ADDRESS VALUE... | registers= ADDRESS VALUE...
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 2000 };

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: libmodbus_rtu_client DEVICE BAUD N|E|O STOP_BITS\n");
        return 2;
    }
    modbus_t *line = modbus_new_rtu(argv[1], atoi(argv[2]), argv[3][0], 8, atoi(argv[4]));
    if (line == NULL || modbus_set_slave(line, 1) != 0 || modbus_set_response_timeout(line, 10, 0) != 0
        || modbus_connect(line) != 0) {
        fprintf(stderr, "%s: %s\n", argv[1], modbus_strerror(errno));
        return 1;
    }
    char text[16384];
    while (fgets(text, sizeof text, stdin) != NULL) {
        static int numbers[MOST];
        static uint16_t registers[MOST];
        static uint8_t bits[MOST];
        int given = 0, done = -1, shown = 0;
        char *what = strtok(text, " \n");
        if (what == NULL)
            continue;
        for (char *word; given < MOST && (word = strtok(NULL, " \n")) != NULL; given++)
            numbers[given] = atoi(word);
        int first = numbers[0], second = numbers[1], values = given - 1;
        for (int i = 0; i < values; i++)
            registers[i] = numbers[i + 1], bits[i] = numbers[i + 1] != 0;
        int of_bits = strcmp(what, "coils") == 0 || strcmp(what, "inputs") == 0;
        if (strcmp(what, "unit") == 0)
            done = modbus_set_slave(line, first);
        else if (strcmp(what, "timeout") == 0)
            done = modbus_set_response_timeout(line, first / 1000, first % 1000 * 1000);
        else if (strcmp(what, "coils") == 0)
            done = shown = modbus_read_bits(line, first, second, bits);
        else if (strcmp(what, "inputs") == 0)
            done = shown = modbus_read_input_bits(line, first, second, bits);
        else if (strcmp(what, "holding") == 0)
            done = shown = modbus_read_registers(line, first, second, registers);
        else if (strcmp(what, "input") == 0)
            done = shown = modbus_read_input_registers(line, first, second, registers);
        else if (strcmp(what, "coil") == 0)
            done = modbus_write_bit(line, first, second);
        else if (strcmp(what, "register") == 0)
            done = modbus_write_register(line, first, second);
        else if (strcmp(what, "coils=") == 0)
            done = modbus_write_bits(line, first, values, bits);
        else if (strcmp(what, "registers=") == 0)
            done = modbus_write_registers(line, first, values, registers);
        else
            errno = EINVAL;
        if (done < 0)
            printf("%s", modbus_strerror(errno));
        else if (shown == 0)
            printf("done");
        for (int i = 0; i < shown; i++)
            printf(i == 0 ? "%d" : " %d", of_bits ? bits[i] : registers[i]);
        printf("\n");
        fflush(stdout);
    }
    modbus_close(line);
    modbus_free(line);
    return 0;
}
