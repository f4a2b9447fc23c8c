package api

import (
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// get reads what is at an address.
func get(t *testing.T, address string) (header http.Header, status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Header, res.StatusCode, string(b)
}

// TestDocs follows every link of the page: it needs nothing from elsewhere.
func TestDocs(t *testing.T) {
	h := open(t)
	links := regexp.MustCompile(`(?:href|src)="([^"#]+)"`)
	header, status, page := get(t, h.url+"/") // it leads to /docs
	if status != http.StatusOK || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("/docs has status %d and the policy %q", status, header.Get("Content-Security-Policy"))
	}
	all := links.FindAllStringSubmatch(page, -1)
	if len(all) < 4 {
		t.Fatalf("the page has %d links:\n%s", len(all), page)
	}
	for _, link := range all {
		if u, err := url.Parse(link[1]); err != nil || u.IsAbs() || u.Host != "" {
			t.Errorf("the page needs %s", link[1])
			continue
		}
		header, status, text := get(t, h.url+link[1])
		if status != http.StatusOK || text == "" {
			t.Errorf("%s has status %d and %d bytes", link[1], status, len(text))
		}
		if strings.HasSuffix(link[1], ".js") && !strings.HasPrefix(header.Get("Content-Type"), "text/javascript") {
			t.Errorf("%s is %s", link[1], header.Get("Content-Type"))
		}
	}
	_ = fs.WalkDir(docs, ".", func(path string, d fs.DirEntry, _ error) error {
		if d.IsDir() {
			return nil
		}
		text, err := fs.ReadFile(docs, path)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]+[^"'\s]*`).FindString(string(text)); found != "" && found != "http://www.w3.org/2000/svg" {
			t.Errorf("%s names %s", path, found)
		}
		return nil
	})
}
