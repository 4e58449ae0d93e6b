// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pvgate/pvgate/config"
	"github.com/pvgate/pvgate/registry"
)

// demoFlags are the flags of the verb demo.
type demoFlags struct {
	listen, tls, admin string
	duration           time.Duration
}

// newDemo is the verb demo: a gateway with everything around it, on this machine only.
func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve a small registry with simulated portals, to try pvgate",
		Long: "demo starts simulated portals of Bund, Länder and Kommunen and a gateway before them, all on the loopback\n" +
			"interface, and prints commands to try. It needs no files and leaves none.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the gateway; a free port when it is taken")
	cmd.Flags().StringVar(&f.tls, "tls", "127.0.0.1:8443", "address of the gateway for TLS; a free port when it is taken")
	cmd.Flags().StringVar(&f.admin, "admin", "127.0.0.1:9180", "address of the admin listener; a free port when it is taken")
	cmd.Flags().DurationVar(&f.duration, "for", 0, "end this long after everything answers, such as 10s; 0 is never")
	cmd.RunE = verb(func(cmd *cobra.Command, _ []string) error { return demo(cmd, &f) })
	return cmd
}

// demo is the life of the demo: portals, configuration, gateway; what was started last ends first.
func demo(cmd *cobra.Command, f *demoFlags) (err error) {
	w := cmd.OutOrStdout()
	ctx, end := context.WithCancel(cmd.Context())
	defer end()
	dir, err := os.MkdirTemp("", "pvgate-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	sim, err := startDemoPortals()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, sim.Close()) }()
	a := demoAddresses{endpoints: sim.addresses}
	for _, want := range []struct {
		flag, address string
		got           *string
		udp           bool
	}{{"listen", f.listen, &a.Listen, false}, {"tls", f.tls, &a.TLS, true}, {"admin", f.admin, &a.Admin, false}} {
		if *want.got, err = freeAddress(want.address, want.udp); err != nil {
			return usage("--%s %s: %v", want.flag, want.address, err)
		}
		if *want.got != want.address {
			fmt.Fprintf(w, "%s is taken; pvgate takes a free port instead of it\n", want.address)
		}
	}
	path, err := writeDemo(dir, a)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelError) // what is said at the start is said better below, and the kernel's buffers do for a demo
	var unsaid error
	err = serve(ctx, serveOptions{
		load:  func() (*config.Config, error) { return config.Load(path, config.Options{Reasons: reasonNames()}) },
		watch: path,
		log:   slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})),
		out:   io.Discard,
		err:   cmd.ErrOrStderr(),
		born:  &birth{keys: randomKeys()},
		ready: func(s *service, operators string) {
			level.Set(slog.LevelInfo)
			if f.duration > 0 {
				time.AfterFunc(f.duration, end)
			}
			unsaid = printDemo(w, &demoScene{Dir: dir, Gateway: s.server.Addresses()[0], TLS: s.server.Addresses()[1], Admin: operators, Program: os.Args[0], For: f.duration})
		},
	})
	return errors.Join(err, unsaid)
}

// startDemoPortals starts the demo's portals with the names they show.
func startDemoPortals() (*portals, error) {
	areas, err := registry.EmbeddedAreas()
	if err != nil {
		return nil, err
	}
	names, err := demoNames()
	if err != nil {
		return nil, err
	}
	return startPortals(demoPortals(), names, areas)
}

// demoNames are the names of the demo's Leistungen by key.
func demoNames() (map[string]string, error) {
	f, err := demoFiles.Open("demo/leistungen.csv")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	catalogue, err := registry.ReadCatalogue(f, "leistungen.csv")
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	catalogue.All(func(l registry.Leistung, i registry.LeistungInfo) { names[l.String()] = i.Title })
	return names, nil
}

// freeAddress is the address if nobody listens there, nor over UDP where that is wanted, else one with any free port. It
// is asked for with sockets that do not share: pvgate's own would join another pvgate's.
func freeAddress(address string, udp bool) (string, error) {
	ln, err := net.Listen("tcp", address)
	if err == nil {
		err = ln.Close()
	}
	if err == nil && udp {
		var socket net.PacketConn
		if socket, err = net.ListenPacket("udp", address); err == nil {
			err = socket.Close()
		}
	}
	if err == nil {
		return address, nil
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil || !errors.Is(err, syscall.EADDRINUSE) {
		return "", err
	}
	return net.JoinHostPort(host, "0"), nil
}

// loadDemo writes the demo's configuration into dir and reads it. Its portals are not there, and their addresses are
// the same each time, so that what is made of it can be repeated.
func loadDemo(dir string) (*config.Config, error) {
	a := demoAddresses{Listen: "127.0.0.1:8080", TLS: "127.0.0.1:8443", Admin: "127.0.0.1:9180", endpoints: map[string]string{}}
	for i, p := range demoPortals() {
		a.endpoints[p.backend] = "127.0.0.1:" + strconv.Itoa(18001+i)
	}
	path, err := writeDemo(dir, a)
	if err != nil {
		return nil, err
	}
	return config.Load(path, config.Options{Reasons: reasonNames()})
}

// demoScene is what the demo's output is made of.
type demoScene struct {
	Dir     string
	Gateway netip.AddrPort
	TLS     netip.AddrPort
	Admin   string
	Program string // as it was called
	For     time.Duration
}

// base is the entry address.
func (s *demoScene) base() string {
	return fmt.Sprintf("http://%s:%d", demoDomain, s.Gateway.Port())
}

// curl begins the commands: every name leads to the gateway, whatever this machine's resolver says about .localhost.
func (s *demoScene) curl() string {
	addr := s.Gateway.Addr()
	if addr.IsUnspecified() {
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	host := addr.String()
	if addr.Is6() {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("curl -sL --resolve '*:%d:%s'", s.Gateway.Port(), host)
}

// demoTry is a command to try.
type demoTry struct {
	what    string // what it is about
	command string
	shows   string // a part of its output, to the letter
}

// tries are the six commands.
func (s *demoScene) tries() []demoTry {
	get := s.curl() + " " + s.base() + "/leistung/"
	return []demoTry{
		{
			"Gewerbe anmelden in Marburg: the town has a service of its own.",
			get + "99050012104000/065340014014",
			"Universitätsstadt Marburg (simulated portal)",
		}, {
			"Why Marburg, and why nobody else.",
			s.Program + " explain --demo 99050012104000 --ars 065340014014",
			"less_local: 065340014014 is deeper",
		}, {
			"Biedenkopf has nothing of its own, so it is Hessen. A form sent to the entry is forwarded with its keys.",
			s.curl() + " -d name=Erika " + s.base() + "/leistung/99050012104000/065340004004",
			"PV-ARS         065340004004",
		}, {
			"An EfA service is closed to who has not joined: Geesthacht has not, though its Kreis has.",
			get + "99036026017000/010530032032",
			`"reason":"not_joined"`,
		}, {
			"Wohngeld without a place: the answer differs, so the citizen is asked.",
			get + "99107023037000/-",
			`"reason":"area_required"`,
		}, {
			"A portal that does not answer in time is named; nobody else takes over its task.",
			get + "99108062012000/-",
			`"reason":"response_timeout"`,
		},
	}
}

func printDemo(w io.Writer, s *demoScene) error {
	var b strings.Builder
	fmt.Fprintf(&b, "pvgate answers at %s/ (%s)\n", s.base(), s.Gateway)
	fmt.Fprintf(&b, "by TLS at         https://%s:%d/, its CA is %s\n", demoDomain, s.TLS.Port(), filepath.Join(s.Dir, demoCA))
	fmt.Fprintf(&b, "operators at      http://%s/metrics and /api/v1/status\n", s.Admin)
	fmt.Fprintf(&b, "configuration in  %s, a change is taken over at once\n", s.Dir)
	fmt.Fprintf(&b, "\nSimulated portals, and an address for your browser that leads to each:\n")
	width := 0
	for _, p := range demoPortals() {
		width = max(width, len(p.entry(s.base())))
	}
	for _, p := range demoPortals() {
		fmt.Fprintf(&b, "  %-12s %-*s  %s\n", p.backend, width, p.entry(s.base()), p.about)
	}
	fmt.Fprintf(&b, "\nSix commands for another terminal, each with a line that it shows:\n")
	for i, t := range s.tries() {
		fmt.Fprintf(&b, "\n%d  %s\n   $ %s\n   … %s\n", i+1, t.what, t.command, t.shows)
	}
	if s.For > 0 {
		fmt.Fprintf(&b, "\nEnds after %v.\n", s.For)
	} else {
		fmt.Fprintf(&b, "\nEnds with Ctrl-C.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
