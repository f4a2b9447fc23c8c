package api

import (
	"embed"
	"net/http"
)

//go:embed docs
var docs embed.FS

// docsPolicy lets the page load what it came with, and ask the server that it came from.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'"

// serveDocs answers with the page that shows the OpenAPI document to people.
func serveDocs(mux *http.ServeMux) {
	for path, name := range map[string]string{
		"/docs": "index.html", "/docs/docs.css": "docs.css", "/docs/docs.js": "docs.js", "/docs/icon.svg": "icon.svg",
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Security-Policy", docsPolicy)
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("Cache-Control", "no-cache")
			http.ServeFileFS(w, r, docs, "docs/"+name)
		})
	}
	for _, path := range []string{"GET /{$}", "GET /docs/{$}"} {
		mux.Handle(path, http.RedirectHandler("/docs", http.StatusFound))
	}
}
