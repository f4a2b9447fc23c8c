// This page shows /openapi.json, and asks the server that it came from.

const doc = await (await fetch("/openapi.json")).json();
const codes = new Map(doc["x-codes"].map((c) => [c.code, c]));
const endpoints = Object.entries(doc.paths).map(([path, methods]) => {
	const [method, op] = Object.entries(methods)[0];
	return { path, method: method.toUpperCase(), noun: op.tags[0], op };
});

// el makes an element: attributes in an object, and then its children.
function el(tag, ...rest) {
	const e = document.createElement(tag);
	for (const x of rest.flat()) {
		if (x === null || x === undefined || x === false) continue;
		if (typeof x === "object" && !(x instanceof Node)) {
			for (const [k, v] of Object.entries(x)) {
				if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
				else if (k in e && typeof v !== "string") e[k] = v;
				else e.setAttribute(k, v);
			}
		} else e.append(x);
	}
	return e;
}

// prose shows text with **strong** words and `code`, by paragraphs.
function prose(text) {
	return text.split(/\n\n+/).map((paragraph) =>
		el("p", paragraph.split(/(\*\*[^*]+\*\*|`[^`]+`)/).map((part) => {
			if (part.startsWith("**")) return el("strong", part.slice(2, -2));
			if (part.startsWith("`")) return el("code", part.slice(1, -1));
			return part;
		})));
}

function resolve(schema) {
	while (schema.$ref || schema.oneOf) {
		schema = schema.$ref
			? { ...doc.components.schemas[schema.$ref.split("/").pop()], name: schema.$ref.split("/").pop() }
			: schema.oneOf.find((s) => s.type !== "null");
	}
	return schema;
}

function typeOf(schema) {
	const s = resolve(schema);
	if (s.type === "array") return `list of ${typeOf(s.items).replace(/^(string|object|integer)$/, "$1s")}`;
	if (s.type === "object" && s.additionalProperties) return `object of ${typeOf(s.additionalProperties)}s`;
	return s.type === "null" ? "nothing" : s.type ?? "anything";
}

function limits(s) {
	const said = [];
	if (s.enum) said.push(`one of ${s.enum.join(", ")}`);
	if (s.type === "string" && s.maxLength < 10000) said.push(`at most ${s.maxLength} characters`);
	if (s.maxItems) said.push(`at most ${s.maxItems}`);
	if (s.maximum) said.push(`${s.minimum ?? 0} to ${s.maximum}`);
	return said.length ? `, ${said.join(", ")}` : "";
}

// rows lists the members of a schema, those within others beneath them.
function rows(schema, before = "", above = []) {
	const s = resolve(schema);
	if (above.includes(s.name) && s.name) return [];
	const inside = s.name ? [...above, s.name] : above;
	if (s.type === "array") return rows(s.items, `${before}[].`, inside);
	if (s.type === "object" && s.additionalProperties) return rows(s.additionalProperties, `${before}*.`, inside);
	return Object.entries(s.properties ?? {}).flatMap(([name, member]) => {
		const m = resolve(member);
		const must = (s.required ?? []).includes(name);
		const nested = m.type === "array" ? rows(m.items, `${before}${name}[].`, inside) : m.type === "object" ? rows(m, `${before}${name}.`, inside) : [];
		return [{ before, name, must, type: typeOf(member) + limits(m), about: member.description ?? m.description ?? "" }, ...nested];
	});
}

function fields(list, request) {
	if (list.length === 0) return null;
	return el("div", { class: "wide" }, el("table",
		el("thead", el("tr", el("th", "member"), el("th", "meaning"))),
		el("tbody", list.map((f) => el("tr",
			el("td", { class: "name" }, el("span", { class: "dim" }, f.before), f.name, request && f.must && el("span", { class: "must" }, "required")),
			el("td", f.about, el("span", { class: "type" }, f.type)))))));
}

function codeRows(numbers) {
	return el("div", { class: "wide" }, el("table",
		el("thead", el("tr", ["code", "name", "meaning", "status"].map((x) => el("th", x)))),
		el("tbody", numbers.map((n) => codes.get(n)).map((c) => el("tr",
			el("td", { class: "name" }, String(c.code)), el("td", { class: "name" }, c.name),
			el("td", c.meaning, c.retryable && el("span", { class: "type" }, "the same request may succeed later")),
			el("td", { class: "name" }, String(c.status)))))));
}

// colored shows a value as JSON.
function colored(value) {
	const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
	const parts = text.split(/("(?:[^"\\]|\\.)*"(?:\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/);
	return el("pre", parts.map((p, i) => {
		if (i % 2 === 0) return p;
		return el("span", { class: p.endsWith(":") ? "k" : p.startsWith('"') ? "s" : "n" }, p);
	}));
}

// remembered is an input whose value stays while the page is open, for every endpoint.
function remembered(name, byDefault, more = {}) {
	const key = `whaleshark.${name}`;
	const value = sessionStorage.getItem(key) ?? byDefault;
	return el("input", { name, value, autocomplete: "off", spellcheck: "false", oninput: (e) => sessionStorage.setItem(key, e.target.value), ...more });
}

function tryIt({ path, method, op }) {
	const request = op.requestBody.content["application/json"];
	const example = { ...request.example };
	delete example.appId;
	delete example.operater;
	const app = remembered("appId", "10001", { inputmode: "numeric" });
	const identifier = remembered("identifier", op["x-access"].startsWith("administrators") ? "admin" : "alice");
	const sign = remembered("userSign", "", { placeholder: "where one is needed" });
	const status = el("input", { type: "checkbox" });
	const body = el("textarea", { spellcheck: "false", rows: Math.min(16, JSON.stringify(example, null, 2).split("\n").length + 1) });
	body.value = JSON.stringify(example, null, 2);
	const said = el("div", { class: "said" });
	const button = el("button", { class: "go", type: "submit" }, "Send");

	const target = () => {
		const query = new URLSearchParams();
		for (const input of [app, identifier, sign]) if (input.value.trim()) query.set(input.name, input.value.trim());
		return `${path}?${query}`;
	};
	async function send(e) {
		e?.preventDefault();
		button.disabled = true;
		const began = performance.now();
		try {
			const res = await fetch(target(), {
				method,
				headers: { "Content-Type": "application/json", ...(status.checked ? { "Whaleshark-Errors": "http" } : {}) },
				body: method === "GET" ? undefined : body.value,
			});
			const text = await res.text();
			const took = Math.round(performance.now() - began);
			let answer;
			try { answer = JSON.parse(text); } catch { answer = null; }
			said.replaceChildren(
				el("span", { class: answer?.ok ? "good" : "bad" }, answer ? `${answer.code} ${codes.get(answer.code)?.name ?? ""}` : "no envelope"),
				` · HTTP ${res.status} · ${took} ms · request ${res.headers.get("X-Request-Id")}`,
				colored(answer ?? text));
		} catch (fault) {
			said.replaceChildren(el("span", { class: "bad" }, String(fault)));
		}
		button.disabled = false;
	}
	const quoted = (s) => `'${s.replaceAll("'", `'\\''`)}'`;
	const curl = async (e) => {
		e.preventDefault();
		await navigator.clipboard.writeText(
			`curl -X ${method} ${quoted(location.origin + target())} -H 'Content-Type: application/json' -d ${quoted(body.value)}`);
		e.target.textContent = "copied";
		setTimeout(() => { e.target.textContent = "copy as curl"; }, 1500);
	};
	return el("form", { class: "try", onsubmit: send, onkeydown: (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) send(e); } },
		el("h2", "Try it"),
		el("div", { class: "two" }, el("label", "appId", app), el("label", "identifier", identifier)),
		op.security && el("label", "userSign", sign),
		el("label", "body", body),
		el("div", { class: "row" }, button, el("label", status, "errors as HTTP statuses"),
			navigator.clipboard && el("button", { class: "link", type: "button", onclick: curl }, "copy as curl")),
		said);
}

function showEndpoint(e) {
	const { op } = e;
	const request = op.requestBody.content["application/json"];
	const answer = op.responses["200"].content["application/json"];
	const members = rows(request.schema);
	const isCommon = (f) => !f.before && op["x-common"].includes(f.name);
	const own = members.filter((f) => !isCommon(f));
	const shared = members.filter(isCommon);
	const data = answer.schema.oneOf[0].properties.data;
	const list = rows(data);
	const others = op["x-codes"].filter((c) => !op["x-own-codes"].includes(c));
	return [
		el("div", { class: "path" }, el("span", { class: "badge" }, op["x-any-method"] ? "any method" : e.method), el("h1", e.path)),
		el("p", { class: "lead" }, op.summary),
		el("div", { class: "row" }, el("span", { class: "badge plain" }, `for ${op["x-access"]}`)),
		el("div", { class: "split" },
			el("div",
				el("h2", "Body"),
				fields(own, true) ?? el("p", "Nothing of its own."),
				el("details", el("summary", "what every request may say"), fields(shared, true)),
				el("h2", "Answer"),
				el("p", "data is ", typeOf(data) === "nothing" ? "null." : typeOf(data) === "object" ? "an object:" : `a ${typeOf(data)}${list.length ? ":" : "."}`),
				fields(list, false),
				el("details", el("summary", "an example"), colored(answer.example)),
				el("h2", "Codes"),
				op["x-own-codes"].length > 0 && codeRows(op["x-own-codes"]),
				el("details", el("summary", "what every request may be answered with"), codeRows(others))),
			tryIt(e)),
	];
}

function showHome() {
	return [
		el("h1", "WhaleShark HTTP API"),
		prose(doc.info.description),
		el("h2", "Endpoints"),
		el("div", { class: "wide" }, el("table", el("tbody", endpoints.map((e) => el("tr",
			el("td", { class: "name" }, el("a", { href: `#${e.path}` }, e.path)), el("td", e.op.summary)))))),
		el("h2", "Codes"),
		codeRows([...codes.keys()]),
	];
}

const filter = document.getElementById("filter");

function showList() {
	const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
	const here = decodeURIComponent(location.hash.slice(1));
	document.getElementById("list").replaceChildren(...doc.tags.flatMap(({ name }) => {
		const found = endpoints.filter((e) => e.noun === name
			&& words.every((w) => `${name} ${e.path} ${e.op.summary}`.toLowerCase().includes(w)));
		return found.length === 0 ? [] : [el("h3", name), ...found.map((e) =>
			el("a", { href: `#${e.path}`, title: e.op.summary, ...(e.path === here ? { "aria-current": "page" } : {}) }, e.path.replace(/^\/v1\//, "")))];
	}));
}

function show() {
	const here = decodeURIComponent(location.hash.slice(1));
	const e = endpoints.find((x) => x.path === here);
	document.title = e ? `${e.path} · WhaleShark` : "WhaleShark HTTP API";
	document.getElementById("main").replaceChildren(...(e ? showEndpoint(e) : showHome()).flat());
	showList();
	document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest" });
	scrollTo(0, 0);
}

filter.addEventListener("input", showList);
addEventListener("hashchange", show);
addEventListener("keydown", (e) => {
	if (e.key !== "/" || /^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
	e.preventDefault();
	filter.focus();
});

const theme = document.getElementById("theme");
const root = document.documentElement;
if (localStorage.getItem("whaleshark.theme")) root.dataset.theme = localStorage.getItem("whaleshark.theme");
theme.addEventListener("click", () => {
	const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
	root.dataset.theme = dark ? "light" : "dark";
	localStorage.setItem("whaleshark.theme", root.dataset.theme);
});

show();
