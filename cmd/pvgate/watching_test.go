// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/pvgate/pvgate/gateway/metrics"
	"github.com/pvgate/pvgate/gateway/reason"
)

const deploy = repository + "/deploy"

// alertRule is one alert of the rules that we ship.
type alertRule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// alertTests is what promtool reads.
type alertTests struct {
	Tests []struct {
		Rules []struct {
			Name string `yaml:"alertname"`
			Want []any  `yaml:"exp_alerts"`
		} `yaml:"alert_rule_test"`
	} `yaml:"tests"`
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func alertRules(t *testing.T) (all []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	readYAML(t, "prometheus/pvgate.rules.yaml", &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// alertTestFiles are those with an evaluation a minute, and with few of them for what looks hours or days back.
func alertTestFiles() []string {
	return []string{"prometheus/pvgate.test.yaml", "prometheus/pvgate.days.test.yaml"}
}

func TestAlertsFireWhenTheyShouldAndOnlyThen(t *testing.T) {
	t.Parallel()
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, name := range alertTestFiles() {
		var file alertTests
		readYAML(t, name, &file)
		for _, scene := range file.Tests {
			for _, r := range scene.Rules {
				if len(r.Want) > 0 {
					fires[r.Name] = true
				} else {
					quiet[r.Name] = true
				}
			}
		}
	}
	for _, r := range alertRules(t) {
		if r.Alert != "" && (!fires[r.Alert] || !quiet[r.Alert]) {
			t.Errorf("%s: a test in which it fires: %v, one in which it does not: %v; both are wanted", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not there")
	}
	for _, args := range [][]string{{"check", "rules", "pvgate.rules.yaml"}, append([]string{"test", "rules"}, "pvgate.test.yaml", "pvgate.days.test.yaml")} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join(deploy, "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// runbook is what somebody reads at night.
func runbook(t *testing.T, alert string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "runbooks", alert+".md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// questions are a runbook's lines for the node and for Prometheus.
func questions(text string) (node, promQL []string) {
	for _, b := range blocks(text) {
		for _, line := range b.lines {
			if q, ok := strings.CutPrefix(line, "$ "); ok {
				node = append(node, q)
			} else if q, ok := strings.CutPrefix(line, "> "); ok {
				promQL = append(promQL, q)
			}
		}
	}
	return node, promQL
}

func TestEveryAlertHasARunbook(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, r := range alertRules(t) {
		if r.Alert == "" {
			continue
		}
		known[r.Alert] = true
		text := runbook(t, r.Alert)
		for _, part := range []string{"# " + r.Alert + "\n", "**What it means.**", "**Whose fault.**", "**First three.**", "**How it ends.**"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s: its runbook has no %q", r.Alert, part)
			}
		}
		node, promQL := questions(text)
		if len(node)+len(promQL) != 3 {
			t.Errorf("%s: %d commands in its runbook, want 3", r.Alert, len(node)+len(promQL))
		}
		for _, command := range node {
			words := strings.Fields(command)
			cmd, rest, err := newRoot().Find(words[1:])
			if words[0] != "pvgate" || err != nil || cmd == cmd.Root() {
				t.Errorf("%s: %q is no verb of pvgate", r.Alert, command)
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil {
				t.Errorf("%s: %q: %v", r.Alert, command, err)
			}
		}
		if want := "/deploy/runbooks/" + r.Alert + ".md"; !strings.HasSuffix(r.Annotations["runbook_url"], want) || r.Annotations["summary"] == "" {
			t.Errorf("%s: annotations %v, want a summary and a runbook_url that ends with %s", r.Alert, r.Annotations, want)
		}
		if !slices.Contains([]string{"page", "warn"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q, want page or warn", r.Alert, r.Labels["severity"])
		}
	}
	files, err := os.ReadDir(filepath.Join(deploy, "runbooks"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[strings.TrimSuffix(f.Name(), ".md")] {
			t.Errorf("%s is the runbook of no alert", f.Name())
		}
	}
}

// dashboardQueries are what the dashboard asks.
func dashboardQueries(t *testing.T) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "grafana/pvgate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			all = append(all, q.Expr)
		}
	}
	if len(all) < 30 {
		t.Fatalf("%d queries, want at least 30", len(all))
	}
	return all
}

func TestWhatIsWatchedExists(t *testing.T) {
	t.Parallel()
	described := make(chan *prometheus.Desc, 1000)
	metrics.New(metrics.Inputs{}).Describe(described)
	close(described)
	exists := map[string]bool{}
	named := regexp.MustCompile(`\bpvgate_[a-z0-9_]+\b`)
	for d := range described {
		exists[named.FindString(d.String())] = true
	}
	recorded := map[string]bool{}
	texts := map[string]string{"dashboard": strings.Join(dashboardQueries(t), "\n")}
	for _, r := range alertRules(t) {
		recorded[r.Record] = true
		texts[r.Alert+r.Record] = r.Expr
		if r.Alert != "" {
			_, promQL := questions(runbook(t, r.Alert))
			texts["runbook "+r.Alert] = strings.Join(promQL, "\n")
		}
	}
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	faults := regexp.MustCompile(`reason=~"([a-z_|]+)"`)
	for where, text := range texts {
		for _, name := range named.FindAllString(text, -1) {
			if !exists[name] && !exists[suffix.ReplaceAllString(name, "")] {
				t.Errorf("%s: there is no metric %s", where, name)
			}
		}
		for _, name := range regexp.MustCompile(`\bpvgate:[a-z0-9_:]+`).FindAllString(text, -1) {
			if !recorded[name] {
				t.Errorf("%s: %s is not recorded", where, name)
			}
		}
		for _, m := range faults.FindAllStringSubmatch(text, -1) {
			for word := range strings.SplitSeq(m[1], "|") {
				if _, ok := reason.Parse(word); !ok {
					t.Errorf("%s: %q is no reason", where, word)
				}
			}
		}
	}
	if got := texts["pvgate:gateway_faults:ratio_rate5m"]; !strings.Contains(got, reasonsOf(reason.FaultGateway)) {
		t.Errorf("our own faults are counted by %s, want %s", got, reasonsOf(reason.FaultGateway))
	}
	for fault := reason.FaultNone; fault <= reason.FaultGateway; fault++ {
		if !strings.Contains(texts["dashboard"], reasonsOf(fault)) {
			t.Errorf("no panel shows all reasons with the fault %s: %s", fault, reasonsOf(fault))
		}
	}
}

// reasonsOf is a fault's reasons as a regular expression, in the order of the list.
func reasonsOf(fault reason.Fault) string {
	var names []string
	for _, code := range reason.All() {
		if code.Fault() == fault && code != reason.None {
			names = append(names, code.String())
		}
	}
	return strings.Join(names, "|")
}

// watched is a gateway with everything that can be seen of one, under load, and a Prometheus that reads it.
type watched struct {
	t          *testing.T
	gateway    *process
	addresses  []string // of listeners
	admin      string
	prometheus string
	client     *http.Client // one: Prometheus takes 512 connections
}

// ask asks Prometheus for the present value; it returns how many series there are.
func (w *watched) ask(query string) (int, error) {
	res, err := w.client.PostForm(w.prometheus+"/api/v1/query", url.Values{"query": {query}})
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, errors.New(answer.Error)
	}
	return len(answer.Data.Result), nil
}

// TestDashboardShowsSomething runs every query of the dashboard and of the runbooks, and all rules, in a real Prometheus
// that reads a gateway under load.
func TestDashboardShowsSomething(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("prometheus is not there")
	}
	w := watch(t)
	fill := strings.NewReplacer("$__rate_interval", "4s", "$instance", ".*", "$backend", ".*")
	open := map[string]string{}
	for _, q := range dashboardQueries(t) {
		open[q] = fill.Replace(q)
	}
	ends := time.Now().Add(patience)
	for drained := false; len(open) > 0 && time.Now().Before(ends); time.Sleep(200 * time.Millisecond) {
		for q, filled := range open {
			n, err := w.ask(filled)
			if err != nil {
				t.Fatalf("%s: %v", filled, err)
			}
			if n > 0 {
				delete(open, q)
			}
		}
		if len(open) == 1 && !drained { // the gateway's own fault is what is left: it ends, and says so
			drained = true
			if out, code := shell(t, t.TempDir(), "pvgate drain --admin "+w.admin); code != 0 {
				t.Fatal(out)
			}
		}
	}
	for q := range open {
		t.Errorf("no series: %s", q)
	}
	for _, r := range alertRules(t) {
		if r.Alert == "" {
			continue
		}
		_, promQL := questions(runbook(t, r.Alert))
		for _, q := range append(promQL, r.Expr) {
			if _, err := w.ask(q); err != nil {
				t.Errorf("%s: %s: %v", r.Alert, q, err)
			}
		}
	}
	w.rulesAreWell()
}

// evaluated is a rule as Prometheus has it.
type evaluated struct{ Name, Health, LastError string }

// rulesAreWell sees that Prometheus has had no trouble with any rule.
func (w *watched) rulesAreWell() {
	w.t.Helper()
	rules := w.rules()
	unknown := func(r evaluated) bool { return r.Health == "unknown" } // it was not evaluated yet
	for end := time.Now().Add(patience); slices.ContainsFunc(rules, unknown) && time.Now().Before(end); rules = w.rules() {
		time.Sleep(100 * time.Millisecond)
	}
	for _, r := range rules {
		if r.Health != "ok" {
			w.t.Errorf("rule %s: %s %s", r.Name, r.Health, r.LastError)
		}
	}
	if n, want := len(rules), len(alertRules(w.t)); n != want {
		w.t.Errorf("Prometheus has %d rules, want %d", n, want)
	}
}

// rules asks Prometheus for them.
func (w *watched) rules() (all []evaluated) {
	w.t.Helper()
	res, err := w.client.Get(w.prometheus + "/api/v1/rules")
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			Groups []struct{ Rules []evaluated } `json:"groups"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		w.t.Fatal(err)
	}
	for _, g := range answer.Data.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// startPrometheus starts a Prometheus that reads a gateway twice a second.
func startPrometheus(t *testing.T, admin string) string {
	t.Helper()
	rules, err := filepath.Abs(filepath.Join(deploy, "prometheus/pvgate.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf("global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs:\n  - {job_name: pvgate, static_configs: [{targets: [%q]}]}\n", rules, admin)
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 5 { // the port may be taken between its choice and its use
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		p, err := startProcess(dir, nil, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address, "--log.level=info")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.kill() })
		if _, err := p.await(regexp.MustCompile(`Server is ready to receive web requests`)); err == nil {
			return "http://" + address
		}
	}
	t.Fatal("prometheus does not start")
	return ""
}
