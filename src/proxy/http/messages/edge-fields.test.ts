import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpFilter } from "../../filters/http-filter.ts";
import { exactly, headerMatches } from "../../routing/matchers.ts";
import type { HeaderMutation } from "../../routing/header-mutation.ts";
import { forwardTo, Harness, route, tableOf } from "../../testing/harness.ts";

const forged = {
  "x-forwarded-for": "9.9.9.9",
  "x-forwarded-proto": "https",
  "x-forwarded-client-cert": "URI=forged",
  "x-request-id": "forged",
  "x-envoy-internal": "true",
  "x-envoy-external-address": "9.9.9.9",
  "x-envoy-retry-on": "forged",
};
const names = Object.keys(forged);
const edge = { useRemoteAddress: true, appendForwardedFor: true, filtersIdle: false } as const;

function looking(headers: Record<string, string | undefined>[]): HttpFilter {
  return {
    name: "looks",
    onRequest: (request) => {
      const all = Object.groupBy(request.headers(), ([name]) => name);
      for (const name of names) {
        const values = all[name]?.map(([, value]) => value);
        assert.deepEqual(request.values(name), values ?? [], name);
        assert.equal(request.header(name), values?.join(","), name);
      }
      headers.push(Object.fromEntries(names.map((name) => [name, request.header(name)])));
      return undefined;
    },
  };
}

async function upstreamOf(
  harness: Harness,
  mutation?: HeaderMutation,
): Promise<(headers: Record<string, string>) => Promise<Record<string, readonly string[]>>> {
  const backend = await harness.backend((request, answer) => answer.end(JSON.stringify(request.headersDistinct)));
  harness.cluster("a", [backend.port]);
  harness.table = tableOf(route(forwardTo("a"), mutation === undefined ? {} : { requestMutations: [mutation] }));
  return async (headers) => JSON.parse((await harness.get("/", { headers })).body) as Record<string, readonly string[]>;
}

test("filters at an edge see the proxy's own facts about the client, as the server does, and not the client's claims", async () => {
  const headers: Record<string, string | undefined>[] = [];
  await using harness = await Harness.start({ ...edge, filters: [looking(headers)] });
  const upstreamFields = await upstreamOf(harness);
  const received = await upstreamFields(forged);
  const expected = Object.fromEntries(names.map((name) => [name, received[name]?.join(",")]));
  assert.deepEqual(headers, [expected]);
  assert.deepEqual(
    { ...expected, "x-request-id": expected["x-request-id"]?.length },
    {
      "x-forwarded-for": "9.9.9.9,127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-client-cert": undefined,
      "x-request-id": 36,
      "x-envoy-internal": undefined,
      "x-envoy-external-address": "127.0.0.1",
      "x-envoy-retry-on": undefined,
    },
  );
});

test("behind trusted proxies, the upstream learns the client's address from them", async () => {
  await using harness = await Harness.start({ ...edge, trustedHops: 2 });
  const upstreamFields = await upstreamOf(harness);
  const addressOf = async (forwardedFor: string) =>
    (await upstreamFields({ "x-forwarded-for": forwardedFor }))["x-envoy-external-address"]?.join(",");
  assert.equal(await addressOf("56.5.6.7, 72.9.5.6, 98.1.2.3"), "72.9.5.6");
  assert.equal(await addressOf("98.1.2.3"), "127.0.0.1");
});

test("a route matches the scheme that the client used, whatever the client says in x-forwarded-proto", async () => {
  await using harness = await Harness.start(edge);
  const isPlain = headerMatches({
    name: "x-forwarded-proto",
    value: exactly("http"),
    invert: false,
    treatMissingAsEmpty: false,
  });
  const answerOf = (status: number, matches: typeof isPlain | undefined) =>
    route({ kind: "direct-response", status, body: Buffer.alloc(0) }, matches === undefined ? {} : { matches });
  harness.table = tableOf(answerOf(301, isPlain), answerOf(200, undefined));
  const statuses = await Promise.all(
    [{}, { "x-forwarded-proto": "https" }].map(async (headers) => (await harness.get("/", { headers })).status),
  );
  assert.deepEqual(statuses, [301, 301]);
});

test("headers that a filter writes or removes are sent as the filter left them", async () => {
  const filter: HttpFilter = {
    name: "writes",
    onRequest: (request) => {
      for (const name of ["x-forwarded-for", "x-forwarded-client-cert", "x-request-id"]) request.setHeader(name, "own");
      for (const name of ["x-forwarded-proto", "x-envoy-external-address"]) request.removeHeader(name);
      request.clearRoute();
      return undefined;
    },
  };
  await using harness = await Harness.start({ ...edge, filters: [filter] });
  const received = await (await upstreamOf(harness))(forged);
  assert.deepEqual(
    names.map((name) => received[name]),
    [["own"], undefined, ["own"], ["own"], undefined, undefined, undefined],
  );
});

test("headers that a route sets or removes take the place of the proxy's own, and of the client's", async () => {
  await using harness = await Harness.start({ ...edge, filtersIdle: true });
  const upstreamFields = await upstreamOf(harness, {
    add: [
      ...["x-forwarded-proto", "x-forwarded-client-cert", "x-request-id"].map((name) => ({
        name,
        value: () => "route",
        action: "overwrite-if-exists-or-add" as const,
        keepEmptyValue: false,
      })),
      { name: "x-forwarded-for", value: () => "route", action: "append-if-exists-or-add", keepEmptyValue: false },
    ],
    remove: ["x-envoy-external-address"],
  });
  for (const headers of [forged, {}] as const) {
    const received = await upstreamFields(headers);
    assert.deepEqual(
      names.map((name) => received[name]?.join(",")),
      [
        "x-forwarded-for" in headers ? "9.9.9.9,127.0.0.1,route" : "127.0.0.1,route",
        "route",
        "route",
        "route",
        undefined,
        undefined,
        undefined,
      ],
    );
  }
});
