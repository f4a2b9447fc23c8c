package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	neturl "net/url"
	"strconv"
	"strings"
	"time"

	"github.com/whaleshark-im/whaleshark/chat"
)

const (
	connectPatience = 2 * time.Second
	tellLimit       = 64 << 10  // bytes of an answer that are read
	askLimit        = 512 << 10 // likewise: it may hold a message, with every character escaped
	idlePerHost     = questionsAtOnce
)

// poster makes calls.
type poster struct {
	client *http.Client
	now    func() time.Time
}

func newPoster(private bool) *poster {
	dialer := &net.Dialer{Timeout: connectPatience}
	if !private {
		dialer.Control = refuseInward
	}
	return &poster{now: time.Now, client: &http.Client{
		Transport: &http.Transport{ // without a proxy: it would resolve names for us
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    connectPatience,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    idlePerHost,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// errGone is a receiver's word that it does not want the call, now or ever.
var errGone = errors.New("it answered 410 Gone")

// tell makes a call whose answer is an answer of 200 to 299, whatever it says.
func (p *poster) tell(ctx context.Context, h *chat.Hooks, c *chat.Call) error {
	resp, err := p.post(ctx, h, c)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, tellLimit) // so that the connection serves the next call
	return nil
}

// ask makes a call whose answer says something.
func (p *poster) ask(ctx context.Context, h *chat.Hooks, c *chat.Call) ([]byte, error) {
	resp, err := p.post(ctx, h, c)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, askLimit))
	if err != nil {
		return nil, fmt.Errorf("read its answer: %w", cleared(err))
	}
	return body, nil
}

// post makes a call. Any answer but one of 200 to 299 is an error, redirections too.
func (p *poster) post(ctx context.Context, h *chat.Hooks, c *chat.Call) (*http.Response, error) {
	req, err := p.request(ctx, h, c)
	if err != nil {
		return nil, err
	}
	resp, err := p.client.Do(req)
	switch {
	case err != nil:
		return nil, cleared(err)
	case resp.StatusCode >= 200 && resp.StatusCode <= 299:
		return resp, nil
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusGone {
		return nil, errGone
	}
	return nil, fmt.Errorf("it answered %d", resp.StatusCode)
}

func (p *poster) request(ctx context.Context, h *chat.Hooks, c *chat.Call) (*http.Request, error) {
	url, err := urlOf(h.URL, c)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(c.Body))
	if err != nil {
		return nil, cleared(err)
	}
	at := strconv.FormatInt(p.now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "WhaleShark")
	req.Header.Set("webhook-id", c.Event)
	req.Header.Set("webhook-timestamp", at)
	if len(h.Secrets) > 0 {
		req.Header.Set("webhook-signature", signature(h.Secrets, c.Event, at, c.Body))
	}
	return req, nil
}

// urlOf adds app and command to the query that the receiver's URL may have of its own.
func urlOf(receiver string, c *chat.Call) (string, error) {
	u, err := neturl.Parse(receiver)
	if err != nil {
		return "", cleared(err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("a webhook has a URL with http or https, not %q", u.Scheme)
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "appId=" + c.App.String() + "&command=" + neturl.QueryEscape(c.Command)
	u.Fragment = ""
	return u.String(), nil
}

// signature is what proves to the receiver that a call is ours, in the form of Standard Webhooks: a signature with each secret.
func signature(secrets []string, id, at string, body []byte) string {
	var all []string
	for _, secret := range secrets {
		key, err := chat.HookKeyOf(secret)
		if err != nil {
			continue // none is written like that
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// cleared returns an error without the URL that http puts into it, in which there may be a secret.
func cleared(err error) error {
	if e, ok := errors.AsType[*neturl.Error](err); ok {
		return e.Err
	}
	return err
}
