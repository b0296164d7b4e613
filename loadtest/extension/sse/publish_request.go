package sse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

var (
	errNotStored = errors.New("not stored")
	errNoBatches = errors.New("publishing was refused with 501: batches can't be stored as a whole here")
)

// post is one try; an error that is errNotStored is worth another one.
func (w *publishWorker) post(count int) error {
	p := w.publisher
	path, kind := p.options.target.path, "application/json"
	if count > 1 {
		path, kind = p.options.target.withQuery("atomic=true"), "application/x-ndjson"
	}
	// A try that is under way is waited for when the run ends: what it stores has to be known.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.context), p.options.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.options.target.origin()+path,
		bytes.NewReader(w.body.Bytes()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", kind)
	if p.options.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.options.token)
	}
	for _, h := range p.options.headers {
		request.Header.Set(h[0], h[1])
	}
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	return judge(response.StatusCode, body, count)
}

func judge(status int, body []byte, count int) error {
	switch {
	case status >= 200 && status < 300:
		if count > 1 && bytes.Count(bytes.TrimSpace(body), []byte{'\n'}) != count-1 {
			return fmt.Errorf("%w: %d events were answered with other than %d lines", errNotStored, count, count)
		}
		if bytes.Contains(body, []byte(`"error":`)) {
			return fmt.Errorf("%w: %.200s", errNotStored, body)
		}
		return nil
	case status == 429 || status == 408 || status >= 500 && status != 501:
		return fmt.Errorf("%w: status %d", errNotStored, status)
	case status == 501:
		return errNoBatches
	}
	var problem struct{ Title, Detail string }
	_ = json.Unmarshal(body, &problem)
	return errors.New("publishing was refused with " + strconv.Itoa(status) + ": " + problem.Title + " " + problem.Detail)
}
