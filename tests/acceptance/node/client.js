// A consumer in another language: the contract's .proto files are all it has.
//
// usage: node client.js ADDRESS KEY PROTOS

"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [address, key, protos] = process.argv.slice(2);
const FILES = ["documents", "memories", "containers"];

function connect() {
  const contract = loader.loadSync(
    FILES.map((name) => path.join("palimpsest", "v1", `${name}.proto`)),
    { includeDirs: [protos], longs: String, enums: String, defaults: true, oneofs: true },
  );
  const { palimpsest } = grpc.loadPackageDefinition(contract);
  const plain = grpc.credentials.createInsecure();
  return {
    documents: new palimpsest.v1.Documents(address, plain),
    memories: new palimpsest.v1.Memories(address, plain),
    containers: new palimpsest.v1.Containers(address, plain),
  };
}

function withKey() {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${key}`);
  return metadata;
}

function call(service, method, request, metadata = withKey()) {
  return new Promise((resolve, reject) => {
    const deadline = { deadline: Date.now() + 30_000 };
    service[method](request, metadata, deadline, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
  });
}

const struct = (values) => ({
  fields: Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      { [{ string: "stringValue", number: "numberValue", boolean: "boolValue" }[typeof value]]: value },
    ]),
  ),
});

async function upsertKeepsOneDocument({ documents }) {
  const note = { customId: "node-note", metadata: struct({ version: 1, draft: true }) };
  const first = (await call(documents, "upsertDocument", { ...note, content: "Initial" })).receipt;
  const second = (await call(documents, "upsertDocument", { ...note, content: "Ünïcode ✓" })).receipt;
  assert.match(first.id, /^doc_[0-9A-Za-z]{22}$/);
  assert.equal(second.id, first.id);
  assert.deepEqual([first.created, second.created], [true, false]);
  assert.equal(second.status, "DOCUMENT_STATUS_QUEUED");

  const { document } = await call(documents, "getDocument", { id: "node-note" });
  assert.equal(document.content, "Ünïcode ✓");
  assert.equal(document.metadata.fields.version.numberValue, 1);
  assert.equal(document.metadata.fields.draft.boolValue, true);
}

async function filterHidesTheDeleted({ documents }) {
  const kept = await call(documents, "upsertDocument", { content: "Kept", containerTags: ["soft"] });
  await call(documents, "upsertDocument", {
    content: "Marked",
    containerTags: ["soft"],
    metadata: struct({ deleted: true }),
  });
  const answer = await call(documents, "listDocuments", {
    containerTags: ["soft"],
    filter: { negated: { match: { key: "deleted", value: "true" } } },
  });
  assert.deepEqual(
    answer.documents.map((found) => found.id),
    [kept.receipt.id],
  );
}

async function versionsFormAChain({ memories }) {
  const scope = { containerTag: "node" };
  const text = "John prefers dark mode";
  const created = await call(memories, "createMemories", { ...scope, memories: [{ content: text }] });
  const first = created.receipts[0];
  const updated = await call(memories, "updateMemory", {
    ...scope,
    content: text,
    newContent: "John now prefers light mode",
  });
  assert.equal(updated.receipt.version, 2);
  assert.equal(updated.receipt.rootMemoryId, first.id);
  assert.equal(updated.memory, "John now prefers light mode");

  const stale = await call(memories, "forgetMemory", { ...scope, id: first.id }).catch((e) => e);
  assert.equal(stale.code, grpc.status.FAILED_PRECONDITION);
  assert.deepEqual(stale.metadata.get("palimpsest-reason"), ["MEMORY_NOT_LATEST"]);
  assert.ok(stale.metadata.get("grpc-status-details-bin")[0].includes("MEMORY_NOT_LATEST"));

  const forgotten = await call(memories, "forgetMemory", { ...scope, id: updated.receipt.id });
  assert.equal(forgotten.receipt.forgotten, true);
  const listed = await call(memories, "listMemories", { containerTags: ["node"] });
  assert.deepEqual(listed.memories, []);
}

async function watchEndsWithTheDocument({ documents }) {
  const { receipt } = await call(documents, "upsertDocument", { content: "Watched" });
  const states = [];
  // The stream ends with DONE, unless the document is gone before.
  await new Promise((resolve, reject) => {
    const stream = documents.watchDocument({ id: receipt.id }, withKey());
    stream.on("data", (state) => {
      states.push(state.deleted || state.document.status);
    });
    stream.on("error", reject);
    stream.on("end", resolve);
  });
  assert.equal(states.at(-1), "DOCUMENT_STATUS_DONE");
  await call(documents, "deleteDocument", { id: receipt.id });
}

async function refusalsSayWhy({ documents, containers }) {
  const missing = await call(documents, "getDocument", { id: "nothing" }).catch((e) => e);
  assert.equal(missing.code, grpc.status.NOT_FOUND);
  assert.equal(missing.details, "Document not found");

  const long = await call(documents, "upsertDocument", { content: "x", customId: "x".repeat(101) })
    .catch((e) => e);
  assert.equal(long.code, grpc.status.INVALID_ARGUMENT);

  const anonymous = await call(containers, "listContainers", {}, new grpc.Metadata()).catch((e) => e);
  assert.equal(anonymous.code, grpc.status.UNAUTHENTICATED);
}

async function main() {
  const services = connect();
  const promises = [
    upsertKeepsOneDocument,
    filterHidesTheDeleted,
    versionsFormAChain,
    watchEndsWithTheDocument,
    refusalsSayWhy,
  ];
  for (const promise of promises) {
    await promise(services);
    console.log(`kept: ${promise.name}`);
  }
  Object.values(services).forEach((service) => service.close());
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
