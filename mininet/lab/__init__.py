"""The fanout lab: real daemons on real shaped links, emulated by Mininet.

Words are those of the project: the *origin* has the file, *peers* want it, the
*distribution time* runs from the common start until the last peer has the whole
verified file, and the *bound* is the least time any scheme of that kind can take.

    units, bound, plan, results    pure: no process, no network
    topology, netns, procs         the emulated network and what runs in it
    systems, fanout, rivals        the systems under test, one small class each
    registry                       which systems there are
    guard, prom                    who watches: the machine, and Prometheus
    runner, driver                 one run; a whole sweep
    plots, cleanup, cli            figures, leftovers, the command line
"""
