// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// holdRole is the first argument of a rig that is started again to hold connections: descriptors and memory of clients
// belong to another process than those of the gateway, and there may be more than one such process.
const holdRole = "hold"

// hold is the role: `hold ADDRESS plain|tls`. Each line of its input is a number of connections to open, each of which
// asks once and is then left alone; the answer is a line with how many stand.
func hold(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("hold ADDRESS plain|tls")
	}
	var open []net.Conn
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return fmt.Errorf("hold: %w", err)
		}
		more, err := dialAll(args[0], args[1] == "tls", len(open), n)
		if err != nil {
			return fmt.Errorf("hold: %w", err)
		}
		open = append(open, more...)
		fmt.Fprintln(out, len(open))
	}
	return lines.Err()
}

// holdWorkers dial at once.
const holdWorkers = 8

func dialAll(address string, secure bool, from, n int) ([]net.Conn, error) {
	conns := make([]net.Conn, n)
	errs := make([]error, holdWorkers)
	var wg sync.WaitGroup
	for w := range holdWorkers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += holdWorkers {
				conns[i], errs[w] = dialOne(address, secure, from+i)
			}
		})
	}
	wg.Wait()
	return conns, errors.Join(errs...)
}

// dialOne opens a connection from one of many addresses and asks for something small on it.
func dialOne(address string, secure bool, i int) (net.Conn, error) {
	d := net.Dialer{Timeout: 20 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 3, byte(1+i%200))}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if secure {
		c = tls.Client(c, &tls.Config{ServerName: tlsHost, InsecureSkipVerify: true}) //nolint:gosec // the rig made the certificate
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "GET /1k HTTP/1.1\r\nHost: "+tlsHost+"\r\nUser-Agent: rig\r\n\r\n"); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	return c, nil
}

// tlsHost is the name that the rig asks for.
const tlsHost = "gw.example"

// holder is a process in that role.
type holder struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startHolder(ctx context.Context, address, how string) (*holder, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &holder{cmd: exec.CommandContext(ctx, self, holdRole, address, how)}
	h.cmd.Stderr = os.Stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	h.out = bufio.NewReader(out)
	return h, h.cmd.Start()
}

// add opens n more connections and returns how many there are.
func (h *holder) add(n int) (int, error) {
	if _, err := fmt.Fprintln(h.in, n); err != nil {
		return 0, fmt.Errorf("the process that holds connections: %w", err)
	}
	line, err := h.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the process that holds connections: %w", errors.Join(err, h.cmd.Wait()))
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// end closes all its connections.
func (h *holder) end() error { return errors.Join(h.in.Close(), h.cmd.Wait()) }
