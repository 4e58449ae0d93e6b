// SPDX-License-Identifier: EUPL-1.2

package exchange

import (
	"bytes"

	"github.com/pvgate/pvgate/gateway/message"
)

// Agent is the kind of program that a User-Agent names: a closed list, for the access log. The field itself, with which
// a person can be told from others, is kept nowhere.
type Agent uint8

// The kinds. AgentOther is whatever none of the rules fits.
const (
	AgentNone Agent = iota // no User-Agent
	AgentBrowser
	AgentBot
	AgentTool
	AgentMonitor
	AgentOther

	agentCount
)

var agentNames = [agentCount]string{"none", "browser", "bot", "tool", "monitor", "other"}

// String returns the kind as it stands in the log.
func (a Agent) String() string {
	if a >= agentCount {
		return agentNames[AgentOther]
	}
	return agentNames[a]
}

// maxAgent is how much of a User-Agent is looked at.
const maxAgent = 256

var (
	mozilla = []byte("Mozilla/")
	gecko   = []byte("Gecko")
	// What crawlers write into a browser's name: that they are compatible, or where to read about them.
	compatible = []byte("ompatible")
	address    = []byte("http")
	shell      = []byte("PowerShell")
	// What the names of the others hold.
	crawlers = [...][]byte{[]byte("bot"), []byte("Bot"), address, []byte("rawl"), []byte("pider")}
)

// programs are how the names of programs begin that are no browsers, without case.
var programs = [...]struct {
	name string
	kind Agent
}{
	{"curl/", AgentTool},
	{"wget", AgentTool},
	{"python", AgentTool},
	{"go-http-client", AgentTool},
	{"java", AgentTool},
	{"okhttp", AgentTool},
	{"apache-httpclient", AgentTool},
	{"libwww", AgentTool},
	{"lwp", AgentTool},
	{"postman", AgentTool},
	{"insomnia", AgentTool},
	{"axios", AgentTool},
	{"node", AgentTool},
	{"undici", AgentTool},
	{"got ", AgentTool},
	{"httpie", AgentTool},
	{"aiohttp", AgentTool},
	{"guzzle", AgentTool},
	{"php", AgentTool},
	{"ruby", AgentTool},
	{"faraday", AgentTool},
	{"dart", AgentTool},
	{"reqwest", AgentTool},
	{"apachebench", AgentTool},
	{"k6", AgentTool},
	{"soapui", AgentTool},
	{"kube-probe", AgentMonitor},
	{"prometheus", AgentMonitor},
	{"blackbox", AgentMonitor},
	{"googlehc", AgentMonitor},
	{"elb-health", AgentMonitor},
	{"haproxy", AgentMonitor},
	{"check_http", AgentMonitor},
	{"icinga", AgentMonitor},
	{"nagios", AgentMonitor},
	{"zabbix", AgentMonitor},
	{"checkmk", AgentMonitor},
	{"uptime", AgentMonitor},
	{"pingdom", AgentMonitor},
	{"statuscake", AgentMonitor},
	{"site24x7", AgentMonitor},
	{"opera/", AgentBrowser},
}

// AgentOf classifies a User-Agent. It costs a few searches in a short text, for it is on the way of each request that is
// logged.
func AgentOf(name []byte) Agent {
	if len(name) == 0 {
		return AgentNone
	}
	name = name[:min(len(name), maxAgent)]
	if bytes.HasPrefix(name, mozilla) {
		switch {
		case bytes.Contains(name, compatible), bytes.Contains(name, address):
			return AgentBot
		case bytes.Contains(name, gecko): // every browser of this decade says it
			return AgentBrowser
		case bytes.Contains(name, shell):
			return AgentTool
		}
		return AgentOther
	}
	first := name[0] | 0x20 // lower case, if it is a letter
	for i := range programs {
		p := &programs[i]
		if n := len(p.name); p.name[0] == first && len(name) >= n && message.EqualFold(name[:n], p.name) {
			return p.kind
		}
	}
	for _, c := range crawlers {
		if bytes.Contains(name, c) {
			return AgentBot
		}
	}
	return AgentOther
}
