// An agent in another language, on the SDK of the protocol.
//
// usage: node client.js SETTINGS
//
// SETTINGS is JSON: {"command", "args", "env", "cwd"} of a process to start, or {"url", "headers"}.

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const settings = JSON.parse(process.argv[2]);

function transport() {
  if (settings.command) return new StdioClientTransport(settings);
  const requestInit = { headers: settings.headers };
  return new StreamableHTTPClientTransport(new URL(settings.url), { requestInit });
}

async function call(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(!result.isError, result.content[0].text);
  return { text: result.content[0].text, ...result.structuredContent };
}

async function lists(client) {
  const { tools } = await client.listTools();
  assert.equal(tools.length, 8);
  const forget = tools.find((tool) => tool.name === "forget");
  assert.equal(forget.annotations.destructiveHint, true);
  assert.ok(client.getInstructions().includes("recall"));
}

async function remembers(client) {
  const made = await call(client, "remember", { content: "Ann drinks green tea", lasting: true });
  const found = await call(client, "recall", { query: "green tea" });
  assert.equal(found.results[0].id, made.id);
  const context = await call(client, "context", {});
  assert.ok(context.text.includes("- Ann drinks green tea"));
}

async function updates(client) {
  const made = await call(client, "remember", { content: "The deploy is on Friday" });
  const updated = await call(client, "update", { id: made.id, content: "The deploy is on Monday" });
  assert.equal(updated.version, 2);
  const { versions } = await call(client, "history", { id: updated.id });
  assert.deepEqual(
    versions.map((version) => version.text),
    ["The deploy is on Monday", "The deploy is on Friday"],
  );
}

async function forgets(client) {
  const { preview, undo_id } = await call(client, "forget", { query: "deploy Monday" });
  assert.equal(undo_id, "");
  assert.equal(preview[0].text, "The deploy is on Monday");
  const done = await call(client, "forget", { ids: [preview[0].id] });
  assert.deepEqual(done.forgotten_ids, [preview[0].id]);
  const undone = await call(client, "undo", { id: done.undo_id });
  assert.deepEqual(undone.restored_ids, [preview[0].id]);
}

async function addsDocuments(client) {
  const args = { content: "Pour water of eighty degrees.", name: "tea.md", wait: true };
  const added = await call(client, "add_document", args);
  assert.equal(added.status, "done");
  const { results } = await call(client, "recall", { query: "eighty degrees" });
  assert.equal(results[0].id, added.id);
}

async function hearsOfMistakes(client) {
  const missing = { id: "mem_0000000000000000000000", content: "x" };
  const result = await client.callTool({ name: "update", arguments: missing });
  assert.ok(result.isError);
  assert.match(result.content[0].text, /^Memory not found/);
  await assert.rejects(client.callTool({ name: "nothing" }), /There is no such tool/);
}

async function main() {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport());
  for (const step of [lists, remembers, updates, forgets, addsDocuments, hearsOfMistakes]) {
    await step(client);
    console.log(`kept: ${step.name}`);
  }
  await client.close();
}

await main();
