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

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// holdRole is the first argument of a rig that is started again to hold connections: descriptors and memory of clients
// belong to another process than those of the gateway, and there may be more than one such process.
const holdRole = "hold"

// hold is the role: `hold ADDRESS plain|tls|h2|h3`. Each line of its input is a number of connections to open, each of which
// asks once and is then left alone; the answer is a line with how many stand.
func hold(args []string, in io.Reader, out io.Writer) error {
	dials := map[string]func(string, int) (io.Closer, error){"plain": dialPlain, "tls": dialTLS, "h2": dialHTTP2, "h3": dialHTTP3}
	if len(args) != 2 || dials[args[1]] == nil {
		return errors.New("hold ADDRESS plain|tls|h2|h3")
	}
	var open []io.Closer
	defer func() {
		for _, c := range open {
			_ = c.Close() // over UDP nothing else tells the gateway
		}
	}()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return fmt.Errorf("hold: %w", err)
		}
		more, err := dialAll(args[0], dials[args[1]], len(open), n)
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

func dialAll(address string, dial func(string, int) (io.Closer, error), from, n int) ([]io.Closer, error) {
	conns := make([]io.Closer, n)
	errs := make([]error, holdWorkers)
	var wg sync.WaitGroup
	for w := range holdWorkers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += holdWorkers {
				conns[i], errs[w] = dial(address, from+i)
			}
		})
	}
	wg.Wait()
	return conns, errors.Join(errs...)
}

// holdTime bounds how long a connection takes to be open and to have its answer.
const holdTime = 20 * time.Second

// holdFrom is one of many addresses that connections come from.
func holdFrom(i int) net.IP { return net.IPv4(127, 0, 3, byte(1+i%200)) }

func dialTCP(address string, i int) (net.Conn, error) {
	d := net.Dialer{Timeout: holdTime, LocalAddr: &net.TCPAddr{IP: holdFrom(i)}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(holdTime))
}

func dialPlain(address string, i int) (io.Closer, error) {
	c, err := dialTCP(address, i)
	if err != nil {
		return nil, err
	}
	return c, askHTTP1(c)
}

func dialTLS(address string, i int) (io.Closer, error) {
	c, err := dialTCP(address, i)
	if err != nil {
		return nil, err
	}
	s := tls.Client(c, holdSecure("http/1.1"))
	return s, askHTTP1(s)
}

// askHTTP1 asks for something small.
func askHTTP1(c net.Conn) error {
	if _, err := io.WriteString(c, "GET /1k HTTP/1.1\r\nHost: "+tlsHost+"\r\nUser-Agent: rig\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(c, 4096), nil)
	if err != nil {
		return err
	}
	return holdAnswer(res)
}

// dialHTTP2 is dialTLS with a stock client of HTTP/2.
func dialHTTP2(address string, i int) (io.Closer, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: holdFrom(i)}}
	t := &http.Transport{DialContext: d.DialContext, TLSClientConfig: holdSecure("h2"), Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP2(true)
	ctx, cancel := context.WithTimeout(context.Background(), holdTime)
	defer cancel()
	c, err := t.NewClientConn(ctx, "https", address)
	if err != nil {
		return nil, err
	}
	return c, askHTTP(c)
}

// dialHTTP3 is the same over QUIC.
func dialHTTP3(address string, i int) (io.Closer, error) {
	to, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: holdFrom(i)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), holdTime)
	defer cancel()
	c, err := quic.Dial(ctx, socket, to, holdSecure(http3.NextProtoH3), &quic.Config{MaxIdleTimeout: time.Hour}) // the gateway's counts
	if err != nil {
		return nil, err
	}
	return quicCloser{c, socket}, askHTTP((&http3.Transport{}).NewClientConn(c))
}

// quicCloser is a connection with a socket of its own.
type quicCloser struct {
	c      *quic.Conn
	socket *net.UDPConn
}

func (q quicCloser) Close() error {
	return errors.Join(q.c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), ""), q.socket.Close())
}

func holdSecure(protocol string) *tls.Config {
	return &tls.Config{ServerName: tlsHost, InsecureSkipVerify: true, NextProtos: []string{protocol}} //nolint:gosec // the rig made the certificate
}

// askHTTP asks for something small.
func askHTTP(client http.RoundTripper) error {
	ctx, cancel := context.WithTimeout(context.Background(), holdTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+tlsHost+"/1k", nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "rig")
	res, err := client.RoundTrip(r)
	if err != nil {
		return err
	}
	return holdAnswer(res)
}

func holdAnswer(res *http.Response) error {
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return nil
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
