import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import { createSchemaRegistry } from "../schema/index.ts";
import { fillStore, memoryStore } from "../store/testing/memory-store.ts";
import type { Store } from "../store/index.ts";
import type { ResourceContext, ServerParts } from "./context.ts";
import { Encoder } from "./encoder.ts";
import { listObjects } from "./read.ts";

const registry = createSchemaRegistry();
const type = registry.resource("", "v1", "configmaps");
const maps = "/configmaps";

interface List {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly { readonly metadata: { readonly name: string; readonly namespace: string } }[];
}

async function list(store: Store, query: Readonly<Record<string, string>>, namespace = ""): Promise<List> {
  let body = "";
  const response = { writeHead: () => undefined, end: (bytes: Buffer) => void (body = bytes.toString()) };
  const parts = { store, encoder: new Encoder(registry, new HandClock()) };
  const context = {
    type,
    response,
    request: { headers: {} },
    query: new URLSearchParams(query),
    info: { namespace },
    warnings: [],
  };
  await listObjects(parts as unknown as ServerParts, context as unknown as ResourceContext);
  return JSON.parse(body) as List;
}

async function put(store: Store, ...keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    const [namespace, name] = key.split("/");
    await fillStore(store, { [maps]: [{ apiVersion: "v1", kind: "ConfigMap", metadata: { namespace, name } }] });
  }
}

const keysOf = ({ items }: List): string[] => items.map(({ metadata: { namespace, name } }) => `${namespace}/${name}`);

/** Reads all pages of a list. Calls `between` after each page. */
async function pages(
  store: Store,
  query: Readonly<Record<string, string>>,
  between: (page: number) => Promise<void> = async () => undefined,
): Promise<string[][]> {
  const all: string[][] = [];
  let token: string | undefined;
  do {
    const page = await list(store, { ...query, ...(token === undefined ? {} : { continue: token }) });
    all.push(keysOf(page));
    token = page.metadata.continue;
    await between(all.length);
  } while (token !== undefined);
  return all;
}

test("pages have each object once and in order, also of namespaces whose names begin with another's", async () => {
  const store = await memoryStore();
  await put(store, "a/x", "a-b/x", "a/y", "ab/x", "a.b/x");
  const expected = ["a-b/x", "a.b/x", "a/x", "a/y", "ab/x"];
  assert.deepEqual(keysOf(await list(store, {})), expected);
  for (const limit of ["1", "2", "3", "5"]) assert.deepEqual((await pages(store, { limit })).flat(), expected, limit);
});

test("pages are of the version of the first one, whatever is written or deleted meanwhile", async () => {
  const store = await memoryStore();
  await put(store, "a/1", "a/2", "a/3");
  const all = await pages(store, { limit: "1" }, async (page) => {
    if (page !== 1) return;
    await put(store, "a/0", "a/25");
    await store.remove(maps, "a", "3", 3);
  });
  assert.deepEqual(all, [["a/1"], ["a/2"], ["a/3"]]);
});

test("a page says how many objects remain, unless a selector would have to look at all of them", async () => {
  const store = await memoryStore();
  await put(store, "a/1", "a/2", "a/3");
  assert.equal((await list(store, { limit: "2" })).metadata.remainingItemCount, 1);
  const selected = await list(store, { limit: "2", labelSelector: "!app" });
  assert.equal(selected.metadata.remainingItemCount, undefined);
  assert.ok(selected.metadata.continue !== undefined);
});

test("a list at an exact version has what existed then, and one that is not older than it has what exists now", async () => {
  const store = await memoryStore();
  await put(store, "a/1", "a/2");
  await store.remove(maps, "a", "1", 1);
  const exact = await list(store, { resourceVersion: "2", resourceVersionMatch: "Exact" });
  assert.deepEqual([keysOf(exact), exact.metadata.resourceVersion], [["a/1", "a/2"], "2"]);
  for (const query of [{ resourceVersion: "2" }, { resourceVersion: "2", resourceVersionMatch: "NotOlderThan" }]) {
    const newest = await list(store, query);
    assert.deepEqual([keysOf(newest), newest.metadata.resourceVersion], [["a/2"], "3"]);
  }
});

test("a list at a forgotten version is refused with 410, and a page of one with a token for the rest as it is now", async () => {
  const store = await memoryStore();
  await put(store, "a/1", "a/2", "a/3");
  const { metadata } = await list(store, { limit: "1" });
  await put(store, "a/2", "a/4");
  store.forget(4);
  const exact = { resourceVersion: "3", resourceVersionMatch: "Exact" };
  await assert.rejects(list(store, exact), { code: 410, message: "too old resource version: 3 (5)" });
  const token = await list(store, { limit: "1", continue: metadata.continue ?? "" }).then(
    () => assert.fail("it was not refused"),
    (error: { readonly code: number; readonly body: { readonly metadata: { readonly continue: string } } }) => {
      assert.equal(error.code, 410);
      return error.body.metadata.continue;
    },
  );
  const rest = await list(store, { continue: token });
  assert.deepEqual(keysOf(rest), ["a/2", "a/3", "a/4"]);
});

test("a token that no list of this server has given is refused", async () => {
  const store = await memoryStore();
  const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  for (const token of ["nonsense", encoded({}), encoded({ rv: -7, start: "a/b" }), encoded({ rv: 0.5, start: "a/b" })])
    await assert.rejects(list(store, { continue: token }), { code: 400 }, token);
});
