// Pays with a stored card and follows the payment, as a client of the payment API should.
//
// The access token lives in this script's memory alone. The refresh token is a cookie that no
// script can read; it brings the session back after the bank's page. Neither is ever part of an
// address. A wish to move money keeps its idempotency key until its answer is known, so that a
// lost answer, or a reload, never charges twice.
"use strict";

const TRIES = 8;
const PAUSE_MS = 800;
const WISH = "shop.wish"; // {key, path, body}: a wish whose answer is not known so far
const PAYMENT = "shop.payment"; // the id of the payment that is shown

const $ = (id) => document.getElementById(id);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let config = null;
let token = "";
let followed = null; // the AbortController of the stream that is open

class Refused extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The answer was ${status}.`);
    this.status = status;
    this.body = body;
  }
}

// -- asking the node -------------------------------------------------------------------------

function send(method, path, { body, headers = {}, signal } = {}) {
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all["Content-Type"] = "application/json";
  return fetch(config.node + path, {
    method, signal, headers: all, credentials: "include", cache: "no-store",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

// One refresh for a token that has run out, then as it is.
async function sendFresh(method, path, options) {
  const answer = await send(method, path, options);
  if (answer.status !== 401 || !(await refresh())) return answer;
  return send(method, path, options);
}

async function ask(method, path, options) {
  const answer = await sendFresh(method, path, options);
  const body = answer.status === 204 ? {} : await answer.json();
  if (!answer.ok) throw new Refused(answer.status, body);
  return body;
}

async function refresh() {
  token = "";
  const answer = await send("POST", "/api/auth/refresh");
  if (!answer.ok) return false;
  token = (await answer.json()).access_token;
  return true;
}

// A wish with one key: sent again, with the same key, until an answer says what became of it.
async function wish(path, body) {
  const kept = { key: crypto.randomUUID(), path, body };
  sessionStorage.setItem(WISH, JSON.stringify(kept));
  return insist(kept);
}

async function insist({ key, path, body }) {
  for (let tried = 0; tried < TRIES; tried += 1) {
    let answer = null;
    try {
      answer = await sendFresh("POST", path, { body, headers: { "Idempotency-Key": key } });
    } catch {
      notice("No answer. Asking again, with the same key.");
    }
    const still = answer === null || answer.status === 429 || answer.status >= 500;
    const content = answer === null ? {} : await answer.json();
    if (!still && content.code !== "request_still_running") {
      sessionStorage.removeItem(WISH);
      if (!answer.ok && !content.payment) throw new Refused(answer.status, content);
      return content.payment || content;
    }
    const after = Number(answer?.headers.get("Retry-After")) * 1000 || PAUSE_MS * (tried + 1);
    await pause(after);
  }
  throw new Error("Nobody answers. Reload the page: the same wish is sent again, with its key.");
}

// -- following a payment ---------------------------------------------------------------------

// Server-sent events over fetch, because EventSource cannot send the Authorization header.
async function follow(id) {
  followed?.abort();
  const own = new AbortController();
  followed = own;
  $("timeline").replaceChildren();
  let last = "";
  while (!own.signal.aborted) {
    try {
      const headers = last ? { "Last-Event-ID": last } : {};
      const path = `/api/payments/${encodeURIComponent(id)}/stream`;
      const answer = await sendFresh("GET", path, { headers, signal: own.signal });
      if (!answer.ok) throw new Refused(answer.status, await answer.json());
      for await (const event of events(answer.body)) {
        last = event.id || last;
        happened(JSON.parse(event.data), event.id);
      }
    } catch (error) {
      if (own.signal.aborted || (error instanceof Refused && error.status < 500)) return;
    }
    await pause(PAUSE_MS);
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = { id: "", data: "" };
      for (const line of part.split("\n")) {
        const [, name, text] = /^(id|data): ?(.*)$/.exec(line) || [];
        if (name === "id") event.id = text;
        if (name === "data") event.data += event.data ? `\n${text}` : text;
      }
      if (event.data) yield event;
    }
  }
}

function happened({ type, timestamp, data }, id) {
  const item = document.createElement("li");
  const code = document.createElement("code");
  item.id = id;
  code.textContent = new Date(timestamp).toLocaleTimeString();
  item.append(code, ` ${type} (${money(data.amount, data.currency)})`);
  $("timeline").append(item);
  if (data.object === "payment") show(data);
  else look(data.payment_id);
}

async function look(id) {
  show(await ask("GET", `/api/payments/${encodeURIComponent(id)}`));
}

// -- showing ---------------------------------------------------------------------------------

function money(minor, currency) {
  const style = new Intl.NumberFormat("en", { style: "currency", currency });
  return style.format(minor / 10 ** style.resolvedOptions().maximumFractionDigits);
}

function notice(text) {
  $("notice").textContent = text;
}

function show(payment) {
  sessionStorage.setItem(PAYMENT, payment.id);
  $("payment").hidden = false;
  $("number").textContent = payment.id;
  $("status").textContent = payment.outcome === "unknown"
    ? `${payment.status}: the outcome is not known yet, and is being asked for`
    : payment.status + (payment.failure ? `: ${payment.failure.message}` : "");
  $("captured").textContent = money(payment.amount_captured, payment.currency);
  $("refunded").textContent = money(payment.amount_refunded, payment.currency);
  const url = payment.next_action?.redirect_to_url?.url;
  $("act").hidden = payment.status !== "requires_action" || !url;
  $("act").onclick = () => location.assign(url);
  $("refund").hidden = payment.amount_captured <= payment.amount_refunded;
  $("refund").onclick = () => attempt($("refund"), async () => {
    await wish(`/api/payments/${encodeURIComponent(payment.id)}/refunds`, {});
    await look(payment.id);
  });
}

async function attempt(button, act) {
  button.disabled = true;
  notice("");
  try {
    await act();
  } catch (error) {
    notice(error.message);
  } finally {
    button.disabled = false;
  }
}

// -- the parts of the page -------------------------------------------------------------------

async function enter() {
  $("login").hidden = true;
  const select = $("pay").elements.method;
  const { data } = await ask("GET", "/api/payment-methods");
  select.replaceChildren(...data.map((method) => {
    const card = method.card || { brand: method.type, last4: "" };
    return new Option(`${card.brand} ${card.last4}`, method.id, false, method.is_default);
  }));
  $("pay").hidden = false;
  const kept = JSON.parse(sessionStorage.getItem(WISH) || "null");
  const shown = sessionStorage.getItem(PAYMENT);
  if (kept) {
    const answer = await insist(kept);
    await pursue(answer.payment_id || answer.id);
  } else if (shown) {
    await pursue(shown);
  }
}

async function pursue(id) {
  await look(id);
  follow(id);
}

async function logIn(email, password) {
  token = (await ask("POST", "/api/auth/login", { body: { email, password } })).access_token;
  await enter();
}

async function pay(form) {
  const { method, amount, currency } = form.elements;
  const payment = await wish("/api/payments", {
    amount: Math.round(Number(amount.value) * 100),
    currency: currency.value,
    payment_method_id: method.value,
    return_url: `${location.origin}/`,
  });
  show(payment);
  follow(payment.id);
}

$("login").onsubmit = (event) => {
  event.preventDefault();
  const { email, password } = event.target.elements;
  attempt(event.submitter, () => logIn(email.value, password.value));
};

$("pay").onsubmit = (event) => {
  event.preventDefault();
  attempt(event.target.elements.send, () => pay(event.target));
};

$("pay").elements.leave.onclick = () => attempt($("pay").elements.leave, async () => {
  followed?.abort();
  sessionStorage.clear();
  await ask("POST", "/api/auth/logout");
  location.reload();
});

// `#demo` logs in, pays and refunds by itself; `#demo=3184` with the card of these last digits. A
// card that asks for 3-D Secure leads to the bank's page, where a person goes on.
async function play(last4) {
  await logIn(config.email, config.password);
  const { method } = $("pay").elements;
  const card = [...method.options].find((option) => option.text.endsWith(last4 || "4242"));
  method.value = card.value;
  await pay($("pay"));
  while ($("status").textContent !== "succeeded" && $("act").hidden) await pause(200);
  if (!$("act").hidden) $("act").click();
  else $("refund").click();
}

async function begin() {
  const { hash, search } = location;
  // The processor adds its own parameters on the way back; they are not needed.
  if (search || hash) history.replaceState(null, "", location.pathname);
  config = await (await fetch("/config.json")).json();
  $("login").elements.email.value = config.email || "";
  $("login").elements.password.value = config.password || "";
  if (hash.startsWith("#demo")) return play(hash.slice("#demo=".length));
  if (await refresh()) return enter();
  $("login").hidden = false;
}

begin().catch((error) => {
  notice(error.message);
  $("login").hidden = Boolean(token);
});
