// SPDX-License-Identifier: EUPL-1.2

package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Token is how a service's authorisation is got: OAuth 2.0 client credentials (RFC 6749, section 4.4).
type Token struct {
	URL        string // of the token endpoint
	Client     string // the client's id
	SecretFile string // a file with the secret, which is read whenever a token is asked for
}

// Authorised is a client whose requests carry a token. Token and requests go through c, and so keep to its policy. A request
// that is answered with 401 is made once more with a new token.
func (t *Token) Authorised(c *http.Client) *http.Client {
	out := *c
	out.Transport = &authorising{token: t, base: c}
	return &out
}

// authorising adds the token to requests. Safe for concurrent use.
type authorising struct {
	token *Token
	base  *http.Client

	mu   sync.Mutex // guards have
	have *oauth2.Token
}

func (a *authorising) CloseIdleConnections() { a.base.CloseIdleConnections() }

func (a *authorising) RoundTrip(r *http.Request) (*http.Response, error) {
	for again := false; ; again = true {
		t, err := a.get(r.Context(), again)
		if err != nil {
			return nil, err
		}
		with := r.Clone(r.Context())
		t.SetAuthHeader(with)
		resp, err := a.base.Transport.RoundTrip(with)
		if err != nil || resp.StatusCode != http.StatusUnauthorized || again {
			return resp, err
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		_ = resp.Body.Close() // nothing of it is of use
	}
}

// get is the token as long as it holds; fresh wants another one.
func (a *authorising) get(ctx context.Context, fresh bool) (*oauth2.Token, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !fresh && a.have.Valid() {
		return a.have, nil
	}
	secret, err := os.ReadFile(a.token.SecretFile)
	if err != nil {
		return nil, err
	}
	conf := clientcredentials.Config{ClientID: a.token.Client, ClientSecret: strings.TrimSpace(string(secret)), TokenURL: a.token.URL}
	t, err := conf.Token(context.WithValue(ctx, oauth2.HTTPClient, a.base))
	if err != nil {
		return nil, bare(err)
	}
	a.have = t
	return t, nil
}

// TokenError says that no token was given. What the service has answered may repeat what it was sent, so of it only the code is
// told.
type TokenError struct {
	Status int    // of HTTP; 0 = the answer holds no token
	Code   string // of RFC 6749, section 5.2, such as invalid_client; "" = it does not say
}

func (e *TokenError) Error() string {
	text := "no token is given"
	if e.Status > 0 {
		text += fmt.Sprintf(": the token service answers %d", e.Status)
	}
	if e.Code != "" {
		text += " " + e.Code
	}
	return text
}

// bare is an error of oauth2 without the answer's text.
func bare(err error) error {
	var r *oauth2.RetrieveError
	if !errors.As(err, &r) {
		if strings.HasPrefix(err.Error(), "oauth2:") {
			return &TokenError{}
		}
		return err
	}
	out := &TokenError{Code: known(r.ErrorCode)}
	if r.Response != nil {
		out.Status = r.Response.StatusCode
	}
	return out
}

// known is a code of the standard; nothing else is repeated.
func known(code string) string {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope":
		return code
	}
	return ""
}
