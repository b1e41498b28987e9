// Requests to the server, and what the page says of them.

const message = document.getElementById("message");
message.addEventListener("click", () => { message.hidden = true; });

export function complain(text) {
  message.textContent = text;
  message.hidden = false;
}

async function send(name, values) {
  const answer = await fetch(`/do/${name}`, {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify(values),
  });
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
