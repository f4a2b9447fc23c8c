package streams

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

var (
	errNoStream = errors.New("no such stream")
	errNoEntry  = errors.New("no such entry")
)

// stored is a message as the stream's leader gives it.
type stored struct {
	Subject string    `json:"subject"`
	Seq     uint64    `json:"seq"`
	Data    []byte    `json:"data"`
	Time    time.Time `json:"time"`
}

// getMessage asks the stream's leader, never a replica that may be behind.
func (c *Conn) getMessage(ctx context.Context, stream string, query map[string]any) (*stored, error) {
	var answer struct {
		Message *stored `json:"message"`
	}
	if err := c.api(ctx, "STREAM.MSG.GET."+stream, query, &answer); err != nil {
		return nil, err
	}
	return answer.Message, nil
}

// api asks the JetStream API of the broker.
func (c *Conn) api(ctx context.Context, subject string, query, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	body, err := json.Marshal(query)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	m, err := c.nc.RequestWithContext(ctx, "$JS.API."+subject, body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	if bytes.Contains(m.Data, []byte(`"error":`)) {
		if err := apiError(m.Data); err != nil {
			return fmt.Errorf("ask %s: %w", subject, err)
		}
	}
	if err := json.Unmarshal(m.Data, answer); err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	return nil
}

// apiError returns the error in an answer of the API; nil if there is none.
func apiError(answer []byte) error {
	var fault struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &fault); err != nil || fault.Error == nil {
		return err
	}
	switch fault.Error.Code {
	case 10059:
		return errNoStream
	case 10037:
		return errNoEntry
	}
	return fmt.Errorf("%s (%d)", fault.Error.Description, fault.Error.Code)
}
