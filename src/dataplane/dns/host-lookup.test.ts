import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, type Answer } from "dns-packet";
import { messageOf } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { DnsForwarder } from "../../net/dns/index.ts";
import { HostLookup, type HostLookupOptions } from "./host-lookup.ts";

/** Name servers with these records. For each name in `lost`, that many queries of each type are lost. */
function lookupIn(
  records: Readonly<Record<string, readonly Answer[]>>,
  { lost = {}, ...options }: Partial<HostLookupOptions> & { readonly lost?: Readonly<Record<string, number>> } = {},
): { lookup: HostLookup; queries: string[] } {
  const queries: string[] = [];
  const answerQuery = (query: Buffer): Promise<Buffer> => {
    const { id = 0, questions = [] } = decode(query);
    const [{ name, type } = { name: "", type: "A" as const }] = questions;
    queries.push(`${type} ${name}`);
    if (queries.filter((one) => one === `${type} ${name}`).length <= (lost[name] ?? 0))
      return Promise.reject(new Error("no name server answers"));
    const answers = (records[name] ?? []).filter((record) => record.type === type || record.type === "CNAME");
    return Promise.resolve(encode({ type: "response", id, questions, answers }));
  };
  const file = { search: ["shop.svc", "svc"], dotsOfFullNames: 1 };
  return { lookup: new HostLookup({ forwarder: { ask: answerQuery }, file, ...options }), queries };
}

const addressRecord = (data: string, ttl: number): Answer => ({ type: "A", name: "web.test", data, ttl });

test("a result is valid until the first of its address and alias records expires", async () => {
  const { lookup } = lookupIn({
    "web.test": [addressRecord("192.0.2.1", 60), addressRecord("192.0.2.2", 30)],
    "alias.test": [{ type: "CNAME", name: "alias.test", data: "web.test", ttl: 5 }, addressRecord("192.0.2.1", 60)],
  });
  assert.deepEqual(await lookup.lookUp("web.test"), { addresses: ["192.0.2.1", "192.0.2.2"], ttlMs: 30_000 });
  assert.deepEqual(await lookup.lookUp("alias.test"), { addresses: ["192.0.2.1"], ttlMs: 5000 });
  assert.deepEqual(await lookup.lookUp("none.test"), { addresses: [] });
});

test("the hosts file comes before name servers, and is read for each look-up", async () => {
  let hosts = new Map([["web.test", ["192.0.2.9"]]]);
  const { lookup } = lookupIn(
    { "web.test": [addressRecord("192.0.2.1", 60)] },
    { readHosts: () => Promise.resolve(hosts) },
  );
  assert.deepEqual(await lookup.lookUp("WEB.test."), { addresses: ["192.0.2.9"] });
  hosts = new Map();
  assert.deepEqual((await lookup.lookUp("web.test")).addresses, ["192.0.2.1"]);
});

test("a short name is tried in the search domains first", async () => {
  const { lookup, queries } = lookupIn({ "web.svc": [addressRecord("192.0.2.1", 60)] });
  assert.deepEqual((await lookup.lookUp("web")).addresses, ["192.0.2.1"]);
  assert.deepEqual(
    queries.filter((one) => one.startsWith("A ")),
    ["A web.shop.svc", "A web.svc"],
  );
});

test("a query without an answer is sent again, and the third failure is reported", async () => {
  const records = { "web.test": [addressRecord("192.0.2.1", 60)] };
  const { lookup } = lookupIn(records, { lost: { "web.test": 2 } });
  assert.deepEqual((await lookup.lookUp("web.test")).addresses, ["192.0.2.1"]);
  await assert.rejects(lookupIn(records, { lost: { "web.test": 3 } }).lookup.lookUp("web.test"), /no name server/);
});

test("unanswered queries count for the client that sent them, so that the names of another client are still resolved", async () => {
  const clock = new HandClock();
  const forwarder = new DnsForwarder({
    servers: [{ address: "127.0.0.1", port: 53 }],
    timeoutMs: 5000,
    clock,
    sockets: { udp: () => new Promise(() => undefined), tcp: () => Promise.reject(new Error("not asked")) },
  });
  const lookup = new HostLookup({ forwarder, file: { search: [], dotsOfFullNames: 0 } });
  const failures: string[] = [];
  const lookUp = (name: string, client: string): void =>
    void lookup.lookUp(name, client).catch((error: unknown) => failures.push(`${name} ${messageOf(error)}`));
  for (let index = 0; index < 500; index += 1) lookUp(`slow-${index}.test`, "10.0.0.1");
  lookUp("slow-500.test", "10.0.0.1");
  lookUp("web.test", "10.0.0.2");
  await until(() => failures.length >= 2);
  assert.match(failures.join(), /^slow-500\.test 1000 queries are waiting already,slow-\d+\.test 1000 queries/);
  assert.ok(failures.every((failure) => !failure.startsWith("web.test")));
});
