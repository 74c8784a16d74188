// Sends requests of sessions through Serin's proxy and a stock Envoy. Compares which endpoint answers, and which
// headers the client gets.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { until } from "../../src/base/testing/index.ts";
import { ConfigNotes } from "../../src/proxy/config/config-check.ts";
import { compileStatefulSession } from "../../src/proxy/config/filters/stateful-session-config.ts";
import { StatefulSessionFilter } from "../../src/proxy/filters/stateful-session-filter.ts";
import {
  endpointAt,
  fetchOnce,
  forwardTo,
  Harness,
  retryPolicy,
  route,
  tableOf,
} from "../../src/proxy/testing/harness.ts";
import { envoyRegistry, StatefulSessionSchema } from "../../src/wire/envoy/index.ts";

const envoy = join(import.meta.dirname, "../../.cache/interop/envoy");
const filterName = "envoy.filters.http.stateful_session";
const types = "type.googleapis.com/envoy.extensions";

const state = (kind: string, message: string, fields: JsonObject): JsonObject => ({
  sessionState: {
    name: `envoy.http.stateful_session.${kind}`,
    typedConfig: { "@type": `${types}.http.stateful_session.${kind}.v3.${message}`, ...fields },
  },
});
const cookie = (fields: JsonObject) => state("cookie", "CookieBasedSessionState", { cookie: fields });
const header = state("header", "HeaderBasedSessionState", { name: "x-session" });

/** By the path of requests, the session configuration that applies to them. */
const settings: Readonly<Record<string, JsonObject>> = {
  "/header": header,
  "/strict": { ...header, strict: true },
  "/gone": { ...header, strict: true, statusOnStrictDestinationNotFound: 410 },
  "/cookie": cookie({ name: "s", path: "/cookie" }),
  "/slash": cookie({ name: "s", path: "/slash/" }),
  "/nowhere": cookie({ name: "s", path: "/other" }),
  "/plain": cookie({ name: "s" }),
  "/lasting": cookie({
    name: "s",
    path: "/",
    ttl: "60s",
    attributes: [{ name: "SameSite", value: "Lax" }, { name: "Secure" }],
  }),
};

const base64 = (text: string): string => Buffer.from(text, "latin1").toString("base64");
const inMessage = (text: string): string => base64(`\n${String.fromCharCode(text.length)}${text}`);

/** Requests whose session names a usable endpoint, a draining one, or one that does not exist. */
function requestsFor(usable: string, draining: string): readonly (readonly [path: string, Record<string, string>])[] {
  const none = "127.0.0.1:1";
  const inHeader = [usable, draining, none, ""].map((address) => ({ "x-session": base64(address) }));
  const values = [usable, draining, none].flatMap((address) => [
    base64(address),
    inMessage(address),
    `"${inMessage(address)}"`,
  ]);
  const inCookie = [...values, "", "!!!", "%3D"].map((value) => ({ cookie: `a=1; s=${value}; s=${inMessage(none)}` }));
  return [
    ...["/header", "/header/fails", "/strict", "/gone"].flatMap((path) =>
      [{}, ...inHeader, { "x-session": "!!!" }].map((fields) => [path, fields] as const),
    ),
    ...["/cookie", "/cookie/a?b", "/cookied", "/slash", "/slash/a", "/nowhere", "/plain", "/lasting"].flatMap((path) =>
      [{}, ...inCookie].map((fields) => [path, fields] as const),
    ),
  ];
}

/**
 * Describes the answers to some equal requests. Calls an endpoint what it is to the request. Without a session, several
 * endpoints answer in turn.
 */
async function outcome(port: number, path: string, headers: Record<string, string>): Promise<string> {
  const bodies = new Set<string>();
  const outcomes = new Set<string>();
  for (let round = 0; round < 4; round += 1) {
    const response = await fetchOnce(port, path, { headers });
    const own = `127.0.0.1:${response.body}`;
    bodies.add(response.body);
    const clientSession =
      `${String(response.headers["set-cookie"] ?? "-")} ${String(response.headers["x-session"] ?? "-")}`
        .replaceAll(base64(own), "<own>")
        .replaceAll(inMessage(own), "<own message>")
        .replace(/"[A-Za-z\d+/]{30,}=*"/, '"<with an end>"');
    outcomes.add(`${response.status}, told ${clientSession}`);
  }
  const [body = ""] = bodies;
  return `${[...outcomes].sort().join(" or ")} by ${bodies.size > 1 || !/^\d+$/.test(body) ? "any" : "one"}`;
}

async function serin(path: string, headers: Record<string, string>, ports: readonly number[]): Promise<string> {
  const notes = new ConfigNotes((note) => assert.fail(note));
  const prefix = Object.keys(settings).find((one) => path.startsWith(one)) ?? "";
  const own = compileStatefulSession(
    fromJson(StatefulSessionSchema, settings[prefix] ?? {}, { registry: envoyRegistry() }),
    path,
    notes,
  );
  await using harness = await Harness.start({
    filters: [new StatefulSessionFilter(filterName, own)],
    filtersIdle: false,
  });
  const [, , draining] = ports;
  harness
    .cluster("upstream", [])
    .setEndpoints(
      ports.map((port) => endpointAt(port, port === draining ? { healthy: false, status: "draining" } : {})),
    );
  const retry = retryPolicy({ on: { serverError: true }, avoidPreviousHosts: false });
  harness.table = tableOf(route(forwardTo("upstream", { retry })));
  return await outcome(harness.port, path, headers);
}

function bootstrap(port: number, ports: readonly number[]): object {
  const address = (portValue: number): object => ({ socketAddress: { address: "127.0.0.1", portValue } });
  const routes = Object.entries(settings).map(([prefix, statefulSession]) => ({
    match: { prefix },
    route: { cluster: "upstream", retryPolicy: { retryOn: "5xx", numRetries: 2 } },
    typedPerFilterConfig: {
      [filterName]: { "@type": `${types}.filters.http.stateful_session.v3.StatefulSessionPerRoute`, statefulSession },
    },
  }));
  const manager = {
    "@type": `${types}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    statPrefix: "sessions",
    routeConfig: { virtualHosts: [{ name: "any", domains: ["*"], routes }] },
    httpFilters: [
      { name: filterName, typedConfig: { "@type": `${types}.filters.http.stateful_session.v3.StatefulSession` } },
      { name: "envoy.filters.http.router", typedConfig: { "@type": `${types}.filters.http.router.v3.Router` } },
    ],
  };
  const [, , draining] = ports;
  const lbEndpoints = ports.map((one) => ({
    healthStatus: one === draining ? "DRAINING" : "HEALTHY",
    endpoint: { address: address(one) },
  }));
  return {
    staticResources: {
      listeners: [
        {
          name: "sessions",
          address: address(port),
          filterChains: [
            { filters: [{ name: "envoy.filters.network.http_connection_manager", typedConfig: manager }] },
          ],
        },
      ],
      clusters: [
        { name: "upstream", type: "STATIC", loadAssignment: { clusterName: "upstream", endpoints: [{ lbEndpoints }] } },
      ],
    },
  };
}

async function listening(): Promise<Server> {
  const server = createServer((request, response) => {
    response.statusCode = request.url === "/header/fails" ? 503 : 200;
    response.end(String(request.socket.localPort));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return server;
}

test("sessions behave in the proxy like in a stock Envoy", { timeout: 120_000 }, async () => {
  assert.ok(existsSync(envoy), "there is no .cache/interop/envoy: scripts/fetch/envoy.sh puts it there");
  // Envoy's port, a draining endpoint and three usable ones. A request that fails chooses an endpoint twice without its
  // session. With only two usable ones, the last choice of every request would be the same, and which one it is would
  // depend on the round.
  const servers = await Promise.all([1, 2, 3, 4, 5].map(listening));
  const [port = 0, ...ports] = servers.map((server) => (server.address() as AddressInfo).port);
  // Envoy gets this port.
  await new Promise((resolve) => servers[0]?.close(resolve));
  const directory = mkdtempSync(join(tmpdir(), "serin-sessions-"));
  const file = join(directory, "envoy.json");
  writeFileSync(file, JSON.stringify(bootstrap(port, ports)));
  const program = spawn(envoy, ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "error"], {
    stdio: "ignore",
  });
  try {
    await until(() =>
      outcome(port, "/header", {}).then(
        () => true,
        () => false,
      ),
    );
    const differences: string[] = [];
    for (const [path, headers] of requestsFor(`127.0.0.1:${ports[0]}`, `127.0.0.1:${ports[2]}`)) {
      const [theirs, ours] = [await outcome(port, path, headers), await serin(path, headers, ports)];
      if (theirs !== ours) differences.push(`${path} ${JSON.stringify(headers)}\n  envoy ${theirs}\n  serin ${ours}`);
    }
    assert.equal(differences.join("\n"), "");
  } finally {
    program.kill("SIGKILL");
    await new Promise((resolve) => program.once("exit", resolve));
    for (const server of servers.slice(1)) {
      server.closeAllConnections();
      server.close();
    }
    rmSync(directory, { recursive: true });
  }
});
