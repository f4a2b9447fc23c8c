package chat

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// A userSign is what an app's own server gives a user so that he can log in: who he is and until when, under the app's key. Its form is
// the original's: the signed fields and their HMAC-SHA256 as JSON, deflated (zlib), in base64 with * - _ for + / =.

// sign holds the fields of a userSign. What the original calls expireTime is when it was issued.
type sign struct {
	User   UserID `json:"TLS.identifier"`
	App    int64  `json:"TLS.appId"`
	Expire int64  `json:"TLS.expire"`     // seconds
	Issued int64  `json:"TLS.expireTime"` // Unix seconds
	Extra  string `json:"TLS.userbuf,omitempty"`
	MAC    []byte `json:"TLS.sig"`
}

// maxSign bounds a userSign in bytes, as it comes and inflated: a few hundred are usual.
const maxSign = 4 << 10

var signEncoding = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*-").WithPadding('_')

// mac returns the HMAC over the fields, in the original's text form.
func (s *sign) mac(key string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(h, "TLS.identifier:%s\nTLS.appId:%d\nTLS.expireTime:%d\nTLS.expire:%d\n", s.User, s.App, s.Issued, s.Expire)
	if s.Extra != "" {
		fmt.Fprintf(h, "TLS.userbuf:%s\n", s.Extra)
	}
	return h.Sum(nil)
}

// Sign mints a userSign that is valid from now on for the given time, in whole seconds.
func Sign(app AppID, key string, user UserID, now time.Time, expire time.Duration) string {
	s := sign{User: user, App: int64(app), Expire: int64(expire / time.Second), Issued: now.Unix()}
	s.MAC = s.mac(key)
	text, err := json.Marshal(&s)
	if err != nil {
		panic("chat: encode a userSign: " + err.Error())
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(text) // to memory: neither fails
	_ = z.Close()
	return signEncoding.EncodeToString(b.Bytes())
}

// VerifySign returns nil if the userSign is one of the user, made with one of the app's keys, and has not expired; otherwise an [Error]. It
// recomputes the HMAC over the fields instead of making the token again: neither the order of JSON members nor what a deflater
// makes of them is part of the proof.
func VerifySign(token string, app AppID, user UserID, keys []string, now time.Time) error {
	if token == "" {
		return Error{Code: SignMissing}
	}
	s, err := parseSign(token)
	switch {
	case err != nil:
		return Error{Code: SignWrong, Reason: "the userSign cannot be read"}
	case s.User != user:
		return Error{Code: SignOtherUser}
	case s.App != int64(app):
		return Error{Code: SignWrong, Reason: "the userSign belongs to another app"}
	case s.Expire <= 0 || now.Unix()-s.Issued > s.Expire:
		return Error{Code: SignExpired}
	}
	for _, key := range keys {
		if hmac.Equal(s.MAC, s.mac(key)) {
			return nil
		}
	}
	return Error{Code: SignWrong}
}

func parseSign(token string) (*sign, error) {
	if len(token) > maxSign {
		return nil, fmt.Errorf("a userSign of %d bytes", len(token))
	}
	deflated, err := signEncoding.DecodeString(token)
	if err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(bytes.NewReader(deflated))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(z, maxSign+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSign {
		return nil, fmt.Errorf("a userSign that inflates to more than %d bytes", maxSign)
	}
	var s sign
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	return &s, nil
}
