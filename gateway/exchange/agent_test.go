// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"strings"
	"testing"
)

func TestAgentsAreToldApartByAFewWords(t *testing.T) { // not parallel: it counts allocations
	for name, want := range map[string]Agent{
		"": AgentNone,
		"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0":                                                                  AgentBrowser,
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0":           AgentBrowser,
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1": AgentBrowser,
		"Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18":                                                                        AgentBrowser,
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                AgentBot,
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)":                                  AgentBot,
		"Mozilla/5.0 (compatible; Baiduspider/2.0)":                                                                                               AgentBot,
		"Screaming Frog SEO Spider/21.0":                                            AgentBot,
		"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)": AgentBot,
		"curl/8.14.1":             AgentTool,
		"Wget/1.25.0":             AgentTool,
		"python-requests/2.32.3":  AgentTool,
		"Go-http-client/1.1":      AgentTool,
		"Java-http-client/21.0.5": AgentTool,
		"PostmanRuntime/7.43.0":   AgentTool,
		"Mozilla/5.0 (Windows NT; Windows NT 10.0; de-DE) WindowsPowerShell/5.1.19041.4894": AgentTool,
		"kube-probe/1.31":                     AgentMonitor,
		"Prometheus/3.0.1":                    AgentMonitor,
		"Blackbox Exporter/0.25.0":            AgentMonitor,
		"check_http/v2.4.0 (nagios-plugins)":  AgentMonitor,
		"FachverfahrenX 3.2":                  AgentOther,
		"\xff\x00":                            AgentOther,
		strings.Repeat("x", maxAgent) + "bot": AgentOther, // not looked at
	} {
		if got := AgentOf([]byte(name)); got != want {
			t.Errorf("%.60q is %v, want %v", name, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { AgentOf(mozilla) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	seen := map[string]bool{}
	for a := range agentCount + 1 {
		seen[a.String()] = true
	}
	if len(seen) != int(agentCount) {
		t.Errorf("%d names for %d kinds: %v", len(seen), agentCount, seen)
	}
}

func BenchmarkAgentOf(b *testing.B) {
	for name, ua := range map[string]string{
		"firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"edge":    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
		"other":   "FachverfahrenX 3.2",
	} {
		b.Run(name, func(b *testing.B) {
			ua := []byte(ua)
			for b.Loop() {
				AgentOf(ua)
			}
		})
	}
}
