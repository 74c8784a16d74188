package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	restAfterStorm = 1500 * time.Millisecond
	// After the last client has its response, a server still does work, such as the collection of garbage.
	restOfSlice = 200 * time.Millisecond
	changeLimit = 30 * time.Second
	idleLooks   = 5
	idleLook    = 3 * time.Second
)

// compare makes changes for two servers of one API server at the same moment. Each server has clients of its own, so
// other work of the machine affects both alike. It prints the CPU time of each server in ms: for each storm, for a
// second without changes, and for each change of a slice. The cost of a change does not include what the server uses
// without changes. The clients of the two servers connect in turns.
func compare() {
	k := newKube()
	pids := [2]int{*fPID, *fPID2}
	addrs := [2]string{*fAddr, *fAddr2}
	out := map[string][][2]float64{}
	var clients []*client
	stop := func() {}
	for n := 0; n < *fStorms; n++ {
		stop()
		time.Sleep(restAfterStorm)
		ctx, cancel := context.WithCancel(context.Background())
		stop = cancel
		clients = nil
		var cost [2]float64
		for turn := 0; turn < 2; turn++ {
			at := (n + turn) % 2
			own := makeClients(addrs[at], at**fK)
			before := cpuSeconds(pids[at])
			if _, _, err := storm(ctx, own, *fTimeout); err != nil {
				fmt.Fprintln(os.Stderr, addrs[at], err)
				os.Exit(1)
			}
			cost[at] = (cpuSeconds(pids[at]) - before) * 1000
			clients = append(clients, own...)
			time.Sleep(restAfterStorm)
		}
		out["connect"] = append(out["connect"], cost)
		fmt.Fprintln(os.Stderr, "connect", cost)
	}
	defer stop()
	idle := idleRates(pids)
	out["idle second"] = [][2]float64{{idle[0] * 1000, idle[1] * 1000}}
	fmt.Fprintln(os.Stderr, "idle, ms of CPU a second", out["idle second"])
	run := strconv.FormatInt(time.Now().Unix()%100000, 10)
	for _, kind := range strings.Split(*fProbes, ",") {
		ch := changeOf(kind, k, run)
		ch.prepare()
		for i := 0; i < *fR; i += *fSlice {
			before, begun := [2]float64{cpuSeconds(pids[0]), cpuSeconds(pids[1])}, time.Now()
			for j := i; j < i+*fSlice; j++ {
				reach(ch, j, int64(len(clients)))
				time.Sleep(*fGap)
			}
			time.Sleep(restOfSlice)
			var cost [2]float64
			for at, pid := range pids {
				used := cpuSeconds(pid) - before[at] - idle[at]*time.Since(begun).Seconds()
				cost[at] = used * 1000 / float64(*fSlice)
			}
			out[ch.name] = append(out[ch.name], cost)
		}
		fmt.Fprintln(os.Stderr, ch.name, out[ch.name])
		ch.after(*fR)
	}
	fmt.Println(js(out))
}

// idleRates returns the seconds of CPU time a second that each server uses without changes, in the quietest of some
// looks.
func idleRates(pids [2]int) [2]float64 {
	least := [2]float64{math.Inf(1), math.Inf(1)}
	for look := 0; look < idleLooks; look++ {
		before, begun := [2]float64{cpuSeconds(pids[0]), cpuSeconds(pids[1])}, time.Now()
		time.Sleep(idleLook)
		for at, pid := range pids {
			least[at] = math.Min(least[at], (cpuSeconds(pid)-before[at])/time.Since(begun).Seconds())
		}
	}
	return least
}

// reach makes a change and waits until every client has it.
func reach(ch change, i int, clients int64) {
	marker := ch.marker(i)
	p := &Probe{typ: ch.typ, marker: []byte(marker), got: make([]int64, clients), want: clients, t0: time.Now(), done: make(chan struct{})}
	curProbe.Store(p)
	defer curProbe.Store(nil)
	ch.apply(i, marker)
	select {
	case <-p.done:
	case <-time.After(changeLimit):
		fmt.Fprintf(os.Stderr, "%s %d: %d of %d clients have it after %s\n", ch.name, i, p.n.Load(), clients, changeLimit)
		os.Exit(1)
	}
}
