"""Our agent as libvirt's: a libvirt daemon of the tests' own, domains under TCG, and virsh.

Every call goes to two domains that differ only in their agent, QEMU's own and ours, and both have
to give the same (`pair.Pair`). Nothing of the machine's own libvirt is used or touched.
"""
