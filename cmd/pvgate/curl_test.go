// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// curlMain is what the tests call curl: as much of it as the commands in our documents and scripts use, so that they
// run where no curl is installed. Unlike curl's, the fields that -i shows are sorted.
func curlMain() {
	code, err := curl(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "curl: (%d) %v\n", code, err)
	}
	os.Exit(code)
}

// curlCall is one command line.
type curlCall struct {
	follow, include, head bool
	cookies               bool
	method, data, out     string
	write, local, url     string
	cacert, cert, key     string // PEM files
	hasData               bool
	fields                []string
	resolve               []string // host:port:address
}

// The exit codes of curl(1).
const (
	curlUsage   = 2
	curlConnect = 7
	curlWrite   = 23
	curlReceive = 56
)

func curl(args []string, stdout io.Writer) (int, error) {
	var c curlCall
	if err := c.parse(args); err != nil {
		return curlUsage, err
	}
	method, body := http.MethodGet, io.Reader(nil)
	if c.hasData {
		method, body = http.MethodPost, strings.NewReader(c.data)
	}
	if c.head {
		method = http.MethodHead
	}
	if c.method != "" {
		method = c.method
	}
	req, err := http.NewRequest(method, c.url, body)
	if err != nil {
		return curlUsage, err
	}
	req.Header.Set("User-Agent", "curl/8")
	req.Header.Set("Accept", "*/*")
	if c.hasData {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range c.fields {
		name, value, _ := strings.Cut(f, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	secure, err := c.secure()
	if err != nil {
		return curlUsage, err
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: c.dial, TLSClientConfig: secure, DisableCompression: true, DisableKeepAlives: true}}
	if c.cookies {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return curlUsage, err
		}
		client.Jar = jar
	}
	if !c.follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil {
		return curlConnect, err
	}
	defer resp.Body.Close()
	return c.show(resp, stdout)
}

func (c *curlCall) parse(args []string) error {
	flags := map[string]*bool{"s": nil, "S": nil, "L": &c.follow, "i": &c.include, "I": &c.head}
	values := map[string]func(string){
		"X": func(v string) { c.method = v }, "d": func(v string) { c.data, c.hasData = v, true },
		"H": func(v string) { c.fields = append(c.fields, v) }, "o": func(v string) { c.out = v }, "w": func(v string) { c.write = v },
		"b":       func(string) { c.cookies = true }, // the name of a file that need not be there: -b ''
		"-cacert": func(v string) { c.cacert = v }, "-cert": func(v string) { c.cert = v }, "-key": func(v string) { c.key = v },
		"-resolve": func(v string) { c.resolve = append(c.resolve, v) }, "-interface": func(v string) { c.local = v },
	}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if len(arg) < 2 || arg[0] != '-' {
			if c.url != "" {
				return fmt.Errorf("%s is a second URL", arg)
			}
			c.url = arg
			continue
		}
		names := strings.Split(arg[1:], "")
		if arg[1] == '-' {
			names = []string{arg[1:]}
		}
		for _, name := range names {
			if set, ok := values[name]; ok {
				if len(args) == 0 {
					return fmt.Errorf("-%s needs a value", name)
				}
				set(args[0])
				args = args[1:]
			} else if flag, ok := flags[name]; !ok {
				return fmt.Errorf("-%s is not built here", name)
			} else if flag != nil {
				*flag = true
			}
		}
	}
	c.include = c.include || c.head
	if !strings.Contains(c.url, "://") {
		c.url = "http://" + c.url
	}
	return nil
}

// secure is how TLS is spoken.
func (c *curlCall) secure() (*tls.Config, error) {
	config := &tls.Config{}
	if c.cacert != "" {
		data, err := os.ReadFile(c.cacert)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(data)
	}
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// dial connects where --resolve says, from where --interface says. Names below localhost are this machine.
func (c *curlCall) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	for _, r := range c.resolve {
		if parts := strings.SplitN(r, ":", 3); len(parts) == 3 && (parts[0] == "*" || parts[0] == host) && parts[1] == port {
			host = strings.Trim(parts[2], "[]")
		}
	}
	var d net.Dialer
	if c.local != "" {
		from, err := netip.ParseAddr(c.local)
		if err != nil {
			return nil, err
		}
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return d.DialContext(ctx, network, net.JoinHostPort(host, port))
}

func (c *curlCall) show(resp *http.Response, stdout io.Writer) (int, error) {
	out := stdout
	if c.out != "" {
		f, err := os.OpenFile(c.out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return curlWrite, err
		}
		defer f.Close()
		out = f
	}
	if c.include {
		fmt.Fprintf(out, "%s %s\n", resp.Proto, resp.Status)
		for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
			for _, value := range resp.Header[name] {
				fmt.Fprintf(out, "%s: %s\n", name, value)
			}
		}
		fmt.Fprintln(out)
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return curlReceive, err
	}
	if c.write != "" {
		location := ""
		if u, err := resp.Location(); err == nil {
			location = u.String()
		}
		fmt.Fprint(stdout, strings.NewReplacer("%{http_code}", fmt.Sprint(resp.StatusCode), "%{redirect_url}", location, `\n`, "\n").Replace(c.write))
	}
	return 0, nil
}
