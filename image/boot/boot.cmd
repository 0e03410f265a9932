# Chooses the slot. The words are those of RAUC's "uboot" boot loader: BOOT_ORDER, and for every slot how often it may
# still be tried. A slot that starts well gets its tries back from hal/boot_state.py; one that does not loses one each
# time, is passed over at none, and the next in the order has its turn.
#
# The script is the same on the module and in the emulated machine; there U-Boot's own search finds it and says devtype.
# Everything it needs it sets itself. Where the numbers 2 to 5 and "bootstate" come from: disk.txt.

# Where things go in memory: far from each other, from U-Boot itself and from the firmware's last bytes. The addresses
# that U-Boot was built with put the device tree into the end of Debian's kernel.
setenv ram 0x0
if test "${devtype}" = virtio; then setenv ram 0x4; fi
setenv state_at ${ram}7000000
setenv kernel_at ${ram}0800000
setenv fdt_at ${ram}8000000
setenv initrd_at ${ram}8200000

# The state is one sector, which a card writes wholly or not at all, and a copy for a sector that went bad. With neither,
# this is a new card. Nothing else is taken from it.
setenv known "BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT"
part start ${devtype} ${devnum} bootstate state_block
setexpr copy_block ${state_block} + 8
setenv read_state '${devtype} read ${state_at} ${from} 1 && env import -c ${state_at} 0x200 ${known}'
setenv from ${state_block}
if run read_state; then true; else
    setenv from ${copy_block}
    if run read_state; then true; else
        setenv BOOT_ORDER "A B"
        setenv BOOT_A_LEFT 3
        setenv BOOT_B_LEFT 3
    fi
fi
if test -z "${BOOT_ORDER}"; then setenv BOOT_ORDER "A B"; fi
setenv save_state 'env export -c -s 0x200 ${state_at} ${known} && ${devtype} write ${state_at} ${state_block} 1; ${devtype} write ${state_at} ${copy_block} 1'

# Comes back only if something of the slot could not be read. rauc.slot tells Linux which slot it is in; without the last two
# words systemd and the kernel would prepare for auditors and policies that are not in the root.
setenv load_slot 'load ${devtype} ${devnum}:${boot} ${kernel_at} vmlinuz && load ${devtype} ${devnum}:${boot} ${initrd_at} initrd && setenv initrd_size ${filesize} && load ${devtype} ${devnum}:${boot} ${state_at} slot.env && env import -t ${state_at} ${filesize} verity'
setenv start_slot 'setenv bootargs "root=PARTUUID=${root_uuid} gateway.verity=${verity} rauc.slot=${slot} console=${console} panic=10 ro quiet audit=0 lsm=landlock,lockdown,yama"; booti ${kernel_at} ${initrd_at}:${initrd_size} ${fdt}'

for each in ${BOOT_ORDER}; do
    setenv slot ${each}
    setenv left 0
    if test "${slot}" = A; then setenv left ${BOOT_A_LEFT}; setenv boot 2; setenv root 4; fi
    if test "${slot}" = B; then setenv left ${BOOT_B_LEFT}; setenv boot 3; setenv root 5; fi
    if itest 0x0${left} > 0; then
        setexpr left 0x${left} - 1
        setenv BOOT_${slot}_LEFT ${left}
        run save_state
        echo "slot ${slot}, ${left} more tries"
        if run load_slot; then
            part uuid ${devtype} ${devnum}:${root} root_uuid
            if test "${devtype}" = virtio; then
                setenv console ttyAMA0
                setenv fdt ${fdtcontroladdr}
                run start_slot
            else
                # No console but the screen that nobody has: the UART is the bus.
                setenv console tty0
                setenv fdt ${fdt_at}
                if load ${devtype} ${devnum}:${boot} ${fdt_at} board.dtb; then run start_slot; fi
            fi
        fi
        echo "slot ${slot} does not load"
    fi
done

# Neither slot is good. On the module the feedback light shows it, red, twice a second for half a minute (GPIO 19, see
# hal/board.py). Then each gets one more try, for power may only have failed too often in a row.
echo "no slot is good"
if test "${devtype}" = virtio; then true; else
    for each in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        gpio set 19
        sleep 0.25
        gpio clear 19
        sleep 0.25
        gpio set 19
        sleep 0.25
        gpio clear 19
        sleep 0.25
    done
fi
setenv BOOT_A_LEFT 1
setenv BOOT_B_LEFT 1
run save_state
reset
