"""The fanout lab: real daemons on real shaped links, emulated by Mininet.

Words are those of the project: the *origin* has the file, *peers* want it, the
*distribution time* runs from the common start until the last peer has the whole
verified file, and the *bound* is the least time any scheme of that kind can take.

    units, plan, bound, options    pure: what a sweep consists of, and the command line
    results, tidy, stats, plots    pure, too: what it leaves
    space, machine, checks         a world of the sweep's own, and what it needs of the machine
    topology, line, ovs, netns     the emulated network
    procs, systems                 what runs in it, and what a system under test owes
    fanout, rivals, own, registry  the systems, one small class each; registry knows them all
    guard, pulse, prom, provenance who watches: processors, silence, Prometheus; who, where, when
    runner, driver, cli            one run; a whole sweep; the commands
"""

import os

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
