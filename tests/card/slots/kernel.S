// The smallest kernel that shows which slot was chosen: it prints SLOT and its command line, which it looks for in the
// device tree, on the emulated machine's UART, and starts the machine anew. Built by tests/card/slots/build.sh.

#define UART 0x09000000            // PL011 of QEMU's machine "virt"
#define PSCI_SYSTEM_RESET 0x84000009

    .text
    b       start                  // what every arm64 kernel begins with: Documentation/arch/arm64/booting.rst
    .long   0
    .quad   0                      // text offset
    .quad   0x10000                // image size
    .quad   0xa                    // little endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

start:
    mov     x19, x0                // the device tree
    ldr     x20, =UART
    adr     x1, name
    bl      print
    ldr     w21, [x19, #4]         // its size, big endian
    rev     w21, w21
    add     x21, x19, x21
    ldr     w22, =0x746f6f72       // "root"
    mov     x1, x19
1:  cmp     x1, x21
    b.hs    3f
    ldr     w2, [x1]               // properties begin at multiples of 4
    cmp     w2, w22
    b.ne    2f
    ldrb    w2, [x1, #4]
    cmp     w2, #'='
    b.eq    found
2:  add     x1, x1, #4
    b       1b
found:
    bl      print
3:  adr     x1, newline
    bl      print
    ldr     w0, =PSCI_SYSTEM_RESET
    hvc     #0
    b       .

print:                             // x1: a string, up to its zero
    ldrb    w2, [x1], #1
    cbz     w2, 4f
    strb    w2, [x20]
    b       print
4:  ret

name:
    .ascii  "\nkernel "
    .ascii  SLOT
    .asciz  ": "
newline:
    .asciz  "\n"
