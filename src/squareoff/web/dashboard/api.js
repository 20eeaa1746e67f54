// Calls of the engine's API. The token goes into one header and nowhere else.

const STORED_UNDER = "squareoff-token"; // of this tab only; gone when it is closed
const ANSWER_MS_MAX = 20_000; // longer than the engine waits for its broker

/** A call that was refused or had no answer; `code` is the API's, or "unreachable". */
export class CallFailed extends Error {
  constructor(code, message, status = 0) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** Return a key for one wish. */
export function newKey() {
  return crypto.randomUUID();
}

export class Api {
  #token;

  constructor(token) {
    this.#token = token;
  }

  /** Return the API with the token of this tab, null where nobody has logged in. */
  static ofThisTab() {
    const token = sessionStorage.getItem(STORED_UNDER);
    return token ? new Api(token) : null;
  }

  /** Keep the token for as long as this tab is open. */
  remember() {
    sessionStorage.setItem(STORED_UNDER, this.#token);
  }

  /** Forget the token. */
  static forget() {
    sessionStorage.removeItem(STORED_UNDER);
  }

  /** Return the JSON answer to a GET below /api/v1. */
  get(path) {
    return this.#json(path, { method: "GET" });
  }

  /** Return the JSON answer to a POST below /api/v1; a repeat under the same key acts once. */
  post(path, body = {}, key = newKey()) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    return this.#json(path, { method: "POST", headers, body: JSON.stringify(body) });
  }

  /** Return the open answer of the event stream after a sequence number. */
  events(after, signal) {
    const headers = { "Last-Event-ID": String(after), Accept: "text/event-stream" };
    return this.#call("/events?live=true", { headers, signal });
  }

  async #json(path, options) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), ANSWER_MS_MAX);
    try {
      const answer = await this.#call(path, { ...options, signal: late.signal });
      return await answer.json();
    } catch (error) {
      throw error instanceof CallFailed ? error : unreachable();
    } finally {
      clearTimeout(timer);
    }
  }

  async #call(path, { headers = {}, ...options }) {
    let answer;
    try {
      answer = await fetch(`/api/v1${path}`, {
        ...options,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        headers: { ...headers, Authorization: `Bearer ${this.#token}` },
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw unreachable();
    }
    if (answer.ok) return answer;
    throw await refusal(answer);
  }
}

function unreachable() {
  return new CallFailed("unreachable", "the engine does not answer");
}

async function refusal(answer) {
  try {
    const { error } = await answer.json();
    return new CallFailed(error.code, error.message, answer.status);
  } catch {
    return new CallFailed("refused", `the engine answered HTTP ${answer.status}`, answer.status);
  }
}
