// Requests to the server, and what the page says of them.

const message = document.getElementById("message");
message.addEventListener("click", () => { message.hidden = true; });

export function complain(text) {
  message.textContent = text;
  message.hidden = false;
}

const post = (name, values) => fetch(`/do/${name}`, {
  method: "POST",
  headers: {"Content-Type": "application/json"},
  body: JSON.stringify(values),
});

// What is said of requests that take longer than a second, until the last of them is answered.
const PATIENCE_MS = 1000;
const busy = document.getElementById("busy");
let slow = 0, following = false;

async function follow() {
  if (following) return;
  following = true;
  try {
    while (slow) {
      const {what, share} = await (await post("progress", {})).json().catch(() => ({what: ""}));
      busy.textContent = what ? `${what}, ${Math.round(100 * share)} %` : "computing…";
      busy.hidden = !slow;
      await new Promise((done) => { setTimeout(done, PATIENCE_MS / 2); });
    }
  } finally { following = false; }
}

async function patiently(answer) {
  let waits = false;
  const timer = setTimeout(() => { waits = true; slow++; follow().catch(() => {}); }, PATIENCE_MS);
  try { return await answer; } finally {
    clearTimeout(timer);
    if (waits && --slow === 0) busy.hidden = true;
  }
}

async function send(name, values) {
  const answer = await patiently(post(name, values));
  if (answer.ok) return answer;
  const text = await answer.text();
  let problem = text;
  try { problem = JSON.parse(text).problem; } catch { /* the text itself */ }
  throw new Error(problem);
}

// The result of an action of the server. What goes wrong is shown, and thrown.
export async function ask(name, values = {}) {
  try {
    const result = await (await send(name, values)).json();
    message.hidden = true;
    return result;
  } catch (error) {
    complain(error instanceof TypeError ? "pcip browse does not answer. Start it again." : error.message);
    throw error;
  }
}

export async function askBytes(name, values) {
  try {
    return await (await send(name, values)).arrayBuffer();
  } catch (error) {
    complain(error instanceof TypeError ? "pcip browse does not answer. Start it again." : error.message);
    throw error;
  }
}

// An element with attributes and children; texts are never read as HTML.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && name !== "style") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);
