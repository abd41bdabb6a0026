// Calls methods of the installed SDK as it is told, line by line; see tests/http/sdks.py.
//
//     node driver.mjs BASE_URL KEY

import readline from "node:readline";
import Supermemory, { toFile } from "supermemory";

const [baseURL, apiKey] = process.argv.slice(2);
let sent = 0;
const client = new Supermemory({
  apiKey,
  baseURL,
  fetch: (...request) => {
    sent += 1;
    return fetch(...request);
  },
});

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

async function given(value) {
  if (value !== null && typeof value === "object" && "$file" in value) {
    return toFile(Buffer.from(value.data, "base64"), value.$file);
  }
  return value;
}

function failure(error) {
  return {
    class: error.constructor.name,
    status: error.status ?? null,
    body: error.error ?? null,
    text: String(error),
  };
}

async function answer({ method, arguments: positional, keywords, raw }) {
  const names = method.split(".").map(camel);
  const last = names.pop();
  const before = sent;
  let done;
  try {
    const body = {};
    for (const [name, value] of Object.entries(keywords)) {
      body[camel(name)] = await given(value);
    }
    const resource = names.reduce((found, name) => found[name], client);
    const given_ = Object.keys(body).length > 0 ? [...positional, body] : positional;
    const promise = resource[last](...given_);
    if (raw) {
      const { data, response } = await promise.withResponse();
      const headers = Object.fromEntries(response.headers);
      done = { status: response.status, headers, value: data ?? null };
    } else {
      done = { value: (await promise) ?? null };
    }
  } catch (error) {
    done = { error: failure(error) };
  }
  return { ...done, requests: sent - before };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
